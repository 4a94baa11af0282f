"""The data sets of fraud and risk."""

from dataclasses import replace
from pathlib import Path

from sslbook.data.catalog import DataFile, DataSet
from sslbook.data.tables import check_official, read_table
from sslbook.domains.fraud.data import COMPONENTS, LEGITIMATE, Transactions, cut_creditcard


def read_creditcard(entry: DataSet, paths: list[Path]) -> Transactions:
    """Read the official table, or the sample of it; see ``cut_creditcard`` for the cut."""
    table, data_card = read_table(paths[0]), entry.data_card
    check_official(paths[0], table, ("Time", *COMPONENTS, "Amount", "Class"))
    if paths[0].name not in {file.name for file in entry.alternative}:
        return cut_creditcard(table, data_card)
    note = (
        "This is a sample: all 492 frauds, but only 15,347 of 284,315 legitimate rows, each of which stands for 18.5. "
        "Without weights frauds are 3.1 % of the rows, in truth they are 0.173 %."
    )
    data_card = replace(data_card, known_problems=(note, *data_card.known_problems))
    return cut_creditcard(table, data_card, LEGITIMATE)


ENTRIES = (
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
        alternative=(
            DataFile(
                "creditcard_sample.parquet",
                (),
                2_545_470,
                "844e22c24c6b977f3bcff75e3e63ab06fd45d7a375d8b4965ac0dd71d58f2217",
                folder="prepared",
            ),
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
    ),
)
