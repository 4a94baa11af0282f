"""The container of drives: what it refuses, how it cuts, and what it says of itself."""

import dataclasses

import numpy as np
import pytest

from sslbook.data.card import own_data_card, simulated_data_card
from sslbook.data.pictures import VOID
from sslbook.domains.driving.data import Scenes, SceneSplit
from tests.conftest import refuses

CLASSES = ("Road", "Car", "Pedestrian")
COLOURS = np.array([(128, 64, 128), (64, 0, 128), (64, 64, 0)], dtype=np.uint8)


def split_of(name, drives, seed=0, size=(4, 6)):
    """A split of drives {name: seconds}; masks of all three classes and void."""
    names = np.repeat(list(drives), [len(seconds) for seconds in drives.values()])
    time = np.concatenate([np.array(seconds, dtype=np.float64) for seconds in drives.values()])
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (len(names), *size, 3), dtype=np.uint8)
    masks = rng.choice(np.array([0, 1, 2, VOID], np.uint8), (len(names), *size))
    frame_names = np.array([f"{drive}_{second:g}" for drive, second in zip(names, time, strict=True)])
    return SceneSplit(name, frames, masks, names, time, frame_names)


def empty(name):
    return split_of(name, {"a": [0.0]}).subset(np.array([], dtype=int))


@pytest.fixture
def parts():
    """Drive b is in train and test, drive a in train and validation."""
    return {
        "train": split_of("train", {"a": [0, 1, 2, 30], "b": [0, 1]}, 1),
        "validation": split_of("validation", {"a": [10, 10.5]}, 2),
        "test": split_of("test", {"b": [2, 3, 4], "c": [0, 1]}, 3),
    }


def scenes_of(parts, **changes):
    settings = {
        "classes": CLASSES,
        "colours": COLOURS,
        "vulnerable": (2,),
        "data_card": own_data_card("mine", "My drives", ()),
    }
    return Scenes(**parts, **settings | changes)


class TestSplit:
    def test_subset_keeps_everything_aligned(self):
        whole = split_of("train", {"a": [0, 1], "b": [5, 6]})
        part = whole.subset(np.array([3, 0]))
        assert part.names.tolist() == ["b_6", "a_0"]
        assert part.drives.tolist() == ["b", "a"]
        assert part.time.tolist() == [6, 0]
        assert (part.frames[0] == whole.frames[3]).all()
        assert (part.masks[1] == whole.masks[0]).all()
        assert part.name == "train"
        assert whole.subset(whole.drives == "b").names.tolist() == ["b_5", "b_6"]

    def test_labelled_are_those_with_a_pixel_of_a_class(self):
        whole = split_of("train", {"a": [0, 1, 2]})
        masks = np.full_like(whole.masks, VOID)
        masks[1, 3, 5] = 0
        assert dataclasses.replace(whole, masks=masks).labelled.names.tolist() == ["a_1"]

    def test_blocks_are_stretches_of_one_drive(self):
        whole = split_of("test", {"a": [0, 9.9, 10, 35], "b": [5, 19, 20]})
        assert whole.blocks().tolist() == [0, 0, 1, 2, 3, 4, 5]
        assert whole.blocks(20).tolist() == [0, 0, 0, 1, 2, 2, 3]
        assert whole.blocks().dtype == np.int64
        shuffled = np.array([4, 1, 6, 0])
        assert whole.subset(shuffled).blocks().tolist() == [1, 0, 2, 0]

    def test_neighbours_never_cross_a_drive_or_a_gap(self):
        whole = split_of("train", {"a": [0, 1, 3, 5.5], "b": [6, 7]})
        assert whole.neighbours().tolist() == [[0, 1], [1, 2], [4, 5]]
        assert whole.neighbours(1.0).tolist() == [[0, 1], [4, 5]]
        assert whole.neighbours(0.5).shape == (0, 2)
        assert whole.neighbours().dtype == np.int64

    def test_neighbours_of_frames_in_any_order(self):
        whole = split_of("train", {"a": [0, 1], "b": [6, 7]}).subset(np.array([3, 1, 2, 0]))
        assert sorted(whole.neighbours().tolist()) == [[2, 0], [3, 1]]

    @pytest.mark.parametrize("n", [0, 1])
    def test_no_neighbours_of_one_frame(self, n):
        assert split_of("train", {"a": [0, 1]}).subset(np.arange(n)).neighbours().shape == (0, 2)

    def test_thirtieths_of_a_second_add_up(self):
        whole = split_of("train", {"a": np.arange(23, 9000, 30) / 30})
        assert len(whole.neighbours(1.0)) == len(whole) - 1

    def test_repr(self):
        assert "train: 3 frames of 4 x 6" in repr(split_of("train", {"a": [0, 1], "b": [0]}))

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"frames": np.zeros((3, 4, 6, 3))}, ("frames of train are float64", "uint8")),
            ({"frames": np.zeros((3, 4, 6), np.uint8)}, ("(3, 4, 6)", "(n, height, width, 3)")),
            ({"frames": np.zeros((3, 4, 6, 1), np.uint8)}, ("(3, 4, 6, 1)",)),
            ({"masks": np.zeros((3, 4, 6), np.int64)}, ("masks of train are int64", "(3, 4, 6)")),
            ({"masks": np.zeros((3, 6, 4), np.uint8)}, ("(3, 6, 4)", "(3, 4, 6)")),
            ({"drives": np.array(["a", "a"])}, ("3 frames", "drives of shape (2,)")),
            ({"time": np.zeros((3, 1))}, ("3 frames", "(3, 1)")),
            ({"names": np.array(["a"] * 4)}, ("3 frames", "names of shape (4,)")),
            ({"time": np.array([0, np.nan, 2])}, ("Frame a_1", "nan", "seconds")),
        ],
    )
    def test_refuses(self, change, said):
        with refuses(*said):
            dataclasses.replace(split_of("train", {"a": [0, 1, 2]}), **change)


class TestScenes:
    def test_views(self, parts):
        scenes = scenes_of(parts)
        assert (scenes.name, scenes.source, scenes.shape) == ("mine", "real", (4, 6))
        assert list(scenes.splits) == ["train", "validation", "test"]
        assert "6 train, 2 validation, 5 test frames" in repr(scenes)

    def test_counts(self, parts):
        parts["train"].masks[0] = VOID
        counts = scenes_of(parts).counts()
        assert counts["frames"].tolist() == [6, 2, 5]
        assert counts["with a mask"].tolist() == [5, 2, 5]
        assert counts["drives"].tolist() == [2, 1, 2]
        assert counts["minutes"].to_numpy() * 60 == pytest.approx([31, 0.5, 3])

    def test_class_shares_leave_void_out(self, parts):
        parts["validation"].masks[:] = VOID
        parts["test"].masks[:] = [VOID, 0, 2, 2, 2, VOID]
        shares = scenes_of(parts).class_shares()
        assert shares["test"].tolist() == [0.25, 0, 0.75]
        masks = parts["train"].masks
        assert shares["train"].tolist() == [(masks == i).sum() / (masks != VOID).sum() for i in range(3)]
        assert shares["validation"].isna().all()

    def test_shared_drives_go_from_training_only(self, parts):
        scenes = scenes_of(parts)
        assert scenes.shared_drives == ("b",)
        honest = scenes.without_shared_drives()
        assert honest.shared_drives == ()
        assert honest.train.names.tolist() == ["a_0", "a_1", "a_2", "a_30"]
        assert (honest.train.frames == scenes.train.frames[:4]).all()
        assert honest.validation.names.tolist() == scenes.validation.names.tolist()
        assert (honest.test.frames == scenes.test.frames).all()
        assert not set(honest.train.drives) & set(honest.test.drives)
        assert "2 of 6 training and 0 of 2 validation frames" in honest.data_card.known_problems[-1]
        assert honest.without_shared_drives() is honest

    def test_pretraining_never_sees_a_drive_of_the_test(self, parts):
        scenes = scenes_of(parts)
        expected = np.concatenate([scenes.train.frames[:4], scenes.validation.frames])
        assert (scenes.unlabelled == expected).all()
        assert (scenes.without_shared_drives().unlabelled == expected).all()

    def test_nothing_is_left_to_train_on(self, parts):
        parts["train"] = parts["train"].subset(parts["train"].drives == "b")
        with refuses("only drives that test has", "another drive"):
            scenes_of(parts).without_shared_drives()

    def test_frames_alone(self):
        train = split_of("train", {"a": [0, 1]})
        train.masks[:] = VOID
        scenes = scenes_of(
            {"train": train, "validation": empty("validation"), "test": empty("test")},
            classes=(), colours=COLOURS[:0], vulnerable=(),
        )  # fmt: skip
        assert len(scenes.unlabelled) == 2
        assert len(scenes.train.labelled) == 0
        assert scenes.counts()["minutes"].tolist() == pytest.approx([1 / 60, 0, 0])
        assert scenes.class_shares().shape == (0, 3)
        assert "My drives" in scenes._repr_html_()

    def test_html_escapes_and_says_what_must_be_seen(self, parts):
        scenes = scenes_of(parts, classes=("Road", "Car", "<b>"))
        html = scenes._repr_html_()
        assert "must not be overlooked: &lt;b&gt;" in html
        assert "<b>" not in html.replace("<b>My drives", "")
        assert "SIMULATED" not in html
        assert "SIMULATED" in scenes_of(parts, data_card=simulated_data_card("x", "X", "y", ()))._repr_html_()

    @pytest.mark.parametrize("where", ["validation", "test"])
    def test_class_without_a_name(self, parts, where):
        parts[where].masks[1, 2, 3] = 3
        with refuses(f"mask of frame {parts[where].names[1]}", "class 3", "3 classes", "255"):
            scenes_of(parts)

    def test_other_size(self, parts):
        parts["test"] = split_of("test", {"c": [0]}, size=(4, 7))
        with refuses("frames of test are (4, 7)", "train (4, 6)"):
            scenes_of(parts)

    @pytest.mark.parametrize("order", [[1, 0, 2, 3, 4, 5], [4, 5, 0, 1, 2, 3], [0, 0, 1, 2, 3, 4]])
    def test_frames_out_of_order(self, parts, order):
        parts["train"] = parts["train"].subset(np.array(order))
        with refuses("stands after", "in train", "sort frames by drive, then time"):
            scenes_of(parts)

    def test_frame_in_two_splits(self, parts):
        parts["test"] = split_of("test", {"b": [1, 2]})
        with refuses("Frame b_1", "train and test", "keep one"):
            scenes_of(parts)

    @pytest.mark.parametrize("colours", [COLOURS[:2], COLOURS.astype(int), COLOURS[:, :2]])
    def test_not_a_colour_for_each_class(self, parts, colours):
        with refuses("colours of mine", "shape (3, 3)"):
            scenes_of(parts, colours=colours)

    @pytest.mark.parametrize("number", [3, -1])
    def test_vulnerable_class_without_a_name(self, parts, number):
        with refuses(f"Class {number} of mine", "0 to 2"):
            scenes_of(parts, vulnerable=(0, number))
