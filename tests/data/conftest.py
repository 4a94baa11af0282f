"""Settings of the tests of data."""

import pytest

from sslbook import data
from sslbook.worlds import imaging as imaging_world


@pytest.fixture(autouse=True)
def stand_in_of_tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The data set "tiny", where a test puts it in the catalog, has a stand-in like all others."""
    monkeypatch.setitem(data.stand_ins(), "tiny", imaging_world.simulate_pneumoniamnist)
