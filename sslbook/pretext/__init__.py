"""Pretext objectives: tasks that need no label. Each is a module with the same three parts.

``forward(images, generator)`` returns a tuple of tensors with one row per picture, ``loss(*outputs)`` turns them into a
number, ``reference_values(batch_size)`` names the values of the loss that a learning curve should be read against.
"""

from sslbook.pretext.distillation import Distillation
from sslbook.pretext.rotation import RotationPrediction
from sslbook.pretext.simclr import SimCLR, nt_xent, projection_head
from sslbook.pretext.vicreg import VICReg, vicreg_loss

__all__ = ["Distillation", "RotationPrediction", "SimCLR", "VICReg", "nt_xent", "projection_head", "vicreg_loss"]
