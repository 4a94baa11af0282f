"""What a network reads: pictures from bytes, numbers as they are, or a stream of each."""

import numpy as np
import pytest
import torch
from torch import nn

from sslbook import encoders, pretext
from sslbook.augment import count, network_input, reads, take
from sslbook.augment.views import Augment
from sslbook.encoders.features import encode
from tests.conftest import refuses

PICTURES = np.random.default_rng(0).integers(0, 256, (5, 8, 6, 1), dtype=np.uint8)
ROWS = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)


class Reader(nn.Module):
    """Reads what it is told."""

    def __init__(self, reads=None):
        super().__init__()
        if reads is not None:
            self.reads = reads


def test_pictures_become_channels_in_front_between_0_and_1():
    found = network_input(Reader("pictures"), PICTURES)
    assert found.shape == (5, 1, 8, 6) and found.dtype == torch.float32
    np.testing.assert_allclose(found.permute(0, 2, 3, 1), PICTURES / 255, rtol=1e-6)


@pytest.mark.parametrize("cases", [ROWS, ROWS.astype(np.int16), ROWS[::-1], ROWS[:0]])
def test_numbers_stay_as_they_are(cases):
    for network in (Reader("numbers"), Reader()):
        found = network_input(network, cases)
        assert np.array_equal(found.numpy(), cases) and found.numpy().dtype == cases.dtype


def test_streams_are_read_each_as_the_network_says():
    cases = {"picture": PICTURES, "row": ROWS}
    found = network_input(Reader({"picture": "pictures", "row": "numbers"}), cases)
    assert list(found) == ["picture", "row"]
    assert found["picture"].shape == (5, 1, 8, 6) and np.array_equal(found["row"].numpy(), ROWS)
    both = network_input(Reader("pictures"), {"left": PICTURES, "right": PICTURES})
    assert torch.equal(both["left"], both["right"]), "one word holds for all streams"


@pytest.mark.parametrize("cases", [PICTURES, {"row": ROWS, "picture": PICTURES}], ids=["array", "streams"])
@pytest.mark.parametrize("said", [None, "numbers"])
def test_bytes_are_refused_where_the_network_does_not_say_pictures(cases, said):
    with refuses("cases are bytes", "the network must say reads = 'pictures'", error=ValueError):
        network_input(Reader(said), cases)


def test_encoders_must_say_so_too():
    with refuses("must say reads = 'pictures'", error=ValueError):
        encode(nn.Sequential(nn.Flatten(), nn.Linear(48, 2)), PICTURES)


def test_an_objective_reads_what_its_encoder_reads():
    encoder = encoders.ResNet(width=4)
    assert reads(encoder) == reads(pretext.SimCLR(encoder, Augment())) == "pictures"
    assert reads(nn.Linear(3, 2)) == "numbers"


@pytest.mark.parametrize("index", [slice(1, 3), np.array([4, 0]), np.array([True, False, True, False, False])])
def test_some_cases_are_taken_from_every_stream(index):
    cases = {"picture": PICTURES, "row": ROWS}
    some = take(cases, index)
    assert np.array_equal(some["picture"], PICTURES[index]) and np.array_equal(some["row"], ROWS[index])
    assert np.array_equal(take(ROWS, index), ROWS[index])
    assert (count(cases), count(ROWS), count(some)) == (5, 5, 2)
