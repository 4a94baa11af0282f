"""The duplicate report: what it must find, and what it must leave alone."""

import sys

import numpy as np

from sslbook.domains.imaging.data import Images
from sslbook.domains.imaging.duplicates import duplicates, without_copies
from sslbook.worlds.imaging import simulate_pneumoniamnist


def xrays(n=60, size=28, seed=0):
    """Return smooth pictures that share a pattern, as xrays of one body part do."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(0, 20, (n, 7, 7)) + rng.normal(120, 40, (1, 7, 7))
    return np.kron(coarse, np.ones((size // 7, size // 7))).clip(0, 255).astype(np.uint8)


def report(pixels, split, labels=None):
    labels = np.arange(len(pixels)) % 2 if labels is None else labels
    return duplicates(Images.from_arrays(pixels, labels, split=split))


SPLIT = ["train"] * 30 + ["val"] * 15 + ["test"] * 15


def test_exact_copies_within_and_across_splits():
    pixels = xrays()
    pixels[4] = pixels[2]
    pixels[59] = pixels[2]
    found = report(pixels, SPLIT)
    assert list(found["kind"]) == ["exact", "exact"]
    assert found[["split_a", "index_a", "split_b", "index_b"]].to_numpy().tolist() == [
        ["train", 2, "train", 4],
        ["train", 2, "test", 14],
    ]
    assert list(found["same_label"]) == [True, False]
    assert (found["distance"] == 0).all()
    assert list(found["name_b"]) == ["4", "59"]


def test_near_copies_survive_exposure_noise_and_a_small_shift():
    pixels = xrays()
    rng = np.random.default_rng(1)
    pixels[40] = (pixels[1] * 0.8 + 30).clip(0, 255)
    pixels[50] = (pixels[3] + rng.normal(0, 4, (28, 28))).clip(0, 255)
    found = report(pixels, SPLIT)
    assert list(found["kind"]) == ["near", "near"]
    assert {(row.index_a, row.split_b, row.index_b) for row in found.itertuples()} == {
        (1, "validation", 10),
        (3, "test", 5),
    }
    assert (found["distance"] < 0.05).all()


def test_xrays_that_share_their_anatomy_are_not_duplicates():
    assert report(xrays(), SPLIT).empty
    assert duplicates(simulate_pneumoniamnist(n_train=200)).empty


def test_chunks_give_the_same_answer(monkeypatch):
    pixels = xrays(300)
    pixels[290] = pixels[5] // 2 + 40
    pixels[120] = pixels[119] // 2 + 40
    split = ["train"] * 200 + ["val"] * 50 + ["test"] * 50
    whole = report(pixels, split)
    monkeypatch.setattr(sys.modules[duplicates.__module__], "CHUNK", 7)
    assert len(whole) == 2
    assert report(pixels, split).drop(columns="distance").equals(whole.drop(columns="distance"))


def test_flat_images_are_only_exact_copies():
    pixels = xrays()
    pixels[7], pixels[8], pixels[9] = 0, 0, 255
    found = report(pixels, SPLIT)
    assert found[["kind", "index_a", "index_b"]].to_numpy().tolist() == [["exact", 7, 8]]


def test_handful_of_images_of_any_size():
    pixels = np.random.default_rng(0).integers(0, 256, (6, 37, 51), dtype=np.uint8)
    pixels[5] = pixels[0] // 2 + 60
    found = report(pixels, ["train"] * 2 + ["val"] * 2 + ["test"] * 2)
    assert found[["split_a", "split_b", "same_label"]].to_numpy().tolist() == [["train", "test", False]]


def test_unknown_labels_are_not_the_same():
    pixels = xrays()
    pixels[4] = pixels[2]
    labels = [-1 if i in (2, 4) else i % 2 for i in range(60)]
    assert not report(pixels, SPLIT, labels)["same_label"].any()


def test_without_copies_leaves_out_every_training_image_with_a_copy_in_another_split():
    pixels = xrays()
    pixels[4] = pixels[7] = pixels[50] = pixels[2]  # three equal ones in the training, and one in the test
    pixels[9] = pixels[8]  # twice in the training, and nowhere else
    pixels[40] = (pixels[1] * 0.8 + 30).clip(0, 255)
    images = Images.from_arrays(pixels, np.arange(60) % 2, split=SPLIT)
    kept = without_copies(images)
    assert [int(name) for name in kept.train.names] == [i for i in range(30) if i not in (1, 2, 4, 7)]
    assert len(kept.validation) == len(kept.test) == 15
    left = duplicates(kept)
    assert (left["split_a"] == left["split_b"]).all()
    assert len(without_copies(kept).train) == len(kept.train)
