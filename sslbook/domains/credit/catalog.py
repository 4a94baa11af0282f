"""The data sets of credit risk."""

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from python_calamine import CalamineError

from sslbook.data.catalog import DataFile, DataSet
from sslbook.data.errors import DataError
from sslbook.data.tables import Table, check_official, read_table, table_of
from sslbook.domains.credit.data import AUDIT, INPUTS, TARGET, Borrowers, cut

UCI = "https://archive.ics.uci.edu/static/public/350/"
WORKBOOK = "default of credit card clients.xls"
COLUMNS = ["id", *INPUTS, *AUDIT, TARGET]


def read_credit_default(entry: DataSet, paths: list[Path]) -> Borrowers:
    """Read the workbook of the official archive, or the table of the same rows."""
    return cut(credit_table(paths[0]).drop(columns="id"), entry.data_card)


def credit_table(path: Path) -> pd.DataFrame:
    """The 30,000 rows, with the names of the columns in small letters."""
    table = _workbook(path) if path.suffix == ".zip" else read_table(path)
    check_official(path, table, COLUMNS)
    return table.frame[COLUMNS]


def digest_of_credit(path: Path) -> str:
    """Return the sha256 of the numbers of the table, as int64, whatever the file that holds them."""
    return hashlib.sha256(np.ascontiguousarray(credit_table(path), dtype=np.int64)).hexdigest()


def _workbook(path: Path) -> Table:
    try:
        with zipfile.ZipFile(path) as archive, archive.open(WORKBOOK) as workbook:
            frame = pd.read_excel(workbook, header=1, engine="calamine")
    except (zipfile.BadZipFile, KeyError, CalamineError) as error:
        raise DataError(f"{path} holds no readable {WORKBOOK} ({error}); place the official file there.") from error
    return table_of(frame.rename(columns=lambda column: str(column).lower().replace(" ", "_")), path.name)


ENTRIES = (
    DataSet(
        name="credit_default",
        title="Credit-card holders of a bank in Taiwan, and who did not pay the next bill (UCI 350)",
        files=(
            DataFile(
                "default+of+credit+card+clients.zip",
                tuple(
                    UCI + name
                    for name in ("default+of+credit+card+clients.zip", "default%2Bof%2Bcredit%2Bcard%2Bclients.zip")
                ),
                5_500_000,
                "8ca0e7e2a1c377558706025c376e9a9451974accf1898fbdfe42dfdf05ff4d79",
                digest=digest_of_credit,
            ),
        ),
        alternative=(
            DataFile(
                "credit_default.parquet",
                (),
                1_226_313,
                "3645a854b45b626212d82f26ed59d62fbda737a7e4d0131e9e4179401e3fb768",
                folder="prepared",
            ),
        ),
        licence="CC BY 4.0",
        citation="Yeh and Lien (2009), The comparisons of data mining techniques for the predictive accuracy of "
        "probability of default of credit card clients, Expert Systems with Applications 36(2), "
        "doi:10.1016/j.eswa.2007.12.020",
        provenance="30,000 card holders of one bank, April to September 2005: limit, six monthly bills, what was paid "
        "and how late; and whether the bill of October was paid. In New Taiwan dollars.",
        known_problems=(
            "There is no time to cut by, and no card is there twice: the split is at random.",
            "Sex, marriage and age are kept for the audit and are no input: many a law forbids a lender to use them.",
            "56 holders equal another in all but their number, most of them accounts that were not used.",
            "22.1 % did not pay, in a year of a credit-card crisis; not paying one bill is not yet a loss.",
        ),
        classes=("paid", "default"),
        positive=1,
        loader=read_credit_default,
    ),
)
