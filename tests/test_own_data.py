"""The imaging chapter, on a folder that it does not know."""

import os
from pathlib import Path

import papermill
import pytest

from sslbook.report import records_in
from tests.house_rules import NOTEBOOKS


def test_imaging_chapter_runs_on_a_foreign_folder(tmp_path):
    folder = Path(os.environ.get("SSLBOOK_DATA", "")).absolute() / "samples" / "brain_mri"
    if not folder.is_dir():
        pytest.skip("there is no samples/brain_mri in $SSLBOOK_DATA")
    executed = tmp_path / "executed.ipynb"
    papermill.execute_notebook(
        NOTEBOOKS / "10_medical_imaging.ipynb",
        executed,
        {"OWN_DATA": str(folder), "SOURCE": "simulated"},
        cwd=NOTEBOOKS,
        kernel_name="python3",
        progress_bar=False,
        execution_timeout=900,
    )
    own = [r for r in records_in(executed) if r["name"].startswith("own_auc/")]
    assert {r["source"] for r in own} == {"real"}
    assert {r["name"].split("/")[1].split("@")[0] for r in own} >= {"pixels_lr", "simclr_probe"}
    assert all(0 <= r["value"] <= 1 for r in own)
