"""The discriminator of SRGAN (Ledig et al., CVPR 2017, figure 4), which ESRGAN plays against as well."""

import math
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from inpaint.batch import Verdict
from inpaint.settings import whole, whole_numbers


class SRGAN(nn.Module):
    """Eight 3 x 3 convolutions, every second of stride 2, and two linear layers: one logit for the picture.

    Batch norm and leaky ReLU (0.2) after each but the first, which has no norm. The linear layers fix the size:
    pictures that are not ``size x size`` are first resized to it. 23,565,505 parameters at 96 px.

    Args:
        width: channels of the first layer; they double with every second one, to 8 times that (published: 64).
        size: side of the pictures in pixels (published: 96).
        hidden: outputs of the first linear layer (published: 1024).

    Raises:
        Refused: a number that is not whole or below 1, or a size below 16.

    Shapes: image ``(B, 3, H, W)`` in [-1, 1], mask ``(B, 1, H, W)``, which is not looked at; logits ``(B, 1, 1, 1)``,
    and the activations of the convolutions.
    """

    def __init__(self, width: int = 64, size: int = 96, hidden: int = 1024) -> None:
        super().__init__()
        whole_numbers("discriminator", width=width, hidden=hidden)
        self.size = whole("discriminator.size", size, 16)
        widths = [3, *(width * 2 ** (layer // 2) for layer in range(8))]
        self.layers = nn.ModuleList()
        for layer, (before, after) in enumerate(pairwise(widths)):
            norm = [nn.BatchNorm2d(after)] if layer else []
            self.layers.append(
                nn.Sequential(nn.Conv2d(before, after, 3, 1 + layer % 2, 1), *norm, nn.LeakyReLU(0.2, inplace=True))
            )
        places = math.ceil(size / 16) ** 2
        self.hidden, self.last = nn.Linear(places * widths[-1], hidden), nn.Linear(hidden, 1)

    def forward(self, image: Tensor, mask: Tensor) -> Verdict:
        """Judge each picture as a whole."""
        x = image
        if x.shape[-2:] != (self.size, self.size):  # antialias has no bfloat16 on a CPU
            x = F.interpolate(x.float(), (self.size, self.size), mode="bilinear", antialias=True)
        features = []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        logits = self.last(F.leaky_relu(self.hidden(x.flatten(1)), 0.2))
        return Verdict((logits[:, :, None, None],), (tuple(features),))
