"""Figures say what to see: titles, labelled axes, SIMULATED where the data are; and they draw the numbers given."""

import io
import json

import matplotlib

from sslbook import plots

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from sslbook.metrics.classification import Prediction
from sslbook.study import FAMILIES, Method, Study, label_budget_study
from sslbook.train import History

LABELS, TEST_LABELS = np.array([0, 1] * 100), np.array([0, 1] * 30)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def small_study() -> Study:
    def fit_as(strength: float):
        def fit(index: np.ndarray, seed: int) -> Prediction:
            noise = np.random.default_rng([len(index), seed]).normal(size=len(TEST_LABELS))
            scores = 1 / (1 + np.exp(-strength * (2 * TEST_LABELS - 1) - noise))
            return Prediction(np.stack([1 - scores, scores], axis=1), (scores > 0.5).astype(int))

        return fit

    methods = [
        Method("pixels", "classical", fit_as(0.5)),
        Method("simclr", "ssl", fit_as(1.0), seeds=(0, 1), setup_seconds=1.0),
        Method("late", "supervised", fit_as(1.0), budgets=(200,)),
        Method("raw", "untrained", fit_as(0.2), seeds=(0, 1), encoder="small network"),
    ]
    study = label_budget_study(methods, LABELS, TEST_LABELS, [10, 200], draws=2)
    study.replicates = 50
    return study


def history(epochs: int = 6) -> History:
    rows = [
        {"epoch": i + 1, "loss": 4.0 - i / 4, "embedding_std": 0.1, "rankme": 5.0 + i, "seconds": 1.0}
        for i in range(epochs)
    ]
    return History({"chance and collapse": 5.5, "floor": 2.5}, 128, rows)


def assert_complete(ax) -> None:
    """A title that says something, and a label on both axes."""
    assert len(ax.get_title(loc="left") or ax.get_title()) > 5
    assert ax.get_xlabel() and ax.get_ylabel()


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_title_says_simulated_exactly_where_the_data_are():
    assert plots.title("AUC rises", "simulated") == "SIMULATED: AUC rises"
    assert plots.title("AUC rises", "real") == plots.title("AUC rises") == "AUC rises"


def test_use_style_sets_the_palette():
    with matplotlib.rc_context():
        plots.use_style()
        assert plt.rcParams["axes.prop_cycle"].by_key()["color"] == plots.PALETTE
        assert not plt.rcParams["axes.spines.top"]


def test_a_photo_is_a_closed_figure_and_a_small_jpeg():
    figure, ax = plt.subplots(figsize=(4, 3), dpi=80)
    ax.imshow(np.random.default_rng(0).random((60, 80, 3)))
    as_png = io.BytesIO()
    figure.savefig(as_png, format="png")
    photo = plots.as_photo(figure)
    assert photo.data[:3] == b"\xff\xd8\xff" and photo.format == "jpeg"
    assert len(photo.data) < len(as_png.getvalue())
    assert not plt.get_fignums()


def test_palette_and_line_styles_tell_methods_apart():
    assert len(set(plots.PALETTE)) == len(plots.PALETTE) >= 8
    assert len(set(plots.FAMILY_STYLE.values())) == len(plots.FAMILY_STYLE)
    assert set(plots.FAMILY_STYLE) == set(FAMILIES)


def test_learning_curve_draws_the_loss_and_every_reference_line():
    plots.use_style()
    axes = plots.learning_curve(history(), name="SimCLR")
    assert len(axes) == 3
    for ax in axes:
        assert_complete(ax)
    assert "SimCLR" in axes[0].get_title(loc="left")
    assert axes[0].lines[0].get_ydata().tolist() == [4.0 - i / 4 for i in range(6)]
    assert axes[0].lines[0].get_xdata().tolist() == [1, 2, 3, 4, 5, 6]
    assert {line.get_ydata()[0] for line in axes[0].lines[1:]} == {5.5, 2.5}
    assert {"chance and collapse", "floor"} <= set(texts(axes[0]))
    assert axes[2].lines[0].get_ydata().tolist() == [5, 6, 7, 8, 9, 10]
    assert axes[1].get_ylim()[0] == axes[2].get_ylim()[0] == 0, "collapse is at zero, so zero must be on the axis"


def test_label_budget_curve_draws_every_score_with_its_interval():
    plots.use_style()
    study = small_study()
    ax = plots.label_budget_curve(study, "auc", ylabel="AUC", title=plots.title("labels", "simulated"))
    assert_complete(ax)
    assert ax.get_title(loc="left").startswith("SIMULATED")
    assert ax.get_xscale() == "log"
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["10", "200"]
    assert sorted(text.get_text() for text in ax.texts) == ["late", "pixels", "raw", "simclr"]
    lines = {line.get_label(): line for line in ax.lines}
    assert lines["simclr"].get_ydata().tolist() == pytest.approx(study.scores("auc").loc["simclr"].tolist())
    assert lines["simclr"].get_xdata().tolist() == pytest.approx([10, 200], rel=0.15)
    assert len(lines["late"].get_ydata()) == 1
    assert lines["pixels"].get_linestyle() != lines["simclr"].get_linestyle()
    (segment, _) = ax.collections[1].get_segments()
    assert segment[:, 1].tolist() == pytest.approx(list(study.interval("auc", "simclr", 10)[1:]))


def test_label_budget_curve_of_some_methods():
    methods = ["absent", "simclr"]
    ax = plots.label_budget_curve(small_study(), "balanced_accuracy", methods=methods)
    assert len(ax.lines) == 1
    assert ax.lines[0].get_color() == plots.PALETTE[1], "the colour of a method stays where another did not run"
    assert ax.get_ylabel() == "balanced_accuracy"


def test_lines_are_named_in_plain_words_beside_their_ends_and_never_on_one_another():
    study = small_study()
    words = {"pixels": "grey values", "raw": "the same grey values", "simclr": "own pretraining"}
    ax = plots.label_budget_curve(study, "auc", words, ylim=(0.2, 1.0))
    assert ax.get_ylim() == (0.2, 1.0) and ax.get_legend() is None
    assert {text.get_text(): text.get_color() for text in ax.texts} == {
        line.get_label(): line.get_color() for line in ax.lines
    }
    ends = {line.get_label(): line.get_ydata()[-1] for line in ax.lines}
    heights = {text.get_text(): text.xyann[1] for text in ax.texts}
    assert sorted(heights, key=heights.get) == sorted(ends, key=lambda name: (ends[name], name))
    assert min(np.diff(sorted(heights.values()))) >= 0.8 * 0.055 - 1e-9
    assert all(heights[name] >= ends[name] for name in ends)


def test_full_study_curve_draws_the_records_of_the_evidence(tmp_path, capsys):
    study, page = small_study(), tmp_path / "10_a_page.ipynb"
    words = {"pixels": "grey values", "simclr": "own pretraining", "absent": "not in the full study"}
    assert plots.full_study_curve(page, "auc/{}", study, words) is None
    assert "not at hand" in capsys.readouterr().out
    found = [("auc/pixels@9", 0.7), ("auc/pixels@300", 0.8), ("auc/simclr@300", 0.9), ("mri_auc/simclr@8", 0.1)]
    records = [{"name": name, "value": v, "low": v - 0.1, "high": v + 0.05} for name, v in found]
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence" / "10.json").write_text(json.dumps({"records": records}))
    ax = plots.full_study_curve(page, "auc/{}", study, words, ylabel="AUC", title="The full study")
    assert_complete(ax)
    lines = {line.get_label(): line for line in ax.lines}
    assert {name: line.get_ydata().tolist() for name, line in lines.items()} == {
        "grey values": [0.7, 0.8], "own pretraining": [0.9]
    }  # fmt: skip
    assert lines["grey values"].get_linestyle() == "--" and lines["own pretraining"].get_linestyle() == "-"
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["9", "300"]
    assert ax.collections[0].get_segments()[0][:, 1].tolist() == pytest.approx([0.6, 0.75])


@pytest.mark.parametrize(("n", "rows"), [(1, 1), (8, 1), (9, 2)])
def test_image_grid_shows_every_picture_once(n, rows):
    images = np.random.default_rng(0).integers(0, 256, (n, 6, 5, 1), dtype=np.uint8)
    figure = plots.image_grid(images, captions=[f"case {i}" for i in range(n)], title="SIMULATED: xrays")
    assert len(figure.axes) == 8 * rows
    shown = [ax for ax in figure.axes if ax.images]
    assert len(shown) == n
    for i, ax in enumerate(shown):
        np.testing.assert_array_equal(ax.images[0].get_array(), images[i, :, :, 0])
        assert ax.get_title() == f"case {i}"
    assert figure.get_suptitle() == "SIMULATED: xrays"
    assert not any(ax.axison for ax in figure.axes)


@pytest.mark.parametrize(("dtype", "limit"), [(np.uint8, 255), (np.float32, 1)])
def test_grey_values_are_not_stretched(dtype, limit):
    figure = plots.image_grid(np.full((2, 4, 4, 1), 0.5 * limit).astype(dtype))
    assert figure.axes[0].images[0].get_clim() == (0, limit)


def test_image_grid_in_colour():
    images = np.random.default_rng(0).integers(0, 256, (3, 6, 5, 3), dtype=np.uint8)
    figure = plots.image_grid(images, columns=2)
    figure.canvas.draw()
    assert figure.axes[2].images[0].get_array().shape == (6, 5, 3)
