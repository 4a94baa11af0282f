"""CamVid: drives through Cambridge, as the authors of SegNet split them."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .card import Card
from .errors import DataError
from .images import NPZ_KEYS
from .scenes import VOID, Scenes, SceneSplit

CLASSES = tuple("Sky Building Pole Road Pavement Tree SignSymbol Fence Car Pedestrian Bicyclist".split())
COLOURS = np.array(
    [
        (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (0, 0, 192), (128, 128, 0), (192, 128, 128),
        (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
    ], dtype=np.uint8,
)  # fmt: skip  as the makers paint them
VULNERABLE = tuple(CLASSES.index(name) for name in ("Pedestrian", "Bicyclist", "SignSymbol", "Pole"))
RATE = 30  # frames per second of the source
UNLABELLED = len(CLASSES)  # void, in the official masks


def camvid_scenes(arrays: Mapping[str, np.ndarray], card: Card) -> Scenes:
    """Return the container of the arrays that `prepare` makes."""
    splits = {name: _split(name, *(arrays[f"{key}_{part}"] for part in PARTS)) for name, key in NPZ_KEYS.items()}
    return Scenes(**splits, classes=CLASSES, colours=COLOURS, vulnerable=VULNERABLE, card=card)


PARTS = ("images", "masks", "names")


def _split(name: str, frames: np.ndarray, masks: np.ndarray, names: np.ndarray) -> SceneSplit:
    drives = np.array([frame.rpartition("_")[0] for frame in names.tolist()])
    time = np.array([int(re.sub(r".*\D", "", frame)) / RATE for frame in names.tolist()])
    masks = np.where(masks == UNLABELLED, VOID, masks).astype(np.uint8)
    return SceneSplit(name, frames, masks, drives, time, names)
