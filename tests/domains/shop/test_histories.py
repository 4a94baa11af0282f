"""The histories of users, against a loop."""

import numpy as np
import pytest

from sslbook.data.card import own_data_card
from sslbook.domains.shop.data import Interactions, item_histories


@pytest.mark.parametrize("longest", [1, 3, 10])
def test_the_last_items_of_every_user(longest):
    rng = np.random.default_rng(0)
    users = np.sort(rng.integers(6, size=25))
    users[users == 4] = 3  # user 4 did nothing
    items, time = rng.integers(9, size=25), np.arange(25.0)
    names = np.arange(9).astype(str)
    log = Interactions(users, items, time, names[:6], names, own_data_card("mine", "My shop", ()))
    for user, row in enumerate(item_histories(log, longest)):
        last = items[users == user][-longest:].tolist()
        assert row.tolist() == last + [-1] * (longest - len(last))


@pytest.mark.parametrize("longest", [1, 4, 20])
def test_the_end_of_every_basket_is_marked(longest):
    users = np.array([0, 0, 0, 1, 2, 2, 2])
    time = np.array([1.0, 1.0, 2.0, 1.0, 1.0, 3.0, 3.0])  # user 1 begins at the time at which user 0 began
    items, names = np.array([3, 1, 4, 1, 5, 2, 6]), np.arange(7).astype(str)
    log = Interactions(users, items, time, names[:4], names, own_data_card("mine", "My shop", ()))
    whole = [[3, 1, 7, 4, 7], [1, 7], [5, 7, 2, 6, 7], []]
    for row, expected in zip(item_histories(log, longest, ends=True), whole, strict=True):
        assert row.tolist() == expected[-longest:] + [-1] * (longest - len(expected[-longest:]))
