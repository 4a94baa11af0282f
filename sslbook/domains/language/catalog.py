"""The data sets of language."""

import json
from pathlib import Path

import pandas as pd

from sslbook.data.catalog import DataFile, DataSet
from sslbook.data.tables import Table, check_official, read_table
from sslbook.domains.language.data import Texts

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


def _banking_file(part: str, size: int, sha256: str) -> DataFile:
    urls = tuple(BANKING.format(version, part) for version in ("57ec275d", "master"))
    return DataFile(f"banking77_{part}.csv", urls, size, sha256)


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
        alternative=DataFile(
            "clinc150.parquet",
            (),
            275_997,
            "068c47b3e07513df6d87cc8e8808ccd9506871260d91dd153a49914a3201c3c6",
            folder="prepared",
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
)
