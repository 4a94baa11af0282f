"""The data sets of language."""

import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
from scipy.sparse import csr_array

from sslbook.data.catalog import DataFile, DataSet
from sslbook.data.errors import DataError
from sslbook.data.tables import Table, check_official, read_table
from sslbook.domains.language.data import Texts
from sslbook.domains.language.search import ProductSearch

BANKING = "https://raw.githubusercontent.com/PolyAI-LDN/task-specific-datasets/{}/banking_data/{}.csv"
CLINC = "https://raw.githubusercontent.com/clinc/oos-eval/{}/data/data_full.json"
CLINC_PARTS = {
    "oos_val": "val",
    "val": "val",
    "train": "train",
    "oos_test": "test",
    "test": "test",
    "oos_train": "train",
}


def read_banking77(entry: DataSet, paths: list[Path]) -> Texts:
    """Read the two official tables, of training and test."""
    tables = []
    for path, part in zip(paths, ("train", "test"), strict=True):
        table = read_table(path, text=("text", "category"))
        check_official(path, table, ("text", "category"))
        tables.append(table.frame.assign(part=part))
    return Texts.from_frame(pd.concat(tables), "text", "category", split="part", data_card=entry.data_card)


def read_clinc150(entry: DataSet, paths: list[Path]) -> Texts:
    """Read the official file, lists of [text, intent] by part, or the table of the same rows."""
    path = paths[0]
    if path.suffix == ".json":
        given = json.loads(path.read_text(encoding="utf-8"))
        rows = [(part, *row) for part, found in given.items() for row in found]
        table = Table(pd.DataFrame(rows, columns=["part", "text", "intent"]), path.name, "row")
    else:
        table = read_table(path)
    check_official(path, table, ("part", "text", "intent"))
    table.refuse(~table.frame["part"].isin(CLINC_PARTS), "an unknown part", "place the official file there")
    frame = table.frame.assign(part=table.frame["part"].map(CLINC_PARTS))
    return Texts.from_frame(frame, "text", "intent", split="part", data_card=entry.data_card)


def read_icecat(entry: DataSet, paths: list[Path]) -> ProductSearch:
    """Read the official parts of the catalogue, or the table of the same rows; the grades, and those of each rater."""
    *parts, ratings, raters = paths
    goods = pd.concat([icecat_products(path) for path in parts], ignore_index=True)
    table = read_table(ratings, text=("query", "docid"))
    check_official(ratings, table, ("query", "docid", "rating"))
    columns = {"title": "title", "description": "description", "product": "docid"}
    search = ProductSearch.from_frames(goods, table.frame, **columns, data_card=entry.data_card)
    people = read_table(raters, text=("query", "product_id"))
    agents = [f"agent_{i}_rating" for i in (1, 2, 3)]
    check_official(raters, people, ("query", "product_id", *agents))
    at = [
        people.frame[column].map({name: i for i, name in enumerate(names)}).to_numpy()
        for column, names in (("query", search.queries), ("product_id", search.ids))
    ]
    grades = (csr_array((1.0 + people.frame[a].to_numpy(), at), shape=search.judged.shape) for a in agents)
    return replace(search, raters=tuple(grades))


def icecat_products(path: Path) -> pd.DataFrame:
    """Id, title and description of the products of a part."""
    if path.suffix == ".parquet":
        table = read_table(path)
        check_official(path, table, ("product_id", "title", "description"))
        return table.frame[["product_id", "title", "description"]].rename(columns={"product_id": "id"})
    try:
        with zipfile.ZipFile(path) as archive:
            rows = json.loads(archive.read(archive.namelist()[0]))
        return pd.DataFrame({"id": [row["id"] for row in rows], "title": [row["title"] for row in rows],
                             "description": [row.get("short_description") for row in rows]})  # fmt: skip
    except (zipfile.BadZipFile, IndexError, KeyError, ValueError) as error:
        raise DataError(f"{path} holds no readable products ({error}); place the official file there.") from error


def digest_of_products(path: Path | str) -> str:
    """SHA-256 of ids, titles and descriptions, in order: the same of the archive and of a table of its rows."""
    cells = icecat_products(Path(path)).fillna("").itertuples(index=False)
    return hashlib.sha256("\n".join("\t".join(map(str, row)) for row in cells).encode()).hexdigest()


def _banking_file(part: str, size: int, sha256: str) -> DataFile:
    urls = tuple(BANKING.format(version, part) for version in ("57ec275d", "master"))
    return DataFile(f"banking77_{part}.csv", urls, size, sha256)


def _icecat_file(number: int, size: int, sha256: str) -> DataFile:
    urls = tuple(
        CHORUS.format(version) + f"data-encoder/ecommerce/vectors/data/{number}.json.zip" for version in VERSIONS
    )
    return DataFile(f"icecat_{number}.json.zip", urls, size, sha256, digest=digest_of_products)


CHORUS, VERSIONS = "https://raw.githubusercontent.com/o19s/chorus/{}/", ("d2035d3b", "main")
ICECAT_PARTS = (
    (1, 1_530_000, "dc510f27ead1711bfd2a3f5c02c51ff10fb0d5865a5bce1e6adf32695214a45f"),
    (2, 1_530_000, "7d363dea83e6a67fcf62a118495654f47ec6fdc818f354c54068234b9b8bb1d0"),
    (3, 1_530_000, "dff862f03c0c97add81ad40965c3c05afb73153894512f48e7dead64e6d08803"),
    (4, 1_422_844, "20daa47de45f54a8217cf8f095fd609f221e9b3a6fb3606da90a5a92075e92bb"),
)
RATINGS = tuple(
    DataFile(
        f"icecat_{name}.csv", tuple(CHORUS.format(v) + f"katas/Broad_Query_Set_{of}.csv" for v in VERSIONS), *known
    )
    for name, of, *known in (
        (
            "ratings_all",
            "Broad_Query_Set_rated",
            75_875,
            "065b79c6c19b9ea8fa2dc2b0b8dae3f40c6389454a1f26aac3d3f8a7d43731b2",
        ),
        (
            "ratings",
            "Broad_Query_Set_individual_ratings",
            83_628,
            "f7062e46dff8d2b871df34cccf3c4e5c71cfad5f5e8e4e08d745a311fd3b0335",
        ),
    )
)

ENTRIES = (
    DataSet(
        name="banking77",
        title="Banking77: what a customer wants of his bank",
        files=(
            _banking_file("train", 839_073, "b06e26ac675513959a63135f11b94ea7786ed02da65db93a5650d8838cbc664b"),
            _banking_file("test", 239_961, "d12d6e3bc4c3103966ae786dc435913c0c563dfa328f5a3646d0e62cfeeb474d"),
        ),
        licence="CC BY 4.0",
        citation="Casanueva, Temcinas, Gerz, Henderson and Vulic (2020), Efficient intent detection with dual sentence "
        "encoders, NLP for ConvAI workshop at ACL, arXiv:2003.04807",
        provenance="13,083 messages to an online bank, in English, each with one of 77 intents.",
        known_problems=(
            "One intent for each message; people often have two, and some of the 77 overlap.",
            "Intents have 35 to 187 training messages, and 40 test messages each: not the shares of a real inbox.",
            "Some labels are wrong (Ying and Thomas 2022, Label errors in Banking77).",
        ),
        loader=read_banking77,
    ),
    DataSet(
        name="clinc150",
        title="CLINC150: what somebody asks of an assistant",
        files=(
            DataFile(
                "clinc150_data_full.json",
                tuple(CLINC.format(version) for version in ("828f8093", "master")),
                2_495_390,
                "36923c3705a59e08fe9c3883d8bc2dd966ef93e22cb78ac41171782a698d56e0",
            ),
        ),
        alternative=(
            DataFile(
                "clinc150.parquet",
                (),
                275_997,
                "068c47b3e07513df6d87cc8e8808ccd9506871260d91dd153a49914a3201c3c6",
                folder="prepared",
            ),
        ),
        licence="CC BY 3.0",
        citation="Larson et al. (2019), An evaluation dataset for intent classification and out-of-scope prediction, "
        "EMNLP-IJCNLP, arXiv:1909.02027",
        provenance="23,700 requests to an assistant, in English, written by paid workers: 150 intents of ten fields, "
        "banking among them, and 1,200 requests that are none of these (label oos).",
        known_problems=(
            "Written for the purpose, not asked: shorter and cleaner than what people send.",
            "Every intent has the same number of requests.",
        ),
        loader=read_clinc150,
    ),
    DataSet(
        name="icecat",
        title="Icecat: what a search box of a shop for devices should show",
        files=(
            *(_icecat_file(*part) for part in ICECAT_PARTS),
            *RATINGS,
        ),
        alternative=(
            DataFile(
                "icecat_products.parquet",
                (),
                754_743,
                "0f105faf86b1c905aa48032f3c79d831204af35829189b74e6044095b7ff73bb",
                folder="prepared",
            ),
            *RATINGS,
        ),
        licence="Open Content License of Icecat (products), Apache-2.0 (ratings)",
        citation="Open Icecat, icecat.biz; Chorus, a stack for e-commerce search, github.com/querqy/chorus",
        provenance="19,406 products of an open catalogue for devices and office goods, and 3,668 grades from 0 "
        "(useless) to 3 (just right) of products for 135 queries, by the makers of a teaching stack for search.",
        known_problems=(
            "Judged is what one engine, which looks for words, had found: other engines find what nobody has judged.",
            "Three people judged most pairs, and agree fully on 71 of 100.",
            "Of 135 queries, 19 have no product that anybody graded above 0.",
        ),
        loader=read_icecat,
    ),
)
