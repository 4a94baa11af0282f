"""Pytest plugin: one run of a notebook serves both "every cell runs" (nbval) and the claims its records make."""

import pytest
from nbval.plugin import IPyNbCell

EXECUTED = pytest.StashKey[dict[str, list[dict]]]()
LAST = ("test_own_data.py", "test_claims.py")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Unit tests first, then the notebooks, then what is said about them."""
    items.sort(key=_rank)
    config.stash[EXECUTED] = {item.path.stem: [] for item in items if isinstance(item, IPyNbCell)}


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Keep the records that a cell has just displayed."""
    if isinstance(item, IPyNbCell):
        from sslbook.report import records_in

        item.config.stash[EXECUTED][item.path.stem] += records_in(item.test_outputs or ())


@pytest.fixture
def executed(pytestconfig: pytest.Config) -> dict[str, list[dict]]:
    """Records of each notebook that belongs to this run, by its name without suffix."""
    return pytestconfig.stash[EXECUTED]


def _rank(item: pytest.Item) -> int:
    if isinstance(item, IPyNbCell):
        return 1
    return 2 + LAST.index(item.path.name) if item.path.name in LAST else 0
