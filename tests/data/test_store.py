"""The cache: official bytes or a sentence, and the stand-in only where there is no network."""

import errno
import hashlib
import io
import tempfile
import time
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import requests

from sslbook import data
from sslbook.data import store
from sslbook.domains import fraud, imaging
from sslbook.worlds.fraud import creditcard_table
from tests.conftest import closed_port, files_in, refuses


def test_downloads_once_and_verifies(tiny, host):
    path = tiny(f"{host}/good")
    images = data.load("tiny", source="real")
    assert images.source == "real"
    assert files_in(path.parent) == ["tiny.npz"]
    before = path.stat().st_mtime_ns
    tiny(closed_port())
    assert data.fetch("tiny") == [path]
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize("bad", ["/cut", "/short", "/wrong", "/busy"])
def test_second_address_serves_when_the_first_is_bad(tiny, host, bad):
    path = tiny(f"{host}{bad}", f"{host}/good")
    assert data.fetch("tiny") == [path]


def test_truncated_download_is_never_replaced_by_the_stand_in(tiny, host, payload):
    path = tiny(f"{host}/cut")
    with refuses("tiny.npz", f"expected {len(payload):,} bytes", "found 8,192 bytes", "broken off", "run again"):
        data.load("tiny")
    assert files_in(path.parent) == []


@pytest.mark.parametrize(("bad", "size"), [("/short", "1,000 bytes"), ("/wrong", "bytes with sha256")])
def test_other_bytes_are_never_kept(tiny, host, bad, size):
    path = tiny(f"{host}{bad}")
    with refuses("tiny.npz", size, "127.0.0.1", "by hand"):
        data.load("tiny")
    assert files_in(path.parent) == []


def test_wrong_hash_in_the_cache_names_both_and_the_mend(tiny, host, payload):
    path = tiny(f"{host}/good")
    path.parent.mkdir(parents=True)
    path.write_bytes(payload[:1000])
    with refuses("tiny.npz", f"{len(payload):,} bytes", "1,000 bytes", "sha256", "delete it"):
        data.load("tiny")


def test_file_placed_by_hand_is_used(tiny, payload):
    path = tiny(closed_port())
    path.parent.mkdir(parents=True)
    path.write_bytes(payload)
    assert data.load("tiny").source == "real"


def test_read_only_cache_serves(tiny, payload):
    path = tiny(closed_port())
    path.parent.mkdir(parents=True)
    path.write_bytes(payload)
    path.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        assert data.load("tiny").source == "real"
    finally:
        path.parent.chmod(0o755)


def test_read_only_cache_without_the_file(tiny, host, monkeypatch):
    path = tiny(f"{host}/good")
    path.parent.mkdir(parents=True)

    def denied(*_, **__):  # as the system answers everyone but root
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", denied)
    with refuses("tiny.npz", "not writable", "SSLBOOK_DATA"):
        data.load("tiny")


def test_cache_that_cannot_be_made(tiny, host, cache):
    tiny(f"{host}/good")
    cache.write_text("a file where the folder should be")
    with refuses("tiny.npz", "not writable", "SSLBOOK_DATA"):
        data.load("tiny")


def test_full_disk(tiny, host, monkeypatch):
    path = tiny(f"{host}/good")

    def write_half(self, url, target, pooch):
        Path(target).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store.pooch.HTTPDownloader, "__call__", write_half)
    with refuses("tiny.npz", "disk is full", "SSLBOOK_DATA"):
        data.load("tiny")
    assert files_in(path.parent) == []


@pytest.mark.parametrize("address", ["closed", "busy", "none"])
def test_no_network_gives_the_stand_in_loudly(tiny, host, monkeypatch, capsys, address):
    tiny({"closed": closed_port(), "busy": f"{host}/busy", "none": "https://host.invalid/file"}[address])
    if address == "none":

        def unreachable(*_, **__):
            raise requests.ConnectionError("Network is unreachable")

        monkeypatch.setattr(requests, "get", unreachable)
    images = data.load("tiny")
    assert images.source == "simulated"
    assert "SIMULATED" in images.data_card._repr_html_()
    printed = capsys.readouterr().out
    assert "SIMULATED DATA instead of tiny" in printed
    assert "tiny.npz" in printed
    with refuses("tiny.npz", "connect and run again", "by hand", error=data.Offline):
        data.load("tiny", source="real")


def test_silent_network_is_given_up_in_time(tiny, host, monkeypatch):
    assert store.PATIENCE < 5
    monkeypatch.setattr(store, "PATIENCE", 0.3)
    tiny(f"{host}/silent", f"{host}/silent?2")
    start = time.perf_counter()
    with refuses("cannot be downloaded", error=data.Offline):  # whichever of two clocks is first
        data.fetch("tiny")
    assert time.perf_counter() - start < 3, "a silent host is not waited for"


def test_name_look_up_that_hangs_is_given_up_in_time(tiny, monkeypatch):
    monkeypatch.setattr(store, "PATIENCE", 0.2)

    def hang(*_, **__):
        time.sleep(6)
        raise requests.ConnectionError

    monkeypatch.setattr(requests, "get", hang)
    tiny("https://host.invalid/file")
    start = time.perf_counter()
    with refuses("host.invalid", error=data.Offline):
        data.fetch("tiny")
    assert time.perf_counter() - start < 3


def test_offline_switch_forbids_the_network(tiny, host, monkeypatch):
    tiny(f"{host}/good")
    monkeypatch.setenv("SSLBOOK_OFFLINE", "1")
    assert data.load("tiny").source == "simulated"


def test_large_downloads_only_when_asked_for(tiny, host, cache, monkeypatch, capsys):
    path = tiny(f"{host}/good")
    entry = data.catalog()["tiny"]
    for size, source in ((data.LARGE + 1, "simulated"), (data.LARGE, "real")):
        file = replace(entry.files[0], size=size)
        monkeypatch.setitem(data.catalog(), "tiny", replace(entry, files=(file,)))
        assert data.load("tiny").source == source
        assert path.exists() == (source == "real")
        printed = capsys.readouterr().out
        for said in ("SIMULATED DATA instead of tiny", "100 MB", "data_scripts/fetch.py tiny", "load('tiny', 'real')"):
            assert (said in printed) == (source == "simulated")
    path.unlink()
    monkeypatch.setitem(data.catalog(), "tiny", replace(entry, files=(replace(file, size=data.LARGE + 1),)))
    assert data.load("tiny", source="real").source == "real"
    assert data.load("tiny").source == "real"  # from the cache


def test_only_what_is_missing_counts_as_a_download(cache, tmp_path):
    entry = data.find("beauty")
    assert store.to_download(entry) == entry.size
    place(store.local_path(entry.files[0]), b"there")
    assert store.to_download(entry) == entry.files[1].size
    place(store.local_path(data.find("creditcard").alternative[0]), b"there")
    assert store.to_download(data.find("creditcard")) == 0


@pytest.mark.parametrize("name", ["camvid", "lgg_mri", "creditcard"])
def test_large_data_sets_of_the_catalog_wait_until_they_are_asked_for(cache, monkeypatch, capsys, name):
    monkeypatch.setattr(requests, "get", None)  # nobody is asked
    monkeypatch.setitem(data.stand_ins(), name, lambda: "stand-in")
    assert data.load(name) == "stand-in"
    assert f"{data.find(name).size / 1e6:.0f} MB are downloaded only when asked for" in capsys.readouterr().out


def test_source_can_be_chosen(capsys):
    images = data.load("pneumoniamnist", source="simulated")
    assert images.source == "simulated"
    assert capsys.readouterr().out == ""
    with refuses("'fake'", "'auto'"):
        data.load("pneumoniamnist", source="fake")


def test_unknown_name_lists_the_catalog():
    with refuses("'chestmnist'", "pneumoniamnist", "lgg_mri"):
        data.load("chestmnist")


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("SSLBOOK_DATA", str(tmp_path))
    assert data.cache_dir() == tmp_path
    monkeypatch.delenv("SSLBOOK_DATA")
    assert data.cache_dir().name == "sslbook"


@pytest.mark.parametrize("entry", data.catalog().values(), ids=lambda entry: entry.name)
def test_catalog_entries_are_complete(entry):
    assert entry.licence and entry.citation and entry.provenance and entry.known_problems
    assert 0 <= entry.positive < max(len(entry.classes), 1)
    for file in (*entry.files, *entry.alternative):
        assert len(file.sha256) == 64
        assert all(url.startswith("https://") for url in file.urls)
    assert all(file.urls for file in entry.files)
    stand_in = data.stand_ins()[entry.name]()
    assert stand_in.name == entry.name
    assert stand_in.source == "simulated"
    if isinstance(stand_in, imaging.Images):
        assert stand_in.classes == entry.classes
        assert stand_in.positive == entry.positive


class TestAlternative:
    @pytest.fixture
    def both(self, tiny, payload, monkeypatch):
        """A data set "tiny" whose alternative, a file without an address, may be in the cache."""

        def put(url: str) -> tuple[Path, Path]:
            official = tiny(url)
            entry = data.catalog()["tiny"]
            sample = replace(entry.files[0], name="sample.npz", urls=(), folder="prepared")
            monkeypatch.setitem(data.catalog(), "tiny", replace(entry, alternative=(sample,)))
            place(official.parents[1] / "prepared" / "sample.npz", payload)
            return official, official.parents[1] / "prepared" / "sample.npz"

        return put

    def test_serves_before_any_download(self, both, host):
        official, sample = both(f"{host}/good")
        assert data.fetch("tiny") == [sample]
        assert not official.exists()
        assert data.load("tiny").source == "real"

    def test_official_file_goes_first(self, both, payload):
        official, _ = both(closed_port())
        place(official, payload)
        assert data.fetch("tiny") == [official]

    def test_without_it_the_official_file_is_downloaded(self, both, host):
        official, sample = both(f"{host}/good")
        sample.unlink()
        assert data.fetch("tiny") == [official]

    def test_without_it_and_without_network_the_stand_in_is_drawn(self, both):
        _, sample = both(closed_port())
        sample.unlink()
        assert data.load("tiny").source == "simulated"

    def test_wrong_hash_is_refused(self, both, payload):
        _, sample = both(closed_port())
        sample.write_bytes(payload[:-1])
        with refuses("sample.npz", "not the official file", "delete it"):
            data.load("tiny")


def place(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.fixture
def place_official(cache, monkeypatch):
    """Place other content as the first file of an entry, with the hash that the catalog then expects."""

    def put(name: str, content: bytes) -> Path:
        entry = data.catalog()[name]
        file = replace(entry.files[0], size=len(content), sha256=hashlib.sha256(content).hexdigest())
        monkeypatch.setitem(data.catalog(), name, replace(entry, files=(file,)))
        path = cache / "raw" / file.name
        place(path, content)
        return path

    return put


@pytest.fixture
def official_csv(place_official):
    """Place a small file in the format of creditcard.csv."""

    def put(table) -> Path:
        lines = [",".join(f'"{column}"' for column in table)]
        lines += [",".join(map(str, row[:-1])) + f',"{row[-1]}"' for row in table.to_numpy(dtype=object)]
        return place_official("creditcard", ("\n".join(lines) + "\n").encode())

    return put


def test_official_creditcard_table(official_csv):
    table = creditcard_table(1000)
    again = pd.concat([table, table.iloc[[3]]]).sort_values("Time", kind="stable", ignore_index=True)
    official_csv(again)
    payments = data.load("creditcard", source="real")
    assert isinstance(payments, fraud.Transactions)
    assert payments.delay == 3600
    assert len(payments.validation) == 0
    assert len(payments.test) == 400
    assert payments.numeric_names == (*(f"V{i}" for i in range(1, 29)), "Amount")
    assert (payments.everything.labels == table["Class"]).all()
    assert payments.everything.time == pytest.approx(table["Time"])
    assert payments.everything.numeric[:, 0] == pytest.approx(table["V1"], rel=1e-5)
    assert (payments.everything.weights == 1).all()
    assert list(payments.everything.details) == []
    said = " ".join(payments.data_card.known_problems)
    assert "1 rows that repeat another" in said
    assert "sample" not in said


def test_creditcard_file_that_lacks_a_column(official_csv):
    path = official_csv(creditcard_table(1000).drop(columns="V7"))
    with refuses(str(path), "lacks the columns V7", "official file"):
        data.load("creditcard")


def test_creditcard_without_network(cache, monkeypatch, capsys):
    monkeypatch.setenv("SSLBOOK_OFFLINE", "1")
    assert data.load("creditcard").source == "simulated"
    assert "SIMULATED DATA instead of creditcard" in capsys.readouterr().out


class TestBeauty:
    FILES = (b"1 3 1 2\n2 2 3\n3 1 2 3\n", b'{"3": [1, 2], "1": [4]}')

    @pytest.fixture
    def small(self, cache, monkeypatch):
        """Place small files in the format of the official two, with the hashes the catalog expects."""
        entry = data.catalog()["beauty"]
        files = [
            replace(file, size=len(content), sha256=hashlib.sha256(content).hexdigest())
            for file, content in zip(entry.files, self.FILES, strict=True)
        ]
        for file, content in zip(files, self.FILES, strict=True):
            place(cache / "raw" / file.name, content)
        monkeypatch.setitem(data.catalog(), "beauty", replace(entry, files=tuple(files)))
        return cache / "raw"

    def test_lines_are_histories(self, small):
        log = data.load("beauty", source="real")
        assert log.users.tolist() == [0, 0, 0, 1, 1, 2, 2, 2]
        assert log.items.tolist() == [2, 0, 1, 1, 2, 0, 1, 2]
        assert log.time.tolist() == [0, 1, 2, 0, 1, 0, 1, 2]
        assert log.attributes.toarray().tolist() == [[0, 0, 0, 1], [0, 0, 0, 0], [1, 1, 0, 0]]
        assert log.data_card == data.catalog()["beauty"].data_card

    def test_both_files_are_verified(self, small):
        (small / "Beauty_item2attributes.json").write_bytes(b"{}")
        with refuses("Beauty_item2attributes.json", "not the official file"):
            data.load("beauty")

    def test_one_file_alone_is_not_enough(self, small, monkeypatch, capsys):
        (small / "Beauty.txt").unlink()
        monkeypatch.setenv("SSLBOOK_OFFLINE", "1")
        with refuses("Beauty.txt is not in", error=data.Offline):
            data.load("beauty", source="real")
        assert data.load("beauty").source == "simulated"
        assert "SIMULATED DATA instead of beauty" in capsys.readouterr().out


CELLS = """<?xml version="1.0" encoding="UTF-8"?>
<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{rows}</sheetData></worksheet>"""
WORKBOOK = {
    "[Content_Types].xml": """<?xml version="1.0" encoding="UTF-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/>
<Override PartName="/xl/workbook.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>""",
    "_rels/.rels": """<?xml version="1.0" encoding="UTF-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1"
 Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/>
</Relationships>""",
    "xl/workbook.xml": """<?xml version="1.0" encoding="UTF-8"?>
<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"
 xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">
<sheets><sheet name="Online Retail" sheetId="1" r:id="rId1"/></sheets></workbook>""",
    "xl/_rels/workbook.xml.rels": """<?xml version="1.0" encoding="UTF-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1"
 Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/>
<Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles"
 Target="styles.xml"/></Relationships>""",
    "xl/styles.xml": """<?xml version="1.0" encoding="UTF-8"?>
<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><cellXfs count="2"><xf numFmtId="0"/>
<xf numFmtId="22" applyNumberFormat="1"/></cellXfs></styleSheet>""",
}  # as a spreadsheet program writes it; number format 22 is a date with a time


def workbook_of(table: pd.DataFrame) -> bytes:
    """A workbook of one sheet with a table."""

    def cell(value: object) -> str:
        if pd.isna(value):
            return "<c/>"
        if isinstance(value, pd.Timestamp):
            return f'<c s="1"><v>{(value - pd.Timestamp("1899-12-30")) / pd.Timedelta(days=1)}</v></c>'
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t>{value}</t></is></c>'
        return f"<c><v>{value}</v></c>"

    rows = [list(table), *table.astype(object).itertuples(index=False)]
    written = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
    return zip_of(WORKBOOK | {"xl/worksheets/sheet1.xml": CELLS.format(rows=written)})


def zip_of(members: dict[str, str | bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return content.getvalue()


class TestOnlineRetail:
    @pytest.fixture
    def table(self):
        """Two customers and a guest, six products, postage, and one order that is cancelled."""
        time = pd.Timestamp("2010-12-01 08:26")
        orders = [(17850.0, f"8512{i}A", time + pd.Timedelta(hours=i)) for i in range(5)]
        orders += [(13047.0, f"8512{i}A", time + pd.Timedelta(days=i)) for i in range(5)]
        orders += [
            (customer, code, time + pd.Timedelta(weeks=5))
            for customer in (17850.0, 13047.0)
            for code in (22423, "POST")
        ]
        rows = pd.DataFrame(orders * 4, columns=["CustomerID", "StockCode", "InvoiceDate"]).astype(
            {"StockCode": object}
        )
        rows["InvoiceDate"] += pd.to_timedelta(np.repeat(range(4), len(orders)) * 90, unit="D")
        rows = rows.assign(InvoiceNo=536365, Description="HOLDER", Quantity=6, UnitPrice=2.55, Country="United Kingdom")
        guest, back = rows.iloc[[0]].assign(CustomerID=None), rows.iloc[[5]].assign(Quantity=-6, InvoiceNo="C536379")
        return pd.concat([rows, guest, back.assign(InvoiceDate=time + pd.Timedelta(days=9))], ignore_index=True)

    @pytest.fixture
    def official(self, place_official):
        """Place an archive."""
        return partial(place_official, "online_retail")

    def test_workbook_in_the_archive(self, official, table):
        official(zip_of({"Online Retail.xlsx": workbook_of(table)}))
        log = data.load("online_retail", source="real")
        assert log.user_names.tolist() == ["13047", "17850"]
        assert log.item_names.tolist() == ["22423", *(f"8512{i}A" for i in range(5))]
        assert len(log) == 2 * 6 * 4 - 1
        assert log.start == pd.Timestamp("2010-12-01")
        assert log.time[0] == pytest.approx((8 + 24) * 3600 + 26 * 60)  # the order of day 0 was cancelled
        assert set(log.quantity) == {6}
        assert log.item_prices == pytest.approx(2.55)
        assert set(log.titles) == {"HOLDER"}
        said = " ".join(log.data_card.known_problems)
        assert "8 of 58 rows are postage" in said
        assert "1 of 50 rows have no user" in said
        assert "1 rows of negative quantity are cancellations: 1 purchases are wholly cancelled" in said

    def test_a_table_of_the_same_rows_reads_alike(self, official, table, tmp_path):
        official(zip_of({"Online Retail.xlsx": workbook_of(table)}))
        entry = data.catalog()["online_retail"]
        path = tmp_path / "online_retail.parquet"
        table.astype({"StockCode": str, "InvoiceNo": str}).to_parquet(path)
        one, two = data.load("online_retail", source="real"), entry.loader(entry, [path])
        for field in ("users", "items", "basket", "quantity", "price", "titles"):
            assert (getattr(one, field) == getattr(two, field)).all()
        assert one.time == pytest.approx(two.time)

    def test_damaged_archive(self, official, table):
        path = official(zip_of({"Online Retail.xlsx": workbook_of(table)}))
        path.write_bytes(path.read_bytes()[:-100])
        with refuses("online+retail.zip", "not the official file", "delete it"):
            data.load("online_retail")

    @pytest.mark.parametrize(
        "content", [b"no archive", zip_of({"other.xlsx": b""}), zip_of({"Online Retail.xlsx": b"x"})]
    )
    def test_archive_without_the_workbook(self, official, content):
        path = official(content)
        with refuses(str(path), "Online Retail.xlsx", "official file"):
            data.load("online_retail")

    def test_workbook_that_lacks_a_column(self, official, table):
        path = official(zip_of({"Online Retail.xlsx": workbook_of(table.drop(columns="StockCode"))}))
        with refuses(str(path), "lacks the columns StockCode", "official file"):
            data.load("online_retail")
