"""Image Inpainting for Irregular Holes Using Partial Convolutions (Liu, Reda, Shih et al., ECCV 2018)."""

from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaint.batch import Outputs, compose
from inpaint.networks.layers import PartialConv, crop, he_init, pad_to_multiple
from inpaint.settings import whole_numbers


class PartialConvUNet(nn.Module):
    """U-Net whose convolutions read valid pixels only and carry the mask of what is valid through every layer.

    Encoder: stride 2, kernels 7, 5, 5, then 3, batch norm from the second layer on, ReLU. Decoder: nearest-neighbour
    doubling, features and masks of the encoder beside them, kernel 3, batch norm, leaky ReLU 0.2; the last skip is the
    picture itself, the last layer bare and linear. 32.9 M parameters with 8 levels (512 px), 25.8 M with 7 (256 px).
    Where even the last mask is not valid the output is 0. Weights start as in He et al. 2015.

    The paper's two stages are two runs: the second starts from the weights of the first, with `freeze_encoder_norm`,
    for the statistics of batch norm are disturbed by the hole and need to be right in what remains to be learnt.

    Args:
        width: channels of the first level; they double up to 8 times that (published: 64).
        levels: halvings of the resolution (published: 8; 7 suit 256 px).
        freeze_encoder_norm: batch norm in the encoder uses its running statistics and learns nothing, in training as
            well.

    Raises:
        Refused: a number that is not whole or below 1.

    Shapes: image ``(B, 3, H, W)`` in [-1, 1], mask ``(B, 1, H, W)``; any H, W (padded to `multiple`).
    """

    def __init__(self, width: int = 64, levels: int = 8, freeze_encoder_norm: bool = False) -> None:
        super().__init__()
        whole_numbers("generator", width=width, levels=levels)
        self.multiple = 2**levels
        self.freeze_encoder_norm = freeze_encoder_norm
        widths = [3, *(min(width * 2**level, width * 8) for level in range(levels))]
        kernels = [7, 5, 5, *[3] * levels]
        self.encoder = nn.ModuleList(
            _Block(widths[level], widths[level + 1], kernels[level], 2, norm=level > 0, activation=nn.ReLU())
            for level in range(levels)
        )
        self.decoder = nn.ModuleList(
            _Block(
                widths[level + 1] + widths[level],
                widths[level],
                norm=level > 0,
                activation=nn.LeakyReLU(0.2) if level > 0 else nn.Identity(),
            )
            for level in reversed(range(levels))
        )
        he_init(self)
        if freeze_encoder_norm:
            for norm in self._encoder_norms():
                norm.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation; frozen norms stay in evaluation."""
        super().train(mode)
        if self.freeze_encoder_norm:
            for norm in self._encoder_norms():
                norm.eval()
        return self

    def _encoder_norms(self) -> list[nn.BatchNorm2d]:
        return [layer for layer in self.encoder.modules() if isinstance(layer, nn.BatchNorm2d)]

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Paint the picture: the pixels of `image` inside the hole are not read."""
        *skips, (x, valid) = self._down(image, mask)
        for block, (skip, skip_valid) in zip(self.decoder, reversed(skips), strict=True):
            x, valid = _doubled(x), _doubled(valid.float()) > 0.5
            both = torch.cat([valid.expand_as(x), skip_valid.expand_as(skip)], dim=1)
            x, valid = block(torch.cat([x, skip], dim=1), both)
        return compose(crop(x, image), image, mask)

    def features(self, image: Tensor, mask: Tensor) -> Tensor:
        """What the encoder ends with: ``(B, C, h, w)`` at the lowest resolution."""
        return self._down(image, mask)[-1][0]

    def _down(self, image: Tensor, mask: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Features of every resolution and where they are valid, beginning with the picture itself."""
        x, hole = pad_to_multiple(image, mask, self.multiple)
        levels = [(x, hole < 0.5)]
        for block in self.encoder:
            levels.append(block(*levels[-1]))
        return levels


class _Block(nn.Module):
    """Partial convolution, batch norm, activation: features and mask to features and mask."""

    def __init__(
        self, before: int, after: int, kernel: int = 3, stride: int = 1, *, norm: bool, activation: nn.Module
    ) -> None:
        super().__init__()
        self.conv = PartialConv(before, after, kernel, stride, kernel // 2)
        self.rest = nn.Sequential(nn.BatchNorm2d(after) if norm else nn.Identity(), activation)

    def forward(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Shapes as `layers.PartialConv`."""
        x, valid = self.conv(x, valid)
        return self.rest(x), valid


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
