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
