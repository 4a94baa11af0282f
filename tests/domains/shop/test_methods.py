"""Recommenders against loops and closed forms; nothing later than the history reaches a score."""

import warnings
from collections import Counter

import numpy as np
import pytest
import torch

from sslbook.data.card import own_data_card
from sslbook.domains.shop.data import Interactions, item_histories
from sslbook.domains.shop.methods import (
    EASE,
    Blend,
    ItemKNN,
    Markov,
    MatrixFactorisation,
    Popularity,
    Pretrained,
    RepeatPurchase,
    cooccurrence_vectors,
    inverse_in_place,
    profiles,
    visits,
    z_scores,
)
from sslbook.domains.shop.ranking import evaluate_ranking
from sslbook.encoders.items import ItemTransformer, item_scores

N_ITEMS = 12
EVERYBODY = np.arange(40)
RECOMMENDERS = [
    Popularity(),
    Popularity(half_life=2),
    RepeatPurchase(),
    ItemKNN(neighbours=4, shrinkage=2, decay=0.7),
    Markov(window=3, distance_decay=0.5, decay=0.6, backward=0.2, damping=0.5),
    EASE(penalty=3, decay=0.8),
    MatrixFactorisation(factors=4, iterations=5),
    Blend([Popularity(), Markov()], [0.3, 1]),
]


def shop(n_users: int = 40, repeats: bool = True, n_items: int = N_ITEMS) -> Interactions:
    """Users who make 3 to 7 visits at random, of one to three items, or of one new item where nothing repeats."""
    rng = np.random.default_rng(0)
    users, items, time = [], [], []
    for user in range(n_users):
        left = rng.permutation(n_items)
        for day in np.cumsum(rng.integers(1, 4, rng.integers(3, 8))):
            basket = rng.choice(n_items, rng.integers(1, 4), replace=False) if repeats else left[:1]
            left = left[1:]
            users += [user] * len(basket)
            items += sorted(basket)
            time += [86400.0 * day] * len(basket)
    users, items, time = np.array(users), np.array(items), np.array(time)
    who, names = (np.array([f"{i}" for i in range(n)]) for n in (n_users, n_items))
    return Interactions(users, items, time, who, names, own_data_card("shop", "Shop", ()))


def visits_of(log: Interactions, user: int) -> list[list[int]]:
    """Items of each visit of a user, in time."""
    of_user = log.users == user
    return [log.items[of_user & (log.basket == b)].tolist() for b in np.unique(log.basket[of_user])]


def scored_by_hand(log: Interactions, similar: np.ndarray, decay: float) -> np.ndarray:
    """Sum over the events of each user of decay^age times the row of the item."""
    scores = np.zeros((log.n_users, N_ITEMS))
    for user in range(log.n_users):
        for age, basket in enumerate(reversed(visits_of(log, user))):
            for item in basket:
                scores[user] += decay**age * similar[item]
    return scores


# --------------------------------------------------------------------------------------------- visits and profiles


def test_visits_are_the_baskets():
    log = shop()
    items, users = visits(log)
    expected = [(user, basket) for user in range(40) for basket in visits_of(log, user)]
    assert [(user, np.flatnonzero(row).tolist()) for user, row in zip(users, items.toarray(), strict=True)] == expected


@pytest.mark.parametrize("decay", [1.0, 0.6])
def test_profiles_forget_by_visits(decay):
    log = shop()
    assert profiles(log, decay).toarray() == pytest.approx(scored_by_hand(log, np.eye(N_ITEMS), decay), rel=1e-5)


def test_profiles_of_a_subset_count_the_visits_that_are_left():
    log = shop()
    part = log.subset(log.items % 3 == 0)
    assert profiles(part, 0.5).toarray() == pytest.approx(scored_by_hand(part, np.eye(N_ITEMS), 0.5), rel=1e-5)


# ----------------------------------------------------------------------------------- each recommender, second writing


def test_popularity_counts_and_halves():
    log = shop()
    assert np.array_equal(Popularity().fit(log).score(EVERYBODY[:3]), [np.bincount(log.items)] * 3)
    age = (log.time.max() - log.time) / 86400
    expected = [sum(0.5 ** (age[log.items == i] / 2)) for i in range(N_ITEMS)]
    assert Popularity(half_life=2).fit(log).score(np.array([7]))[0] == pytest.approx(np.array(expected), rel=1e-5)


def test_repeat_purchase_puts_own_items_first_then_popular_ones():
    log = shop()
    own, popular = scored_by_hand(log, np.eye(N_ITEMS), 0.9), np.bincount(log.items)
    for user, scores in enumerate(RepeatPurchase(0.9).fit(log).score(EVERYBODY)):
        order = np.argsort(-scores, kind="stable")
        mine = own[user][order] > 0
        assert (np.diff(mine.astype(int)) <= 0).all()
        assert (np.diff(own[user][order][mine]) <= 1e-6).all()
        assert (np.diff(popular[order][~mine]) <= 0).all()


@pytest.mark.parametrize("neighbours", [None, 4])
def test_item_neighbours_against_a_loop(neighbours):
    log = shop()
    takers = [set(log.users[log.items == i]) for i in range(N_ITEMS)]
    similar = np.zeros((N_ITEMS, N_ITEMS))
    for i, j in np.ndindex(similar.shape):
        if i != j:
            similar[i, j] = len(takers[i] & takers[j]) / (np.sqrt(len(takers[i]) * len(takers[j])) + 2)
    if neighbours is not None:
        for row in similar:
            row[np.argsort(-row, kind="stable")[neighbours:]] = 0
    model = ItemKNN(neighbours, shrinkage=2, decay=0.7).fit(log)
    assert model.score(EVERYBODY) == pytest.approx(scored_by_hand(log, similar, 0.7), rel=1e-5)


def test_of_equal_neighbours_the_first_are_kept():
    users, items = np.repeat(np.arange(4), 2), np.array([0, 1, 0, 2, 0, 3, 1, 2])
    who, names = np.arange(4).astype(str), np.arange(4).astype(str)
    log = Interactions(users, items, np.tile([0.0, 1.0], 4), who, names, own_data_card("shop", "Shop", ()))
    kept = ItemKNN(neighbours=1).fit(log).similar
    assert np.diff(kept.indptr).tolist() == [1, 1, 1, 1]
    assert kept.indices.tolist() == [3, 2, 1, 0]
    assert ItemKNN(neighbours=2).fit(log).similar.indices[:2].tolist() == [1, 3]


@pytest.mark.parametrize("settings", [(1, 1, 1, 0, 0), (3, 0.5, 0.6, 0, 0), (2, 0.8, 0.4, 0.3, 0.5), (50, 1, 1, 0, 1)])
def test_transitions_against_a_loop(settings):
    window, distance_decay, decay, backward, damping = settings
    log = shop()
    counts = Counter()
    for user in EVERYBODY:
        days = visits_of(log, user)
        for i, first in enumerate(days):
            for d, second in enumerate(days[i + 1 : i + 1 + window]):
                for a in first:
                    for b in second:
                        share = distance_decay**d / len(first) / len(second)
                        counts[a, b] += share
                        counts[b, a] += backward * share
    follows = np.zeros((N_ITEMS, N_ITEMS))
    for (a, b), count in counts.items():
        follows[a, b] = count / np.bincount(log.items)[a] ** damping
    assert Markov(*settings).fit(log).score(EVERYBODY) == pytest.approx(scored_by_hand(log, follows, decay), rel=1e-4)


@pytest.mark.parametrize("decay", [1.0, 0.8])
def test_ease_is_its_closed_form_and_solves_its_problem(decay):
    log = shop()
    taken = (log.matrix().toarray() > 0).astype(float)
    gram = taken.T @ taken + 3 * np.eye(N_ITEMS)
    inverse = np.linalg.inv(gram)
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    model = EASE(penalty=3, decay=decay).fit(log)
    assert model.weights == pytest.approx(weights, abs=1e-5)
    assert model.score(EVERYBODY) == pytest.approx(scored_by_hand(log, weights, decay), abs=1e-4)
    for j in range(N_ITEMS):  # ridge regression of each item on all others
        others = np.arange(N_ITEMS) != j
        ridge = np.linalg.solve(gram[np.ix_(others, others)], taken[:, others].T @ taken[:, j])
        assert model.weights[others, j] == pytest.approx(ridge, abs=1e-5)


def test_the_inverse_is_symmetric_and_written_over_the_matrix():
    half = np.random.default_rng(0).normal(size=(7, 20))
    matrix = half @ half.T
    given = matrix.astype(np.float32)
    inverse = inverse_in_place(given)
    assert inverse == pytest.approx(np.linalg.inv(matrix), abs=1e-4)
    assert np.array_equal(inverse, inverse.T) and np.shares_memory(inverse, given)
    with pytest.raises(ValueError, match="not positive definite; raise the penalty"):
        inverse_in_place(np.zeros((3, 3), dtype=np.float32))


def test_factors_find_two_tastes_and_depend_on_the_seed():
    rng = np.random.default_rng(0)
    users = np.repeat(EVERYBODY, 4)
    items = np.concatenate([6 * (u % 2) + rng.permutation(6)[:4] for u in EVERYBODY])
    time = np.tile(np.arange(4.0), 40)
    log = shop()
    log = Interactions(users, items, time, log.user_names, log.item_names, log.data_card)
    models = [MatrixFactorisation(4, 500, 0.01, seed=seed).fit(log) for seed in (0, 0, 1)]
    first, again, other = (model.score(EVERYBODY) for model in models)
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    mine = np.arange(N_ITEMS)[None] // 6 == EVERYBODY[:, None] % 2
    assert first[mine].mean() > first[~mine].mean() + 0.3


def test_factors_warn_of_nothing():
    with warnings.catch_warnings(action="error"):
        MatrixFactorisation(factors=4, iterations=2).fit(shop())


def test_weights_of_taken_items_draw_their_scores_to_one():
    log = shop()
    taken = log.matrix().toarray() > 0
    near = [MatrixFactorisation(2, 20, confidence=c).fit(log).score(EVERYBODY)[taken].mean() for c in (1, 50)]
    assert near[1] > near[0]


def test_z_scores_have_mean_zero_and_spread_one_unless_constant():
    scores = np.array([[1.0, 2, 3, 6], [5, 5, 5, 5]])
    assert z_scores(scores)[0] == pytest.approx((scores[0] - 3) / scores[0].std())
    assert z_scores(scores)[1].tolist() == [0, 0, 0, 0]


def test_a_blend_is_the_weighted_sum_of_its_parts_z_scores():
    log = shop()
    blend = Blend([Popularity(), Markov()], [0.3, 1]).fit(log)
    expected = 0.3 * z_scores(Popularity().fit(log).score(EVERYBODY)) + z_scores(Markov().fit(log).score(EVERYBODY))
    assert blend.score(EVERYBODY) == pytest.approx(expected)
    with pytest.raises(ValueError, match="shorter"):
        Blend([Popularity(), Markov()], [1]).fit(log).score(EVERYBODY)


# --------------------------------------------------------------------------------------------- what all have in common


@pytest.mark.parametrize("model", RECOMMENDERS, ids=repr)
def test_scores_are_of_the_users_asked_for(model):
    model.fit(shop())
    users = np.array([31, 2, 2])
    scores = model.score(users)
    assert scores.dtype == np.float32 and scores.shape == (3, N_ITEMS)
    assert scores == pytest.approx(model.score(EVERYBODY)[users], rel=1e-5)


@pytest.mark.parametrize("model", RECOMMENDERS, ids=repr)
@pytest.mark.parametrize("part", ["validation", "test"])
def test_what_comes_later_changes_no_score(model, part):
    """Another item in the last visit of everybody (for validation, in the last two) is another log with one history."""
    log = shop()
    later = log.holdout(part, by="basket").history
    known = np.isin(log.users + 1j * log.time, later.users + 1j * later.time)  # user and time of the visit
    items = np.where(known, log.items, (log.items + 1) % N_ITEMS)
    other = Interactions(
        log.users, items, log.time, log.user_names, log.item_names, log.data_card
    ).holdout(part, by="basket")  # fmt: skip
    assert not np.array_equal(log.items, items)
    assert np.array_equal(model.fit(later).score(EVERYBODY), model.fit(other.history).score(EVERYBODY))


@pytest.mark.parametrize("model", RECOMMENDERS, ids=repr)
def test_nothing_seen_is_recommended_unless_asked_for(model):
    holdout = shop(repeats=False).holdout("test")
    model.fit(holdout.history)
    seen = holdout.seen.toarray() > 0
    top = evaluate_ranking(model.score, holdout, k=3).top
    assert not np.take_along_axis(seen, top, axis=1).any()
    again = evaluate_ranking(model.score, holdout, k=3, remove_seen=False).top
    if not isinstance(model, MatrixFactorisation):
        assert np.take_along_axis(seen, again, axis=1).any()


@pytest.mark.parametrize("model", [Markov(), EASE(3), ItemKNN()], ids=repr)
def test_test_items_in_training_are_caught(model):
    """The control of the chapter: trained on the whole log, a recommender foretells chance."""
    log = shop(n_users=400, repeats=False, n_items=200)
    holdout = log.holdout("test")
    honest = evaluate_ranking(model.fit(holdout.history).score, holdout).hit.mean()
    model.fit(log)
    model.profiles = profiles(holdout.history, model.decay)
    leaky = evaluate_ranking(model.score, holdout).hit.mean()
    assert honest == pytest.approx(10 / 196, abs=3 * np.sqrt(0.05 / 400))
    assert leaky > 5 * honest


def test_a_pretrained_encoder_reads_the_last_items_of_its_users():
    torch.manual_seed(0)
    log, network = shop(), ItemTransformer(N_ITEMS, width=8, longest=4)
    scores = Pretrained(network).fit(log).score(np.array([5, 2]))
    marked = Pretrained(network, ends=True).fit(log).score(np.array([5]))[0]
    with_ends = item_histories(log, 4, ends=True)[[5]]
    np.testing.assert_allclose(marked, item_scores(network, with_ends)[0], rtol=1e-4, atol=1e-6)
    for user, row in zip((5, 2), scores, strict=True):
        last = log.items[log.users == user][-4:]
        np.testing.assert_allclose(row, item_scores(network, last[None].astype(np.int32))[0], rtol=1e-4, atol=1e-6)


def test_cooccurrence_vectors_are_the_singular_vectors_of_positive_information():
    log, size = shop(), 5
    together = Markov(3, distance_decay=0.5, backward=1.0).fit(log).follows.toarray()
    information = np.zeros_like(together)
    context = together.sum(axis=0) ** 0.75
    for i, j in np.argwhere(together > 0):
        chance = together[i].sum() / together.sum() * context[j] / context.sum()
        information[i, j] = max(0, np.log(together[i, j] / together.sum() / chance))
    left, values, _ = np.linalg.svd(information)
    vectors = cooccurrence_vectors(log, window=3, size=size)
    expected = left[:, :size] * np.sqrt(values[:size])
    np.testing.assert_allclose(vectors @ vectors.T, expected @ expected.T, atol=1e-3)
    wide = cooccurrence_vectors(log, size=20)
    assert wide.shape == (N_ITEMS, 20) and not wide[:, N_ITEMS:].any()


def test_items_bought_near_each_other_get_near_vectors():
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(60), 8)
    items = (users % 2) * 6 + rng.integers(6, size=len(users))  # two tastes: items 0 to 5, and 6 to 11
    time = np.tile(np.arange(8.0), 60)
    who, names = np.arange(60).astype(str), np.arange(12).astype(str)
    log = Interactions(users, items, time, who, names, own_data_card("shop", "Shop", ()))
    vectors = cooccurrence_vectors(log, size=2)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = vectors @ vectors.T
    same = np.arange(12)[:, None] // 6 == np.arange(12) // 6
    assert cosine[same].min() > cosine[~same].max()
