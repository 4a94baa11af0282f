"""What the chapters found, as tables: of a committed notebook, and of its full study where there is one."""

import json

import pytest

from sslbook import results
from tests.test_report import RECORD, notebook


def test_results_table_has_methods_by_budget_then_single_figures():
    table = results.results_table([
        RECORD | {"name": "auc/simclr_probe@4708", "value": 0.97, "low": None, "high": None},
        RECORD,
        RECORD | {"name": "auc/pixels_lr@47", "value": 0.892},
        RECORD | {"name": "error_reduction/a_vs_b@47", "value": 0.3, "low": 0.1, "high": 0.5},
        RECORD | {"name": "own_auc/simclr_probe@8", "dataset": "mine"},
    ])  # fmt: skip
    assert table.splitlines() == [
        "**xrays**",
        "",
        "| auc | 47 labels | 4,708 labels |",
        "| --- | --- | --- |",
        "| simclr probe | 0.953 [0.941, 0.964] | 0.970 |",
        "| pixels lr | 0.892 [0.941, 0.964] |  |",
        "",
        "| figure | value [95 % interval] | runs |",
        "| --- | --- | --- |",
        "| error reduction, a vs b, 47 labels | 0.300 [0.100, 0.500] | 15 |",
    ]


def test_results_table_says_simulated():
    assert "**SIMULATED: xrays**" in results.results_table([RECORD | {"source": "simulated"}])


def test_command_line_writes_json_and_refreshes_the_readme(tmp_path):
    path = tmp_path / "10_films.ipynb"
    path.write_text(json.dumps(notebook(RECORD, RECORD | {"name": "seconds/chapter", "value": 90.0, "unit": "s"})))
    readme = tmp_path / "README.md"
    readme.write_text(
        "before\n<!-- results -->\nold\n<!-- end of results -->\nafter\n<!-- time 10_films -->?<!-- end -->\n"
    )
    results.main([str(path), "--json", str(tmp_path / "r.json"), "--readme", str(readme)])
    text = readme.read_text()
    assert "old" not in text and "0.953" in text and "<!-- time 10_films -->1.5 min<!-- end -->" in text
    assert text.startswith("before\n") and "\nafter\n" in text
    assert results.refresh_readme(text, [path]) == text
    assert json.loads((tmp_path / "r.json").read_text())["10_films"][0] == RECORD


def test_a_readme_without_markers_is_refused():
    with pytest.raises(ValueError, match="lacks the lines"):
        results.refresh_readme("nothing here", [])


def test_a_full_study_takes_the_place_of_the_reading_run_and_brings_its_verdicts(tmp_path):
    path = tmp_path / "10_films.ipynb"
    path.write_text(json.dumps(notebook(RECORD | {"value": 0.5}, RECORD | {"name": "seconds/chapter", "value": 90.0})))
    readme = "<!-- results -->\n<!-- end of results -->\n<!-- time 10_films -->?<!-- end -->"
    alone = results.refresh_readme(readme, [path])
    assert "From one reading run of [10_films](notebooks/10_films.ipynb)" in alone and "0.500 [0.941" in alone
    (tmp_path / "evidence").mkdir()
    full = {"records": [RECORD], "parameters": {"DRAWS": 10, "NETWORK_SEEDS": 5}, "date": "2030-01-02"}
    full |= {"verdicts": {"auc_difference/a_vs_b@47": "a against b: gain", "other/one": "a against b: gain"}}
    (tmp_path / "evidence" / "10.json").write_text(json.dumps(full))
    both = results.refresh_readme(readme, [path])
    assert "From the full study (draws: 10, network seeds: 5; 2030-01-02) of [10_films]" in both
    assert "0.500 [" not in both and "0.953 [0.941, 0.964]" in both and "1.5 min" in both
    assert both.count("- a against b: gain") == 1


def test_chapters_table_says_what_notebooks_and_full_studies_do(tmp_path):
    fraud, xrays = tmp_path / "11_fraud.ipynb", tmp_path / "10_xrays.ipynb"
    for path, title, *records in (
        (fraud, "# Which cards?\n\nA bank.", RECORD | {"name": "seconds/chapter", "value": 90.0, "dataset": "cards"}),
        (xrays, "# Which X-rays?", RECORD | {"source": "simulated"}, RECORD | {"name": "own_auc/a", "dataset": "mine"}),
    ):
        book = notebook(*records)
        book["cells"][0]["source"] = title
        path.write_text(json.dumps(book))
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence" / "10.json").write_text(json.dumps({"date": "2030-01-02"}))
    assert results.chapters_table([fraud, xrays]).splitlines() == [
        "| page | title | data | time | full study |",
        "| --- | --- | --- | --- | --- |",
        "| [10_xrays](10_xrays.ipynb) | Which X-rays? | xrays (simulated) | not measured | 2030-01-02 |",
        "| [11_fraud](11_fraud.ipynb) | Which cards? | cards | 1.5 min | not yet |",
    ]


def test_without_the_other_chapters_a_sentence_says_where_they_are(tmp_path):
    path = tmp_path / "00_start.ipynb"
    path.write_text(json.dumps(notebook(RECORD)))
    for found in ([], [path]):
        assert results.chapters_table(found).startswith("The other chapters are not in this folder.")
