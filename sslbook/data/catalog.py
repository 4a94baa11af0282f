"""The data sets the book uses: where they come from, what they may be used for, what is wrong with them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from .card import Card
from .errors import DataError
from .images import Images
from .simulate import simulate_breast_ultrasound, simulate_chest_films
from .simulate_rows import COMPONENTS, LEGITIMATE, cut_creditcard, simulate_creditcard
from .tables import read_table
from .transactions import Transactions


@dataclass(frozen=True)
class DataFile:
    """One file of a data set, as its official host names it.

    Parameters
    ----------
    name : file name, also in the cache.
    urls : official addresses; the first that answers serves, the others stand by. None: placed by hand only.
    size : bytes.
    sha256 : hexadecimal digest; nothing with another digest is ever read.
    folder : folder of the cache that holds it.
    """

    name: str
    urls: tuple[str, ...]
    size: int
    sha256: str
    folder: str = "raw"


@dataclass(frozen=True)
class DataSet:
    """One entry of the catalog; `loader` turns its files into a container, `simulator` draws the stand-in.

    `alternative` is a file that serves where `files` are not in the cache but it is, before any download.
    """

    name: str
    title: str
    files: tuple[DataFile, ...]
    licence: str
    citation: str
    provenance: str
    known_problems: tuple[str, ...]
    classes: tuple[str, ...]
    positive: int
    loader: Callable[["DataSet", list[Path]], Images | Transactions]
    simulator: Callable[..., Images | Transactions]
    alternative: DataFile | None = None

    @property
    def size(self) -> int:
        """Bytes to download."""
        return sum(file.size for file in self.files)

    @property
    def card(self) -> Card:
        """What a reader must know about the real data."""
        return Card(self.name, self.title, "real", self.licence, self.citation, self.provenance, self.known_problems)


def read_medmnist(entry: DataSet, paths: list[Path]) -> Images:
    """Read one MedMNIST file with its official splits."""
    return Images.from_npz(paths[0], classes=entry.classes, positive=entry.classes[entry.positive], card=entry.card)


def read_creditcard(entry: DataSet, paths: list[Path]) -> Transactions:
    """Read the official table, or the sample of it; see `cut_creditcard` for the cut."""
    table, card = read_table(paths[0]), entry.card
    missing = [column for column in ("Time", *COMPONENTS, "Amount", "Class") if column not in table.frame]
    if missing:
        raise DataError(f"{paths[0]} lacks the columns {', '.join(missing)}; place the official file there.")
    if entry.alternative is None or paths[0].name != entry.alternative.name:
        return cut_creditcard(table, card)
    note = (
        "This is a sample: all 492 frauds, but only 15,347 of 284,315 legitimate rows, each of which stands for 18.5. "
        "Without weights frauds are 3.1 % of the rows, in truth they are 0.173 %."
    )
    card = replace(card, known_problems=(note, *card.known_problems))
    return cut_creditcard(table, card, LEGITIMATE)


def _medmnist_file(name: str, size: int, sha256: str) -> DataFile:
    record = "https://zenodo.org/records/10519652/files"
    api = "https://zenodo.org/api/records/10519652/files"
    return DataFile(name, (f"{record}/{name}?download=1", f"{record}/{name}", f"{api}/{name}/content"), size, sha256)


_MEDMNIST = "Yang et al. (2023), MedMNIST v2, Scientific Data 10:41, doi:10.1038/s41597-022-01721-8"

CATALOG: dict[str, DataSet] = {
    entry.name: entry
    for entry in (
        DataSet(
            name="pneumoniamnist",
            title="PneumoniaMNIST: chest films of children, 28x28",
            files=(
                _medmnist_file(
                    "pneumoniamnist.npz",
                    4_170_669,
                    "e1792d3f03751cb101e99f19a63b3c1941436c988665f47853417b05be250cd8",
                ),
            ),
            licence="CC BY 4.0",
            citation=f"{_MEDMNIST}; source images: Kermany et al. (2018), Cell 172(5):1122-1131, "
            "doi:10.1016/j.cell.2018.02.010",
            provenance="Frontal chest films of children aged 1 to 5 from one hospital (Guangzhou Women and "
            "Children's Medical Center), centre-cropped and reduced to 28x28 by MedMNIST; Zenodo record "
            "10519652.",
            known_problems=(
                "The validation split is a random cut of the training folder of the source, the test split "
                "is its separate test folder: validation is much easier than test.",
                "37 % of the test films are normal against 26 % of the training films: a threshold tuned on "
                "training films calls too many test films pneumonia.",
                "There are no patient numbers, and the source holds several films of some children: films of "
                "one child can be in training and validation. Some films are there twice, also across these "
                "two.",
                "Children of one hospital only: says nothing about adults, other hospitals or other devices.",
            ),
            classes=("normal", "pneumonia"),
            positive=1,
            loader=read_medmnist,
            simulator=simulate_chest_films,
        ),
        DataSet(
            name="breastmnist",
            title="BreastMNIST: breast ultrasound, 28x28",
            files=(
                _medmnist_file(
                    "breastmnist.npz",
                    559_580,
                    "3a22d2a4625e7dd8903f0f59030e81a3d0c222bece2e5e10927456cb50efdec1",
                ),
            ),
            licence="CC BY 4.0",
            citation=f"{_MEDMNIST}; source images: Al-Dhabyani et al. (2020), Data in Brief 28:104863, "
            "doi:10.1016/j.dib.2019.104863",
            provenance="The BUSI collection of breast ultrasound images (Baheya Hospital, Cairo), cut 7:1:2 "
            "at random and reduced to 28x28 by MedMNIST; Zenodo record 10519652.",
            known_problems=(
                "Label 0 is malignant, the finding; label 1 merges normal and benign.",
                "546 training images, 156 test images: differences of a few points of AUC are noise.",
                "The source holds several frames of one lesion, there are no patient numbers, and the cut "
                "was by image: many test images have a near-copy in training, some with the other label (see "
                "data.duplicates), so that scores are too high and memory is rewarded.",
                "28x28 pixels blur the border of a lesion, which is what a radiologist looks at.",
            ),
            classes=("malignant", "normal or benign"),
            positive=0,
            loader=read_medmnist,
            simulator=simulate_breast_ultrasound,
        ),
        DataSet(
            name="creditcard",
            title="Credit-card transactions of two days, as principal components (ULB)",
            files=(
                DataFile(
                    "creditcard.csv",
                    ("https://storage.googleapis.com/download.tensorflow.org/data/creditcard.csv",),
                    150_828_752,
                    "76274b691b16a6c49d3f159c883398e03ccd6d1ee12d9d8ee38f4b4b98551a89",
                ),
            ),
            alternative=DataFile(
                "creditcard_sample.parquet",
                (),
                2_545_470,
                "844e22c24c6b977f3bcff75e3e63ab06fd45d7a375d8b4965ac0dd71d58f2217",
                folder="prepared",
            ),
            licence="DbCL 1.0",
            citation="Dal Pozzolo, Caelen, Johnson and Bontempi (2015), Calibrating Probability with Undersampling "
            "for Unbalanced Classification, IEEE Symposium on Computational Intelligence and Data Mining (CIDM)",
            provenance="284,807 payments of European cardholders on two days of September 2013, 492 of them frauds; "
            "collected by Worldline and the Machine Learning Group of the Universite Libre de Bruxelles. V1 to V28 are "
            "principal components of attributes that are not published; only time and amount are as they were.",
            known_problems=(
                "There is no card number: the history of a card cannot be used, and payments of one card can be on "
                "both sides of the cut.",
                "The owner computed the principal components over all rows, those that are test here too.",
                "1,081 rows of the full file repeat another exactly, 19 of them frauds; they are removed here.",
                "Two days only: the last 40 % of the rows are test, and labels are taken to be known after one hour, "
                "as two days leave no room for the days or weeks that it takes.",
            ),
            classes=("legitimate", "fraud"),
            positive=1,
            loader=read_creditcard,
            simulator=simulate_creditcard,
        ),
    )
}
