"""Widgets turn one knob each. The function under a widget works without it, so a page reads well where none renders."""

import base64
import contextlib
import io
from collections.abc import Callable
from dataclasses import replace

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.core.formatters import DisplayFormatter
from IPython.core.pylabtools import print_figure
from IPython.display import display
from matplotlib.figure import Figure

from sslbook.augment.tensors import to_tensor
from sslbook.augment.views import Augment
from sslbook.plots import image_grid


def show_views(image: np.ndarray, augment: Augment, n: int = 7, seed: int = 0, title: str = "") -> Figure:
    """One picture and n random views of it.

    Parameters
    ----------
    image : uint8 array, shape (height, width, channels)
    """
    batch = to_tensor(np.repeat(image[None], n, axis=0))
    views = augment(batch, torch.Generator().manual_seed(seed)).permute(0, 2, 3, 1).numpy()
    resized = [image / 255, *views]
    if views.shape[1:3] != image.shape[:2]:
        zoom = torch.nn.functional.interpolate(torch.from_numpy(views).permute(0, 3, 1, 2), image.shape[:2])
        resized = [image / 255, *zoom.permute(0, 2, 3, 1).numpy()]
    return image_grid(np.stack(resized), ["original"] + [f"view {i + 1}" for i in range(n)], columns=n + 1, title=title)


def augmentation_explorer(image: np.ndarray, start: Augment) -> None:
    """Sliders for the parameters of an augmentation, with views drawn anew at each change."""
    slider = ipywidgets.FloatSlider

    def show(area: float, seed: int, **chosen: float) -> Figure:
        return show_views(image, replace(start, area=(area, max(area, start.area[1])), **chosen), seed=seed)

    interact(
        show,
        area=slider(value=start.area[0], min=0.05, max=1.0, step=0.05, description="smallest crop"),
        rotation=slider(value=start.rotation, min=0, max=90, step=5, description="rotation °"),
        contrast=slider(value=start.contrast, min=0, max=1, step=0.1, description="contrast ±"),
        brightness=slider(value=start.brightness, min=0, max=0.5, step=0.05, description="brightness ±"),
        seed=ipywidgets.IntSlider(value=0, min=0, max=20, description="draw"),
    )


def interact(function: Callable, **controls: ipywidgets.Widget) -> None:
    """Show controls, and below them what the function prints and returns (a figure or a table).

    It is one display: the live controls where widgets render, else the first output, as on a page without a kernel.
    """
    output = ipywidgets.Output()
    box = ipywidgets.VBox([*controls.values(), output])

    def update(_change=None) -> None:
        with output:  # an error is shown below the controls
            output.outputs = _outputs(function, {name: control.value for name, control in controls.items()})

    update()
    first = {kind: content for shown in output.outputs for kind, content in shown["data"].items()}
    for control in controls.values():
        control.style.description_width = "8em"
        control.observe(update, names="value")
    display(box._repr_mimebundle_() | first, raw=True)


def _outputs(function: Callable, values: dict) -> tuple[dict, ...]:
    """What a call prints and returns, as outputs of a notebook."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        result = function(**values)
    bundles = [{"text/plain": printed.getvalue()}] if printed.getvalue() else []
    if isinstance(result, Figure):
        bundles.append({"image/png": base64.b64encode(print_figure(result)).decode()})
        plt.close(result)
    elif result is not None:
        bundles.append(DisplayFormatter().format(result)[0])
    return tuple({"output_type": "display_data", "data": data, "metadata": {}} for data in bundles)
