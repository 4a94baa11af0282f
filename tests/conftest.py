"""Settings of all tests."""

import pytest
import torch
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Networks of tests are so small that a second thread only waits, on a busy machine for long."""
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
