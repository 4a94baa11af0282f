"""The alert queue and its metrics, against a loop over days."""

import numpy as np
import pytest

from sslbook.domains.fraud.alerts import (
    alert_outcomes,
    alert_queue,
    card_day_metrics,
    rank_card_days,
)
from sslbook.metrics.base import bootstrap_weights
from sslbook.metrics.classification import Prediction, average_precision


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def payments(n: int = 400, seed: int = 0) -> dict[str, np.ndarray]:
    """Payments of 60 cards on 5 days; a fifth of the cards is stolen, half of whose payments are fraud."""
    cards = rng(seed).integers(0, 60, n)
    labels = ((cards % 5 == 0) & (rng(seed + 1).random(n) < 0.5)).astype(int)
    return {
        "labels": labels,
        "scores": rng(seed + 2).random(n) + 0.3 * labels,
        "days": rng(seed + 3).integers(0, 5, n),
        "entities": np.array([f"card {c}" for c in cards]),
    }


def outcomes(case, k, amounts=None, weights=None):
    return alert_outcomes(rank_card_days(**case, amounts=amounts), k, 7, weights)


def precision_of(labels, scores, days, entities=None, k=100, weights=None):
    return alert_outcomes(rank_card_days(labels, scores, days, entities), k, 0, weights)["frauds_found"] / k


def queue_by_brute_force(labels, scores, days, entities, k, amounts=None) -> tuple[list[float], list[float]]:
    """Frauds found, and amounts caught, per day, as the handbook's loop does it."""
    blocked, found, money = set(), [], []
    for day in sorted(set(days)):
        cards = {}
        for i in np.flatnonzero(days == day):
            if entities[i] not in blocked:
                score, label, stolen = cards.get(entities[i], (-np.inf, 0, 0.0))
                stolen += amounts[i] * labels[i] if amounts is not None else 0.0
                cards[entities[i]] = (max(score, scores[i]), max(label, labels[i]), stolen)
        top = sorted(cards, key=lambda card: -cards[card][0])[:k]
        blocked |= {card for card in top if cards[card][1]}
        found.append(sum(cards[card][1] for card in top))
        money.append((sum(cards[card][2] for card in top), len(top)))
    return found, money


@pytest.mark.parametrize("k", [1, 3, 10, 40, 100])
def test_card_precision_and_money_equal_the_loop_over_days(k):
    case = payments()
    amounts = rng(9).gamma(2, 50, 400)
    found, money = queue_by_brute_force(**case, k=k, amounts=amounts)
    (row,) = outcomes(case, k, amounts).itertuples()
    assert row.frauds_found == pytest.approx(np.mean(found))
    assert row.reviewed == pytest.approx(np.mean([reviews for _, reviews in money]))
    assert row.false_alarms == pytest.approx(row.reviewed - row.frauds_found)
    assert row.money_saved == pytest.approx(np.mean([stolen - 7 * reviews for stolen, reviews in money]))
    assert k > 3 or sum(found) < sum(queue_by_brute_force(**case, k=100)[0])


@pytest.mark.parametrize("k", [1, 2, 7, 30, 200])
def test_a_card_of_weight_two_is_two_cards(k):
    case = payments()
    amounts = rng(9).gamma(2, 50, 400)
    weights = bootstrap_weights(400, 6, seed=1, groups=case["entities"])
    weights[0, case["entities"] == "card 5"] = 20
    table = outcomes(case, k, amounts, weights)
    for row, value, euro in zip(weights.astype(int), table["frauds_found"], table["money_saved"], strict=True):
        rows = np.repeat(np.arange(400), row)
        copy_number = np.concatenate([np.arange(w) for w in row])
        many = {name: values[rows] for name, values in case.items()}
        many["entities"] = np.array([f"{e}, {c}" for e, c in zip(many["entities"], copy_number, strict=True)])
        found, money = queue_by_brute_force(**many, k=k, amounts=amounts[rows])
        assert value == pytest.approx(sum(found) / 5)
        assert euro == pytest.approx(sum(stolen - 7 * reviews for stolen, reviews in money) / 5)


def test_a_card_found_on_monday_is_not_found_again_on_tuesday():
    labels, days = np.array([1, 0, 1, 0]), np.array([0, 0, 1, 1])
    scores, cards = np.array([0.9, 0.1, 0.8, 0.2]), np.array([7, 8, 7, 8])
    assert precision_of(labels, scores, days, cards, k=1)[0] == 0.5
    assert precision_of(labels, scores, days, None, k=1)[0] == 1, "rows that stand alone are all new"
    missed = scores[[1, 0, 2, 3]]
    assert precision_of(labels, missed, days, cards, k=1)[0] == 0.5, "who was not found stays in the queue"


def test_idle_reviews_find_nothing():
    assert precision_of(np.array([1, 0]), np.array([0.9, 0.1]), np.zeros(2, int), k=10)[0] == 0.1


def test_cards_of_equal_score_share_the_last_reviews():
    labels = np.array([1] * 3 + [0] * 9)
    for order in (labels, labels[::-1]):
        assert precision_of(order, np.full(12, 0.5), np.zeros(12, int), k=4)[0] == pytest.approx(3 / 12)
    ranked = rank_card_days(labels, np.array([0.9] + [0.5] * 11), np.zeros(12, int))
    ((top, reviews),) = alert_queue(ranked, k=4)
    assert len(top) == 12 and top["score"].iloc[0] == 0.9
    np.testing.assert_allclose(reviews, [[1] + [3 / 11] * 11])


def test_weights_that_cut_through_a_card_are_refused():
    case = payments()
    with pytest.raises(ValueError, match="weights differ within a card; resample and thin whole cards"):
        precision_of(**case, weights=bootstrap_weights(400, 3))
    case["entities"] = None
    assert precision_of(**case, weights=bootstrap_weights(400, 3)).shape == (3,)


def test_metrics_of_card_days_are_bound_to_their_test():
    case = payments()
    labels, scores, days, entities = (case[name] for name in ("labels", "scores", "days", "entities"))
    said = Prediction(np.stack([1 - scores, scores], axis=1), (scores > 1).astype(int))
    amounts, spent = np.random.default_rng(1).exponential(80, (2, len(labels)))
    metrics = card_day_metrics(labels, days, entities, amounts, spent, 5.0, k=7)
    assert list(metrics) == ["average_precision", "cards_found_at_7", "money_saved_at_7", "money_by_amount_at_7"]
    assert all(metric.higher_is_better for metric in metrics.values())
    for weights in (None, bootstrap_weights(400, 5, groups=entities)):
        queue = alert_outcomes(rank_card_days(labels, scores, days, entities, amounts), 7, 5.0, weights)
        by_amount = alert_outcomes(rank_card_days(labels, scores * spent, days, entities, amounts), 7, 5.0, weights)
        found = [metric(said, weights) for metric in metrics.values()]
        expected = [average_precision(labels, scores, weights), queue["frauds_found"], queue["money_saved"],
                    by_amount["money_saved"]]  # fmt: skip
        np.testing.assert_array_equal(found, [np.atleast_1d(value) for value in expected])
    assert not np.allclose(found[2], found[3])
