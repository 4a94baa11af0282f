"""A basket to fill, without a browser: the function below works alone, and another choice calls it."""

import numpy as np

from sslbook.domains import shop


def follows(histories: np.ndarray) -> np.ndarray:
    """After item i comes i + 1, the more so the later i stands; item 9 follows everything."""
    scores = np.zeros((len(histories), 12))
    for row, history in zip(scores, histories, strict=True):
        for weight, item in enumerate(history[history >= 0], start=1):
            row[item + 1] += weight
        row[9] += 0.5
    return scores


TITLES = np.array([f"thing {i}" for i in range(12)])


def test_recommendations_name_the_item_they_owe_most_to():
    table = shop.recommend_with_reasons([0, 4, 2], follows, TITLES, k=4)
    assert table["recommended"].tolist()[:4] == ["thing 3", "thing 5", "thing 1", "thing 9"]
    assert table["because of"].tolist()[:3] == ["thing 2", "thing 4", "thing 0"]
    assert not set(table["recommended"]) & {"thing 0", "thing 4", "thing 2"}


def test_what_shifts_all_scores_alike_is_no_reason():
    def shifted(histories: np.ndarray) -> np.ndarray:
        return follows(histories) - 100 * (histories != 4).all(axis=1, keepdims=True)

    one, other = (shop.recommend_with_reasons([0, 4, 2], score, TITLES, k=4) for score in (follows, shifted))
    assert one[:3].equals(other[:3])


def test_one_item_alone_is_every_reason_and_a_repeat_counts_once():
    table = shop.recommend_with_reasons([4, 4], follows, TITLES, k=20)
    assert len(table) == 11 and set(table["because of"]) == {"thing 4"}


def test_picking_another_item_changes_the_list(shown):
    shop.basket_picker([0, 4, 2], follows, TITLES, choices=[7, 8])
    before = shown.outputs["text/plain"].splitlines()[1]
    menu = shown.controls["item 3"]
    assert [code for _, code in menu.options] == [0, 2, 4, 7, 8]
    menu.value = 7
    after = shown.outputs["text/plain"].splitlines()[1]
    assert before.split()[:3] == ["1", "thing", "3"] and after.split()[:3] == ["1", "thing", "8"]
