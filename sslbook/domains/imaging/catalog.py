"""The data sets of medical imaging."""

from pathlib import Path
from typing import Any

from sslbook.data.catalog import DataFile, DataSet
from sslbook.data.pictures import digest_of_arrays
from sslbook.domains.imaging import lgg
from sslbook.domains.imaging.data import Images

LGG = "TruongVanHien194276/Brain_Segmentation_data"


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
    DataSet(
        name="lgg_mri",
        title="LGG brain MRI: slices of 110 patients, 64x64",
        files=(
            DataFile(
                "lgg_flair_64.npz",
                (f"https://github.com/{LGG}/archive/40bfc1f393feb039a3d3742ba9f536dc6d50d2b0.tar.gz",),
                400_000_000,  # about: as far as the archive, packed anew for each download, is read
                "b077606a096ebf142b95990b50a9cb7b1612fa0cfa2f0ed47f0038e90b994da6",
                folder="prepared",
                receive=lgg.receive,
                digest=digest_of_arrays,
            ),
        ),
        licence="CC BY-NC-SA 4.0",
        citation="Buda, Saha and Mazurowski (2019), Association of genomic subtypes of lower-grade gliomas with shape "
        "features automatically extracted by a deep learning algorithm, Computers in Biology and Medicine 109:218-225, "
        "doi:10.1016/j.compbiomed.2019.05.002; images: TCGA-LGG of The Cancer Imaging Archive, "
        "doi:10.7937/K9/TCIA.2016.L4LTD3TK",
        provenance="Preoperative MRI of patients with a lower-grade glioma, tumours outlined on FLAIR by Buda et al.: "
        f"folder kaggle_3m of the repository {LGG} at commit 40bfc1f3, reduced here to the FLAIR channel and 64x64 "
        "pixels (BOX). A slice is labelled tumour where its mask has a pixel. Split here at random: 75 patients for "
        "training, 35 for test. What is fetched is verified by the sha256 of these arrays.",
        known_problems=(
            "Not for commercial use, and what is made of it must be shared alike.",
            "Where a slice lies tells much of its label: its number alone gives an AUC of about .7, and its number "
            "as a share of the patient's slices .88, without a look at the picture.",
            "Neighbouring slices of a patient are alike: the patient is the unit, and the test has 35 of them, not "
            "1,110.",
            "Every patient has a tumour, in 3 to 37 neighbouring slices: nothing is said about people without one.",
            "Five hospitals with their scanners, known by two letters of the patient's number: DU has 45 patients, HT "
            "34, CS 16, FG 14, EZ one; a patient has 20 to 88 slices.",
            "A single pixel of 65,536 makes a slice a tumour; a twentieth of the tumours are smaller than 12 pixels of "
            "the 64x64, which may not show them.",
            "32 slices at the ends of the head hold nothing but one grey value, most of them black; copies of these "
            "are in both splits. Others are cut by the black corner of a turned volume.",
            "FLAIR only, of three channels: the contrast agent, which radiologists look at, is left out.",
        ),
        loader=lambda entry, paths: lgg.read_prepared(paths[0], entry.data_card),
        classes=lgg.CLASSES,
        positive=1,
    ),
)
