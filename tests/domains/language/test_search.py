"""A search box: what is read, and scores against brute force."""

import json
import math
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sslbook import data
from sslbook.domains.language import catalog, search
from sslbook.domains.language.search import ProductSearch
from tests.conftest import refuses


def goods() -> pd.DataFrame:
    titles = ["red card reader", "blue card", "green table lamp", "card card card", "lamp"]
    return pd.DataFrame(
        {"id": ["007", "7", "NA", "1e2", "5"], "title": titles, "text": ["reads cards", None, "", "x", "bulb"]}
    )


def grades() -> pd.DataFrame:
    rows = [
        ("card", "007", 3),
        ("card", "7", 1),
        ("card", "NA", 0),
        ("lamp", "NA", 2),
        ("lamp", "5", 3),
        ("zebra", "7", 0),
    ]
    return pd.DataFrame(rows, columns=["query", "product", "rating"])


def box(**more) -> ProductSearch:
    return ProductSearch.from_frames(goods(), grades(), description="text", **more)


def test_products_queries_and_grades_are_read_as_written(tmp_path):
    goods().to_csv(tmp_path / "goods.csv", index=False)
    grades().to_csv(tmp_path / "grades.csv", index=False)
    for found in (box(), ProductSearch.from_csv(tmp_path / "goods.csv", tmp_path / "grades.csv", description="text")):
        assert found.ids.tolist() == ["007", "7", "NA", "1e2", "5"] and found.queries.tolist() == [
            "card",
            "lamp",
            "zebra",
        ]
        assert found.judged.toarray().tolist() == [[4, 2, 1, 0, 0], [0, 0, 3, 0, 4], [0, 1, 0, 0, 0]]
        assert found.texts[:2] == ["red card reader. reads cards", "blue card"]
    assert "5 products, 3 queries, 6 grades" in repr(found) and found.counts()["grade 0"].item() == 2
    assert "goods" in found._repr_html_()
    more = ProductSearch.from_frames(goods(), queries=["a", "b", "a"])
    assert more.queries.tolist() == ["a", "b"] and more.judged.nnz == 0


def test_some_of_the_queries():
    some = replace(box(), raters=(box().judged,)).asked(np.array([2, 0]))
    assert some.queries.tolist() == ["zebra", "card"] and some.judged.toarray().tolist() == [
        [0, 1, 0, 0, 0],
        [4, 2, 1, 0, 0],
    ]
    assert (some.raters[0] != some.judged).nnz == 0 and len(some) == 5
    with refuses("Grades of own search are (2, 5), not (3, 5)"):
        replace(box(), raters=(some.judged,))


def test_what_is_left_out_or_averaged_is_said():
    rows = pd.concat([grades(), pd.DataFrame({"query": ["card", "card"], "product": ["007", "99"], "rating": [2, 3]})])
    found = ProductSearch.from_frames(goods(), rows)
    assert found.judged.toarray()[0, 0] == 3.5
    assert found.data_card.known_problems == (
        "1 ratings of products that are not in the catalogue were left out.",
        "1 ratings repeat a pair: the mean is taken.",
    )


def test_what_does_not_fit_is_refused():
    with refuses("an id that an earlier row has (row 1: '007')", "keep one row"):
        ProductSearch.from_frames(goods().assign(id=["007"] * 2 + ["a", "b", "c"]))
    with refuses("no title (row 4)"):
        ProductSearch.from_frames(goods().assign(title=["a", "b", "c", "d", None]))
    with refuses("a rating that is not from 0 to 10 (row 0: '-1')"):
        ProductSearch.from_frames(goods(), grades().assign(rating=[-1, 0, 1, 2, 3, 3]))
    with refuses("a rating that is not from 0 to 10", "'good'"):
        ProductSearch.from_frames(goods(), grades().assign(rating=["good", 0, 1, 2, 3, 3]))
    with refuses("has no column 'name'"):
        ProductSearch.from_frames(goods(), title="name")


def test_parts_of_icecat_and_a_table_of_their_rows_are_one(tmp_path):
    rows = [{"id": str(i), "title": f"thing {i}", "short_description": None if i == 3 else f"é {i}"} for i in range(6)]
    for i in range(2):
        with zipfile.ZipFile(tmp_path / f"{i}.zip", "w") as archive:
            archive.writestr(f"{i}.json", json.dumps(rows[3 * i : 3 * i + 3]))
    table = pd.DataFrame(rows).rename(columns={"id": "product_id", "short_description": "description"})
    table.iloc[:3].to_parquet(tmp_path / "first.parquet")
    table.to_parquet(tmp_path / "all.parquet")
    assert catalog.digest_of_products(tmp_path / "0.zip") == catalog.digest_of_products(tmp_path / "first.parquet")
    assert catalog.digest_of_products(tmp_path / "0.zip") != catalog.digest_of_products(tmp_path / "1.zip")
    (tmp_path / "grades.csv").write_text("query,docid,rating\nthing,3,3\nthing,0,0\n", encoding="utf-8")
    agents = ",".join(f"agent_{i}_rating" for i in (1, 2, 3))
    (tmp_path / "raters.csv").write_text(f"query,product_id,{agents}\nthing,3,3,2,0\n", encoding="utf-8")
    entry, grades = data.catalog()["icecat"], [tmp_path / "grades.csv", tmp_path / "raters.csv"]
    official = catalog.read_icecat(entry, [tmp_path / "0.zip", tmp_path / "1.zip", *grades])
    other = catalog.read_icecat(entry, [tmp_path / "all.parquet", *grades])
    assert [one.toarray()[0, 3] for one in official.raters] == [4, 3, 1]
    assert official.texts == other.texts and (official.judged != other.judged).nnz == 0
    assert official.judged.toarray().tolist() == [[1, 0, 0, 4, 0, 0]] and official.descriptions[3] == ""
    (tmp_path / "broken.zip").write_bytes(b"no archive")
    with refuses("holds no readable products", "place the official file there"):
        catalog.icecat_products(tmp_path / "broken.zip")


def brute_ndcg(row, judged, k, unjudged):
    """By sorting pairs."""
    gain = {i: 2 ** (g - 1) - 1 for i, g in enumerate(judged) if g}
    items = [i for i in range(len(row)) if i in gain or unjudged is not None]
    ranked = sorted(items, key=lambda i: (-row[i], i))[:k]
    total = sum(gain.get(i, 2 ** (unjudged or 0) - 1) / math.log2(2 + place) for place, i in enumerate(ranked))
    every = sorted((gain.get(i, 2 ** (unjudged or 0) - 1) for i in items), reverse=True)[:k]
    best = sum(g / math.log2(2 + place) for place, g in enumerate(every))
    return total / best if any(gain.values()) else math.nan


@pytest.mark.parametrize("unjudged", [0.0, None, 1.0])
@pytest.mark.parametrize("k", [1, 3, 10])
def test_ndcg_against_brute_force(k, unjudged):
    rng = np.random.default_rng(0)
    n, q = 30, 12
    rows = [(f"q{i}", str(j), rng.integers(0, 4)) for i in range(q) for j in rng.permutation(n)[: rng.integers(1, 20)]]
    of = ProductSearch.from_frames(
        pd.DataFrame({"id": np.arange(n).astype(str), "title": "x"}),
        pd.DataFrame(rows, columns=["query", "product", "rating"]),
    )
    scores = rng.integers(0, 6, (q, n)) / 5.0  # many are equal
    found = search.ndcg_of_search(scores, of, k, unjudged)
    expected = [brute_ndcg(row, judged, k, unjudged) for row, judged in zip(scores, of.judged.toarray(), strict=True)]
    assert found == pytest.approx(np.array(expected), nan_ok=True)


def test_a_perfect_order_scores_one_and_nothing_relevant_scores_nothing():
    perfect = box().judged.toarray()
    assert search.ndcg_of_search(perfect, box())[:2].tolist() == [1, 1]
    assert np.isnan(search.ndcg_of_search(perfect, box())[2]), "nobody found anything good for a zebra"
    assert search.judged_share(perfect, box(), 2).tolist() == [1, 1, 0.5]


def test_bounds_hold_whatever_the_unjudged_are():
    rng, scores = np.random.default_rng(0), np.random.default_rng(1).random((3, 5))
    low, high = (search.share_of_perfect(scores, box(), 3, grade) for grade in (0.0, 3.0))
    for _ in range(20):
        grade = box().judged.toarray() - 1
        grade = np.where(grade < 0, rng.integers(0, 4, grade.shape), grade)
        for i, row in enumerate(scores):
            order = sorted(range(5), key=lambda j, row=row: -row[j])[:3]
            gain = sum((2 ** grade[i, j] - 1) / math.log2(2 + place) for place, j in enumerate(order))
            share = gain / (7 * sum(1 / math.log2(2 + place) for place in range(3)))
            assert low[i] - 1e-9 <= share <= high[i] + 1e-9
    perfect = search.share_of_perfect(box().judged.toarray(), box(), 2)[0]
    assert (low < high).any() and perfect == pytest.approx((7 + 1 / math.log2(3)) / (7 + 7 / math.log2(3)))


def test_recall_counts_what_fits():
    scores = np.array([[5.0, 1, 4, 3, 2], [5, 4, 1, 2, 3], [1, 1, 1, 1, 1]])  # card: 007, NA; lamp: 007, 7
    assert search.recall_of_search(scores, box(), 2)[:2].tolist() == [0.5, 0]
    assert search.recall_of_search(scores, box(), 1)[:2].tolist() == [1, 0], "one place can hold one of two"
    assert search.recall_of_search(scores, box(), 3)[:2].tolist() == [0.5, 0.5]
    assert np.isnan(search.recall_of_search(scores, box())[2])


def test_bm25_by_hand():
    pytest.importorskip("bm25s")
    pytest.importorskip("Stemmer")
    texts, idf = ["red card reader", "blue card", "green table lamp"], math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    index = search.BM25(texts)
    found = index(["card zebra", "zebra", "the"])
    by_hand = [idf / (1 + 1.5 * (1 - 0.75 + 0.75 * length / (8 / 3))) for length in (3, 2)]
    assert found[0].tolist() == pytest.approx([*by_hand, 0], rel=1e-5)
    assert found[1].tolist() == found[2].tolist() == [0, 0, 0]
    assert index(["Cards"]).tolist() == index(["card"]).tolist(), "a plural finds the singular"


def test_fusion_by_hand():
    a, b = np.array([[0.9, 0.1, 0.5]]), np.array([[10.0, 30.0, 20.0]])
    assert search.fused([a, b])[0] == pytest.approx([1 / 61 + 1 / 63, 1 / 63 + 1 / 61, 1 / 62 + 1 / 62])
    assert search.fused([a, b], [1, 0])[0].argmax() == 0 and search.fused([a, b], [0, 1])[0].argmax() == 1
    assert search.fused([1000 * a, b])[0] == pytest.approx(search.fused([a, b])[0])
