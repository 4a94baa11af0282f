"""The data sets of medical imaging."""

from pathlib import Path
from typing import Any

from sslbook.data.catalog import DataFile, DataSet
from sslbook.domains.imaging.data import Images


def read_medmnist(entry: DataSet, paths: list[Path]) -> Images:
    """Read one MedMNIST file with its official splits."""
    return Images.from_npz(
        paths[0], classes=entry.classes, positive=entry.classes[entry.positive], data_card=entry.data_card
    )


def _medmnist(name: str, size: int, sha256: str, source_images: str, **described: Any) -> DataSet:
    """Return the entry of a data set of MedMNIST; ``source_images`` cites what it was made of."""
    places = (
        "records/10519652/files/{}?download=1",
        "records/10519652/files/{}",
        "api/records/10519652/files/{}/content",
    )
    urls = tuple(f"https://zenodo.org/{place.format(f'{name}.npz')}" for place in places)
    return DataSet(
        name=name,
        files=(DataFile(f"{name}.npz", urls, size, sha256),),
        licence="CC BY 4.0",
        citation="Yang et al. (2023), MedMNIST v2, Scientific Data 10:41, doi:10.1038/s41597-022-01721-8; "
        f"source images: {source_images}",
        loader=read_medmnist,
        **described,
    )


ENTRIES = (
    _medmnist(
        "pneumoniamnist",
        4_170_669,
        "e1792d3f03751cb101e99f19a63b3c1941436c988665f47853417b05be250cd8",
        "Kermany et al. (2018), Cell 172(5):1122-1131, doi:10.1016/j.cell.2018.02.010",
        title="PneumoniaMNIST: chest X-rays of children, 28x28",
        provenance="Frontal chest X-rays of children aged 1 to 5 from one hospital (Guangzhou Women and "
        "Children's Medical Center), centre-cropped and reduced to 28x28 by MedMNIST; Zenodo record "
        "10519652.",
        known_problems=(
            "The validation split was drawn at random from the training folder of the source, the test split "
            "is its separate test folder: validation is much easier than test.",
            "37 % of the test X-rays are normal against 26 % of the training X-rays: a threshold tuned on "
            "training X-rays calls too many test X-rays pneumonia.",
            "There are no patient numbers, and the source holds several X-rays of some children: X-rays of "
            "one child can be in training and in validation. Some X-rays are there twice, also across these "
            "two splits.",
            "Children of one hospital only: says nothing about adults, other hospitals or other devices.",
        ),
        classes=("normal", "pneumonia"),
        positive=1,
    ),
    _medmnist(
        "breastmnist",
        559_580,
        "3a22d2a4625e7dd8903f0f59030e81a3d0c222bece2e5e10927456cb50efdec1",
        "Al-Dhabyani et al. (2020), Data in Brief 28:104863, doi:10.1016/j.dib.2019.104863",
        title="BreastMNIST: breast ultrasound, 28x28",
        provenance="The BUSI collection of breast ultrasound images (Baheya Hospital, Cairo), split 7:1:2 "
        "at random and reduced to 28x28 by MedMNIST; Zenodo record 10519652.",
        known_problems=(
            "Label 0 is malignant, the finding; label 1 merges normal and benign.",
            "546 training images, 156 test images: differences of a few points of AUC are noise.",
            "The source holds several frames of one lesion, there are no patient numbers, and the split "
            "was by image: many test images have a near-copy in training, some with the other label (see "
            "imaging.duplicates), so that scores are too high and memory is rewarded.",
            "28x28 pixels blur the border of a lesion, which is what a radiologist looks at.",
        ),
        classes=("malignant", "normal or benign"),
        positive=0,
    ),
)
