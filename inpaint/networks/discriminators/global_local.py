"""Globally and Locally Consistent Image Completion (Iizuka, Simo-Serra, Ishikawa, SIGGRAPH 2017)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaint.batch import Verdict
from inpaint.networks.layers import around_hole, normal_init
from inpaint.settings import Refused, whole, whole_numbers


class GlobalLocal(nn.Module):
    """One network looks at the whole picture, one at the surroundings of the hole, and one logit is their judgement.

    5 x 5 convolutions of stride 2 (batch norm, ReLU; 64, 128, 256, 512, 512 ... channels) down to 4 x 4, a linear layer
    with ReLU to 1024 for each of the two, and one from 2048 to a logit (section 3.3). For 256 px that is six
    convolutions on the picture and five on a patch of 128 px, as published. The patch is half as wide as the picture,
    its centre is the centre of mass of each sample's hole (of the picture where there is none), and it is moved inwards
    where it would leave the picture.

    The linear layers fix the size: pictures that are not ``size x size`` are first resized to it.

    Args:
        width: channels of the first layer; they double up to 8 times that (published: 64).
        size: side of the pictures in pixels (published: 256).
        hidden: outputs of each linear layer (published: 1024).

    Raises:
        Refused: a number that is not whole or below 1, or pictures too small for a convolution of the patch.

    Shapes: image ``(B, 3, H, W)`` in [-1, 1], mask ``(B, 1, H, W)``; logits ``(B, 1, 1, 1)``, and the activations of
    the convolutions on the picture, then on the patch.
    """

    def __init__(self, width: int = 64, size: int = 256, hidden: int = 1024) -> None:
        super().__init__()
        whole_numbers("discriminator", width=width, hidden=hidden)
        if whole("discriminator.size", size, 1) < 16:
            raise Refused(f"discriminator.size: {size} pixels a side, at least 16 are needed")
        self.size = size
        self.picture, picture_side = self._convolutions(width, size)
        self.patch, patch_side = self._convolutions(width, size // 2)
        self.from_picture = nn.Linear(picture_side**2 * self._width(width, self.picture), hidden)
        self.from_patch = nn.Linear(patch_side**2 * self._width(width, self.patch), hidden)
        self.last = nn.Linear(2 * hidden, 1)
        normal_init(self)

    @staticmethod
    def _width(width: int, layers: nn.ModuleList) -> int:
        """Channels of the last of these layers."""
        return width * 2 ** min(len(layers) - 1, 3)

    @staticmethod
    def _convolutions(width: int, side: int) -> tuple[nn.ModuleList, int]:
        """Convolutions that halve the picture down to at most 4 x 4 positions, and the positions a side."""
        layers = nn.ModuleList()
        before = 3
        for layer in range(math.ceil(math.log2(side / 4))):
            after = width * 2 ** min(layer, 3)
            layers.append(nn.Sequential(nn.Conv2d(before, after, 5, 2, 2), nn.BatchNorm2d(after), nn.ReLU()))
            before, side = after, math.ceil(side / 2)
        return layers, side

    def forward(self, image: Tensor, mask: Tensor) -> Verdict:
        """Judge each picture as a whole."""
        if image.shape[-2:] != (self.size, self.size):
            # antialias has no bfloat16 on a CPU; area keeps the share of the hole, whatever the ratio of the sizes
            image = F.interpolate(image.float(), (self.size, self.size), mode="bilinear", antialias=True)
            mask = F.interpolate(mask, (self.size, self.size), mode="area")
        features = []
        ends = []
        for layers, x in ((self.picture, image), (self.patch, around_hole(image, mask, self.size // 2))):
            for layer in layers:
                x = layer(x)
                features.append(x)
            ends.append(x.flatten(1))
        hidden = F.relu(torch.cat([self.from_picture(ends[0]), self.from_patch(ends[1])], dim=1))
        return Verdict((self.last(hidden)[:, :, None, None],), (tuple(features),))
