"""Rankings of whole holdouts, recommenders in a study, and rankings among a few items, which flatter."""

from dataclasses import replace
from functools import lru_cache, partial

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.stats import t as student

from sslbook.data.card import own_data_card
from sslbook.domains.shop import ranking as ranking_module
from sslbook.domains.shop.data import Holdout, Interactions
from sslbook.domains.shop.ranking import (
    Ranking,
    evaluate_model,
    evaluate_ranking,
    ranking_method,
    ranking_metrics,
    ranking_study,
    sampled_ranking,
)
from sslbook.parallel import RunError
from sslbook.study import Study
from sslbook.verdict import compare
from sslbook.worlds.shop import simulate_shop


def log_of(*histories: str, price: dict[str, float] | None = None) -> Interactions:
    """A log of users whose items are letters in the order of time; the catalogue is A to the last letter."""
    users = np.repeat(np.arange(len(histories)), [len(h) for h in histories])
    items = np.array([ord(letter) - ord("A") for history in histories for letter in history])
    time = np.concatenate([np.arange(len(h), dtype=float) for h in histories])
    names = np.array([chr(ord("A") + i) for i in range(items.max() + 1)])
    prices = None if price is None else np.array([price.get(names[i], np.nan) for i in items], dtype=np.float32)
    who = np.array([f"user {i}" for i in range(len(histories))])
    return Interactions(users, items, time, who, names, own_data_card("log", "Log", ()), price=prices)


def scores_of(table: list[list[float]]):
    """A recommender with these scores for user 0, 1, ..."""
    return lambda users: np.array(table, dtype=np.float32)[users]


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


def test_blocks_do_not_change_the_ranking(monkeypatch):
    holdout = random_log().holdout("test")
    score = random_scores(holdout)
    whole, sampled = evaluate_ranking(score, holdout), sampled_ranking(score, holdout, 8, "popularity", k=3)
    monkeypatch.setattr(ranking_module, "BLOCK", 7)
    parts = evaluate_ranking(score, holdout)
    assert sampled.equals(sampled_ranking(score, holdout, 8, "popularity", k=3))
    for field in ("ndcg", "hit", "recall", "revenue", "worth", "top"):
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
    holdout = replace(log, time=time).holdout("test", by="basket")
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


# --------------------------------------------------------------------------------------- the study over users


@lru_cache
def holdout_of_shop() -> Holdout:
    return simulate_shop(n_users=300, n_items=100, seed=0).holdout("test")


def ranked(noise: float, seed: int = 0, k: int = 10, holdout: Holdout | None = None) -> Ranking:
    """A recommender that knows the targets, behind so much noise."""
    holdout, rng = holdout or holdout_of_shop(), np.random.default_rng([seed, int(100 * noise)])
    scores = np.zeros((holdout.history.n_users, holdout.history.n_items))
    scores[holdout.users] = holdout.targets.toarray() + rng.normal(0, noise, holdout.targets.shape)
    ranking = evaluate_ranking(lambda users: scores[users], holdout, k, remove_seen=False)
    return replace(ranking, cv_scores={f"ndcg_at_{k}": 1 - noise / 10, f"hit_rate_at_{k}": 1 - noise / 10})


@lru_cache
def study_of_recommenders() -> Study:
    methods = [
        ranking_method("ssl", "ssl", partial(ranked, 0.5), (0, 1, 2), setup_seconds=7.0),
        ranking_method("markov", "classical", lambda seed: ranked(0.7)),
        ranking_method("popularity", "trivial", lambda seed: ranked(3.0)),
    ]
    return ranking_study(methods, holdout_of_shop())


def test_recommenders_are_studied_over_users():
    study, n = study_of_recommenders(), len(holdout_of_shop().users)
    assert study.budgets == [n] and study.unit == "users" and study.n_test == n
    assert study.frame["method"].tolist() == ["ssl"] * 3 + ["markov", "popularity"]
    assert study.frame["draw"].eq(0).all() and study.frame["seed"].tolist() == [0, 1, 2, 0, 0]
    for row, ranking in zip(study.frame.itertuples(), study.predictions, strict=True):
        assert (row.ndcg_at_10, row.hit_rate_at_10) == pytest.approx((ranking.ndcg.mean(), ranking.hit.mean()))
    assert study.best_other("ndcg_at_10", n) == "markov"
    assert study.costs().loc["ssl", "setup_seconds"] == 7.0
    verdict = compare(study, "ndcg_at_10", "ssl", "markov", n)
    assert verdict.outcome == "gain" and verdict.lift_low > 0 and study.single == {n}
    assert f"at {n} users: ndcg_at_10" in str(verdict) and "relative +" in str(verdict)


def test_the_interval_over_users_is_that_of_a_mean():
    study, n = study_of_recommenders(), len(holdout_of_shop().users)
    values = study.predictions[3].ndcg
    mean, low, high = study.interval("ndcg_at_10", "markov", n)
    assert mean == pytest.approx(values.mean())
    half = student.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n)
    assert (mean - low, high - mean) == pytest.approx((half, half))


def test_users_are_paired_across_recommenders():
    study, n = study_of_recommenders(), len(holdout_of_shop().users)
    difference = study.predictions[3].hit - study.predictions[4].hit
    verdict = compare(study, "hit_rate_at_10", "markov", "popularity", n)
    half = student.ppf(0.975, n - 1) * difference.std(ddof=1) / np.sqrt(n)
    assert (verdict.high - verdict.low) / 2 == pytest.approx(half)
    itself = compare(study, "hit_rate_at_10", "markov", "markov", n)
    assert (itself.difference, itself.low, itself.high) == (0, 0, 0)


def test_lists_of_another_length_are_another_metric():
    method = ranking_method("a", "classical", partial(ranked, 0.5, k=5))
    study = ranking_study([method], holdout_of_shop(), k=5, replicates=20)
    assert list(study.metrics) == ["ndcg_at_5", "hit_rate_at_5"]
    assert study.replicated("ndcg_at_5", "a", len(holdout_of_shop().users)).shape == (20,)


def test_a_ranking_of_another_length_or_of_other_users_is_refused():
    whole = holdout_of_shop()
    fewer = Holdout(whole.history, whole.users[:9], whole.targets[:9])
    for rank in (partial(ranked, 0.5, k=5), partial(ranked, 0.5, holdout=fewer)):
        with pytest.raises(RunError, match=r"use evaluate_ranking\(score, holdout, k=10\) with it"):
            ranking_study([ranking_method("a", "classical", rank)], whole)


def test_metrics_count_each_user_as_often_as_he_was_drawn():
    ranking, weights = ranked(0.7), np.random.default_rng(0).integers(0, 3, (4, len(holdout_of_shop().users)))
    for name, values in (("ndcg_at_10", ranking.ndcg), ("hit_rate_at_10", ranking.hit)):
        scores = ranking_metrics(holdout_of_shop())[name](ranking, weights)
        assert scores == pytest.approx([values.repeat(times).mean() for times in weights])


def test_a_ranking_holds_arrays_and_numbers_only_so_that_a_store_can_keep_it():
    values = dict(vars(ranked(0.7)))
    cv_scores = values.pop("cv_scores")
    assert all(isinstance(value, np.ndarray | int | float) for value in values.values())
    assert cv_scores and all(type(score) is float for score in cv_scores.values())


class Popularity:
    """Recommends what was bought most in the history it was fitted on, and remembers those."""

    def __init__(self) -> None:
        self.fitted = []

    def fit(self, history: Interactions) -> "Popularity":
        self.fitted.append(history)
        return self

    def score(self, users: np.ndarray) -> np.ndarray:
        history = self.fitted[-1]
        return np.tile(np.bincount(history.items, minlength=history.n_items), (len(users), 1)).astype(float)


def test_a_model_is_fitted_anew_for_the_validation_part_and_scored_on_it():
    log = simulate_shop(n_users=200, n_items=100, seed=0)
    test, validation, model = log.holdout("test"), log.holdout("validation"), Popularity()
    ranking = evaluate_model(model, test, validation, k=5, remove_seen=False)
    assert [len(history.items) for history in model.fitted] == [len(validation.history.items), len(test.history.items)]
    before = evaluate_ranking(Popularity().fit(validation.history).score, validation, 5, remove_seen=False)
    assert ranking.cv_scores == pytest.approx({"ndcg_at_5": before.ndcg.mean(), "hit_rate_at_5": before.hit.mean()})
    plain = evaluate_ranking(Popularity().fit(test.history).score, test, 5, remove_seen=False)
    assert np.array_equal(ranking.ndcg, plain.ndcg)
    assert evaluate_model(Popularity(), test, k=5, remove_seen=False).cv_scores == {}


def test_recommenders_on_one_encoder_say_so():
    assert ranking_method("a", "supervised", ranked, (0, 1, 2), encoder="sasrec").encoder == "sasrec"


def test_rivals_among_recommenders_are_chosen_on_the_validation_part():
    methods = [
        ranking_method("lucky", "classical", lambda seed: replace(ranked(0.5), cv_scores={"ndcg_at_10": 0.1})),
        ranking_method("steady", "classical", lambda seed: replace(ranked(0.7), cv_scores={"ndcg_at_10": 0.2})),
        ranking_method("silent", "ssl", lambda seed: replace(ranked(0.7), cv_scores={}), (0, 1, 2), setup_seconds=1.0),
    ]
    study = ranking_study(methods, holdout_of_shop(), replicates=20)
    assert study.best_other("ndcg_at_10", study.budgets[0]) == "steady"
    with pytest.raises(ValueError, match="lucky reports no hit_rate_at_10 by cross-validation at 300 users"):
        study.best_other("hit_rate_at_10", study.budgets[0])


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
