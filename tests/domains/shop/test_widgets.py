"""A basket to fill, without a browser: the function below works alone, and another choice calls it."""

import ipywidgets
import numpy as np
import pytest

from sslbook import widgets
from sslbook.domains import shop
from sslbook.domains.shop import widgets as shop_widgets


@pytest.fixture
def displayed(monkeypatch) -> list:
    """What a notebook would show."""
    shown = []
    for module in (widgets, shop_widgets):
        monkeypatch.setattr(module, "display", shown.append)
    return shown


def controls(displayed: list) -> dict[str, ipywidgets.Widget]:
    (box,) = (item for item in displayed if isinstance(item, ipywidgets.VBox))
    return {control.description: control for control in box.children if hasattr(control, "value")}


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


def test_one_item_alone_is_every_reason_and_a_repeat_counts_once():
    table = shop.recommend_with_reasons([4, 4], follows, TITLES, k=20)
    assert len(table) == 11 and set(table["because of"]) == {"thing 4"}


def test_picking_another_item_changes_the_list(displayed):
    shop.basket_picker([0, 4, 2], follows, TITLES, choices=[7, 8])
    before = next(item for item in displayed if hasattr(item, "columns"))
    menu = controls(displayed)["item 3"]
    assert [code for _, code in menu.options] == [0, 2, 4, 7, 8]
    menu.value = 7
    after = [item for item in displayed if hasattr(item, "columns")][-1]
    assert before["recommended"].iloc[0] == "thing 3" and after["recommended"].iloc[0] == "thing 8"
