"""The data sets of the shop."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from python_calamine import CalamineError
from scipy.sparse import coo_array, csr_array

from sslbook.data.catalog import DataFile, DataSet
from sslbook.data.errors import DataError
from sslbook.data.tables import Table, check_official, read_table, table_of, words_of
from sslbook.domains.shop.data import Interactions

UCI = "https://archive.ics.uci.edu/static/public/352/"
WORKBOOK = "Online Retail.xlsx"
ROLES = ("user", "item", "time", "title", "price", "quantity")
COLUMNS = ("CustomerID", "StockCode", "InvoiceDate", "Description", "UnitPrice", "Quantity")


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
    return Interactions(users, items, time, *names, data_card=entry.data_card, attributes=csr_array(pairs))


def read_online_retail(entry: DataSet, paths: list[Path]) -> Interactions:
    """Read the workbook of the official archive, or the table of the same rows, and keep the products."""
    table = _retail_workbook(paths[0]) if paths[0].suffix == ".zip" else read_table(paths[0])
    check_official(paths[0], table, COLUMNS)
    product = words_of(table.frame["StockCode"]).str[0].str.isdigit().to_numpy(dtype=bool)
    note = (
        f"{(~product).sum():,} of {len(product):,} rows are postage, discounts, fees, vouchers and the like (their "
        "code does not begin with a digit) and were left out, with a few party bags."
    )
    data_card = entry.data_card.noting(note)
    return Interactions.from_frame(table.take(product), **dict(zip(ROLES, COLUMNS, strict=True)), data_card=data_card)


def _retail_workbook(path: Path) -> Table:
    """Read the one member of the archive in memory; half a million rows take about 15 s."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(WORKBOOK) as workbook:
            return table_of(pd.read_excel(workbook, engine="calamine"), path.name)
    except (zipfile.BadZipFile, KeyError, CalamineError) as error:
        raise DataError(f"{path} holds no readable {WORKBOOK} ({error}); place the official file there.") from error


def _beauty_file(name: str, size: int, sha256: str, mirror: str) -> DataFile:
    hosts = ("RUCAIBox/CIKM2020-S3Rec/2a81540a", "RUCAIBox/CIKM2020-S3Rec/master", mirror)
    urls = tuple(f"https://raw.githubusercontent.com/{host}/data/{name}" for host in hosts)
    return DataFile(name, urls, size, sha256)


ENTRIES = (
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
            "Reviews, not purchases: what was bought and not reviewed is missing, and some review in batches.",
            "Only the order is known: no times, no titles, no prices; categories and brands are numbers without names.",
            "Each user has an item at most once: what is bought again cannot be predicted.",
            "5-core: new users and rare items, which are hard, are left out; the choice looked at the whole log.",
            "The target of one user may be older than the history of another, which tells what became popular later.",
        ),
        loader=read_beauty,
    ),
    DataSet(
        name="online_retail",
        title="Online Retail: the orders of a gift shop",
        files=(
            DataFile(
                "online+retail.zip",
                (UCI + "online+retail.zip", UCI + "online%2Bretail.zip"),
                23_715_478,
                "f5385cbb54bbebf7196389109c6b0621faab0c304e3702548165e71c84aede8b",
            ),
        ),
        alternative=(
            DataFile(
                "online_retail.parquet",
                (),
                3_182_608,
                "182ccf7c3beb26b1f92afde72a5daa3f18bd15de9053003e6700e34c603b1bb2",
                folder="prepared",
            ),
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
    ),
)
