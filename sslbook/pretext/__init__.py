"""Pretext objectives: tasks that need no label. Each is a module with the same three parts.

``forward(cases, generator)`` returns a tuple of tensors with one row per case, ``loss(*outputs)`` turns them into a
number, ``reference_values(batch_size)`` names the values of the loss that a learning curve should be read against.
"""

from sslbook.pretext.coles import CoLES, coles_loss, random_slices, slice_retrieval
from sslbook.pretext.dense import (
    Combined,
    DenseContrast,
    Inpainting,
    PatchContrast,
    TimeContrast,
    shared_points,
)
from sslbook.pretext.distillation import Distillation
from sslbook.pretext.items import HistoryContrast, MaskedItem, NextItem, sampled_cross_entropy, trim
from sslbook.pretext.next_event import NextEvent, random_windows
from sslbook.pretext.rotation import RotationPrediction
from sslbook.pretext.simclr import SimCLR, nt_xent, projection_head
from sslbook.pretext.tabular import SCARF, Corruption, MaskedFeatures
from sslbook.pretext.trajectories import MaskedFuture
from sslbook.pretext.vicreg import VICReg, vicreg_loss

__all__ = [
    "TimeContrast",
    "PatchContrast",
    "Inpainting",
    "DenseContrast",
    "Combined",
    "SCARF",
    "CoLES",
    "Corruption",
    "Distillation",
    "HistoryContrast",
    "MaskedFeatures",
    "MaskedFuture",
    "MaskedItem",
    "NextEvent",
    "NextItem",
    "RotationPrediction",
    "SimCLR",
    "VICReg",
    "coles_loss",
    "nt_xent",
    "projection_head",
    "random_slices",
    "random_windows",
    "sampled_cross_entropy",
    "shared_points",
    "slice_retrieval",
    "trim",
    "vicreg_loss",
]
