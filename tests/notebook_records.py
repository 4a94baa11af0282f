"""Pytest plugin: one run of a notebook serves both "every cell runs" (nbval) and the claims its records make.

Finished runs of studies are kept in a folder that is empty when the tests begin and gone when they end, so that nothing
is proved by what an earlier run left behind.
"""

import os
import tempfile
import time

import pytest
from nbval.plugin import IPyNbCell

EXECUTED = pytest.StashKey[dict[str, list[dict]]]()
SPANS = pytest.StashKey[dict[str, list[float]]]()
STORE = pytest.StashKey[tempfile.TemporaryDirectory]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[STORE] = tempfile.TemporaryDirectory(prefix="sslbook-runs-", ignore_cleanup_errors=True)
    os.environ["SSLBOOK_RUNS"] = config.stash[STORE].name


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[STORE].cleanup()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Unit tests first, then the notebooks, then what is said about them, then their runs with other parameters."""
    items.sort(key=_rank)
    config.stash[EXECUTED] = {item.path.stem: [] for item in items if isinstance(item, IPyNbCell)}
    config.stash[SPANS] = {}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if isinstance(item, IPyNbCell):
        item.config.stash[SPANS].setdefault(item.path.stem, [time.monotonic()] * 2)


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Keep the records that a cell has just displayed, and the time."""
    if isinstance(item, IPyNbCell):
        from sslbook.report import MIME

        shown = [output for output in item.test_outputs or () if MIME in output.get("data", ())]
        item.config.stash[EXECUTED][item.path.stem] += shown
        item.config.stash[SPANS][item.path.stem][1] = time.monotonic()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Seconds of each notebook, from the start of its first cell to the end of its last."""
    spans = config.stash.get(SPANS, {})
    if spans:
        terminalreporter.section("seconds of each notebook")
    for name, (start, end) in spans.items():
        terminalreporter.write_line(f"{end - start:8.1f} s  {name}")


@pytest.fixture
def executed(pytestconfig: pytest.Config) -> dict[str, list[dict]]:
    """Records of each notebook that belongs to this run, by its name without suffix."""
    from sslbook.report import records_in

    return {name: records_in(outputs) for name, outputs in pytestconfig.stash[EXECUTED].items()}


@pytest.fixture
def executed_outputs(pytestconfig: pytest.Config, executed: dict) -> dict[str, dict]:
    """The same with what stands beside the records, each as a notebook of one cell."""
    return {name: {"cells": [{"outputs": outputs}]} for name, outputs in pytestconfig.stash[EXECUTED].items()}


def _rank(item: pytest.Item) -> int:
    if isinstance(item, IPyNbCell):
        return 1
    for rank, mark in ((3, "smoke"), (4, "own_data")):
        if item.get_closest_marker(mark):
            return rank
    return 2 if "executed" in item.fixturenames else 0
