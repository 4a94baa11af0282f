"""The real files, where $SSLBOOK_DATA holds them."""

import os
from pathlib import Path

import pytest

from sslbook import data

CACHE = Path(os.environ.get("SSLBOOK_DATA") or "/nonexistent")
MRI = CACHE / "samples" / "brain_mri"


def needs(path: Path) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not path.exists(), reason=f"$SSLBOOK_DATA has no {path.relative_to(CACHE)}")


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        pytest.param(
            "pneumoniamnist",
            [[1214, 135, 234], [3494, 389, 390]],
            marks=needs(CACHE / "raw" / "pneumoniamnist.npz"),
        ),
        pytest.param("breastmnist", [[147, 21, 42], [399, 57, 114]], marks=needs(CACHE / "raw" / "breastmnist.npz")),
    ],
)
def test_official_files_hold_the_official_counts(name, counts):
    images = data.load(name, source="real")
    assert images.source == "real"
    assert images.shape == (28, 28, 1)
    assert images.counts().to_numpy().tolist() == counts
    assert (CACHE / "raw" / f"{name}.npz").stat().st_size == data.CATALOG[name].size


@needs(CACHE / "raw" / "breastmnist.npz")
def test_duplicates_across_the_official_splits_are_found():
    pairs = data.duplicates(data.load("breastmnist", source="real"))
    across = pairs[(pairs["split_a"] == "train") & (pairs["split_b"] == "test")]
    assert across["index_b"].nunique() > 40
    assert not across["same_label"].all()


@needs(CACHE / "raw" / "pneumoniamnist.npz")
def test_films_of_different_children_are_not_called_duplicates():
    pairs = data.duplicates(data.load("pneumoniamnist", source="real"))
    assert (pairs["kind"] == "exact").sum() == 29
    assert len(pairs) < 40


@needs(CACHE / "prepared" / "creditcard_sample.parquet")
@pytest.mark.skipif((CACHE / "raw" / "creditcard.csv").exists(), reason="the official file goes first")
def test_creditcard_sample():
    payments = data.load("creditcard", source="real")
    assert payments.counts()[["rows", "findings"]].to_numpy().tolist() == [
        [9191, 339], [301, 3], [0, 0], [6328, 131], [0, 0]
    ]  # fmt: skip
    assert payments.card.known_problems[0].startswith("This is a sample")
    assert any("19 rows that repeat another" in problem for problem in payments.card.known_problems)
    whole = payments.everything
    assert whole.weights[whole.labels == 0].sum() == pytest.approx(284_315)
    assert (whole.weights[whole.labels == 1] == 1).all()
    size = (CACHE / "prepared" / "creditcard_sample.parquet").stat().st_size
    assert size == data.CATALOG["creditcard"].alternative.size


@needs(MRI)
def test_foreign_folder_with_official_splits():
    images = data.Images.from_folder(MRI)
    assert images.classes == ("glioma_tumor", "meningioma_tumor", "no_tumor", "pituitary_tumor")
    assert images.classes[images.positive] != "no_tumor"
    assert sum(len(split) for split in images.splits.values()) == sum(1 for _ in MRI.rglob("*.jpg"))
    assert all(name.startswith("Testing/") for name in images.test.names)
    assert (images.counts() > 0).all(axis=None)
    assert images.shape == (28, 28, 1)


@needs(MRI)
def test_foreign_folder_without_official_splits():
    images = data.Images.from_folder(MRI / "Training", size=32, colour=True)
    assert images.shape == (32, 32, 3)
    assert (images.counts() > 0).all(axis=None)
