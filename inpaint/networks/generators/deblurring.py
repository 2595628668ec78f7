"""Networks that sharpen blurred pictures: NAFNet, which takes noise off as well, and DeblurGAN's generator.

They look at all of what is given and add to it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from inpaint.batch import Outputs, compose
from inpaint.networks.layers import NORMS, ResidualBlock, crop, normal_init, pad_to_multiple, picture_decoder
from inpaint.settings import Refused, choice, whole_numbers


class NAFNet(nn.Module):
    """A U-Net without activation functions (Chen et al. 2022, arXiv 2204.04676): halves of the channels are multiplied.

    Departure: at a picture's size its mean goes into every channel, as in training; the released code for GoPro takes
    means of windows of the training's size there.

    Args:
        width: channels at full resolution; they double at each halving. 32 with the depths below has 29,159,715
            parameters, 64 has 115,982,915.
        encoder: blocks at each resolution on the way down. Published for noise: 2, 2, 4, 8; for blur: 1, 1, 1, 28.
        middle: blocks at the lowest resolution: 12 for noise, 1 for blur.
        decoder: blocks at each resolution on the way up: 2, 2, 2, 2 for noise, 1, 1, 1, 1 for blur.

    Raises:
        Refused: a number that is not whole or below 1, or a way up of another length than the way down.

    Shapes: image ``(B, 3, H, W)`` in [-1, 1] or beyond, mask ``(B, 1, H, W)``; any H, W (padded to a multiple).
    """

    def __init__(
        self,
        width: int = 32,
        encoder: Sequence[int] = (2, 2, 4, 8),
        middle: int = 12,
        decoder: Sequence[int] = (2, 2, 2, 2),
    ) -> None:
        super().__init__()
        whole_numbers("generator", width=width, encoder=encoder, middle=middle, decoder=decoder)
        if len(encoder) != len(decoder):
            raise Refused(f"generator.decoder: {len(decoder)} resolutions, and generator.encoder has {len(encoder)}")
        self.multiple = 2 ** len(encoder)
        self.first, self.last = nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, 3, 3, padding=1)
        self.encoder, self.down = nn.ModuleList(), nn.ModuleList()
        for depth in encoder:
            self.encoder.append(_blocks(width, depth))
            self.down.append(nn.Conv2d(width, 2 * width, 2, 2))
            width *= 2
        self.middle = _blocks(width, middle)
        self.up, self.decoder = nn.ModuleList(), nn.ModuleList()
        for depth in decoder:
            self.up.append(nn.Sequential(nn.Conv2d(width, 2 * width, 1, bias=False), nn.PixelShuffle(2)))
            width //= 2
            self.decoder.append(_blocks(width, depth))

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Add what is learnt to be missing."""
        x, _ = pad_to_multiple(image, mask, self.multiple)
        x, skips = self.first(x), []
        for blocks, down in zip(self.encoder, self.down, strict=True):
            skips.append(blocks(x))
            x = down(skips[-1])
        x = self.middle(x)
        for up, blocks in zip(self.up, self.decoder, strict=True):
            x = blocks(up(x) + skips.pop())
        return compose(image + crop(self.last(x), image), image, mask)

    def initial_fill(self, image: Tensor, mask: Tensor) -> Tensor:
        """What it adds to: the given picture."""
        return image


class _NAFBlock(nn.Module):
    """Two residual steps, which begin as nothing: depthwise with channel attention, and 1 x 1; norms over channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([_ChannelNorm(width), _ChannelNorm(width)])
        self.spread = nn.Sequential(
            nn.Conv2d(width, 2 * width, 1), nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width)
        )
        self.attention = nn.Conv2d(width, width, 1)
        self.mix = nn.Conv2d(width, width, 1)
        self.second = nn.ModuleList([nn.Conv2d(width, 2 * width, 1), nn.Conv2d(width, width, 1)])
        self.factors = nn.ParameterList([torch.zeros(1, width, 1, 1), torch.zeros(1, width, 1, 1)])

    def forward(self, x: Tensor) -> Tensor:
        gated = _gated(self.spread(self.norms[0](x)))
        gated = gated * self.attention(gated.mean(dim=(2, 3), keepdim=True))
        x = x + self.factors[0] * self.mix(gated)
        return x + self.factors[1] * self.second[1](_gated(self.second[0](self.norms[1](x))))


class _ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each place, ``(B, C, H, W)`` to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


def _blocks(width: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*(_NAFBlock(width) for _ in range(depth)))


def _gated(x: Tensor) -> Tensor:
    """One half of the channels times the other."""
    first, second = x.chunk(2, dim=1)
    return first * second


class DeblurGAN(nn.Module):
    """The ResNet of Johnson et al. 2016, whose output is added to the picture (Kupyn et al. 2018, arXiv 1711.07064).

    Departure: no dropout in the blocks, as what is drawn for a sample would depend on its batch.

    Args:
        width: channels of the first layer; they double twice. 64 as published: 11,378,179 parameters.
        blocks: residual blocks, 9 as published.
        norm: `instance` as published, `batch`, `group` or `none`.

    Raises:
        Refused: a number that is not whole or below 1, or a norm that does not exist.

    Shapes: image ``(B, 3, H, W)`` in [-1, 1], mask ``(B, 1, H, W)``; any H, W (padded to a multiple of 4, 8 at least).
    """

    def __init__(self, width: int = 64, blocks: int = 9, norm: str = "instance") -> None:
        super().__init__()
        whole_numbers("generator", width=width, blocks=blocks)
        choice("generator.norm", norm, NORMS)
        layers: list[nn.Module] = [nn.Conv2d(3, width, 7, padding=3, padding_mode="reflect")]
        layers += [NORMS[norm](width), nn.ReLU(inplace=True)]
        for _ in range(2):
            layers += [nn.Conv2d(width, 2 * width, 3, 2, 1), NORMS[norm](2 * width), nn.ReLU(inplace=True)]
            width *= 2
        layers += [ResidualBlock(width, norm) for _ in range(blocks)]
        decoder = [*picture_decoder([width, width // 2, width // 4], norm)]
        self.layers = nn.Sequential(*layers, *decoder[:-1], nn.Tanh())  # in place of the sigmoid
        normal_init(self)

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Add what is learnt to be missing, and clip."""
        padded, _ = pad_to_multiple(image, mask, 4, 8)
        return compose((image + crop(self.layers(padded), image)).clamp(-1, 1), image, mask)

    def initial_fill(self, image: Tensor, mask: Tensor) -> Tensor:
        """What it adds to: the given picture."""
        return image
