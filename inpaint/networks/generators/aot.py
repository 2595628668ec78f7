"""AOT-GAN: Aggregated Contextual Transformations for High-Resolution Image Inpainting (Zeng, Fu, Chao, Guo, 2021)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from inpaint.batch import Outputs, compose
from inpaint.networks.layers import crop, exact, normal_init, pad_to_multiple
from inpaint.settings import Refused, whole_numbers

LEAST_VARIANCE = 1e-12  # of the gate's map


class _Block(nn.Module):
    """AOT block (section 3.1): split into dilated branches, merge, and let a gate mix the result with the input."""

    def __init__(self, channels: int, rates: Sequence[int]) -> None:
        super().__init__()

        def conv(after: int, rate: int) -> nn.Conv2d:
            return nn.Conv2d(channels, after, 3, padding=rate, dilation=rate, padding_mode="reflect")

        self.branches = nn.ModuleList(
            nn.Sequential(conv(channels // len(rates), rate), nn.ReLU(inplace=True)) for rate in rates
        )
        self.fuse = conv(channels, 1)
        self.gate = conv(channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, h, w)`` to the same shape."""
        merged = self.fuse(torch.cat([branch(x) for branch in self.branches], dim=1))
        gate = open_gate(self.gate(x))
        return x * (1 - gate) + merged * gate


def open_gate(z: Tensor) -> Tensor:
    """``sigmoid(5 * (2 * (z - mean) / std - 1))``, mean and std of each sample and channel over its positions.

    In float32 whatever the autocast. The variance has a least value, so that a map of one value, as of a picture that
    is all hole, has a gradient (the published code adds 1e-9 to the std, whose own gradient is NaN there). It is small
    enough for a map with a standard deviation of 1e-4 to be opened as published.
    """
    with exact(z):
        z = z.float()
        variance, mean = torch.var_mean(z, dim=(2, 3), keepdim=True)
        return torch.sigmoid(5 * (2 * (z - mean) * (variance + LEAST_VARIANCE).rsqrt() - 1))


class AOT(nn.Module):
    """The generator of AOT-GAN: an encoder-decoder whose middle looks at many distances at once, without any norm.

    7 x 7 and two strided 4 x 4 convolutions, AOT blocks, two bilinear enlargements each with a 3 x 3 convolution, and
    3 x 3 to a tanh; ReLU between. As published the input is the picture in [-1, 1] with 1 (white) in its hole, and the
    mask; weights start as N(0, 0.02). 15.2 M parameters.

    Args:
        width: channels of the first layer; twice and four times that below (published: 64).
        blocks: AOT blocks in the middle (published: 8).
        rates: dilations of a block's branches, which share its ``4 * width`` channels (published: 1, 2, 4, 8).

    Raises:
        Refused: a number that is not whole or below 1, or branches that do not divide the channels.

    Shapes: image ``(B, 3, H, W)`` in [-1, 1], mask ``(B, 1, H, W)``; any H, W (padded to `multiple` and to `minimum`,
    which the reflect padding of the largest rate needs).
    """

    multiple = 4

    def __init__(self, width: int = 64, blocks: int = 8, rates: Sequence[int] = (1, 2, 4, 8)) -> None:
        super().__init__()
        whole_numbers("generator", width=width, blocks=blocks, rates=rates)
        if not rates or 4 * width % len(rates):
            raise Refused(f"generator.rates: {len(rates)} branches do not divide {4 * width} channels (4 * width)")
        self.minimum = self.multiple * (max(rates) + 1)
        self.encoder = nn.Sequential(
            nn.Conv2d(4, width, 7, padding=3, padding_mode="reflect"),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, 2 * width, 4, 2, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(2 * width, 4 * width, 4, 2, 1),
            nn.ReLU(inplace=True),
        )
        self.middle = nn.Sequential(*(_Block(4 * width, rates) for _ in range(blocks)))
        self.decoder = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
            nn.Conv2d(4 * width, 2 * width, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
            nn.Conv2d(2 * width, width, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, 3, 3, padding=1),
            nn.Tanh(),
        )
        normal_init(self)

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Paint the picture: the pixels of `image` inside the hole are not read."""
        output = self.decoder(self.features(image, mask))
        return compose(crop(output, image), image, mask)

    def features(self, image: Tensor, mask: Tensor) -> Tensor:
        """What the decoder paints from: ``(B, 4 * width, h, w)`` at a quarter of the resolution."""
        known, hole = pad_to_multiple(image, mask, self.multiple, self.minimum)
        white = torch.where(hole > 0.5, 1, known)
        return self.middle(self.encoder(torch.cat([white, hole], dim=1)))
