"""Globally and Locally Consistent Image Completion (Iizuka, Simo-Serra, Ishikawa, SIGGRAPH 2017)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from inpaint.batch import Outputs, compose
from inpaint.networks.layers import crop, he_init, mean_colour, pad_to_multiple
from inpaint.settings import Refused, choice, whole_numbers


class CompletionNetwork(nn.Module):
    """The completion network of the paper's table 1: a quarter of the resolution, and dilation to see across the hole.

    Two strided convolutions, a middle of 3 x 3 convolutions of which four are dilated, two transposed convolutions;
    batch norm and ReLU after each layer but the last, a sigmoid on that. The convolutions have 6,066,179 parameters at
    the published width. The input is the picture with its hole filled by the mean colour (the paper takes that of its
    data; here it is ImageNet's) and the mask; the sigmoid's [0, 1] is scaled to [-1, 1]. The paper gives no initial
    weights: here those of He et al. 2015.

    Args:
        width: channels of the first layer, even; the middle has four times that (published: 64).
        rates: dilations of the middle's dilated layers (published: 2, 4, 8, 16).
        hole: what the hole is filled with: "mean", the mean colour, or "grey", the middle of the range (MMagic).
        output: "sigmoid", or "clip", cut off at black and white (MMagic).

    Raises:
        Refused: an odd width, a number that is not whole or below 1, or another word.

    Shapes: image ``(B, 3, H, W)`` in [-1, 1], mask ``(B, 1, H, W)``; any H, W (padded to `multiple`).
    """

    hole_colour: Tensor
    multiple = 4

    def __init__(
        self, width: int = 64, rates: Sequence[int] = (2, 4, 8, 16), hole: str = "mean", output: str = "sigmoid"
    ) -> None:
        super().__init__()
        whole_numbers("generator", width=width, rates=rates)
        choice("generator.hole", hole, ("mean", "grey"))
        self.output = choice("generator.output", output, ("sigmoid", "clip"))
        if width % 2:
            raise Refused(f"generator.width: give an even number of channels; got {width}")
        middle = 4 * width
        self.layers = nn.Sequential(
            *_block(nn.Conv2d(4, width, 5, padding=2)),
            *_block(nn.Conv2d(width, 2 * width, 3, 2, 1)),
            *_block(nn.Conv2d(2 * width, 2 * width, 3, padding=1)),
            *_block(nn.Conv2d(2 * width, middle, 3, 2, 1)),
            *(layer for rate in (1, 1, *rates, 1, 1) for layer in _block(_dilated(middle, rate))),
            *_block(nn.ConvTranspose2d(middle, 2 * width, 4, 2, 1)),
            *_block(nn.Conv2d(2 * width, 2 * width, 3, padding=1)),
            *_block(nn.ConvTranspose2d(2 * width, width, 4, 2, 1)),
            *_block(nn.Conv2d(width, width // 2, 3, padding=1)),
            nn.Conv2d(width // 2, 3, 3, padding=1),
        )
        colour = mean_colour()
        self.register_buffer("hole_colour", colour if hole == "mean" else torch.zeros_like(colour))
        he_init(self)

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Paint the picture: the pixels of `image` inside the hole are not read."""
        known, hole = pad_to_multiple(image, mask, self.multiple)
        filled = torch.where(hole > 0.5, self.hole_colour, known)
        output = self.layers(torch.cat([filled, hole], dim=1))
        output = output.sigmoid() * 2 - 1 if self.output == "sigmoid" else output.clamp(-1, 1)
        return compose(crop(output, image), image, mask)


def _dilated(channels: int, rate: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, padding=rate, dilation=rate)


def _block(convolution: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
    """With its batch norm and ReLU."""
    return [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True)]
