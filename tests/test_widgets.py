"""Widgets without a browser: the function below each works alone, and a moved slider calls it."""

from dataclasses import replace

import matplotlib

from sslbook import widgets

matplotlib.use("Agg")

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from sslbook.augment.views import Augment

IMAGE = np.random.default_rng(0).integers(0, 256, (14, 14, 1), dtype=np.uint8)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


# ----------------------------------------------------------------------------------------------------- views


def shown_pictures(figure: Figure) -> list[np.ndarray]:
    return [np.asarray(ax.images[0].get_array()) for ax in figure.axes if ax.images]


@pytest.mark.parametrize("size", [None, 10])
def test_views_stand_beside_the_original(size):
    recipe = Augment(area=(0.3, 0.6), size=size)
    figure = widgets.show_views(IMAGE, recipe, n=3, title="SIMULATED: views")
    pictures = shown_pictures(figure)
    assert len(pictures) == 4
    np.testing.assert_allclose(pictures[0], IMAGE[:, :, 0] / 255)
    assert all(picture.shape == (14, 14) for picture in pictures)
    assert all(np.abs(picture - pictures[0]).max() > 0.05 for picture in pictures[1:])
    assert figure.axes[0].get_title() == "original"
    assert figure.get_suptitle() == "SIMULATED: views"


def test_views_follow_from_the_seed():
    recipe = Augment(area=(0.3, 0.6))
    first, again, other = (shown_pictures(widgets.show_views(IMAGE, recipe, n=2, seed=seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(np.array(first[1:]) - np.array(other[1:])).max() > 0.05


def test_explorer_redraws_with_the_settings_of_the_sliders(shown, monkeypatch):
    recipes, shows = [], widgets.show_views

    def remembering(image, augment, **settings):
        recipes.append((augment, settings["seed"]))
        return shows(image, augment, **settings)

    monkeypatch.setattr(widgets, "show_views", remembering)
    start = Augment(area=(0.3, 0.9), aspect=(0.8, 1.25), flip=0.5, contrast=0.4, blur=0.5, noise=0.03, size=10)
    widgets.augmentation_explorer(IMAGE, start)
    first = shown.outputs
    assert first["image/png"] == shown.bundles[0]["image/png"], "a page without a kernel has the first picture"
    assert recipes == [(start, 0)], "the first picture shows the recipe as it was given"
    sliders = shown.controls
    sliders["contrast ±"].value = 0.8
    assert recipes[-1][0].contrast == pytest.approx(0.8)
    sliders["rotation °"].value = 45
    assert recipes[-1][0].rotation == 45
    sliders["smallest crop"].value = 0.5
    sliders["draw"].value = 3
    sliders["brightness ±"].value = 0.2
    assert recipes[-1] == (replace(start, area=(0.5, 0.9), rotation=45, brightness=0.2, contrast=0.8), 3)
    sliders["smallest crop"].value = 1.0
    assert recipes[-1][0].area == (1.0, 1.0)
    assert set(shown.outputs) == {"image/png"} and shown.outputs != first, "the new picture is in the place of the old"
    assert plt.get_fignums() == [], "figures that were shown are closed"


# ---------------------------------------------------------------------------------------------------- budgets


def test_interact_is_one_display_of_controls_and_what_is_printed_and_returned(shown):
    calls = []

    def report(x, y):
        calls.append((x, y))
        print(f"x is {x}")
        return pd.DataFrame({"y": [y]})

    widgets.interact(report, x=ipywidgets.IntSlider(2, description="a"), y=ipywidgets.IntSlider(5, description="b"))
    assert calls == [(2, 5)]
    (bundle,) = shown.bundles
    assert "x is 2" in shown.outputs["text/plain"] or "5" in shown.outputs["text/html"]
    assert shown.outputs.items() <= bundle.items(), "a page without a kernel has the first output"
    shown.controls["a"].value = 7
    assert calls == [(2, 5), (7, 5)]
    printed, returned = (output["data"] for output in shown.box.children[-1].outputs)
    assert printed == {"text/plain": "x is 7\n"} and "<table" in returned["text/html"]


def test_an_error_in_a_widget_does_not_end_it(shown):
    widgets.interact(lambda x: print(1 / x), x=ipywidgets.IntSlider(2, description="x"))
    with pytest.raises(ZeroDivisionError):  # outside a notebook; inside it is shown below the controls
        shown.controls["x"].value = 0
    shown.controls["x"].value = 4
    assert shown.outputs == {"text/plain": "0.25\n"}
