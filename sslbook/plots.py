"""Figures. Every function draws on given axes, or makes its own, and returns them."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sslbook import evidence
from sslbook.study import Study
from sslbook.train import History

# Okabe & Ito's palette, told apart with every common colour vision.
PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999"]


FAMILY_STYLE = {"trivial": ":", "classical": "--", "untrained": (0, (5, 2, 1, 2, 1, 2)), "supervised": "-.", "ssl": "-"}


STYLE = {
    "axes.prop_cycle": plt.cycler(color=PALETTE), "axes.spines.top": False, "axes.spines.right": False,
    "axes.titlelocation": "left", "axes.titlesize": 11, "figure.dpi": 80, "font.size": 10, "legend.frameon": False,
    "savefig.bbox": "tight",
}  # fmt: skip


def use_style() -> None:
    """Set the book's look for all figures of a notebook."""
    plt.rcParams.update(STYLE)


def title(text: str, source: str = "real") -> str:
    """A figure title; says SIMULATED where the data are."""
    return f"SIMULATED: {text}" if source == "simulated" else text


def as_photo(figure: Figure) -> Image:
    """Close a figure of photographs and return it as a JPEG, a tenth of the size that a notebook would keep."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="jpeg", dpi=64, pil_kwargs={"quality": 65})
    plt.close(figure)
    return Image(buffer.getvalue(), format="jpeg")


def learning_curve(history: History, name: str = "") -> Sequence[Axes]:
    """Loss with its reference lines, and the two collapse monitors: three axes."""
    _, axes = plt.subplots(1, 3, figsize=(11, 2.8), layout="constrained")
    frame = history.frame
    axes[0].plot(frame.index, frame["loss"], color=PALETTE[0])
    for (label, value), style in zip(history.reference.items(), ("--", ":"), strict=False):
        axes[0].axhline(value, color=PALETTE[7], linestyle=style)
        axes[0].annotate(label, (1, value), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8)
    axes[0].set(title=f"{name} loss and its references".strip(), xlabel="epoch", ylabel="loss")
    axes[1].plot(frame.index, frame["embedding_std"], color=PALETTE[1])
    axes[1].set(
        title="Spread: 0 would be collapse", xlabel="epoch", ylabel="std of normalised features", ylim=(0, None)
    )
    axes[2].plot(frame.index, frame["rankme"], color=PALETTE[2])
    axes[2].set(title="Dimensions in use", xlabel="epoch", ylabel="RankMe", ylim=(0, None))
    return axes


def label_budget_curve(
    study: Study, metric: str, methods: Sequence[str] | Mapping[str, str] | None = None,
    ylabel: str | None = None, title: str = "", ylim: tuple[float, float] | None = None,
) -> Axes:  # fmt: skip
    """Mean score against the label budget, with 95 % intervals; families differ by line style, lines have their names.

    Parameters
    ----------
    methods : names, or words for the figure by their names; None means all. The place here gives a method its colour.
    ylim : lowest and highest score shown; None shows all.
    """
    words = methods if isinstance(methods, Mapping) else {name: name for name in methods or study.methods()}
    budgets = study.frame.groupby("method")["budget"].unique()
    points = {name: {b: study.interval(metric, name, b) for b in budgets.get(name, ())} for name in words}
    return _curves(points, words, study, ylabel=ylabel or metric, title=title, ylim=ylim)


def full_study_curve(
    notebook: str | Path, pattern: str, study: Study, methods: Mapping[str, str], **labels: Any
) -> Axes | None:
    """The same figure of what the full study of a chapter found; None, and a sentence, where that is not at hand.

    Parameters
    ----------
    pattern : of the names of its records, for example ``"auc/{}"``.
    study : of this run, for the unit and the line styles; a method that it lacks is drawn as one trained on labels.
    labels : ``ylabel``, ``title`` and ``ylim``.
    """
    full = evidence.load(notebook)
    points = {name: evidence.curve(full, pattern.format(name)) for name in methods} if full else {}
    if not any(points.values()):
        print(evidence.answer(notebook, []))
        return None
    return _curves(points, methods, study, **labels)


def _curves(points: Mapping, words: Mapping[str, str], study: Study, **labels) -> Axes:
    """Draw (value, low, high) by budget, a line per method, a little apart so that intervals stay apart."""
    ax = plt.subplots(figsize=(8, 4.2), layout="constrained")[1]
    families = dict(zip(study.frame["method"], study.frame["family"], strict=True))
    for i, name in (pair for pair in enumerate(words) if points[pair[1]]):
        budgets = sorted(points[name])
        value, low, high = np.array([points[name][b] for b in budgets]).T
        offset = np.array(budgets) * 1.04 ** (i - len(words) / 2)
        color, marker = PALETTE[i % len(PALETTE)], "os^"[i // len(PALETTE)]
        style = FAMILY_STYLE[families.get(name, "supervised")]
        ax.plot(offset, value, linestyle=style, color=color, marker=marker, markersize=4, label=words[name])
        ax.vlines(offset, low, high, color=color, alpha=0.5, linewidth=1.2)
    ax.set_xscale("log")
    ticks = sorted({b for name in words for b in points[name]})
    ax.set_xticks(ticks, [f"{b:,}" for b in ticks])
    ax.minorticks_off()
    ax.set(xlabel=study.unit, **labels)
    _name_lines(ax)
    return ax


def _name_lines(ax: Axes) -> None:
    """Write the name of each line at the right of the axes, moved apart where lines end together."""
    low, high = ax.get_ylim()
    least = 0.055 * (high - low)
    place = low - least
    lines = [line for line in ax.lines if not line.get_label().startswith("_")]
    for y, name, color in sorted((line.get_ydata()[-1], line.get_label(), line.get_color()) for line in lines):
        place = max(y, place + least)
        at = {"xy": (1, y), "xytext": (1.03, place), "xycoords": ax.get_yaxis_transform()}
        ax.annotate(name, **at, textcoords=ax.get_yaxis_transform(), color=color, fontsize=8, va="center",
                    annotation_clip=False)  # fmt: skip


def image_grid(
    images: np.ndarray, captions: Sequence[str] | None = None, columns: int = 8, size: float = 1.2, title: str = ""
) -> Figure:
    """Pictures in rows.

    Parameters
    ----------
    images : array, shape (n, height, width, channels), uint8 or floats in [0, 1].
    """
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(size * columns, (size + 0.25 * (captions is not None)) * rows + 0.4),
        layout="constrained", squeeze=False,
    )  # fmt: skip
    for ax in axes.flat:
        ax.axis("off")
    for i, (ax, image) in enumerate(zip(axes.flat, images, strict=False)):
        ax.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255 if images.dtype == np.uint8 else 1)
        if captions is not None:
            ax.set_title(captions[i], fontsize=8, loc="center")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return figure
