"""The chapters, on data that they do not know."""

import os
from pathlib import Path

import papermill
import pytest

from sslbook.domains.driving.camvid import CLASSES
from sslbook.report import records_in
from tests.house_rules import NOTEBOOKS


def run(chapter: str, parameters: dict, folder: Path) -> list[dict]:
    """Records of a chapter that is executed with other parameters."""
    executed = folder / "executed.ipynb"
    settings = {"kernel_name": "python3", "progress_bar": False, "execution_timeout": 900}
    papermill.execute_notebook(NOTEBOOKS / f"{chapter}.ipynb", executed, parameters, cwd=NOTEBOOKS, **settings)
    return records_in(executed)


def test_imaging_chapter_runs_on_a_foreign_folder(tmp_path):
    folder = Path(os.environ.get("SSLBOOK_DATA", "")).absolute() / "samples" / "brain_mri"
    if not folder.is_dir():
        pytest.skip("there is no samples/brain_mri in $SSLBOOK_DATA")
    small = {"SOURCE": "simulated", "EPOCHS": 10, "DRAWS": 2}
    recorded = run("10_medical_imaging", {"OWN_DATA": str(folder)} | small, tmp_path)
    own = [r for r in recorded if r["name"].startswith("own_auc/")]
    assert {r["source"] for r in own} == {"real"}
    assert {r["name"].split("/")[1].split("@")[0] for r in own} >= {"pixels_lr", "simclr_probe"}
    assert all(0 <= r["value"] <= 1 for r in own)


def test_fraud_chapter_runs_on_a_foreign_table(tmp_path):
    """A table without entities, with times in seconds; the chapter's own worlds are drawn small to save time."""
    table = Path(os.environ.get("SSLBOOK_DATA", "")).absolute() / "prepared" / "creditcard_sample.parquet"
    if not table.is_file():
        pytest.skip("there is no prepared/creditcard_sample.parquet in $SSLBOOK_DATA")
    own = {"OWN_DATA": str(table), "OWN_TIME": "Time", "OWN_LABEL": "Class", "OWN_ENTITY": "", "OWN_DELAY": "1h"}
    small = {"SOURCE": "simulated", "CARDS": 1500, "DAYS": 120, "ROW_DRAWS": 2, "DRAWS": 2, "PRETRAINING_SEEDS": 1}
    recorded = run("11_fraud", own | small, tmp_path)
    records = [r for r in recorded if r["name"].startswith("own_average_precision/")]
    assert {(r["source"], r["dataset"]) for r in records} == {("real", "creditcard_sample")}
    scores = {r["name"].split("/")[1]: r["value"] for r in records}
    assert all(0 <= score <= 1 for score in scores.values())
    assert max(scores.values()) > 0.5, "frauds of this table are easy to rank"


def test_driving_chapter_runs_on_a_foreign_folder(tmp_path):
    """The official layout with few frames, its own void; the chapter's own training is cut short to save time."""
    folder = Path(os.environ.get("SSLBOOK_DATA", "")).absolute() / "samples" / "camvid"
    if not folder.is_dir():
        pytest.skip("there is no samples/camvid in $SSLBOOK_DATA")
    own = {"OWN_DATA": str(folder), "OWN_CLASSES": ",".join(CLASSES), "OWN_VOID": 11}
    small = {"SOURCE": "simulated", "PASSES": 2, "STEPS": 20, "LONG": 1, "DRAWS": 2, "PRETRAINING_SEEDS": 2}
    recorded = run("13_driving_scenes", own | small, tmp_path)
    records = [r for r in recorded if r["name"].startswith("own_mean_iou/")]
    assert {r["source"] for r in records} == {"real"}
    scores = {r["name"].split("/")[1]: r["value"] for r in records}
    assert scores.keys() == {"pixels_lr@all", "ssl_plus_raw@all"}
    assert 0.15 < scores["pixels_lr@all"] < 1, "six frames are enough for road and sky"


def test_recommendation_chapter_runs_on_a_foreign_log(tmp_path):
    """A log with cancelled orders, guests and repeats; the chapter's own training is cut short to save time."""
    log = Path(os.environ.get("SSLBOOK_DATA", "")).absolute() / "prepared" / "online_retail.parquet"
    if not log.is_file():
        pytest.skip("there is no prepared/online_retail.parquet in $SSLBOOK_DATA")
    own = {"OWN_DATA": str(log), "OWN_USER": "CustomerID", "OWN_ITEM": "StockCode", "OWN_TIME": "InvoiceDate"}
    own |= {"OWN_TITLE": "Description", "OWN_QUANTITY": "Quantity"}
    small = {"SOURCE": "simulated", "EPOCHS": 2, "SHOP_EPOCHS": 1, "PRETRAINING_SEEDS": 1, "DRAWS": 2, "WIDTH": 32}
    recorded = run("12_recommendation", own | small, tmp_path)
    records = [r for r in recorded if r["name"].startswith("own_ndcg_at_10/")]
    assert {(r["source"], r["dataset"]) for r in records} == {("real", "online_retail")}
    scores = {r["name"].split("/")[1]: r["value"] for r in records}
    assert scores.keys() == {"popularity", "repeat_purchase", "itemknn_recency", "markov", "sasrec"}
    assert 0 <= min(scores.values()) and scores["markov"] > scores["popularity"]
