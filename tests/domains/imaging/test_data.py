"""The container, and own data from folders, tables, arrays and npz files: good, odd and bad."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from sslbook.data.card import DataCard, own_data_card
from sslbook.domains.imaging.data import Images, ImageSplit
from sslbook.domains.imaging.duplicates import duplicates
from tests.conftest import picture, refuses


def split_of(n, classes=2, groups=None, start=0):
    rng = np.random.default_rng(start)
    images = rng.integers(0, 256, (n, 16, 16, 1), dtype=np.uint8)
    names = np.array([f"image {start + i}" for i in range(n)])
    return ImageSplit(images, np.arange(n) % classes, groups, names)


def table_of(folder, **columns):
    """Write a table of the images in `folder` beside it; columns replace or add, None drops."""
    files = sorted(folder.rglob("*.png"))
    table = {"path": [file.relative_to(folder).as_posix() for file in files], "label": [f.parent.name for f in files]}
    table |= columns
    path = folder / "xrays.csv"
    pd.DataFrame({name: column for name, column in table.items() if column is not None}).to_csv(path, index=False)
    return path


class TestContainer:
    def test_views(self):
        images = Images(split_of(6), split_of(4), split_of(4), ("a", "b"), 1, own_data_card("mine", "My xrays", ()))
        assert (images.name, images.source, images.shape) == ("mine", "real", (16, 16, 1))
        assert images.counts().to_dict() == {
            "train": {"a": 3, "b": 3},
            "validation": {"a": 2, "b": 2},
            "test": {"a": 2, "b": 2},
        }
        html = images._repr_html_()
        assert "My xrays" in html
        assert "finding: b" in html
        assert "SIMULATED" not in html

    def test_subset_keeps_everything_aligned(self):
        whole = split_of(6, groups=np.array(list("ppqqrr")))
        part = whole.subset(np.array([4, 1]))
        assert list(part.names) == ["image 4", "image 1"]
        assert list(part.groups) == ["r", "p"]
        assert (part.images[0] == whole.images[4]).all()
        assert len(whole.subset(whole.labels == 1)) == 3

    def test_labelled_leaves_out_the_unknown(self):
        split = dataclasses.replace(split_of(4), labels=np.array([0, -1, 1, -1]))
        assert list(split.labelled.names) == ["image 0", "image 2"]

    def test_one_class_only(self):
        with refuses("one class only", "'a'", "two classes"):
            Images(split_of(4, 1), split_of(2, 1), split_of(2, 1), ("a",), 0, own_data_card("mine", "", ()))

    def test_class_without_training_images(self):
        with refuses("'b'", "no labelled training image"):
            Images(split_of(4, 1), split_of(2), split_of(2), ("a", "b"), 1, own_data_card("mine", "", ()))

    @pytest.mark.parametrize("label", [2, -2])
    def test_label_without_a_class(self, label):
        odd = dataclasses.replace(split_of(2), labels=np.array([0, label]))
        with refuses("image 1", f"label {label}", "0 to 1"):
            Images(split_of(4), odd, split_of(2), ("a", "b"), 1, own_data_card("mine", "", ()))

    @pytest.mark.parametrize("where", ["validation", "test"])
    def test_group_on_both_sides(self, where):
        parts = {
            "train": split_of(4, groups=np.array(["p1", "p1", "p2", "p2"])),
            "validation": split_of(2, groups=np.array(["p3", "p3"]), start=10),
            "test": split_of(2, groups=np.array(["p4", "p4"]), start=20),
        }
        parts[where] = dataclasses.replace(parts[where], groups=np.array(["p2", "p2"]))
        name = {"validation": "image 10", "test": "image 20"}[where]
        with refuses("Group 'p2'", "train (image 2)", f"{where} ({name})", "one split"):
            Images(**parts, classes=("a", "b"), positive=1, data_card=own_data_card("mine", "", ()))

    @pytest.mark.parametrize("field", ["labels", "names", "groups"])
    def test_unequal_lengths(self, field):
        with refuses("4 images", field):
            dataclasses.replace(split_of(4), **{field: np.arange(3)})

    @pytest.mark.parametrize(
        ("groups", "order", "said"),
        [
            (None, range(4), ("no groups", "give them")),
            (list("ppqq"), range(3), ("4 images but order of shape (3,)",)),
            (list("pqpp"), [1, 7, 7, 1], ("Images image 0 and image 3", "group 'p'", "order 1")),
        ],
    )
    def test_order_that_is_none(self, groups, order, said):
        with refuses(*said):
            dataclasses.replace(split_of(4), groups=groups and np.array(groups), order=np.array(order))

    def test_order_stays_with_its_images(self, tmp_path):
        split = dataclasses.replace(split_of(4, groups=np.array(list("pqpq"))), order=np.array([2, 2, 1, 1]))
        assert split.subset(np.array([3, 0])).order.tolist() == [1, 2]
        assert split.labelled.order.tolist() == [2, 2, 1, 1]
        assert split_of(4).subset(np.array([0])).order is None

    def test_no_validation_images_at_all(self, tmp_path):
        train, test = (
            dataclasses.replace(split_of(4, groups=np.array(groups), start=start), order=np.array([1, 2, 1, 2]))
            for groups, start in ((list("ppqq"), 0), (list("rrss"), 9))
        )
        nothing = train.subset(np.array([], dtype=np.int64))
        scans = Images(train, nothing, test, ("a", "b"), 1, own_data_card("scans", "Scans", ()))
        assert scans.counts().to_numpy().tolist() == [[2, 0, 2], [2, 0, 2]]
        assert repr(scans.validation) == "ImageSplit(0 images of 16 x 16 x 1)"
        assert "<td>0</td>" in scans._repr_html_()
        copy = dataclasses.replace(test, images=train.images)
        assert len(duplicates(dataclasses.replace(scans, test=copy))) == 4
        scans.to_npz(tmp_path / "scans.npz")
        again = Images.from_npz(tmp_path / "scans.npz")
        for one, two in zip(scans.splits.values(), again.splits.values(), strict=True):
            assert len(one) == len(two) == len(two.labelled)
            for part in ("images", "labels", "groups", "names", "order"):
                assert (getattr(one, part) == getattr(two, part)).all()
                assert getattr(one, part).dtype == getattr(two, part).dtype

    def test_wrong_pixels(self):
        with refuses("float64", "uint8"):
            dataclasses.replace(split_of(4), images=np.zeros((4, 8, 8, 1)))

    def test_card_escapes_and_warns(self):
        card = DataCard("x", "<b>Title", "simulated", "CC0", "", "", ("a < b",))
        assert "&lt;b&gt;Title" in card._repr_html_()
        assert "a &lt; b" in card._repr_html_()
        assert "SIMULATED" in card._repr_html_()


class TestFolder:
    def test_class_folders(self, folder):
        images = Images.from_folder(folder, size=20)
        assert images.classes == ("healthy", "sick")
        assert images.classes[images.positive] == "sick"
        assert images.shape == (20, 20, 1)
        assert images.counts().to_numpy().tolist() == [[5, 1, 2], [5, 1, 2]]
        for split in images.splits.values():
            assert all(
                name.startswith(images.classes[label]) for name, label in zip(split.names, split.labels, strict=True)
            )
        assert images.name == "my xrays"
        assert "No groups were given" in images.data_card.known_problems[-1]

    def test_same_seed_same_cut(self, folder):
        first, again, other = (Images.from_folder(folder, seed=seed) for seed in (0, 0, 1))
        assert list(first.test.names) == list(again.test.names)
        assert list(first.test.names) != list(other.test.names)

    def test_official_splits_and_missing_validation(self, folder):
        for i, file in enumerate(sorted(folder.rglob("*.png"))):
            for seed, split in enumerate(("Training", "Testing")):
                picture(folder / "all" / split / file.parent.name / file.name, seed=2 * i + seed)
        images = Images.from_folder(folder / "all", validation=0.25)
        assert all(name.startswith("Training") for name in [*images.train.names, *images.validation.names])
        assert all(name.startswith("Testing") for name in images.test.names)
        assert [len(split) for split in images.splits.values()] == [12, 4, 16]

    def test_unlabelled_images_go_to_training(self, folder):
        picture(folder / "unlabelled" / "x.png")
        picture(folder / "deeper.png")
        images = Images.from_folder(folder)
        assert (images.train.labels == -1).sum() == 2
        assert "unlabelled" in images.counts().index
        assert len(images.train.labelled) == len(images.train) - 2

    def test_no_labels_at_all(self, tmp_path):
        for i in range(4):
            picture(tmp_path / "plain" / f"{i}.png", seed=i)
        images = Images.from_folder(tmp_path / "plain")
        assert [len(split) for split in images.splits.values()] == [4, 0, 0]
        assert images.classes == ()
        assert "4" in images._repr_html_()

    def test_positive_is_the_finding(self, folder):
        assert Images.from_folder(folder, positive="healthy").positive == 0
        with refuses("'ill'", "healthy, sick"):
            Images.from_folder(folder, positive="ill")
        (folder / "sick").rename(folder / "abnormal")
        assert Images.from_folder(folder).positive == 0

    def test_other_files_are_counted_not_hidden(self, folder):
        (folder / "notes.txt").write_text("about the xrays")
        (folder / "sick" / "._xray.png").write_bytes(b"left by a file manager")
        (folder / "__MACOSX").mkdir()
        images = Images.from_folder(folder)
        assert "1 files" in images.data_card.known_problems[0]
        assert "notes.txt" in images.data_card.known_problems[0]

    def test_no_such_folder(self, tmp_path):
        with refuses("There is no folder", "nowhere"):
            Images.from_folder(tmp_path / "nowhere")

    def test_empty_folder(self, tmp_path):
        with refuses("has no images", "is empty"):
            Images.from_folder(tmp_path)

    def test_only_foreign_files(self, tmp_path):
        (tmp_path / "scan.dcm").write_bytes(b"DICM")
        with refuses("has no images", "scan.dcm", "PNG"):
            Images.from_folder(tmp_path)

    def test_corrupt_jpeg(self, folder):
        whole = picture(folder / "sick" / "whole one.jpg")
        whole.write_bytes(whole.read_bytes()[:300])
        with refuses("1 of 17", "sick/whole one.jpg", "replace or remove"):
            Images.from_folder(folder)

    def test_one_class_only(self, folder):
        with refuses("one class only", "'my xrays'", "deeper"):
            Images.from_folder(folder.parent)

    def test_class_too_small(self, folder):
        for i in range(2):
            picture(folder / "rare" / f"{i}.png", seed=i)
        with refuses("'rare'", "at least three"):
            Images.from_folder(folder)

    def test_split_and_class_folders_mixed(self, folder):
        picture(folder / "train" / "sick" / "x.png")
        with refuses("splits train", "healthy, sick", "move"):
            Images.from_folder(folder)

    def test_test_folder_without_training(self, tmp_path):
        picture(tmp_path / "test" / "sick" / "x.png")
        with refuses("test but no train"):
            Images.from_folder(tmp_path)

    def test_shares_that_leave_nothing(self, folder):
        with refuses("share"):
            Images.from_folder(folder, validation=0.6, test=0.5)


class TestTable:
    def test_paths_and_labels(self, folder):
        images = Images.from_csv(table_of(folder))
        assert images.counts().to_numpy().tolist() == [[5, 1, 2], [5, 1, 2]]
        assert images.train.names[0].startswith("healthy/film")

    def test_image_folder_and_column_names(self, folder, tmp_path):
        csv = table_of(folder).rename(tmp_path / "elsewhere.csv")
        text = csv.read_text().replace("path,label", "File ,Diagnosis")
        csv.write_text("\ufeff" + text, encoding="utf-8")
        images = Images.from_csv(csv, folder, path="File", label="Diagnosis", size=8)
        assert images.shape == (8, 8, 1)

    def test_windows_paths(self, folder):
        csv = table_of(folder)
        csv.write_text(csv.read_text().replace("/", "\\"))
        assert len(Images.from_csv(csv).train) == 10

    @pytest.mark.parametrize("empty", ["", "  ", "NaN", None, float("nan")])
    def test_empty_label_is_unlabelled(self, folder, empty):
        labels = ["healthy"] * 8 + ["sick"] * 6 + [empty] * 2
        images = Images.from_csv(table_of(folder, label=labels))
        assert (images.train.labels == -1).sum() == 2
        assert images.classes == ("healthy", "sick")

    def test_no_label_column_asked_for(self, folder):
        images = Images.from_csv(table_of(folder), label=None)
        assert len(images.train) == 16

    def test_groups_stay_together(self, folder):
        images = Images.from_csv(table_of(folder, patient=[f"p{i // 2}" for i in range(16)]), group="patient")
        seen = [set(split.groups) for split in images.splits.values()]
        assert all(seen)
        assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])
        assert not images.data_card.known_problems

    def test_ids_and_labels_are_text(self, folder):
        patients = [f"{'00' * (i % 2)}{1 + i // 4}" for i in range(16)]  # 1 and 001 are two patients
        csv = table_of(folder, patient=patients, label=["NA"] * 8 + ["007"] * 8)
        images = Images.from_csv(csv, group="patient")
        assert images.classes == ("NA", "007")
        assert set().union(*(split.groups for split in images.splits.values())) == set(patients)

    def test_split_column(self, folder):
        splits = (["train"] * 5 + ["VAL"] + ["test"] * 2) * 2
        images = Images.from_csv(table_of(folder, part=splits), split="part")
        assert images.counts().to_numpy().tolist() == [[5, 1, 2], [5, 1, 2]]

    def test_order_column(self, folder):
        child, visit = [f"child {i // 2}" for i in range(16)], [f"{1 + i % 2}" for i in range(15)]
        images = Images.from_csv(table_of(folder, child=child, visit=[*visit, "2.0"]), group="child", order="visit")
        for split in images.splits.values():
            assert split.order.tolist() == [1, 2] * (len(split) // 2)
            assert split.order.dtype == np.int64
        assert Images.from_csv(table_of(folder, child=child), group="child").train.order is None
        for bad in ("third", "1.5", None, "inf", "1e30"):
            table = table_of(folder, child=child, visit=[*visit, bad])
            with refuses("xrays.csv", "a visit that is not a whole number", "line 17", "correct it"):
                Images.from_csv(table, group="child", order="visit")
        with refuses("of group 'child 7' both have the order 1"):
            Images.from_csv(table_of(folder, child=child, visit=[*visit, "1"]), group="child", order="visit")
        with refuses("no groups"):
            Images.from_csv(table_of(folder, visit=range(16)), order="visit")

    def test_group_on_both_sides_of_a_given_split(self, folder):
        splits = (["train"] * 5 + ["val"] + ["test"] * 2) * 2
        csv = table_of(folder, part=splits, patient=[f"p{i}" for i in range(6)] + ["p0"] + [f"q{i}" for i in range(9)])
        with refuses("Group 'p0'", "train", "test", "one split"):
            Images.from_csv(csv, split="part", group="patient")

    @pytest.mark.parametrize("column", ["path", "label", "patient"])
    def test_missing_column(self, folder, column):
        csv = table_of(folder, **{column: None}, other=range(16))
        with refuses("xrays.csv", f"no column '{column}'", "'other'"):
            Images.from_csv(csv, group="patient" if column == "patient" else None)

    def test_unknown_files_are_counted_and_named_by_line(self, folder):
        csv = table_of(folder)
        csv.write_text(csv.read_text().replace("healthy/film", "healthy/gone"))
        with refuses("xrays.csv", "line 2: 'healthy/gone", "and 3 more", "image_folder"):
            Images.from_csv(csv)

    def test_row_without_path(self, folder):
        csv = table_of(folder)
        csv.write_text(csv.read_text() + ",sick\n")
        with refuses("no path", "line 18"):
            Images.from_csv(csv)

    def test_row_twice(self, folder):
        csv = table_of(folder)
        lines = csv.read_text().splitlines()
        csv.write_text("\n".join([*lines, lines[3].replace("healthy\n", "sick\n")]))
        with refuses("line 18", "one row per file"):
            Images.from_csv(csv)

    def test_row_without_group(self, folder):
        csv = table_of(folder, patient=["p"] * 4 + [None] + ["q"] * 11)
        with refuses("no patient", "line 6"):
            Images.from_csv(csv, group="patient")

    def test_unknown_split(self, folder):
        with refuses("line 2: 'holdout'", "train, val or test"):
            Images.from_csv(table_of(folder, part=["holdout"] * 16), split="part")

    def test_one_group_only(self, folder):
        with refuses("one group, 'p'", "other groups"):
            Images.from_csv(table_of(folder, patient=["p"] * 16), group="patient")

    def test_one_class_only(self, folder):
        with refuses("one class only", "'sick'"):
            Images.from_csv(table_of(folder, label=["sick"] * 16))

    @pytest.mark.parametrize("content", ["", "path,label\n"])
    def test_empty_table(self, tmp_path, content):
        (tmp_path / "empty.csv").write_text(content)
        with refuses("empty.csv"):
            Images.from_csv(tmp_path / "empty.csv")

    def test_no_such_table(self, tmp_path):
        with refuses("no table", "gone.csv"):
            Images.from_csv(tmp_path / "gone.csv")

    def test_ragged_table(self, tmp_path):
        (tmp_path / "ragged.csv").write_text("path,label\na.png,sick\nb.png,sick,,,\n")
        with refuses("ragged.csv", "line 3", "comma-separated"):
            Images.from_csv(tmp_path / "ragged.csv")

    def test_foreign_encoding(self, tmp_path):
        (tmp_path / "latin.csv").write_bytes("path,label\nf\xfcnf.png,krank\n".encode("latin-1"))
        with refuses("latin.csv", "UTF-8"):
            Images.from_csv(tmp_path / "latin.csv")


class TestArrays:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 16, 16), dtype=np.uint8)

    @pytest.mark.parametrize(
        "labels",
        [["a", "b"] * 10, np.array([[0], [1]] * 10), [0.0, 1.0] * 10, [False, True] * 10, pd.Series([0, 1] * 10)],
    )
    def test_labels_of_any_type(self, labels):
        images = Images.from_arrays(self.pixels, labels)
        assert len(images.classes) == 2
        assert images.counts().to_numpy().tolist() == [[6, 2, 2], [6, 2, 2]]

    def test_numbers_keep_their_order(self):
        images = Images.from_arrays(np.repeat(self.pixels, 3, axis=0), np.repeat([1, 2, 10], 20))
        assert images.classes == ("1", "2", "10")

    def test_numbers_of_named_classes(self):
        images = Images.from_arrays(self.pixels, [0, 1] * 10, classes=["sick", "well"], positive="sick")
        assert images.classes == ("sick", "well")
        assert images.positive == 0
        for split in images.splits.values():
            assert all(int(name) % 2 == label for name, label in zip(split.names, split.labels, strict=True))

    @pytest.mark.parametrize("unknown", [None, np.nan, -1, ""])
    def test_unknown_labels(self, unknown):
        images = Images.from_arrays(self.pixels, np.array([0, 1] * 9 + [unknown] * 2, dtype=object))
        assert (images.train.labels == -1).sum() == 2

    def test_no_labels(self):
        assert len(Images.from_arrays(self.pixels).train) == 20

    def test_colour_and_ranges(self):
        as_float = Images.from_arrays(np.stack([self.pixels / 255] * 3, axis=-1), [0, 1] * 10, seed=3)
        as_bytes = Images.from_arrays(np.stack([self.pixels] * 3, axis=-1), [0, 1] * 10, seed=3)
        assert (as_float.train.images == as_bytes.train.images).all()
        assert as_float.shape == (16, 16, 3)
        deep = Images.from_arrays((self.pixels.astype(np.uint16) * 16), [0, 1] * 10, seed=3)
        assert np.abs(deep.train.images[..., 0].astype(int) - as_bytes.train.images[..., 0]).max() <= 1

    def test_groups_and_official_split(self):
        groups = [i // 4 for i in range(20)]
        images = Images.from_arrays(self.pixels, [0, 1] * 10, groups=groups, test=0.2)
        assert set(images.test.groups).isdisjoint(images.train.groups)
        official = Images.from_arrays(self.pixels, [0, 1] * 10, split=["train"] * 12 + ["val"] * 4 + ["test"] * 4)
        assert list(official.test.names) == ["16", "17", "18", "19"]

    def test_order(self):
        pixels = np.zeros((16, 8, 8), np.uint8)
        known = {"labels": ["a", "b"] * 8, "groups": np.repeat(range(8), 2)}
        images = Images.from_arrays(pixels, **known, order=[5, 4.0] * 8)
        assert images.test.order.tolist() == [5, 4] * (len(images.test) // 2)
        for bad in (None, 0.5, "second"):
            with refuses("Image 15", f"order {bad!r}", "whole number"):
                Images.from_arrays(pixels, **known, order=[*range(15), bad])
        with refuses("16 images but 3 order"):
            Images.from_arrays(pixels, **known, order=[1, 2, 3])

    def test_unlabelled_image_follows_its_group(self):
        groups = [i // 4 for i in range(20)]
        images = Images.from_arrays(self.pixels, [0, 1, 0, -1] * 5, groups=groups)
        for split in images.splits.values():
            assert (split.labels == -1).sum() == len(set(split.groups))

    def test_bad_shapes(self):
        with refuses("(20, 1, 16, 16)", "channels come last"):
            Images.from_arrays(self.pixels[:, None], [0, 1] * 10)
        with refuses("(16, 16)"):
            Images.from_arrays(self.pixels[0])
        with refuses("different sizes"):
            Images.from_arrays([np.zeros((8, 8)), np.zeros((9, 8))])

    def test_bad_pixels(self):
        as_float = self.pixels / 255
        as_float[3, 0, 0] = np.nan
        with refuses("Image 3", "NaN"):
            Images.from_arrays(as_float)
        with refuses("0..1"):
            Images.from_arrays(self.pixels.astype(float))
        with refuses("int64", "uint8"):
            Images.from_arrays(self.pixels.astype(np.int64))

    def test_bad_companions(self):
        with refuses("20 images but 3 labels"):
            Images.from_arrays(self.pixels, [0, 1, 0])
        with refuses("Image 1 has no group"):
            Images.from_arrays(self.pixels, [0, 1] * 10, groups=["p", None] * 10)
        with refuses("Image 0", "'holdout'"):
            Images.from_arrays(self.pixels, [0, 1] * 10, split=["holdout"] * 20)
        with refuses("Image 0", "2", "classes are a, b"):
            Images.from_arrays(self.pixels, [2] * 20, classes=["a", "b"])
        with refuses("14 labels per image"):
            Images.from_arrays(self.pixels, np.zeros((20, 14)))
        with refuses("one class only"):
            Images.from_arrays(self.pixels, [1] * 20)


class TestNpz:
    def test_round_trip(self, folder, tmp_path):
        images = Images.from_csv(table_of(folder, patient=[f"p{i // 2}" for i in range(16)]), group="patient")
        images.to_npz(tmp_path / "xrays.npz")
        again = Images.from_npz(tmp_path / "xrays.npz")
        assert (again.classes, again.positive, again.data_card) == (images.classes, images.positive, images.data_card)
        for before, after in zip(images.splits.values(), again.splits.values(), strict=True):
            for field in ("images", "labels", "groups", "names"):
                assert (getattr(before, field) == getattr(after, field)).all()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["my xrays", "xrays.npz"]

    def test_medmnist_layout(self, tmp_path):
        arrays = {}
        for key in ("train", "val", "test"):
            arrays |= {
                f"{key}_images": np.zeros((4, 28, 28, 3), np.uint8),
                f"{key}_labels": np.array([[0], [1], [2], [2]]),
            }
        np.savez(tmp_path / "pathmnist.npz", **arrays)
        images = Images.from_npz(tmp_path / "pathmnist.npz")
        assert images.classes == ("0", "1", "2")
        assert (images.name, images.source, images.shape) == ("pathmnist", "real", (28, 28, 3))

    def test_bad_files(self, tmp_path):
        path = tmp_path / "x.npz"
        with refuses("no file"):
            Images.from_npz(path)
        path.write_bytes(b"PK\x03\x04 cut")
        with refuses("x.npz", "prepare it anew"):
            Images.from_npz(path)
        np.savez(path, train_images=np.zeros((2, 8, 8), np.uint8))
        with refuses("x.npz", "train_labels"):
            Images.from_npz(path)
        np.savez(path, train_images=np.zeros((2, 8, 8, 8, 1), np.uint8), train_labels=np.zeros((2, 3)))
        with refuses("x.npz", "(2, 8, 8, 8, 1)", "one label each"):
            Images.from_npz(path)

    def test_pickles_are_never_read(self, tmp_path):
        path = tmp_path / "x.npz"
        np.savez(path, train_images=np.array([{"a": 1}], dtype=object), train_labels=np.zeros(1))
        with refuses("x.npz", "plain arrays"):
            Images.from_npz(path)
