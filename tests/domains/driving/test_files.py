"""Own frames and masks: every layout that is read, and one sentence for everything that cannot be."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sslbook.data.pictures import VOID
from sslbook.domains.driving.data import Scenes
from sslbook.domains.driving.files import colour_table, distinct_colours, drives_of, reduced
from tests.conftest import picture, refuses

SIZE = (24, 32)
SHARE = {"size": (12, 16), "test": 0.3}


def mask(path: Path, numbers: np.ndarray | int, palette: list[int] | None = None) -> Path:
    """Write a mask of class numbers, one number for all pixels or an array."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.broadcast_to(np.uint8(numbers), SIZE).copy())
    if palette is not None:
        picture.putpalette(palette)
        assert picture.mode == "P"
    picture.save(path)
    return path


@pytest.fixture
def own(tmp_path):
    """Three drives of four frames in one folder, all but one with a mask; frame i of all has the class i // 2."""
    for d, drive in enumerate(("north", "south", "west")):
        for i in range(4):
            picture(tmp_path / "frames" / f"{drive}_{9 + i}.jpg", seed=10 * d + i, size=SIZE[::-1], mode="RGB")
            mask(tmp_path / "masks" / f"{drive}_{9 + i}.png", i // 2)
    (tmp_path / "masks" / "south_9.png").unlink()
    return tmp_path


def whole(scenes: Scenes, field: str) -> list:
    """One field of all splits, by name of the frame."""
    parts = {}
    for split in scenes.splits.values():
        parts |= dict(zip(split.names.tolist(), getattr(split, field), strict=True))
    return [parts[name] for name in sorted(parts)]


class TestFolder:
    def test_frames_masks_drives_and_seconds(self, own):
        scenes = Scenes.from_folder(
            own / "frames", own / "masks", classes=["road", "sky"], vulnerable=["sky"], seconds_per_frame=0.5, **SHARE
        )
        assert (len(scenes.train), len(scenes.validation), len(scenes.test)) == (8, 0, 4)
        assert scenes.shared_drives == ()
        assert len(set(scenes.test.drives)) == 1
        assert scenes.shape == (12, 16)
        assert (scenes.classes, scenes.vulnerable) == (("road", "sky"), (1,))
        assert scenes.test.time.tolist() == [0, 0.5, 1, 1.5]
        assert [name.split("_")[1] for name in scenes.test.names] == ["9", "10", "11", "12"]
        for split in scenes.splits.values():
            for name, pixels, numbers in zip(split.names, split.frames, split.masks, strict=True):
                original = Image.open(own / "frames" / f"{name}.jpg")
                assert (pixels == np.asarray(original.resize((16, 12), Image.Resampling.BOX))).all()
                i = int(name.split("_")[1]) - 9
                assert set(numbers.ravel()) == {VOID if name == "south_9" else i // 2}
        assert scenes.data_card.known_problems == ("1 of 12 frames have no mask.",)
        assert scenes.source == "real"

    def test_classes_without_names(self, own):
        assert Scenes.from_folder(own / "frames", own / "masks", **SHARE).classes == ("class 0", "class 1")

    def test_three_splits_by_drive(self, own):
        scenes = Scenes.from_folder(own / "frames", own / "masks", size=(12, 16), validation=0.3, test=0.3)
        drives = [set(split.drives) for split in scenes.splits.values()]
        assert [len(found) for found in drives] == [1, 1, 1]
        assert len(set.union(*drives)) == 3

    def test_seed_chooses_among_drives_of_one_size(self, own):
        mask(own / "masks" / "south_9.png", 0)
        chosen = {
            Scenes.from_folder(own / "frames", own / "masks", seed=seed, **SHARE).test.drives[0] for seed in range(8)
        }
        assert len(chosen) > 1

    def test_without_masks_all_is_for_training(self, own):
        scenes = Scenes.from_folder(own / "frames", size=(12, 16))
        assert [len(split) for split in scenes.splits.values()] == [12, 0, 0]
        assert scenes.classes == ()
        assert len(scenes.train.labelled) == 0
        assert scenes.data_card.known_problems == ("12 of 12 frames have no mask.",)

    def test_drives_without_masks_are_for_training(self, own):
        for path in (own / "masks").glob("west*"):
            path.unlink()
        for seed in range(4):
            scenes = Scenes.from_folder(own / "frames", own / "masks", seed=seed, **SHARE)
            assert "west" in scenes.train.drives

    def test_folders_of_drives_with_masks_within(self, own):
        for path in sorted((own / "frames").iterdir()):
            drive, number = path.stem.split("_")
            (own / "mine" / drive).mkdir(parents=True, exist_ok=True)
            path.rename(own / "mine" / drive / f"{number}.jpg")
        for path in sorted((own / "masks").iterdir()):
            mask(own / "mine" / "masks" / path.stem.split("_")[0] / f"{path.stem.split('_')[1]}.png", 1)
        scenes = Scenes.from_folder(own / "mine", own / "mine" / "masks", **SHARE)
        assert sum(len(split) for split in scenes.splits.values()) == 12
        assert sorted({*scenes.train.drives, *scenes.test.drives}) == ["north", "south", "west"]
        assert scenes.train.names[0].split("/")[1] == "9"

    def test_masks_within_the_frames_by_another_path(self, own, monkeypatch):
        (own / "masks").rename(own / "frames" / "masks")
        monkeypatch.chdir(own)
        for frames, masks in (("frames", own / "frames" / "masks"), (own / "frames", "frames/../frames/masks")):
            assert Scenes.from_folder(frames, masks, **SHARE).counts()["frames"].sum() == 12

    def test_masks_of_folders_of_drives_in_one_folder(self, own):
        for path in sorted((own / "frames").iterdir()):
            (own / "mine" / path.stem.split("_")[0]).mkdir(parents=True, exist_ok=True)
            path.rename(own / "mine" / path.stem.split("_")[0] / path.name)
        scenes = Scenes.from_folder(own / "mine", own / "masks", **SHARE)
        assert scenes.counts()["with a mask"].sum() == 11

    def test_official_layout(self, own):
        drive = {"train": "north", "val": "south", "test": "west"}
        for split in drive:
            for kind, ending in (("frames", ""), ("masks", "annot")):
                (own / "all" / f"{split}{ending}").mkdir(parents=True)
                for path in sorted((own / kind).glob(f"{drive[split]}*")):
                    path.rename(own / "all" / f"{split}{ending}" / path.name)
        (own / "all" / "train.txt").write_text("list")
        scenes = Scenes.from_folder(own / "all", size=(12, 16))
        assert [set(split.drives) for split in scenes.splits.values()] == [{"north"}, {"south"}, {"west"}]
        assert scenes.counts()["with a mask"].tolist() == [4, 3, 4]
        (own / "all" / "more").mkdir()
        with refuses("more", "splits", "move these"):
            Scenes.from_folder(own / "all")

    def test_what_is_no_picture_is_counted(self, own):
        (own / "frames" / "notes.txt").write_text("sunny")
        (own / "masks" / "classes.csv").write_text("0,road")
        said = Scenes.from_folder(own / "frames", own / "masks", **SHARE).data_card.known_problems
        assert said[0] == "2 files that are no pictures were left out: notes.txt, classes.csv."

    def test_masks_that_say_nothing(self, own):
        mask(own / "masks" / "north_9.png", VOID)
        scenes = Scenes.from_folder(own / "frames", own / "masks", **SHARE)
        assert scenes.counts()["with a mask"].sum() == 10
        assert "1 masks have only void pixels" in scenes.data_card.known_problems[1]

    def test_other_proportions_are_said(self, own):
        said = Scenes.from_folder(own / "frames", own / "masks", size=(16, 16), test=0.3).data_card.known_problems
        assert "12 of 12 frames, as of 32 x 24 pixels, were reduced to 16 x 16, not in proportion" in said[1]


class TestOneDrive:
    def cut(self, own, **options):
        options = {"size": (12, 16), "drives": lambda name: "d", "test": 0.25, "gap": 2.0} | options
        return Scenes.from_folder(own / "frames", own / "masks", **options)

    def test_last_frames_are_held_out_behind_a_gap(self, own):
        scenes = self.cut(own)
        assert scenes.train.time.tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
        assert scenes.test.time.tolist() == [9, 10, 11]
        assert "1 frames less than 2 seconds from what is held out are left out." in scenes.data_card.known_problems
        assert self.cut(own, gap=0).train.time.tolist() == [*range(9)]

    def test_validation_has_a_gap_too(self, own):
        scenes = self.cut(own, validation=0.25)
        times = [split.time.tolist() for split in scenes.splits.values()]
        assert times == [[0, 1, 2, 3, 4], [6, 7], [9, 10, 11]]
        assert "2 frames less than" in scenes.data_card.known_problems[1]

    def test_only_one_of_the_drives_has_masks(self, own):
        for path in (own / "masks").iterdir():
            if not path.name.startswith("north"):
                path.unlink()
        scenes = self.cut(own, drives=None, gap=1)
        assert scenes.test.names.tolist() == ["north_12"]
        assert set(scenes.train.drives) == {"north", "south", "west"}

    def test_too_long_a_gap(self, own):
        with refuses("'d'", "11 masks", "20 seconds", "shorter gap"):
            self.cut(own, gap=20)


class TestMasks:
    PALETTE = {(9, 9, 9): "road", (200, 0, 0): "sky", (0, 0, 200): "sky", (0, 0, 0): None}

    @pytest.fixture
    def coloured(self, own):
        """Masks that are road above and sky below, half of it in the other colour of the sky, and a void corner."""
        colours = np.zeros((*SIZE, 3), np.uint8)
        colours[:12], colours[12:, :16], colours[12:, 16:] = (9, 9, 9), (200, 0, 0), (0, 0, 200)
        colours[:4, :4] = 0
        for path in (own / "masks").iterdir():
            Image.fromarray(colours).save(path)
        return own, colours

    def test_colours(self, coloured):
        own, _ = coloured
        scenes = Scenes.from_folder(own / "frames", own / "masks", palette=self.PALETTE, **SHARE)
        expected = np.zeros((12, 16), np.uint8)
        expected[6:] = 1
        expected[:2, :2] = VOID
        assert scenes.classes == ("road", "sky")
        assert scenes.colours.tolist() == [[9, 9, 9], [200, 0, 0]]
        for numbers in scenes.test.labelled.masks:
            assert (numbers == expected).all()

    def test_classes_order_the_palette(self, coloured):
        own, _ = coloured
        options = {"palette": self.PALETTE, "classes": ["tree", "sky", "road"]}
        scenes = Scenes.from_folder(own / "frames", own / "masks", **options, **SHARE)
        assert np.unique(scenes.train.labelled.masks).tolist() == [1, 2, VOID]

    def test_colour_that_the_palette_lacks(self, coloured):
        own, colours = coloured
        colours[0, :3], colours[5, 5] = (1, 2, 3), (7, 7, 7)
        Image.fromarray(colours).save(own / "masks" / "west_9.png")
        with refuses("west_9.png", "2 colours", "(1, 2, 3) in 3 pixels", "add them"):
            Scenes.from_folder(own / "frames", own / "masks", palette=self.PALETTE, **SHARE)

    def test_palette_that_names_no_class(self, coloured):
        own, _ = coloured
        with refuses("(200, 0, 0)", "'sky'", "road"):
            Scenes.from_folder(own / "frames", own / "masks", palette=self.PALETTE, classes=["road"])
        many = [str(i) for i in range(255)]
        for palette in (None, self.PALETTE):
            with refuses("255 classes", "at most 254"):
                Scenes.from_folder(own / "frames", palette=palette, classes=many, **SHARE)
        with refuses("(300, 0, 0)", "0 to 255"):
            colour_table({(300, 0, 0): "road"}, ["road"])

    def test_colours_without_a_palette(self, coloured):
        own, _ = coloured
        with refuses("11 of 12 masks", "north_10.png", "is in colours", "palette"):
            Scenes.from_folder(own / "frames", own / "masks", **SHARE)

    def test_positions_in_the_palette_of_the_picture(self, own):
        for path in (own / "masks").iterdir():
            mask(path, 1, palette=[200, 0, 0, 0, 200, 0])
        assert np.unique(Scenes.from_folder(own / "frames", own / "masks", **SHARE).train.masks).tolist() in (
            [1], [1, VOID]
        )  # fmt: skip
        palette = {(200, 0, 0): "road", (0, 200, 0): "sky"}
        scenes = Scenes.from_folder(own / "frames", own / "masks", palette=palette, **SHARE)
        assert np.unique(scenes.test.labelled.masks).tolist() == [1]

    def test_another_number_for_void(self, own):
        scenes = Scenes.from_folder(own / "frames", own / "masks", void=1, **SHARE)
        assert scenes.classes == ("class 0",)
        assert "6 masks have only void pixels" in scenes.data_card.known_problems[1]

    def test_black_and_white_masks_are_asked_about(self, own):
        for path in (own / "masks").iterdir():
            Image.fromarray(np.where(np.arange(SIZE[1]) < 9, 0, 255).astype(np.uint8) * np.ones(SIZE, np.uint8)).save(
                path
            )
        with refuses("0 and 255 only", "palette"):
            Scenes.from_folder(own / "frames", own / "masks", **SHARE)
        palette = {(0, 0, 0): "nothing", (255, 255, 255): "car"}
        scenes = Scenes.from_folder(own / "frames", own / "masks", palette=palette, **SHARE)
        assert scenes.classes == ("nothing", "car") and set(np.unique(scenes.test.labelled.masks)) == {0, 1}

    def test_more_than_8_bits_of_class_numbers(self, own):
        path = own / "masks" / "west_9.png"
        Image.fromarray(np.full(SIZE, 1, np.uint16)).save(path)
        assert Scenes.from_folder(own / "frames", own / "masks", **SHARE).classes == ("class 0", "class 1")
        Image.fromarray(np.full(SIZE, 700, np.uint16)).save(path)
        with refuses("west_9.png", "700", "0 to 255"):
            Scenes.from_folder(own / "frames", own / "masks", **SHARE)

    def test_number_beyond_the_classes(self, own):
        mask(own / "masks" / "west_9.png", 7)
        with refuses("west_9", "class 7", "2 classes"):
            Scenes.from_folder(own / "frames", own / "masks", classes=["road", "sky"], **SHARE)

    def test_nearest_pixel_never_a_mean(self, own):
        numbers = np.random.default_rng(0).choice([0, 5], SIZE).astype(np.uint8)
        for path in (own / "masks").iterdir():
            mask(path, numbers)
        masks = Scenes.from_folder(own / "frames", own / "masks", **SHARE).test.labelled.masks
        assert set(masks.ravel()) == {0, 5}
        assert (masks == numbers[1::2, 1::2]).all()


class TestRefused:
    def read(self, own, **options):
        Scenes.from_folder(own / "frames", own / "masks", **SHARE | options)

    def test_no_folder(self, own):
        with refuses("gone", "mend its path"):
            Scenes.from_folder(own / "gone")
        with refuses("gone", "mend its path"):
            Scenes.from_folder(own / "frames", own / "gone")

    def test_no_pictures(self, own):
        (own / "empty").mkdir()
        with refuses("empty", "no images"):
            Scenes.from_folder(own / "empty")
        mask(own / "mine" / "masks" / "d_1.png", 0)
        with refuses("mine", "no frames beside the masks"):
            Scenes.from_folder(own / "mine", own / "mine" / "masks")

    def test_one_frame(self, own):
        picture(own / "one" / "d_1.png", mode="RGB")
        with refuses("one frame", "d_1.png", "at least two"):
            Scenes.from_folder(own / "one")

    def test_mask_without_a_frame(self, own):
        mask(own / "masks" / "east_1.png", 0)
        with refuses("east_1.png", "no frame", "remove it"):
            self.read(own)

    def test_two_masks_or_frames_of_one_name(self, own):
        mask(own / "masks" / "west_9.tif", 0)
        with refuses("west_9.png", "west_9.tif", "keep one"):
            self.read(own)
        (own / "masks" / "west_9.tif").unlink()
        picture(own / "frames" / "west_9.png", mode="RGB")
        with refuses("west_9.jpg", "west_9.png", "keep one"):
            self.read(own)

    def test_mask_that_could_be_of_two_frames(self, own):
        for drive in "ab":
            picture(own / "deep" / drive / "1.png", mode="RGB")
        mask(own / "numbers" / "1.png", 0)
        with refuses("1.png", "could be of a/1, b/1"):
            Scenes.from_folder(own / "deep", own / "numbers", drives=lambda name: name[0])
        mask(own / "numbers" / "a" / "1.png", 0)
        (own / "numbers" / "1.png").unlink()
        (own / "deep" / "b").rename(own / "deep" / "c")
        picture(own / "deep" / "a" / "2.png", mode="RGB")
        mask(own / "numbers" / "2.png", 0)
        mask(own / "numbers" / "a" / "2.png", 0)
        with refuses("a/2", "has the masks", "keep one"):
            Scenes.from_folder(own / "deep", own / "numbers", drives=lambda name: name[0])

    def test_mask_of_another_size(self, own):
        Image.new("L", (31, 24)).save(own / "masks" / "west_9.png")
        with refuses("1 of 12 masks", "west_9.png", "31 x 24 pixels, its frame 32 x 24"):
            self.read(own)

    @pytest.mark.parametrize(("kind", "ending"), [("frames", "jpg"), ("masks", "png")])
    def test_unreadable_and_truncated(self, own, kind, ending):
        path = own / kind / f"west_9.{ending}"
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        (own / kind / f"west_10.{ending}").write_text("no picture")
        with refuses(f"2 of 12 {kind} cannot be read", f"west_9.{ending}", "not an image", "replace or remove"):
            self.read(own)

    def test_more_than_8_bits(self, own):
        Image.fromarray(np.zeros(SIZE, np.uint16)).save(own / "frames" / "west_9.png")
        (own / "frames" / "west_9.jpg").unlink()
        with refuses("west_9.png", "more than 8 bits"):
            self.read(own)

    def test_frames_that_are_smaller_than_asked(self, own):
        with refuses("12 of 12 frames", "32 x 24 pixels, less than 40 x 30", "smaller size"):
            self.read(own, size=(30, 40))

    @pytest.mark.parametrize("size", [(4, 16), (12.0, 16), (12, 16, 3)])
    def test_size(self, own, size):
        with refuses(str(size), "at least 8"):
            self.read(own, size=size)

    @pytest.mark.parametrize("shares", [{"test": 1.0}, {"test": -0.1}, {"validation": 0.8, "test": 0.3}])
    def test_shares(self, own, shares):
        with refuses("share", "below 1"):
            self.read(own, **shares)

    def test_other_options(self, own):
        with refuses("seconds_per_frame is 0"):
            self.read(own, seconds_per_frame=0)
        with refuses("'cyclist'", "class 0, class 1"):
            self.read(own, vulnerable=["cyclist"])
        with refuses("north_10", "drives"):
            self.read(own, drives={"north_9": "n"})


def test_drives_by_name():
    names = ["0001TP_006690", "0006R0_f01470", "Seq05VD_f00540", "clip-2024-01-05 0007", "frame0001", "12", "north/7"]
    expected = ["0001TP", "0006R0", "Seq05VD", "clip-2024-01-05", "frame", "drive", "north"]
    assert drives_of([*names, "frame2"], None).tolist() == [*expected, "frame"]
    assert drives_of(names, dict(zip(names, "abcdefg", strict=True))).tolist() == list("abcdefg")
    with refuses("drive of its own", "drives"):
        drives_of(["tree", "house"], None)


def test_reduced_averages():
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    means = pixels.reshape(6, 2, 10, 2, 3).mean(axis=(1, 3))
    assert np.abs(reduced(Image.fromarray(pixels), (6, 10)) - means).max() <= 1  # rounded twice


def test_colours_differ():
    assert len({tuple(colour) for colour in distinct_colours(30).tolist()}) == 30
    assert distinct_colours(0).shape == (0, 3)
