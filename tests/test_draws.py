"""Who is labelled: stratified draws, values of a regression, and frames that stand for the others."""

import numpy as np
import pytest

from sslbook.draws import choose_diverse, draw_groups, draw_labels

LABELS = np.array([0, 1] * 500)


@pytest.mark.parametrize("budget", [10, 47, 200])
def test_a_draw_is_stratified_without_repeats_and_repeatable(budget):
    labels = (np.arange(1000) % 4 == 0).astype(int)
    index = draw_labels(labels, budget, draw=3)
    assert len(index) == len(set(index)) == budget
    assert labels[index].sum() == pytest.approx(budget / 4, abs=1)
    assert np.array_equal(index, draw_labels(labels, budget, draw=3))
    assert set(index) != set(draw_labels(labels, budget, draw=4))


@pytest.mark.parametrize("budget", [4, 5, 20, 99, 498, 499])
def test_every_class_has_two_labels_in_every_draw(budget):
    labels = (np.arange(500) < 3).astype(int)
    for draw in range(5):
        index = draw_labels(labels, budget, draw)
        assert len(set(index)) == budget
        assert np.bincount(labels[index], minlength=2).min() >= 2


def test_the_full_budget_is_all_labels_in_order():
    assert np.array_equal(draw_labels(LABELS, 1000, draw=5), np.arange(1000))


@pytest.mark.parametrize(
    ("labels", "budget", "message"),
    [
        (LABELS, 1001, "1001 labels exceeds the 1000 there are; use a smaller budget"),
        (LABELS, 3, "3 labels cannot hold two of each of 2 classes; use a larger budget"),
        (np.arange(100) % 10, 19, "19 labels cannot hold two of each of 10 classes"),
        (np.array([0] * 30 + [1]), 10, "class 1 has a single label; label one more"),
    ],
)
def test_budgets_that_cannot_be_drawn(labels, budget, message):
    with pytest.raises(ValueError, match=message):
        draw_labels(labels, budget, draw=0)


@pytest.mark.parametrize("budget", [1, 10, 99])
def test_values_of_a_regression_are_drawn_at_random(budget):
    values = np.random.default_rng(0).normal(size=100)
    draws = [draw_labels(values, budget, draw) for draw in range(400)]
    assert all(len(set(index)) == budget for index in draws)
    assert np.array_equal(draws[3], draw_labels(values, budget, 3))
    often = np.bincount(np.concatenate(draws), minlength=100) / 400
    assert often == pytest.approx(np.full(100, budget / 100), abs=0.1)
    with pytest.raises(ValueError, match="101 labels exceeds the 100"):
        draw_labels(values, 101, 0)


PATIENTS = np.repeat([f"patient {i}" for i in range(20)], np.arange(20) % 3 + 3)
SICK = (np.arange(len(PATIENTS)) % 5 == 0).astype(int)


@pytest.mark.parametrize("budget", [2, 8, 19])
def test_a_draw_of_groups_has_all_their_cases_and_is_repeatable(budget):
    draws = [draw_groups(SICK, budget, draw, PATIENTS) for draw in range(300)]
    for index in draws:
        assert len(set(PATIENTS[index])) == budget
        assert np.array_equal(index, np.flatnonzero(np.isin(PATIENTS, PATIENTS[index])))
        assert np.bincount(SICK[index], minlength=2).min() >= 2
    assert np.array_equal(draws[3], draw_groups(SICK, budget, 3, PATIENTS))
    assert len({index.tobytes() for index in draws}) > 15
    often = np.bincount(np.concatenate(draws), minlength=len(PATIENTS)) / 300
    assert budget == 2 or often == pytest.approx(np.full(len(PATIENTS), budget / 20), abs=0.12)


def test_groups_are_redrawn_until_both_classes_occur():
    sick = (PATIENTS == "patient 7").astype(int)
    assert all("patient 7" in PATIENTS[draw_groups(sick, 2, draw, PATIENTS)] for draw in range(20))


@pytest.mark.parametrize(
    ("labels", "budget", "message"),
    [
        (SICK, 21, "21 groups exceeds the 20 there are; use a smaller budget"),
        (
            (PATIENTS < "patient 3").astype(int),
            1,
            "no draw of 1 groups holds two cases of each of 2 classes; use a larger",
        ),
        (SICK, 0, "no draw of 0 groups"),
        ((np.arange(len(PATIENTS)) == 0).astype(int), 20, "no draw of 20 groups"),
    ],
)
def test_groups_that_cannot_be_drawn(labels, budget, message):
    with pytest.raises(ValueError, match=message):
        draw_groups(labels, budget, 0, PATIENTS)


def test_diverse_frames_are_one_of_each_kind_and_the_most_typical():
    rng = np.random.default_rng(0)
    kinds = np.repeat(np.arange(4), [50, 30, 15, 5])
    features = 100 * np.eye(4)[kinds] + rng.normal(size=(100, 4))
    for seed in range(3):
        index = choose_diverse(features, 4, seed)
        assert sorted(kinds[index]) == [0, 1, 2, 3]
        for i in index:
            alike = features[kinds == kinds[i]]
            distance = np.linalg.norm(alike - alike.mean(axis=0), axis=1)
            assert np.linalg.norm(features[i] - alike.mean(axis=0)) == pytest.approx(distance.min())
    assert np.array_equal(choose_diverse(features, 100), np.arange(100))


@pytest.mark.parametrize("budget", [0, 101])
def test_frames_that_cannot_be_chosen(budget):
    with pytest.raises(ValueError, match=f"budget of {budget} frames is not from 1 to the 100"):
        choose_diverse(np.arange(100.0)[:, None], budget)
    with pytest.raises(ValueError, match="2 frames is not from 1 to the 1 different ones"):
        choose_diverse(np.zeros((100, 3)), 2)
