"""Metrics against scikit-learn and brute force; probes on tasks whose answer is known."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score

from sslbook.metrics.base import bootstrap_weights
from sslbook.metrics.classification import average_precision, balanced_accuracy, recall_at_false_positive_rate, roc_auc
from sslbook.probes import decide, inner_folds, linear_probe, ridge_probe, standardise


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def two_columns(scores: np.ndarray) -> np.ndarray:
    return np.stack([1 - scores, scores], axis=1)


# ------------------------------------------------------------------------------------------------------- AUC


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_auc_equals_scikit_learn_with_and_without_ties(levels):
    labels = rng().integers(0, 2, 200)
    scores = np.round(rng(1).random(200) * 0.6 + labels * 0.3, 3) // (1 / levels) / levels
    assert roc_auc(labels, two_columns(scores)) == pytest.approx(roc_auc_score(labels, scores))


def test_auc_of_perfect_reversed_and_constant_scores():
    labels = np.array([0, 0, 1, 1, 1])
    assert roc_auc(labels, two_columns(labels.astype(float))) == 1
    assert roc_auc(labels, two_columns(1.0 - labels)) == 0
    assert roc_auc(labels, two_columns(np.full(5, 0.3))) == 0.5


def test_auc_of_several_classes_is_macro_one_versus_rest():
    labels = rng().integers(0, 4, 300)
    scores = rng(1).dirichlet(np.ones(4), 300) + 0.3 * np.eye(4)[labels]
    scores = np.round(scores / scores.sum(axis=1, keepdims=True), 2)
    expected = np.mean([roc_auc_score(labels == c, scores[:, c]) for c in range(4)])
    assert roc_auc(labels, scores) == pytest.approx(expected)


def test_weighted_auc_equals_the_auc_of_repeated_cases():
    labels, scores = rng().integers(0, 2, 60), np.round(rng(1).random(60), 1)
    weights = bootstrap_weights(60, replicates=25, seed=3)
    repeated = [np.repeat(np.arange(60), row.astype(int)) for row in weights]
    expected = [roc_auc_score(labels[rows], scores[rows]) for rows in repeated]
    np.testing.assert_allclose(roc_auc(labels, two_columns(scores), weights), expected)


def test_auc_accepts_fractional_weights():
    labels, scores, weights = rng().integers(0, 2, 60), np.round(rng(1).random(60), 1), rng(2).random((3, 60))
    expected = [roc_auc_score(labels, scores, sample_weight=w) for w in weights]
    np.testing.assert_allclose(roc_auc(labels, two_columns(scores), weights), expected)


def test_a_resample_without_one_class_has_no_auc():
    labels, scores = np.array([0, 0, 1]), two_columns(np.array([0.1, 0.2, 0.3]))
    values = roc_auc(labels, scores, np.array([[2.0, 1, 0], [1, 1, 1]]))
    assert np.isnan(values[0]) and values[1] == 1


# -------------------------------------------------------------------------------------------- other metrics


@pytest.mark.parametrize("classes", [2, 4])
def test_balanced_accuracy_equals_scikit_learn(classes):
    labels = np.minimum(rng().geometric(0.5, 200) - 1, classes - 1)
    decisions = np.where(rng(1).random(200) < 0.6, labels, rng(2).integers(0, classes, 200))
    weights = bootstrap_weights(200, 10, seed=1)
    assert balanced_accuracy(labels, decisions) == pytest.approx(balanced_accuracy_score(labels, decisions))
    expected = [balanced_accuracy_score(labels, decisions, sample_weight=w) for w in weights]
    np.testing.assert_allclose(balanced_accuracy(labels, decisions, weights), expected)


def test_base_rate_does_not_move_the_balanced_accuracy():
    labels = np.array([0] * 90 + [1] * 10)
    assert balanced_accuracy(labels, np.zeros(100, int)) == 0.5
    assert np.isnan(balanced_accuracy(labels, labels, np.r_[np.ones(90), np.zeros(10)][None]))[0]


# ---------------------------------------------------------------------------------------------- rare findings


def rare(n: int = 300, seed: int = 0, decimals: int = 6) -> tuple[np.ndarray, np.ndarray]:
    labels = (rng(seed).random(n) < 0.1).astype(int)
    return labels, np.round(rng(seed + 1).random(n) + 0.4 * labels, decimals)


@pytest.mark.parametrize("decimals", [0, 1, 6])
def test_average_precision_equals_scikit_learn_with_and_without_ties_and_weights(decimals):
    labels, scores = rare(decimals=decimals)
    assert average_precision(labels, scores) == pytest.approx(average_precision_score(labels, scores))
    assert average_precision(labels, two_columns(scores)) == average_precision(labels, scores)
    weights = np.concatenate([bootstrap_weights(300, 60, seed=2), rng(3).random((5, 300))])
    expected = [average_precision_score(labels, scores, sample_weight=w) for w in weights]
    np.testing.assert_allclose(average_precision(labels, scores, weights), expected)


def test_average_precision_of_repeated_cases_equals_the_weighted_one():
    labels, scores = rare(decimals=1)
    weights = bootstrap_weights(300, 10, seed=2)
    repeated = [np.repeat(np.arange(300), row.astype(int)) for row in weights]
    expected = [average_precision(labels[rows], scores[rows]) for rows in repeated]
    np.testing.assert_allclose(average_precision(labels, scores, weights), expected)


def test_average_precision_of_perfect_constant_and_hand_ranked_scores():
    labels = np.array([1, 0, 0, 1, 0, 0, 0, 0])
    assert average_precision(labels, labels.astype(float)) == 1
    assert average_precision(labels, np.full(8, 0.3)) == 2 / 8
    assert average_precision(labels, np.arange(8.0, 0, -1)) == pytest.approx((1 / 1 + 2 / 4) / 2)


@pytest.mark.parametrize("metric", [average_precision, recall_at_false_positive_rate])
def test_a_sample_without_a_finding_has_no_value(metric):
    labels, scores = np.array([0, 0, 1]), np.array([0.1, 0.2, 0.3])
    values = metric(labels, scores, weights=np.array([[2.0, 1, 0], [1, 1, 1]]))
    assert np.isnan(values[0]) and values[1] == 1
    assert np.isnan(metric(labels * 0, scores))


# ------------------------------------------------------------------------------------------------- bootstrap


def test_a_bootstrap_sample_has_as_many_cases_as_there_are():
    weights = bootstrap_weights(40, replicates=500, seed=0)
    assert weights.shape == (500, 40)
    assert (weights.sum(axis=1) == 40).all()
    assert weights.mean() == 1
    assert (weights == 0).mean() == pytest.approx((1 - 1 / 40) ** 40, abs=0.01)
    assert np.array_equal(weights, bootstrap_weights(40, 500, seed=0))
    assert not np.array_equal(weights, bootstrap_weights(40, 500, seed=1))


@pytest.mark.parametrize("groups", [None, np.arange(400) // 3], ids=["cases", "groups"])
def test_small_numbers_draw_the_same_samples_in_an_eighth_of_the_memory(groups):
    small, large = (bootstrap_weights(400, 130, 5, groups, dtype) for dtype in (np.uint8, float))
    assert small.dtype == np.uint8 and small.nbytes == large.nbytes / 8
    assert np.array_equal(small, large) and np.array_equal(large, bootstrap_weights(400, 130, 5, groups))
    labels, scores = rng().integers(0, 2, 400), rng(1).random(400)
    assert np.array_equal(roc_auc(labels, two_columns(scores), small), roc_auc(labels, two_columns(scores), large))


def test_cases_of_a_group_are_drawn_together():
    groups = np.array(["b", "a", "b", "c", "a", "b", "d"])
    weights = bootstrap_weights(7, replicates=300, seed=0, groups=groups)
    for group in "abcd":
        members = weights[:, groups == group]
        assert (members == members[:, :1]).all()
    firsts = weights[:, [0, 1, 3, 6]]
    assert (firsts.sum(axis=1) == 4).all(), "four groups are drawn"
    assert not (firsts[:, 0] == firsts[:, 1]).all()


# ------------------------------------------------------------------------------------------------ thresholds


def test_folds_hold_every_class_and_every_label_once():
    labels = np.array([0] * 4 + [1] * 30)
    folds = list(inner_folds(labels, seed=0))
    assert len(folds) == 4, "no more folds than cases of the rarest class"
    assert sorted(np.concatenate([held for _, held in folds]).tolist()) == list(range(34))
    for train, held in folds:
        assert not set(train) & set(held)
        assert set(labels[train]) == set(labels[held]) == {0, 1}


def test_many_labels_hold_out_one_fifth_once():
    labels = np.arange(1000) % 2
    ((train, held),) = inner_folds(labels, seed=0)
    assert len(train) == 800 and len(held) == 200
    assert not set(train) & set(held)
    assert labels[held].mean() == 0.5


@pytest.mark.parametrize("rare", [2, 3, 4, 5, 6, 9])
def test_a_rare_class_is_held_out_too_when_labels_are_many(rare):
    labels = (np.arange(471) < rare).astype(int)
    for seed in range(5):
        assert all(set(labels[held]) == {0, 1} for _, held in inner_folds(labels, seed))
    features = rng().normal(size=(471, 2)) + 6 * labels[:, None]
    assert (linear_probe(features, labels, features, n_classes=2).decisions == labels).mean() > 0.98


def test_folds_follow_from_the_seed():
    labels = np.arange(40) % 2
    first, again, other = ([held.tolist() for _, held in inner_folds(labels, seed)] for seed in (0, 0, 1))
    assert first == again != other


def cards_with_findings(n_cards: int = 60, stolen: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Ten rows of every card; half of the rows of a stolen card are fraud."""
    cards = rng().permutation(np.repeat(np.arange(n_cards), 10))
    return (cards < stolen) * rng(1).integers(0, 2, 10 * n_cards), cards


@pytest.mark.parametrize("stolen", [2, 3, 7, 60])
def test_no_card_is_in_two_folds_and_findings_are_dealt_out_evenly(stolen):
    labels, cards = cards_with_findings(stolen=stolen)
    folds = list(inner_folds(labels, seed=0, groups=cards))
    assert len(folds) == min(stolen, 5)
    assert sorted(np.concatenate([held for _, held in folds]).tolist()) == list(range(600))
    found = [len(set(cards[held][labels[held] == 1])) for _, held in folds]
    assert sum(found) == stolen and max(found) - min(found) <= 1
    for train, held in folds:
        assert not set(cards[train]) & set(cards[held])
        assert set(labels[train]) == {0, 1}


def test_many_cards_with_findings_hold_out_one_fifth_once():
    labels, cards = cards_with_findings(n_cards=60, stolen=30)
    assert len(list(inner_folds(labels, 0, few=29, groups=cards))) == 1
    assert len(list(inner_folds(labels, 0, few=30, groups=cards))) == 5
    rows = np.arange(1000)
    assert len(list(inner_folds((rows < 10).astype(int), 0, groups=rows))) == 5, "rows count by their findings"


def test_cards_that_cannot_be_split():
    labels, cards = cards_with_findings(stolen=1)
    with pytest.raises(ValueError, match="at least 2 groups with each of 2 classes; draw more groups"):
        inner_folds(labels, seed=0, groups=cards)
    with pytest.raises(ValueError, match="a fold would leave a class without labels"):
        for seed in range(10):  # one group holds both classes, and the split that keeps one of each is drawn by chance
            inner_folds(np.array([0, 1, 1, 0]), seed, groups=np.array([0, 0, 1, 2]))


@pytest.mark.parametrize("labels", [[0, 1, 1, 1], [1, 1, 1, 1], [0], []])
def test_one_class_or_one_label_of_a_class_is_too_few(labels):
    with pytest.raises(ValueError, match="at least 2 labels of each of 2 classes; draw more"):
        inner_folds(np.array(labels, dtype=int), seed=0)


def test_decide_finds_the_threshold_between_the_classes():
    labels = np.arange(400) % 2
    scores = np.clip(rng().normal(0.1 + 0.1 * labels, 0.02), 0.001, 0.999)  # one half would call all of them negative
    decisions = decide(two_columns(scores), labels, two_columns(np.array([0.08, 0.13, 0.17, 0.25])))
    assert decisions.tolist() == [0, 0, 1, 1]


def test_decide_does_not_follow_the_base_rate():
    labels = (np.arange(1000) % 10 == 0).astype(int)
    scores = 1 / (1 + np.exp(-rng().normal(4.0 * labels - 2, 1)))
    crossing = [decide(two_columns(scores), labels, two_columns(np.array([s])))[0] for s in (0.42, 0.58)]
    assert crossing == [0, 1], "the classes cross at one half; counting nine negatives to a positive, at .63"


def test_decide_among_several_classes_divides_by_the_frequencies():
    labels = np.array([0] * 8 + [1] * 1 + [2] * 1)
    scores = np.array([[0.7, 0.2, 0.1], [0.9, 0.05, 0.05], [0.5, 0.1, 0.4]])
    assert decide(np.zeros((10, 3)), labels, scores).tolist() == [1, 0, 2]


def test_a_class_that_was_not_held_out_does_not_swallow_all_cases():
    labels = np.array([0] * 20 + [1] * 20)  # class 2 is rare, and by chance no case of it was held out
    scores = np.array([[0.9, 0.09, 0.01], [0.1, 0.88, 0.02]])
    assert decide(np.zeros((40, 3)), labels, scores).tolist() == [0, 1]


# ---------------------------------------------------------------------------------------------------- probe


def task(n: int, d: int = 10, distance: float = 3.0, classes: int = 2, seed: int = 0) -> tuple:
    """Gaussian classes around corners ``distance`` apart."""
    labels = rng(seed).permutation(np.arange(n) % classes)
    centres = np.eye(classes, d) * distance / np.sqrt(2)
    return (centres[labels] + rng(seed + 1).normal(size=(n, d))).astype(np.float32), labels


def test_probe_learns_what_can_be_learnt():
    features, labels = task(540, distance=3.0)
    prediction = linear_probe(features[:40], labels[:40], features[40:], n_classes=2)
    assert prediction.scores.shape == (500, 2)
    np.testing.assert_allclose(prediction.scores.sum(axis=1), 1, atol=1e-6)
    assert roc_auc(labels[40:], prediction.scores) > 0.93
    assert balanced_accuracy(labels[40:], prediction.decisions) > 0.85


def test_probe_of_several_classes():
    features, labels = task(600, distance=5.0, classes=3)
    prediction = linear_probe(features[:60], labels[:60], features[60:], n_classes=3)
    assert set(prediction.decisions) == {0, 1, 2}
    assert balanced_accuracy(labels[60:], prediction.decisions) > 0.9


def test_a_class_that_was_not_drawn_gets_no_probability():
    features, labels = task(60, distance=5.0, classes=3)
    keep = labels[:60] < 2
    prediction = linear_probe(features[keep], labels[keep], features, n_classes=3)
    assert prediction.scores.shape == (60, 3)
    assert (prediction.scores[:, 2] == 0).all()
    assert set(prediction.decisions) == {0, 1}


def test_shuffled_labels_give_chance():
    features, labels = task(1100, distance=4.0)
    labels = rng(5).permutation(labels)
    prediction = linear_probe(features[:100], labels[:100], features[100:], n_classes=2)
    assert roc_auc(labels[100:], prediction.scores) == pytest.approx(0.5, abs=0.06)
    assert balanced_accuracy(labels[100:], prediction.decisions) == pytest.approx(0.5, abs=0.06)


def test_a_row_of_weight_three_is_three_rows():
    features, labels = task(340, distance=1.5)
    weight = 1.0 + 2 * (labels[:40] == 0)
    rows = np.repeat(np.arange(40), weight.astype(int))
    weighted = linear_probe(features[:40], labels[:40], features[40:], 2, groups=np.arange(40), sample_weight=weight)
    repeated = linear_probe(features[rows], labels[rows], features[40:], 2, groups=rows)
    plain = linear_probe(features[:40], labels[:40], features[40:], 2, groups=np.arange(40))
    np.testing.assert_allclose(weighted.scores, repeated.scores, atol=0.01)
    assert weighted.scores[:, 1].mean() < plain.scores[:, 1].mean() - 0.05


def test_probe_that_knows_the_cards_does_not_trust_what_only_tells_cards_apart():
    cards = np.repeat(np.arange(20), 10)
    labels = (cards % 2 == 0).astype(int)
    features = rng(2).normal(size=(20, 10))[cards] + 0.1 * rng().normal(size=(200, 10))
    fooled, wary = (linear_probe(features, labels, rng(1).normal(size=(300, 10)), 2, groups=g) for g in (None, cards))
    assert wary.scores[:, 1].std() < 0.1 < 0.3 < fooled.scores[:, 1].std()


def test_test_cases_do_not_change_one_another():
    features, labels = task(140)
    together = linear_probe(features[:40], labels[:40], features[40:], n_classes=2)
    alone = linear_probe(features[:40], labels[:40], features[40:41], n_classes=2)
    np.testing.assert_allclose(alone.scores[0], together.scores[0], rtol=1e-5)
    assert alone.decisions[0] == together.decisions[0]


def test_strength_of_the_penalty_is_chosen_by_what_held_out_labels_say():
    features, labels = task(240, d=50, distance=8.0)
    confidence = []
    for given in (labels[:40], rng().permutation(labels[:40])):
        scores = linear_probe(features[:40], given, features[40:], n_classes=2).scores
        confidence.append(np.abs(scores[:, 1] - 0.5).mean())
    assert confidence[0] > 0.4, "clear classes allow a weak penalty"
    assert confidence[1] < 0.15, "noise asks for a strong one"


def test_threshold_comes_from_the_labels_given_not_from_the_test_cases():
    features, labels = task(600, distance=2.0)
    shifted = features[100:] + np.float32(5)  # a shift of the test cases must move the decisions
    prediction = linear_probe(features[:100], labels[:100], features[100:], n_classes=2)
    moved = linear_probe(features[:100], labels[:100], shifted, n_classes=2)
    assert (prediction.decisions != moved.decisions).any()


def test_standardise_uses_the_pool():
    pool, other = rng().normal(3, [1.0, 5.0, 0.0], size=(500, 3)), rng(1).normal(0, 1, size=(20, 3))
    scaled, moved = standardise(pool, other)
    np.testing.assert_allclose(scaled[:, :2].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled[:, :2].std(axis=0), 1, atol=1e-4)
    assert (scaled[:, 2] == 0).all() and np.isfinite(moved).all()
    np.testing.assert_allclose(moved[:, 0], (other[:, 0] - pool[:, 0].mean()) / pool[:, 0].std(), rtol=1e-4)
    assert scaled.dtype == moved.dtype == np.float32


def test_the_ridge_probe_is_ridge_regression_at_the_best_leave_one_out_penalty():
    rng = np.random.default_rng(0)
    features, held = rng.normal(size=(40, 6)), rng.normal(size=(9, 6))
    labels = (features @ rng.normal(size=(6, 3)) + rng.normal(size=(40, 3)) > 0).astype(int)

    def fitted(x, y, penalty):
        weights = np.linalg.solve(
            (x - x.mean(0)).T @ (x - x.mean(0)) + penalty * np.eye(6), (x - x.mean(0)).T @ (y - y.mean(0))
        )
        return lambda z: (z - x.mean(0)) @ weights + y.mean(0)

    def left_out(penalty):
        rest = [np.arange(40) != i for i in range(40)]
        return np.mean([(fitted(features[r], labels[r], penalty)(features[~r]) - labels[~r]) ** 2 for r in rest])

    best = min(np.logspace(0, 5, 11), key=left_out)
    prediction = ridge_probe(features, labels, held)
    np.testing.assert_allclose(prediction.scores, fitted(features, labels, best)(held), atol=1e-6)
    np.testing.assert_array_equal(prediction.decisions, prediction.scores > 0.5)
