"""Random views: what a representation should ignore, drawn for a whole batch of tensors at once."""

from sslbook.augment.corruptions import CORRUPTIONS, Corruption, blur, corrupt, fog, night, noise
from sslbook.augment.geometry import affine_maps, chosen, crop, log_uniform, random_affine, uniform
from sslbook.augment.tensors import Cases, Tensors, count, network_input, reads, take, to_tensor
from sslbook.augment.views import PRESETS, Augment, change_light, jitter_colours
