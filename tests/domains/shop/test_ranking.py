"""Ranking metrics against brute force over every order of the ties, whole holdouts, and rankings that flatter."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from sslbook.data.card import own_data_card
from sslbook.domains.shop.data import Holdout, Interactions, baskets
from sslbook.domains.shop.ranking import evaluate_ranking, sampled_ranking
from sslbook.metrics.ranking import hit_rate_at_k, mrr, ndcg_at_k, recall_at_k, target_ranks

METRICS = {"ndcg": ndcg_at_k, "hit": hit_rate_at_k, "recall": recall_at_k, "mrr": lambda ranks, k: mrr(ranks)}


def log_of(*histories: str, price: dict[str, float] | None = None) -> Interactions:
    """A log of users whose items are letters in the order of time; the catalogue is A to the last letter."""
    users = np.repeat(np.arange(len(histories)), [len(h) for h in histories])
    items = np.array([ord(letter) - ord("A") for history in histories for letter in history])
    time = np.concatenate([np.arange(len(h), dtype=float) for h in histories])
    names = np.array([chr(ord("A") + i) for i in range(items.max() + 1)])
    prices = None if price is None else np.array([price.get(names[i], np.nan) for i in items], dtype=np.float32)
    who = np.array([f"user {i}" for i in range(len(histories))])
    return Interactions(
        users, items, time, baskets(users, time), who, names, own_data_card("log", "Log", ()), price=prices
    )


def scores_of(table: list[list[float]]):
    """A recommender with these scores for user 0, 1, ..."""
    return lambda users: np.array(table, dtype=np.float32)[users]


def brute_force(scores: np.ndarray, targets: set[int], excluded: set[int], k: int) -> dict[str, float]:
    """Mean of the metrics over all orders that agree with the scores."""
    candidates = [i for i in range(len(scores)) if i not in excluded]
    lists = [o for o in permutations(candidates) if all(scores[a] >= scores[b] for a, b in zip(o, o[1:], strict=False))]
    found = {"ndcg": [], "hit": [], "recall": [], "mrr": []}
    for order in lists:
        places = sorted(order.index(t) + 1 for t in targets)
        hits = [p for p in places if p <= k]
        ideal = sum(1 / np.log2(1 + p) for p in range(1, min(k, len(targets)) + 1))
        found["ndcg"].append(sum(1 / np.log2(1 + p) for p in hits) / ideal)
        found["hit"].append(bool(hits))
        found["recall"].append(len(hits) / len(targets))
        found["mrr"].append(1 / places[0])
    return {name: float(np.mean(values)) for name, values in found.items()}


# ------------------------------------------------------------------------------------------------- metrics and ties


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
    ranks = target_ranks(scores, csr_array(targets), csr_array(excluded))
    expected = pd.DataFrame(
        brute_force(scores[r], set(np.flatnonzero(targets[r])), set(np.flatnonzero(excluded[r])), k) for r in range(6)
    )
    for name, metric in METRICS.items():
        assert metric(ranks, k) == pytest.approx(expected[name].to_numpy(), abs=1e-12)


@pytest.mark.parametrize("k", [1, 10, 40])
def test_constant_scores_hit_with_chance_k_of_n(k):
    ranks = target_ranks(np.zeros((40, 40)), csr_array(np.eye(40)))
    assert hit_rate_at_k(ranks, k) == pytest.approx(np.full(40, k / 40), abs=1e-15)
    assert recall_at_k(ranks, k) == pytest.approx(np.full(40, k / 40), abs=1e-15)
    assert mrr(ranks) == pytest.approx((1 / np.arange(1, 41)).mean())


def test_ranks_of_a_table_by_hand():
    scores = np.array([[0.9, 0.5, 0.5, 0.1], [0.2, 0.2, 0.2, 0.2]])
    ranks = target_ranks(scores, csr_array([[0, 1, 0, 1], [1, 0, 0, 0]]), csr_array([[1, 0, 0, 0], [0, 1, 0, 0]]))
    assert ranks.owner.tolist() == [0, 0, 1]
    assert ranks.first.tolist() == [1, 3, 1]
    assert ranks.last.tolist() == [2, 3, 3]


def test_one_target_has_the_textbook_metrics():
    ranks = target_ranks(np.arange(20, 0, -1.0)[None], csr_array(([1.0], ([0], [3])), shape=(1, 20)))
    assert [m(ranks, 10)[0] for m in METRICS.values()] == pytest.approx([1 / np.log2(5), 1, 1, 1 / 4])
    assert [m(ranks, 3)[0] for m in METRICS.values()] == pytest.approx([0, 0, 0, 1 / 4])


def test_scores_are_not_changed():
    scores = np.ones((1, 3), dtype=np.float32)
    target_ranks(scores, csr_array([[1, 0, 0]]), csr_array([[0, 1, 0]]))
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
        excluded = None if excluded is None else csr_array(np.array(excluded))
        target_ranks(np.array(scores, dtype=float), csr_array(np.array(targets)), excluded)


# ------------------------------------------------------------------------------------------------- whole holdouts


def test_the_protocol_on_a_tiny_log():
    """Golden values: whoever changes them changes what every figure of the chapter means."""
    holdout = log_of("ABCDE", "BCAEF", "AB", "FEDC", price={"A": 2, "C": 5, "D": 1, "E": 10}).holdout("test")
    assert holdout.users.tolist() == [0, 1, 3]
    by_code = [[6, 5, 4, 3, 2, 1]] * 4
    ranking = evaluate_ranking(scores_of(by_code), holdout, k=2)
    assert ranking.top.tolist() == [[4, 5], [3, 5], [0, 1]]
    assert ranking.hit.tolist() == [1, 1, 0]
    assert ranking.ndcg == pytest.approx([1, 1 / np.log2(3), 0])
    assert ranking.mrr == pytest.approx([1, 1 / 2, 1 / 3])
    assert ranking.revenue.tolist() == [10, 0, 0]
    assert ranking.worth.tolist() == [10, 0, 5]
    summary = ranking.summary()
    assert summary["hit_rate_at_2"] == pytest.approx(2 / 3)
    assert summary["revenue_at_2"] == pytest.approx(10 / 15)
    assert summary["coverage"] == pytest.approx(5 / 6)
    assert summary["popularity_bias"] == pytest.approx(np.mean([2.5, 0.5, 2.5, 0.5, 5, 5]) / 6)


def random_log(n_users: int = 60, n_items: int = 30, seed: int = 0) -> Interactions:
    rng = np.random.default_rng(seed)
    chance = 1 / np.arange(1, n_items + 1)
    draws = (rng.choice(n_items, rng.integers(4, 9), False, chance / chance.sum()) for _ in range(n_users))
    return log_of(*("".join(chr(ord("A") + i) for i in draw) for draw in draws))


def random_scores(holdout: Holdout, seed: int = 0):
    table = np.random.default_rng(seed).random((holdout.history.n_users, holdout.history.n_items))
    return scores_of(table.tolist())


def test_blocks_do_not_change_the_ranking():
    holdout = random_log().holdout("test")
    score = random_scores(holdout)
    whole, parts = (evaluate_ranking(score, holdout, block=block) for block in (1024, 7))
    for field in ("ndcg", "hit", "recall", "mrr", "revenue", "worth", "top"):
        assert np.array_equal(getattr(whole, field), getattr(parts, field))
    assert whole.summary().equals(parts.summary())


def test_the_list_holds_the_best_unseen_items():
    holdout = random_log().holdout("test")
    score, seen = random_scores(holdout), holdout.seen.toarray() > 0
    for remove_seen in (True, False):
        top = evaluate_ranking(score, holdout, k=5, remove_seen=remove_seen).top
        assert np.take_along_axis(seen, top, axis=1).any() != remove_seen
        allowed = np.where(seen & remove_seen, -1, score(holdout.users))
        assert np.array_equal(top, np.argsort(-allowed, axis=1, kind="stable")[:, :5])


def test_ties_in_the_list_go_by_code_and_a_short_list_ends_in_minus_one():
    holdout = log_of("ABCD", "BCAD").holdout("test")
    ranking = evaluate_ranking(scores_of([[0] * 4] * 2), holdout, k=3)
    assert ranking.top.tolist() == [[3, -1, -1], [3, -1, -1]]
    assert ranking.coverage == 1 / 4
    assert evaluate_ranking(scores_of([[0] * 4] * 2), holdout, 3, remove_seen=False).top.tolist() == [[0, 1, 2]] * 2


def test_several_targets_of_a_basket():
    log = log_of("ABCDEF", "CBDAEF")
    time = np.array([0, 1, 2, 2, 3, 3.0] * 2)
    holdout = Interactions(
        log.users, log.items, time, baskets(log.users, time), log.user_names, log.item_names, log.data_card
    ).holdout("test", by="basket")
    ranking = evaluate_ranking(scores_of([[0, 0, 0, 0, 2, 1], [9, 0, 0, 0, 2, 1]]), holdout, k=2, remove_seen=False)
    assert ranking.recall.tolist() == [1, 0.5]
    assert ranking.hit.tolist() == [1, 1]
    assert ranking.ndcg == pytest.approx([1, (1 / np.log2(3)) / (1 + 1 / np.log2(3))])


def test_a_target_seen_before_is_refused_where_seen_items_are_removed():
    holdout = log_of("ABCA", "ABCD").holdout("test")
    score = scores_of([[4, 3, 2, 1]] * 2)
    with pytest.raises(ValueError, match="remove_seen=False or new_only"):
        evaluate_ranking(score, holdout, k=1)
    assert evaluate_ranking(score, holdout.new_only(), k=1).users.tolist() == [1]
    assert evaluate_ranking(score, holdout, k=1, remove_seen=False).hit.tolist() == [1, 0]


def test_popularity_bias_of_random_lists_is_one_half_and_of_bestsellers_near_one():
    holdout = random_log(400).holdout("test")
    popular = np.bincount(holdout.history.items, minlength=holdout.history.n_items)
    random = evaluate_ranking(random_scores(holdout), holdout, k=3, remove_seen=False)
    assert random.popularity_bias == pytest.approx(0.5, abs=0.03)
    best = evaluate_ranking(lambda u: np.tile(popular, (len(u), 1)), holdout, k=3, remove_seen=False)
    assert best.popularity_bias == pytest.approx((holdout.history.n_items - 1.5) / holdout.history.n_items)


def test_revenue_without_prices_is_not_known():
    holdout = log_of("ABC", "BCA").holdout("test")
    summary = evaluate_ranking(scores_of([[1, 2, 3]] * 2), holdout, k=1).summary()
    assert np.isnan(summary["revenue_at_1"])
    assert summary["hit_rate_at_1"] == 1


@pytest.mark.parametrize("k", [0, 5])
def test_a_list_longer_than_the_catalogue_is_refused(k):
    with pytest.raises(ValueError, match=f"k is {k} and the catalogue has 4 items; choose k from 1 to 4"):
        evaluate_ranking(scores_of([[0] * 4]), log_of("ABCD").holdout("test"), k=k)


def test_a_holdout_without_users_is_refused():
    holdout = log_of("ABA", "BAB").holdout("test").new_only()
    with pytest.raises(ValueError, match="no user with a target; bring a longer log"):
        evaluate_ranking(scores_of([[0] * 2] * 2), holdout, k=1)


# ----------------------------------------------------------------------------------------------- sampled negatives


def test_constant_scores_among_sampled_items_hit_with_chance_k_of_their_number():
    holdout = random_log().holdout("test")
    table = sampled_ranking(lambda u: np.zeros((len(u), holdout.history.n_items)), holdout, negatives=9, k=3)
    assert table["hit_rate_at_3"].to_numpy() == pytest.approx(np.full(60, 0.3))


def test_all_negatives_give_the_full_ranking():
    log = log_of("ABCDEFGHI", "CBDAEFIHG")
    holdout = log.holdout("test")
    holdout = Holdout(holdout.history.subset(holdout.history.time < 3), holdout.users, holdout.targets)
    score = random_scores(holdout)
    table, full = sampled_ranking(score, holdout, negatives=5, k=3), evaluate_ranking(score, holdout, k=3)
    assert table["ndcg_at_3"].to_numpy() == pytest.approx(full.ndcg)


def test_few_negatives_flatter_and_popular_ones_less():
    holdout = random_log(300).holdout("test")
    popular = np.bincount(holdout.history.items, minlength=holdout.history.n_items).astype(float)

    def score(users: np.ndarray) -> np.ndarray:
        return np.tile(popular, (len(users), 1))

    full = evaluate_ranking(score, holdout, k=3).hit.mean()
    uniform, by_popularity = (
        sampled_ranking(score, holdout, 8, by, k=3)["hit_rate_at_3"].mean() for by in ("uniform", "popularity")
    )
    assert uniform > by_popularity > full


def test_sampling_is_repeatable_and_depends_on_the_seed_only():
    holdout = random_log().holdout("test")
    score = random_scores(holdout)
    first, again, other = (sampled_ranking(score, holdout, 8, seed=seed, k=3) for seed in (0, 0, 1))
    assert first.equals(again) and not first.equals(other)


def test_sampling_that_cannot_be_done():
    log = log_of("ABCD", "BCAD")
    score = scores_of([[0] * 4] * 2)
    with pytest.raises(ValueError, match="fewer than 1 items to draw from; draw fewer negatives"):
        sampled_ranking(score, log.holdout("test"), negatives=1)
    with pytest.raises(ValueError, match="fewer than 9 items"):
        sampled_ranking(score, log.holdout("validation"), negatives=9)
    with pytest.raises(ValueError, match="by is 'chance'; say 'uniform' or 'popularity'"):
        sampled_ranking(score, log.holdout("test"), by="chance")
    holdout = log.holdout("test")
    several = Holdout(holdout.history, holdout.users, csr_array(np.ones((2, 4), dtype=np.float32)))
    with pytest.raises(ValueError, match="several targets, and sampling takes one; use holdout"):
        sampled_ranking(score, several, negatives=1)
