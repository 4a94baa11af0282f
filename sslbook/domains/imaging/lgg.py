"""Brain MRI of patients with a lower-grade glioma: from the official TIFF to small FLAIR slices, split by patient."""

import io
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from sslbook.data.card import DataCard
from sslbook.data.errors import DataError
from sslbook.data.pictures import UNREADABLE, read_npz, reason, write_npz
from sslbook.domains.imaging.data import Images, ImageSplit

SOURCE, SIZE = 256, 64  # height and width in pixels, as the authors give them and as the catalog keeps them
FLAIR = 1  # of the channels: before the contrast agent, FLAIR, after it
PARTS = {"images": np.uint8, "masks": np.uint8, "tumour_fraction": np.float32, "patient": str, "slice": np.int16}
CLASSES = ("no tumour", "tumour")
TEST_SHARE, SEED = 35 / 110, 0  # of patients
MEND = "take the official folder again"


def read_prepared(path: Path, data_card: DataCard) -> Images:
    """Return the slices of a file of prepared arrays; a patient is in training or in test, and nobody in validation."""
    arrays = read_npz(path)
    pixels, _, share, patient, place = (arrays[part] for part in PARTS)
    names = np.array([f"{who} slice {number}" for who, number in zip(patient, place, strict=True)])
    labels = (share > 0).astype(np.int64)
    slices = ImageSplit(pixels[..., None], labels, patient, names, place.astype(np.int64))
    patients = np.random.default_rng(SEED).permutation(np.unique(patient))
    test = np.isin(patient, patients[: round(TEST_SHARE * len(patients))])
    splits = (slices.subset(~test), slices.subset(test & ~test), slices.subset(test))
    return Images(*splits, classes=CLASSES, positive=1, data_card=data_card)


def prepare(folder: Path) -> dict[str, np.ndarray]:
    """Read the official folder (PATIENT/PATIENT_SLICE.tif and PATIENT_SLICE_mask.tif) and reduce its slices.

    A pixel of a reduced slice is the mean of the 16 it covers (``BOX``) in the FLAIR channel; one of a mask is tumour
    where at least half of them are.

    Returns
    -------
    By patient and slice: ``images`` uint8 (n, 64, 64), ``masks`` uint8 (n, 512) as ``np.packbits`` gives them,
    ``tumour_fraction`` float32 (n,) of the official mask, ``patient`` str (n,) and ``slice`` int16 (n,).

    Raises
    ------
    DataError : no slices; a file of another name, kind or size; a slice without its mask, or a mask without its slice.
    """
    return _reduce((file.relative_to(folder).as_posix(), file) for file in folder.glob("*/*.tif"))


def receive(stream: BinaryIO, path: Path) -> None:
    """Write prepared arrays from the official archive (.tar.gz) while it is read, up to the end of the first folder.

    Nothing is unpacked to disk. All slices take a core about 20 seconds: the network is slower below 20 MB a second.
    A ``DataError`` says that the archive breaks off, or what ``prepare`` refuses.
    """
    try:
        with tarfile.open(fileobj=stream, mode="r|gz") as archive:
            arrays = _reduce(_first_folder(archive))
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DataError(f"no readable archive ({error}); {MEND}.") from error
    write_npz(path, arrays)


def _first_folder(archive: tarfile.TarFile) -> Iterator[tuple[str, BinaryIO]]:
    """Yield the TIFF of the first folder kaggle_3m; another follows, which holds them again."""
    first = None
    for member in archive:
        root, folder, name = member.name.rpartition("kaggle_3m/")
        if first not in (None, root):
            return
        if folder and name.endswith(".tif") and member.isfile():
            first = root
            yield name, io.BytesIO(archive.extractfile(member).read())


def _reduce(files: Iterable[tuple[str, Path | BinaryIO]]) -> dict[str, np.ndarray]:
    """Return the arrays of ``prepare``; each file comes with its name from the folder on."""
    slices = {}
    for name, file in files:
        if "/." in name:
            continue
        found = re.fullmatch(r"(.+)/\1_(\d+)(_mask)?\.tif", name)
        if found is None:
            raise DataError(
                f"{name} is not called PATIENT/PATIENT_SLICE.tif or PATIENT/PATIENT_SLICE_mask.tif; {MEND}."
            )
        patient, number, mask = found[1], int(found[2]), found[3]
        picture = _open(name, file, "L" if mask else "RGB")
        small = picture.getchannel(0 if mask else FLAIR).resize((SIZE, SIZE), Image.Resampling.BOX)
        row = slices.setdefault((patient, number), {"patient": patient, "slice": number})
        if mask:
            row["masks"] = np.packbits(np.asarray(small) > 127)
            row["tumour_fraction"] = np.mean(np.asarray(picture) > 0)
        else:
            row["images"] = np.asarray(small)
    if not slices:
        raise DataError(f"There is no PATIENT/PATIENT_SLICE.tif; {MEND}.")
    rows = [row for _, row in sorted(slices.items())]
    for row in rows:
        if len(row) < len(PARTS):
            lacks = "mask" if "images" in row else "picture"
            raise DataError(f"Slice {row['slice']} of patient {row['patient']} has no {lacks}; {MEND}.")
    return {part: np.array([row[part] for row in rows], dtype=kind) for part, kind in PARTS.items()}


def _open(name: str, file: Path | BinaryIO, mode: str) -> Image.Image:
    try:
        picture = Image.open(file)
        picture.load()
    except UNREADABLE as error:
        raise DataError(f"{name} cannot be read ({reason(error)}); {MEND}.") from error
    if (picture.mode, picture.size) != (mode, (SOURCE, SOURCE)):
        found = f"{picture.width} x {picture.height} pixels of mode {picture.mode}"
        raise DataError(f"{name} is {found}, not {SOURCE} x {SOURCE} of mode {mode}; {MEND}.")
    return picture
