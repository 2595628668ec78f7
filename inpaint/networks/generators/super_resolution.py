"""Networks that make pictures of more pixels: VDSR on luma, SRResNet, EDSR, ESRGAN's, and Real-ESRGAN's compact one.

They are given a picture with `scale` times fewer pixels a side than the mask, which says how large the truth is, and
look at all of it; with a scale of 1 they restore pictures of the truth's size.
"""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaint.batch import Outputs, compose
from inpaint.degradations.tone import luma
from inpaint.networks.layers import PRELU, crop, he_init, pad_to_multiple
from inpaint.restoration import enlarged
from inpaint.settings import Refused, choice, number, whole, whole_numbers

MEAN_OF_DIV2K = (0.4488, 0.4371, 0.4040)  # the mean colour of the photographs that EDSR was trained on, in [0, 1]
LEVELS = 255 / 2  # on the scale of [-1, 1]


class VDSR(nn.Module):
    """Twenty layers that learn what a bicubic enlargement lacks (Kim et al. 2016, arXiv 1511.04587).

    They see luma alone, as in the paper; colours are bicubic. Departure: the paper's gradient clipping belongs to its
    rate of 0.1 and its loss, a sum over pixels; with Adam neither is needed.

    Args:
        width: channels, 64 in the paper.
        depth: layers, 20 in the paper: 665,921 parameters.

    Shapes: image ``(B, 3, h, w)`` in [-1, 1], mask ``(B, 1, H, W)``; output ``(B, 3, H, W)``.
    """

    def __init__(self, width: int = 64, depth: int = 20) -> None:
        super().__init__()
        whole_numbers("generator", width=width)
        whole_numbers("generator", least=2, depth=depth)
        layers: list[nn.Module] = [nn.Conv2d(1, width, 3, padding=1), nn.ReLU()]
        for _ in range(depth - 2):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, 1, 3, padding=1))
        he_init(self.layers, PRELU)

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Enlarge the picture and add what is missing in its luma."""
        base = enlarged(image, mask)
        # Grey added to luma is added to the three channels alike.
        return compose(base + self.layers(luma(base)), image, mask)

    def initial_fill(self, image: Tensor, mask: Tensor) -> Tensor:
        """What it adds to: the bicubic enlargement, ``(B, 3, H, W)``."""
        return enlarged(image, mask)


class SRVGG(nn.Module):
    """The compact network of Real-ESRGAN (`SRVGGNetCompact`): all layers work on the small picture.

    Args:
        scale: how many times more pixels a side gets.
        width: channels, 64 as published.
        depth: convolutions between the first and the last, 16 as published: 621,424 parameters at a scale of 4.
        start: what is added to: ``nearest``, as published, or ``bicubic``, which starts where super-resolution begins.

    Shapes: image ``(B, 3, h, w)`` in [-1, 1], mask ``(B, 1, scale * h, scale * w)``; output ``(B, 3, H, W)``.
    """

    def __init__(self, scale: int = 2, width: int = 64, depth: int = 16, start: str = "bicubic") -> None:
        super().__init__()
        whole_numbers("generator", scale=scale, width=width)
        whole_numbers("generator", least=0, depth=depth)
        self.scale, self.start = scale, choice("generator.start", start, ("nearest", "bicubic"))
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1), nn.PReLU(width)]
        for _ in range(depth):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.PReLU(width)]
        last = nn.Conv2d(width, 3 * scale**2, 3, padding=1)
        self.layers = nn.Sequential(*layers, last)
        he_init(self.layers, PRELU)
        nn.init.zeros_(last.weight)  # so that it begins as what it adds to

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Add to the start, block by block of ``scale x scale`` pixels."""
        detail = F.pixel_shuffle(self.layers(image), self.scale)
        return compose(self.initial_fill(image, mask) + detail, image, mask)

    def initial_fill(self, image: Tensor, mask: Tensor) -> Tensor:
        """What it adds to, ``(B, 3, H, W)``."""
        if self.start == "nearest":
            return F.interpolate(image, scale_factor=self.scale, mode="nearest")
        return enlarged(image, mask)


class SRResNet(nn.Module):
    """Residual blocks with batch norm and two steps of pixel shuffle (Ledig et al. 2017, arXiv 1609.04802, figure 4).

    Args:
        scale: how many times more pixels a side gets: 1, 2, 3, 4 or 8.
        width: channels, 64 in the paper.
        blocks: residual blocks, 16 in the paper: 1,549,462 parameters at a scale of 4.

    Shapes: image ``(B, 3, h, w)`` in [-1, 1], mask ``(B, 1, scale * h, scale * w)``; output ``(B, 3, H, W)``.
    """

    def __init__(self, scale: int = 4, width: int = 64, blocks: int = 16) -> None:
        super().__init__()
        whole_numbers("generator", width=width, blocks=blocks)
        self.scale = scale
        self.first = nn.Sequential(nn.Conv2d(3, width, 9, padding=4), nn.PReLU())
        self.body = nn.Sequential(
            *(_NormedBlock(width) for _ in range(blocks)),
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
        )
        self.last = nn.Sequential(*shuffled(width, scale, nn.PReLU), nn.Conv2d(width, 3, 9, padding=4))

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Paint all of the large picture anew."""
        shallow = self.first(image)
        return compose(self.last(shallow + self.body(shallow)), image, mask)


class _NormedBlock(nn.Module):
    """``x + norm(conv(prelu(norm(conv(x)))))``, 3 x 3."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            *(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.PReLU()),
            *(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


class EDSR(nn.Module):
    """Residual blocks without norm (Lim et al. 2017, arXiv 1707.02921), on colours of 255 levels less their mean.

    Args:
        scale: how many times more pixels a side gets: 1, 2, 3, 4 or 8.
        width: channels; 64 in the paper's baseline, 1,517,571 parameters at a scale of 4, and 256 in its large model,
            43,089,923.
        blocks: residual blocks; 16 in the baseline, 32 in the large model.
        residual: what a block adds is multiplied by it; 1 in the baseline, 0.1 in the large model.

    Shapes: image ``(B, 3, h, w)`` in [-1, 1], mask ``(B, 1, scale * h, scale * w)``; output ``(B, 3, H, W)``.
    """

    mean: Tensor

    def __init__(self, scale: int = 4, width: int = 64, blocks: int = 16, residual: float = 1.0) -> None:
        super().__init__()
        whole_numbers("generator", width=width, blocks=blocks)
        self.scale = scale
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.body = nn.Sequential(
            *(_PlainBlock(width, number("generator.residual", residual, 0, 1, "a factor")) for _ in range(blocks)),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.last = nn.Sequential(*shuffled(width, scale), nn.Conv2d(width, 3, 3, padding=1))
        mean = torch.tensor(MEAN_OF_DIV2K).mul(2).sub(1).view(1, 3, 1, 1)
        self.register_buffer("mean", mean, persistent=False)

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Paint all of the large picture anew."""
        shallow = self.first((image - self.mean) * LEVELS)
        return compose(self.last(shallow + self.body(shallow)) / LEVELS + self.mean, image, mask)


class _PlainBlock(nn.Module):
    """``x + residual * conv(relu(conv(x)))``, 3 x 3."""

    def __init__(self, width: int, residual: float) -> None:
        super().__init__()
        self.residual = residual
        self.inner = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.residual * self.inner(x)


class RRDB(nn.Module):
    """The generator of ESRGAN: dense blocks in residual blocks in residual blocks (Wang et al. 2018, arXiv 1809.00219).

    It enlarges four times; for a smaller scale it works on blocks of pixels of what is given, as Real-ESRGAN does.

    Args:
        scale: how many times more pixels a side gets: 4 as published, 1 or 2.
        width: channels, 64 as published.
        blocks: blocks of three dense blocks, 23 as published: 16,697,987 parameters at a scale of 4.
        growth: channels that each convolution of a dense block adds, 32 as published.

    Shapes: image ``(B, 3, h, w)`` in [-1, 1], mask ``(B, 1, scale * h, scale * w)``; output ``(B, 3, H, W)``.
    """

    def __init__(self, scale: int = 4, width: int = 64, blocks: int = 23, growth: int = 32) -> None:
        super().__init__()
        whole_numbers("generator", width=width, blocks=blocks, growth=growth)
        if whole("generator.scale", scale, 1) not in (1, 2, 4):
            raise Refused(f"generator.scale: rrdb enlarges 1, 2 or 4 times; got {scale}")
        self.scale, self.block = scale, 4 // scale
        self.first = nn.Conv2d(3 * self.block**2, width, 3, padding=1)
        self.body = nn.Sequential(
            *(_Scaled(*(_Dense(width, growth) for _ in range(3))) for _ in range(blocks)),
            nn.Conv2d(width, width, 3, padding=1),
        )
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [nn.Upsample(scale_factor=2.0), nn.Conv2d(width, width, 3, padding=1), nn.LeakyReLU(0.2)]
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(width, 3, 3, padding=1)]
        self.last = nn.Sequential(*layers)

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Paint all of the large picture anew."""
        padded, _ = pad_to_multiple(image, image[:, :1], self.block)
        shallow = self.first(F.pixel_unshuffle(padded, self.block))
        output = self.last(shallow + self.body(shallow))
        return compose(crop(output, mask), image, mask)


class _Dense(nn.Module):
    """Five convolutions, each of which sees what all before it made; ``x + 0.2 * the last``."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        widths = [width + number * growth for number in range(5)]
        self.layers = nn.ModuleList()
        for before in widths:
            layer = nn.Conv2d(before, growth if before < widths[-1] else width, 3, padding=1)
            nn.init.kaiming_normal_(layer.weight)
            layer.weight.data.mul_(0.1)  # as in the authors' code, so that deep sums do not grow
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
            self.layers.append(layer)

    def forward(self, x: Tensor) -> Tensor:
        made = x
        for layer in self.layers[:-1]:
            made = torch.cat([made, F.leaky_relu(layer(made), 0.2)], dim=1)
        return x + 0.2 * self.layers[-1](made)


class _Scaled(nn.Sequential):
    """``x + 0.2 * layers(x)``."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.2 * super().forward(x)


def shuffled(width: int, scale: int, activation: Callable[[], nn.Module] | None = None) -> Iterator[nn.Module]:
    """Steps that enlarge features by pixel shuffle (Shi et al. 2016), twice each or three times at once.

    Raises:
        Refused: there are no such steps to the scale.
    """
    if whole("generator.scale", scale, 1) not in (1, 2, 3, 4, 8):
        raise Refused(f"generator.scale: pixels are shuffled to a scale of 1, 2, 3, 4 or 8; got {scale}")
    for factor in [3] if scale == 3 else [2] * (scale.bit_length() - 1):
        yield nn.Conv2d(width, width * factor**2, 3, padding=1)
        yield nn.PixelShuffle(factor)
        if activation is not None:
            yield activation()
