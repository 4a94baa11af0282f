"""Tables as they are written: ids and labels as text, and rows that do not fit their header."""

import pandas as pd
import pytest

from sslbook.data.tables import read_table
from tests.conftest import refuses


def table(folder, text, name="x.csv"):
    (folder / name).write_text(text)
    return folder / name


def test_text_is_read_exactly_as_written(tmp_path):
    path = table(tmp_path, "id , finding,size\n007,NA,007\n 1e5 ,None,1e5\n\n,normal,\n")
    read = read_table(path, text=["id", "finding", None])
    assert read.frame["id"].tolist() == ["007", "1e5", None]
    assert read.frame["finding"].tolist() == ["NA", "None", "normal"]
    assert read.frame["size"].dropna().tolist() == [7, 1e5]
    assert read.frame.index.tolist() == [2, 3, 5]
    guessed = read_table(path).frame
    assert guessed["id"].dropna().tolist() == [7, 1e5]
    assert guessed["finding"].tolist() == [None, None, "normal"]


def test_parquet_says_itself_what_is_text(tmp_path):
    pd.DataFrame({"id": ["007", "8"], "n": [1, 2]}).to_parquet(tmp_path / "x.parquet")
    read = read_table(tmp_path / "x.parquet", text=["id"])
    assert read.frame.to_dict("list") == {"id": ["007", "8"], "n": [1, 2]}
    assert read.unit == "row"


@pytest.mark.parametrize("rows", ["1,2,3\n", "1,2,\n4,5,\n"])
def test_rows_with_more_cells_than_the_header(tmp_path, rows):
    with refuses("x.csv cannot be read (its rows have more cells than its header)", "comma-separated"):
        read_table(table(tmp_path, "a,b\n" + rows))
