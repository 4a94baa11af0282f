"""Pretext objectives: tasks that need no label. Each is a module with the same three parts.

``forward(cases, generator)`` returns a tuple of tensors with one row per case, ``loss(*outputs)`` turns them into a
number, ``reference_values(batch_size)`` names the values of the loss that a learning curve should be read against."""

from sslbook.pretext.coles import CoLES, coles_loss, random_slices, slice_retrieval
from sslbook.pretext.dense import DenseContrast, Inpainting, PatchContrast, TimeContrast, shared_points
from sslbook.pretext.distillation import Distillation
from sslbook.pretext.items import (
    HistoryContrast,
    ItemObjective,
    MaskedItem,
    NextBasket,
    NextItem,
    altered,
    sampled_cross_entropy,
    trim,
)
from sslbook.pretext.masked_future import MaskedFuture
from sslbook.pretext.next_event import NextEvent, events_at, random_windows
from sslbook.pretext.rotation import RotationPrediction, quarter_turns
from sslbook.pretext.simclr import NeighbourSimCLR, SimCLR, nt_xent, projection_head
from sslbook.pretext.simcse import PairContrast, SimCSE
from sslbook.pretext.tabular import Corruption, MaskedFeatures
from sslbook.pretext.vicreg import VICReg, vicreg_loss
