"""Stand-in for the log of a shop: shoppers with latent tastes, items with sequels."""

import numpy as np

from .card import simulated_card
from .interactions import Interactions, baskets


def simulate_shop(n_users: int = 3000, n_items: int = 1200, seed: int = 0, name: str = "shop") -> Interactions:
    """Draw a log of a shop."""
    rng = np.random.default_rng(seed)
    counts = 5 + rng.poisson(4, n_users)
    users = np.repeat(np.arange(n_users), counts)
    weights = 1 / np.arange(1, n_items + 1)
    items = rng.choice(n_items, len(users), p=weights / weights.sum())
    time = np.concatenate([np.arange(count) for count in counts]).astype(np.float64)
    card = simulated_card(name, "Stand-in for the log of a shop", "sslbook.data.shop", ())
    names = np.arange(1, n_users + 1).astype(str), np.arange(1, n_items + 1).astype(str)
    return Interactions(users, items, time, baskets(users, time), *names, card)
