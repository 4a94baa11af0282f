"""Brain MRI from the official folder and archive: what is made of them, and what is refused."""

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sslbook import data
from sslbook.data.card import own_data_card
from sslbook.data.pictures import write_npz
from sslbook.domains.imaging import lgg
from tests.conftest import closed_port, files_in, refuses

PATIENTS = ("TCGA_CS_4941_19960909", "TCGA_DU_5849_19950405", "TCGA_HT_A616_19991226")
SLICES = (1, 2, 10, 11)  # in the order of numbers, which is not that of names


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def official(tmp_path_factory) -> Path:
    """A small folder in the official layout, slices 10 and 11 with a tumour; not to be written to."""
    root = tmp_path_factory.mktemp("official") / "kaggle_3m"
    rng = np.random.default_rng(0)
    for patient in PATIENTS:
        for number in SLICES:
            mask = np.zeros((256, 256), np.uint8)
            mask[101:150, 82 : 90 + number] = 255 * (number > 2)
            write(root / patient / f"{patient}_{number}.tif", rng.integers(0, 256, (256, 256, 3), dtype=np.uint8))
            write(root / patient / f"{patient}_{number}_mask.tif", mask)
    (root / "data.csv").write_text("Patient")
    return root


@pytest.fixture
def copy(official, tmp_path) -> Path:
    """The first patient, to be spoilt."""
    for file in (official / PATIENTS[0]).iterdir():
        place = tmp_path / "kaggle_3m" / PATIENTS[0] / file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.read_bytes())
    return tmp_path / "kaggle_3m"


def archive_of(folder: Path, *more: tuple[str, bytes]) -> bytes:
    """The archive as the host packs it: other files before and after the folder."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1) as archive:
        archive.add(folder.parent, "Brain-40bf", recursive=False)
        for name, content in (("Brain-40bf/brain.tif", b"of somebody else"), *more):
            if name > "Brain-40bf/kaggle_3m" and folder.exists():
                archive.add(folder, "Brain-40bf/kaggle_3m")
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture(scope="module")
def payload(official) -> bytes:
    """It takes the place of conftest's; who reads on after the first folder finds a broken picture."""
    return archive_of(official, (f"Brain-40bf/lgg/kaggle_3m/{PATIENTS[0]}/{PATIENTS[0]}_1.tif", b"broken"))


@pytest.fixture
def listed(expects, official):
    return expects("lgg_mri", lgg.prepare(official))


class TestPrepare:
    def test_pixels_are_means_of_flair_and_masks_majorities(self, official):
        arrays = lgg.prepare(official)
        assert list(arrays) == list(lgg.PARTS)
        assert arrays["patient"].tolist() == [patient for patient in PATIENTS for _ in SLICES]
        assert arrays["slice"].tolist() == list(SLICES) * 3
        masks = np.unpackbits(arrays["masks"], axis=1).reshape(-1, 64, 64)
        for i, (patient, number) in enumerate(zip(arrays["patient"], arrays["slice"], strict=True)):
            flair = np.asarray(Image.open(official / patient / f"{patient}_{number}.tif"))[..., 1].astype(float)
            mean = flair.reshape(64, 4, 64, 4).mean(axis=(1, 3))
            assert np.abs(arrays["images"][i] - mean).max() <= 1  # Pillow rounds rows, then columns
            mask = np.asarray(Image.open(official / patient / f"{patient}_{number}_mask.tif")) > 0
            assert (masks[i] == (mask.reshape(64, 4, 64, 4).mean(axis=(1, 3)) >= 0.5)).all()
            assert arrays["tumour_fraction"][i] == np.float32(mask.mean())
        assert masks.any(axis=(1, 2)).tolist() == [False, False, True, True] * 3

    def test_files_beside_are_left_alone(self, copy):
        (copy / PATIENTS[0] / f"._{PATIENTS[0]}_1.tif").write_bytes(b"of another system")
        (copy / "readme.tif").write_bytes(b"in no patient's folder")
        assert len(lgg.prepare(copy)["slice"]) == 4

    @pytest.mark.parametrize(("gone", "lacks"), [("_2_mask", "no mask"), ("_2", "no picture")])
    def test_half_a_slice(self, copy, gone, lacks):
        (copy / PATIENTS[0] / f"{PATIENTS[0]}{gone}.tif").unlink()
        with refuses(f"Slice 2 of patient {PATIENTS[0]}", lacks, "official folder"):
            lgg.prepare(copy)

    @pytest.mark.parametrize("name", ["slice 1.tif", f"{PATIENTS[1]}_1.tif", f"{PATIENTS[0]}_one.tif"])
    def test_odd_name(self, copy, name):
        (copy / PATIENTS[0] / f"{PATIENTS[0]}_1.tif").rename(copy / PATIENTS[0] / name)
        with refuses(f"{PATIENTS[0]}/{name} is not called PATIENT/PATIENT_SLICE.tif"):
            lgg.prepare(copy)

    @pytest.mark.parametrize(
        ("name", "shape", "said"),
        [
            ("_1", (256, 250, 3), "is 250 x 256 pixels of mode RGB, not 256 x 256 of mode RGB"),
            ("_1", (256, 256), "mode L, not 256 x 256 of mode RGB"),
            ("_1_mask", (256, 256, 3), "mode RGB, not 256 x 256 of mode L"),
        ],
    )
    def test_other_pictures(self, copy, name, shape, said):
        write(copy / PATIENTS[0] / f"{PATIENTS[0]}{name}.tif", np.zeros(shape, np.uint8))
        with refuses(f"{PATIENTS[0]}{name}.tif", said):
            lgg.prepare(copy)

    @pytest.mark.parametrize("content", [b"no picture", None])
    def test_unreadable_tiff(self, copy, content):
        file = copy / PATIENTS[0] / f"{PATIENTS[0]}_11.tif"
        file.write_bytes(file.read_bytes()[:5000] if content is None else content)
        with refuses("_11.tif cannot be read", "official folder"):
            lgg.prepare(copy)

    def test_no_slices(self, tmp_path):
        for folder in (tmp_path, tmp_path / "gone"):
            with refuses("There is no PATIENT/PATIENT_SLICE.tif"):
                lgg.prepare(folder)


class TestPrepared:
    def test_becomes_images_split_by_patient(self, official, tmp_path):
        write_npz(tmp_path / "x.npz", lgg.prepare(official))
        scans = lgg.read_prepared(tmp_path / "x.npz", own_data_card("x", "X", ()))
        assert scans.counts().to_numpy().tolist() == [[4, 0, 2], [4, 0, 2]]
        assert (scans.classes[scans.positive], scans.shape) == ("tumour", (64, 64, 1))
        for split in (scans.train, scans.test):
            assert split.labels.tolist() == [0, 0, 1, 1] * len(set(split.groups))
            assert split.order.tolist() == list(SLICES) * len(set(split.groups))
            assert split.names[2] == f"{split.groups[2]} slice 10"


class TestDownload:
    def test_is_received_once_and_verified_by_content(self, listed, host):
        path = listed(f"{host}/good")
        scans = data.load("lgg_mri", source="real")
        assert scans.data_card == data.catalog()["lgg_mri"].data_card
        assert files_in(path.parents[1]) == ["lgg_flair_64.npz", "prepared"]
        before = path.stat().st_mtime_ns
        listed(closed_port())
        assert data.load("lgg_mri").source == "real"
        assert path.stat().st_mtime_ns == before

    def test_second_address_serves_when_the_first_is_bad(self, listed, host):
        path = listed(f"{host}/cut", f"{host}/good")
        assert data.fetch("lgg_mri") == [path]

    @pytest.mark.parametrize(("bad", "said"), [("/cut", "broken off ("), ("/short", "no readable archive (")])
    def test_half_an_archive_is_never_kept(self, listed, host, bad, said):
        path = listed(f"{host}{bad}")
        with refuses("lgg_flair_64.npz failed: expected sha256", "bytes from 127.0.0.1: ", said, "run again"):
            data.load("lgg_mri", source="real")
        assert files_in(path.parent) == []

    def test_other_pixels_are_never_kept(self, listed, host, monkeypatch):
        path = listed(f"{host}/good")
        entry = data.catalog()["lgg_mri"]
        other = replace(entry, files=(replace(entry.files[0], sha256="0" * 64),))
        monkeypatch.setitem(data.catalog(), "lgg_mri", other)
        with refuses("lgg_flair_64.npz failed: expected sha256 000", "with sha256", "from 127.0.0.1"):
            data.load("lgg_mri", source="real")
        assert files_in(path.parent) == []

    @pytest.mark.parametrize(
        ("content", "said"), [(b"no archive", "no readable archive"), (None, "There is no PATIENT/PATIENT_SLICE.tif")]
    )
    def test_archive_of_something_else(self, tmp_path, content, said):
        content = archive_of(tmp_path / "gone") if content is None else content
        with refuses(said, "official folder"):
            lgg.receive(io.BytesIO(content), tmp_path / "x.npz")
        assert files_in(tmp_path) == []
