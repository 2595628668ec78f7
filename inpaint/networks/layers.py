"""Pieces that several networks share."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from inpaint import rng

T = TypeVar("T")

LEAST_CONTRAST = 0.01  # of the range [-1, 1]


def pad_to_multiple(image: Tensor, mask: Tensor, multiple: int, minimum: int = 1) -> tuple[Tensor, Tensor]:
    """Extend both by their border pixels, right and below, until each side is a multiple and at least `minimum`.

    The mask is extended with the image, so a hole at the border stays a hole and no invented pixel counts as known.

    image ``(B, C, H, W)``, mask ``(B, 1, H, W)``; returns both at ``(H', W')``. Crop the result with ``[..., :H, :W]``.
    """
    height, width = image.shape[-2:]
    below = max(-height % multiple, minimum - height)
    right = max(-width % multiple, minimum - width)
    if below == 0 and right == 0:
        return image, mask
    border = (0, right, 0, below)
    return F.pad(image, border, mode="replicate"), F.pad(mask, border, mode="replicate")


def standardise(image: Tensor) -> tuple[Tensor, Tensor]:
    """The picture with its mean colour taken off and divided by its contrast, and the contrast ``(B, 1, 1, 1)``.

    The contrast is the standard deviation over pixels and channels, at least about one 8-bit level, so that a picture
    of one colour is not blown up into noise.
    """
    centred = image - image.mean(dim=(2, 3), keepdim=True)
    contrast = centred.square().mean(dim=(1, 2, 3), keepdim=True).add(LEAST_CONTRAST**2).sqrt()
    return centred / contrast, contrast


def normal_init(network: nn.Module, deviation: float = 0.02) -> None:
    """Weights N(0, 0.02), batch-norm scales N(1, 0.02), biases 0 (DCGAN, Radford et al. 2016, section 4)."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, deviation)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, deviation)
            nn.init.zeros_(layer.bias)


# ---- words for layers -----------------------------------------------------------------------------------------------

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.2),
    "elu": nn.ELU,
    "gelu": nn.GELU,
}

NORMS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda channels: nn.Identity(),
    "batch": nn.BatchNorm2d,
    "instance": lambda channels: nn.InstanceNorm2d(channels, affine=True),
    "group": lambda channels: nn.GroupNorm(math.gcd(32, channels), channels),
}


def named(choices: dict[str, T], name: str, key: str) -> T:
    """What `name` stands for in a table such as `NORMS`.

    Raises:
        ValueError: it stands for nothing; `key` is the setting that held it (``generator.norm``).
    """
    if name not in choices:
        raise ValueError(f"{key}: {name!r} is none of {', '.join(choices)}")
    return choices[name]


# ---- what generators share ------------------------------------------------------------------------------------------


def white_noise(like: Tensor) -> Tensor:
    """White noise of unit variance, a function of the pixel's place alone: ``(B, 1, H, W)`` as `like`."""
    batch, _, height, width = like.shape
    rows = rng.fold(torch.arange(height, device=like.device), "noise")
    return (rng.uniform(rows, width) - 0.5).mul(12**0.5).expand(batch, 1, height, width)


class SelfAttention(nn.Module):
    """Every position looks at every other one: ``x + gamma * out(attend(query(x), key(x), value(x)))``.

    SAGAN (Zhang et al. 2019, section 3): 1 x 1 convolutions without bias to ``C / 8`` channels for queries and keys and
    to ``C / 2`` for values (as in the authors' code; the paper has C / 8), a softmax over all positions, not divided by
    the root of the channels, and a last 1 x 1 back to C. gamma starts at 0, where the layer does nothing. The softmax
    is in float32 whatever the autocast. Memory grows with the square of ``H * W`` unless torch has a fused kernel.

    Args:
        channels: C, at least 1.
        spectral: spectral norm on the four convolutions, as published.

    Shapes: ``(B, C, H, W)`` to the same.
    """

    def __init__(self, channels: int, spectral: bool = True) -> None:
        super().__init__()
        inner, values = max(channels // 8, 1), max(channels // 2, 1)
        self.query = nn.Conv2d(channels, inner, 1, bias=False)
        self.key = nn.Conv2d(channels, inner, 1, bias=False)
        self.value = nn.Conv2d(channels, values, 1, bias=False)
        self.out = nn.Conv2d(values, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))
        for layer in (self.query, self.key, self.value, self.out):
            nn.init.xavier_uniform_(layer.weight)
            if spectral:
                spectral_norm(layer)

    def forward(self, x: Tensor) -> Tensor:
        """Attend."""
        query, key, value = (
            layer(x).flatten(2).mT.unsqueeze(1).float() for layer in (self.query, self.key, self.value)
        )
        with torch.autocast(x.device.type, enabled=False):
            attended = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        return x + self.gamma * self.out(attended.squeeze(1).mT.unflatten(2, x.shape[-2:]))


def picture_decoder(widths: list[int]) -> nn.Sequential:
    """What the ResNets of Johnson et al. 2016 end with, as LaMa has it: ``(B, widths[0], h, w)`` to RGB in [0, 1].

    A transposed 3 x 3 convolution of stride 2 with batch norm and ReLU for each of the further widths, then 7 x 7 with
    reflect padding to three channels and a sigmoid.
    """
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.ConvTranspose2d(before, after, 3, 2, 1, output_padding=1), nn.BatchNorm2d(after), nn.ReLU(True)]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], 3, 7, padding=3, padding_mode="reflect"), nn.Sigmoid())
