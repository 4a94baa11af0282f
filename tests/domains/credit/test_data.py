"""The container of borrowers, and the official files behind it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sslbook import data
from sslbook.data.card import own_data_card
from sslbook.domains.credit import catalog
from sslbook.domains.credit.data import AUDIT, INPUTS, TARGET, cut
from sslbook.worlds.credit import simulate_credit_default
from tests.conftest import refuses
from tests.data.test_store import workbook_of, zip_of

CARD = own_data_card("cards", "Card holders", ())


def table(n: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    columns = {column: rng.integers(1, 3 + place, n) for place, column in enumerate([*INPUTS, *AUDIT])}
    return pd.DataFrame(columns | {TARGET: rng.integers(0, 2, n)})


def test_a_quarter_is_test_and_every_row_keeps_its_own():
    rows = table()
    people = cut(rows, CARD)
    assert len(people) == 400 and (people.split == "test").sum() == 100
    assert people.inputs.equals(rows[INPUTS]) and people.audit.equals(rows[AUDIT])
    assert people.labels.tolist() == rows[TARGET].tolist()
    assert (cut(rows, CARD).split == people.split).all() and (cut(rows, CARD, seed=1).split != people.split).any()
    assert people.counts()["borrowers"].tolist() == [300, 100]
    assert people.counts()["defaults"].sum() == rows[TARGET].sum()
    assert "400 borrowers" in repr(people) and "Card holders" in people._repr_html_()


def test_what_is_owed_is_the_last_bill_and_never_negative():
    rows = table()
    rows.loc[0, "bill_amt1"] = -50
    owed = cut(rows, CARD).owed
    assert owed[0] == 0 and owed[1:].tolist() == rows["bill_amt1"][1:].tolist()


def test_what_does_not_fit_is_refused():
    people = cut(table(), CARD)
    with refuses("inputs of cards", "['pay_6']"):
        replace(people, inputs=people.inputs.drop(columns="pay_6"))
    with refuses("audit of cards are 399 rows", "give 400 rows"):
        replace(people, audit=people.audit.iloc[1:])
    with refuses("Column 'bill_amt2' of cards lacks a number"):
        replace(people, inputs=people.inputs.assign(bill_amt2=np.nan))
    with refuses("test split of cards has the labels [0]"):
        replace(people, labels=np.where(people.split == "test", 0, people.labels))


@pytest.fixture
def official(tmp_path):
    """The archive as the official host has it: a workbook of which the second line has the names."""
    rows = table(60)
    rows.insert(0, "id", range(1, 61))
    names = {TARGET: "default payment next month"}
    second = rows.rename(columns=lambda column: names.get(column, column.upper()))
    sheet = pd.concat([pd.DataFrame([list(second)], columns=list(second)), second])
    book = workbook_of(sheet.set_axis([f"X{i}" for i in range(sheet.shape[1])], axis=1))
    path = tmp_path / "default+of+credit+card+clients.zip"
    path.write_bytes(zip_of({catalog.WORKBOOK: book}))
    return path, rows


def test_archive_and_table_hold_the_same(official, tmp_path):
    path, rows = official
    rows.to_parquet(tmp_path / "same.parquet")
    assert catalog.credit_table(path).astype(int).equals(rows[catalog.COLUMNS].astype(int))
    assert catalog.digest_of_credit(path) == catalog.digest_of_credit(tmp_path / "same.parquet")
    people = catalog.read_credit_default(data.find("credit_default"), [path])
    assert people.source == "real" and people.labels.tolist() == rows[TARGET].tolist()


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "other.zip"
    path.write_bytes(zip_of({"other.xls": b""}))
    with refuses("holds no readable default of credit card clients.xls"):
        catalog.credit_table(path)
    table().to_parquet(tmp_path / "other.parquet")
    with refuses("lacks the columns id"):
        catalog.credit_table(tmp_path / "other.parquet")


def test_the_stand_in_has_the_name_and_the_columns_of_the_data():
    drawn = data.load("credit_default", source="simulated")
    assert (drawn.name, drawn.source) == ("credit_default", "simulated")
    assert list(drawn.inputs) == INPUTS and list(drawn.audit) == AUDIT
    assert len(drawn) == len(simulate_credit_default())
