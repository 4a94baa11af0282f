"""Ranking metrics against brute force over every order of the ties, lists of the best items, and drawn negatives."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from sslbook.metrics.ranking import (
    Ranks,
    candidate_scores,
    draw_negatives,
    hit_rate_at_k,
    ndcg_at_k,
    recall_at_k,
    sampled_ranks,
    target_ranks,
    top_items,
)

METRICS = {"ndcg": ndcg_at_k, "hit": hit_rate_at_k, "recall": recall_at_k}


def ranks_of(scores: np.ndarray, targets: np.ndarray, excluded: np.ndarray | None = None) -> Ranks:
    targets = csr_array(np.array(targets))
    excluded = None if excluded is None else csr_array(np.array(excluded))
    return target_ranks(candidate_scores(scores, targets, excluded), targets)


def brute_force(scores: np.ndarray, targets: set[int], excluded: set[int], k: int) -> dict[str, float]:
    """Mean of the metrics over all orders that agree with the scores."""
    candidates = [i for i in range(len(scores)) if i not in excluded]
    lists = [o for o in permutations(candidates) if all(scores[a] >= scores[b] for a, b in zip(o, o[1:], strict=False))]
    found = {"ndcg": [], "hit": [], "recall": []}
    for order in lists:
        places = sorted(order.index(t) + 1 for t in targets)
        hits = [p for p in places if p <= k]
        ideal = sum(1 / np.log2(1 + p) for p in range(1, min(k, len(targets)) + 1))
        found["ndcg"].append(sum(1 / np.log2(1 + p) for p in hits) / ideal)
        found["hit"].append(bool(hits))
        found["recall"].append(len(hits) / len(targets))
    return {name: float(np.mean(values)) for name, values in found.items()}


@pytest.mark.parametrize("k", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_metrics_are_means_over_all_orders_of_the_ties(seed, k):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 3, (6, 7)).astype(np.float32)
    targets, excluded = np.zeros((2, 6, 7), dtype=np.float32)
    for row in range(6):
        drawn = rng.permutation(7)
        targets[row, drawn[: 1 + row % 3]] = 1
        excluded[row, drawn[5 : 5 + row % 2]] = 1
    ranks = ranks_of(scores, targets, excluded)
    expected = pd.DataFrame(
        brute_force(scores[r], set(np.flatnonzero(targets[r])), set(np.flatnonzero(excluded[r])), k) for r in range(6)
    )
    for name, metric in METRICS.items():
        assert metric(ranks, k) == pytest.approx(expected[name].to_numpy(), abs=1e-12)


@pytest.mark.parametrize("k", [1, 10, 40])
def test_constant_scores_hit_with_chance_k_of_n(k):
    ranks = ranks_of(np.zeros((40, 40)), np.eye(40))
    assert hit_rate_at_k(ranks, k) == pytest.approx(np.full(40, k / 40), abs=1e-15)
    assert recall_at_k(ranks, k) == pytest.approx(np.full(40, k / 40), abs=1e-15)


def test_ranks_of_a_table_by_hand():
    scores = np.array([[0.9, 0.5, 0.5, 0.1], [0.2, 0.2, 0.2, 0.2]])
    ranks = ranks_of(scores, [[0, 1, 0, 1], [1, 0, 0, 0]], [[1, 0, 0, 0], [0, 1, 0, 0]])
    assert ranks.owner.tolist() == [0, 0, 1]
    assert ranks.first.tolist() == [1, 3, 1]
    assert ranks.last.tolist() == [2, 3, 3]


def test_one_target_has_the_textbook_metrics():
    ranks = ranks_of(np.arange(20, 0, -1.0)[None], np.eye(20)[[3]])
    assert [m(ranks, 10)[0] for m in METRICS.values()] == pytest.approx([1 / np.log2(5), 1, 1])
    assert [m(ranks, 3)[0] for m in METRICS.values()] == pytest.approx([0, 0, 0])


def test_scores_are_not_changed():
    scores = np.ones((1, 3), dtype=np.float32)
    candidate_scores(scores, csr_array([[1, 0, 0]]), csr_array([[0, 1, 0]]))
    assert (scores == 1).all()


@pytest.mark.parametrize(
    ("scores", "targets", "excluded", "message"),
    [
        ([[0, np.nan, 1]], [[1, 0, 0]], None, "score of row 0, item 1 is nan; give finite scores"),
        ([[0, 1, -np.inf]], [[1, 0, 0]], None, "score of row 0, item 2 is -inf"),
        ([[0, 1, 2]], [[1, 0]], None, "scores have shape .1, 3., targets .1, 2.; give one score per user and item"),
        ([[0, 1, 2], [0, 1, 2]], [[1, 0, 0], [0, 0, 0]], None, "row 1 has no target; leave it out"),
        (
            [[0, 1, 2]],
            [[1, 0, 0]],
            [[1, 1, 0]],
            "item 0 is a target of row 0 and excluded; rank with remove_seen=False",
        ),
    ],
)
def test_scores_and_targets_that_cannot_be_ranked(scores, targets, excluded, message):
    with pytest.raises(ValueError, match=message):
        ranks_of(np.array(scores, dtype=float), targets, excluded)


def test_the_best_items_come_first_ties_by_code_and_a_short_list_ends_in_minus_one():
    scores = np.array([[0.1, 0.9, 0.5, 0.9], [-np.inf, 0.2, -np.inf, 0.2]], dtype=np.float32)
    assert top_items(scores, 3).tolist() == [[1, 3, 2], [1, 3, -1]]


def test_the_place_among_drawn_items():
    scores = np.array([[0.3, 0.9, 0.1, 0.3], [0.5, 0.4, 0.3, 0.2]])
    ranks = sampled_ranks(scores, np.array([0, 3]), np.array([[1, 3], [0, 2]]))
    assert (ranks.first.tolist(), ranks.last.tolist()) == ([2, 3], [3, 3])


def test_negatives_are_drawn_in_proportion_and_never_what_is_barred():
    barred = csr_array(np.tile([[1, 0, 0, 0, 0]], (4000, 1)))
    drawn = draw_negatives(np.array([9, 1, 2, 0, 3]), 2, barred, np.random.default_rng(0))
    assert set(drawn.ravel()) == {1, 2, 4} and (drawn[:, 0] != drawn[:, 1]).all()
    chance = 1 / 6 + 2 / 6 * 1 / 4 + 3 / 6 * 1 / 3  # item 1 first, after item 2, or after item 4
    assert (drawn == 1).any(axis=1).mean() == pytest.approx(chance, abs=0.03)
    with pytest.raises(ValueError, match="a user has fewer than 4 items to draw from; draw fewer negatives"):
        draw_negatives(np.array([9, 1, 2, 0, 3]), 4, barred, np.random.default_rng(0))
