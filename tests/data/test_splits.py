"""Cutting splits: shares, classes, groups and drives."""

import numpy as np
import pytest

from sslbook.data.splits import complete_splits, split_by_drive
from tests.conftest import refuses


def cut(labels, groups=None, validation=0.15, test=0.25, seed=0, split=None):
    labels = np.asarray(labels)
    split = np.full(len(labels), "train", dtype="<U10") if split is None else np.array(split, dtype="<U10")
    classes = tuple(f"c{i}" for i in range(labels.max() + 1))
    return complete_splits(split, labels, groups, classes, validation, test, seed)


@pytest.mark.parametrize("seed", range(5))
def test_each_class_is_cut_by_its_share(seed):
    labels = np.repeat([0, 1, 2], [200, 60, 20])
    split = cut(labels, seed=seed)
    for label, expected in ((0, (120, 30, 50)), (1, (36, 9, 15)), (2, (12, 3, 5))):
        counts = [(split[labels == label] == name).sum() for name in ("train", "validation", "test")]
        assert tuple(counts) == expected


def test_three_images_of_a_class_suffice():
    split = cut([0, 0, 0, 1, 1, 1])
    assert sorted(split[:3]) == sorted(split[3:]) == ["test", "train", "validation"]
    with refuses("'c1'", "at least three"):
        cut([0, 0, 0, 1, 1])


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_never_split_and_classes_stay_balanced(seed):
    rng = np.random.default_rng(seed)
    groups = np.array([f"patient {i}" for i in np.repeat(np.arange(60), rng.integers(1, 9, 60))])
    sick = rng.random(60) < 0.3
    labels = sick[[int(group.split()[1]) for group in groups]].astype(int)
    split = cut(labels, groups, seed=seed)
    for group in set(groups):
        assert len(set(split[groups == group])) == 1
    for label in (0, 1):
        assert (split[labels == label] == "test").mean() == pytest.approx(0.25, abs=0.08)
        assert (split[labels == label] == "validation").mean() == pytest.approx(0.15, abs=0.08)


def test_class_within_one_group_cannot_be_everywhere():
    groups = np.array(["p1"] * 3 + ["p2", "p3", "p4", "p5"])
    with refuses("'c1'", "1 groups", "at least three"):
        cut([1, 1, 1, 0, 0, 0, 0], groups)


def test_only_what_lacks_is_cut():
    official = ["train"] * 20 + ["test"] * 4
    split = cut([0, 1] * 12, split=official, validation=0.2)
    assert (split[20:] == "test").all()
    assert (split[:20] == "validation").sum() == 4
    complete = ["train"] * 16 + ["validation"] * 4 + ["test"] * 4
    assert list(cut([0, 1] * 12, split=complete)) == complete


class TestDrives:
    def cut(self, frames, validation=0.0, test=0.25, gap=5.0, seed=0, without=()):
        """Cut drives {name: frames, one a second}; those of `without` have no labels."""
        drives = np.repeat(list(frames), list(frames.values()))
        time = np.concatenate([np.arange(float(n)) for n in frames.values()])
        return drives, split_by_drive(drives, time, ~np.isin(drives, without), validation, test, gap, seed)

    @pytest.mark.parametrize("seed", range(5))
    def test_no_drive_is_in_two_splits(self, seed):
        frames = {f"d{i}": 10 + 3 * (i % 4) for i in range(24)}
        drives, split = self.cut(frames, validation=0.2, test=0.3, seed=seed)
        for drive in frames:
            assert len(set(split[drives == drive])) == 1
        assert (split == "test").mean() == pytest.approx(0.3, abs=0.06)
        assert (split == "validation").mean() == pytest.approx(0.2, abs=0.06)
        assert set(split) == {"train", "validation", "test"}

    def test_drives_without_labels_are_for_training(self):
        drives, split = self.cut({"a": 10, "b": 10, "c": 50}, test=0.5, without=("c",))
        assert (split[drives == "c"] == "train").all()
        assert sorted({split[drives == "a"][0], split[drives == "b"][0]}) == ["test", "train"]

    def test_one_drive_is_cut_in_time_behind_a_gap(self):
        _, split = self.cut({"a": 40}, test=0.25, gap=5.0)
        assert split.tolist() == ["train"] * 26 + ["gap"] * 4 + ["test"] * 10

    def test_two_drives_for_three_splits(self):
        drives, split = self.cut({"a": 40, "b": 40}, validation=0.25, test=0.5, gap=3.0)
        tested = drives[split == "test"][0]
        assert (split[drives == tested] == "test").all()
        assert split[drives != tested].tolist() == ["train"] * 18 + ["gap"] * 2 + ["validation"] * 20

    def test_nothing_is_held_out_where_nothing_is_asked_or_known(self):
        assert set(self.cut({"a": 9, "b": 9}, test=0.0)[1]) == {"train"}
        assert set(self.cut({"a": 9, "b": 9}, without=("a", "b"))[1]) == {"train"}

    def test_gap_that_leaves_nothing(self):
        with refuses("Drive 'a'", "9 masks", "shorter gap"):
            self.cut({"a": 9}, gap=20)

    @pytest.mark.parametrize(("validation", "test"), [(0.5, 0.5), (-0.1, 0.2), (0.0, 1.0), (0.0, float("nan"))])
    def test_impossible_shares(self, validation, test):
        with refuses(f"validation share is {validation}", f"test share {test}"):
            self.cut({"a": 9, "b": 9}, validation=validation, test=test)
