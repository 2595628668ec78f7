"""A small U-Net that starts where the classical fills end."""

from collections.abc import Callable, Mapping
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaint.batch import Outputs, compose
from inpaint.fills import harmonic
from inpaint.networks.conditions import Conditions, FiLM
from inpaint.networks.layers import (
    ACTIVATIONS,
    NORMS,
    SelfAttention,
    crop,
    pad_to_multiple,
    standardise,
    white_noise,
)
from inpaint.restoration import enlarged
from inpaint.settings import Refused, choice, whole, whole_numbers

WIDTH = 64  # numbers of a condition
DROPPED = 0.1  # of the pictures in training of which nothing is said


class Block(nn.Module):
    """Pre-activation residual block: ``x + conv(act(norm(conv(act(norm(x))))))`` (He et al. 2016b).

    The second convolution starts at zero, so a fresh block is the identity and depth costs nothing at the start.
    """

    def __init__(self, channels: int, dilation: int, norm: str, activation: str) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        nn.init.zeros_(self.second.weight)
        self.norms = nn.ModuleList(NORMS[choice("generator.norm", norm, NORMS)](channels) for _ in range(2))
        self.activation = ACTIVATIONS[choice("generator.activation", activation, ACTIVATIONS)]()

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same shape."""
        inner = self.first(self.activation(self.norms[0](x)))
        return x + self.second(self.activation(self.norms[1](inner)))


class ResidualUNet(nn.Module):
    """U-Net (Ronneberger et al. 2015) on a harmonic fill of the hole: ``fill + mask * contrast * difference``.

    What is degraded rather than holed is restored by the same network with ``start=given``: there the given picture, as
    large as the truth by bicubic interpolation, stands in place of the fill.

    The last convolution starts at zero, so at update 0 the output *is* the harmonic fill, which is as good as Telea's,
    the Navier-Stokes and the biharmonic fill on photographs; training can only move on from there. Outside the hole
    the output is the picture itself: a loss there would only teach the network to stay at zero.

    Two more inputs make little data go far. The fill comes at a contrast of 1 (`layers.standardise`) and the difference
    is scaled back, so what is learnt on one contrast holds on another, and a clear sky is not sprinkled with the noise
    that a meadow needs: 25.71 dB in the hole with it, 25.36 dB without, 25.66 dB for the fill alone (bundled
    photographs, 600 updates of L1). And one channel is white noise, a function of the pixel's place alone, the raw
    material of texture: the network stays deterministic.

    Args:
        width: channels at the first level; level i has ``width * 2 ** min(i, 2)``.
        levels: halvings of the resolution.
        blocks: residual blocks a level, on each side.
        shuffle: the first level sees ``shuffle x shuffle`` pixels as channels of one (Shi et al. 2016), which costs
            shuffle^2 times less than the same network on pixels. 1 works on pixels, which thin holes need: with half
            the channels and one level more it costs 1.2 times as much (``experiments/007-balance``).
        attention: the level whose last blocks, on the way up, self-attention follows (`layers.SelfAttention`); level i
            has one position for ``(shuffle * 2 ** i) ** 2`` pixels, `levels` is the lowest. None is none.
        attention_spectral: spectral norm on its 1 x 1 convolutions, as SAGAN has it.
        dilation: of the convolutions in the blocks of the lowest level (as in Iizuka et al. 2017).
        norm: before each activation of the blocks: none, batch, instance or group (of 32 where they divide).
        activation: silu, relu, leaky_relu (0.2), elu or gelu.
        start: ``harmonic``, the fill of the hole, inside of which nothing is read; or ``given``.

        condition: what is said of a picture, by kind (`Conditions`), as ``{words: 4096}``. The features of the lowest
            level, and of each on the way up before its blocks, are scaled and shifted by it (`FiLM`), which starts as
            no change; in training, nothing is said of one picture in ten.

    Raises:
        Refused: a number out of its range, or a word that stands for nothing.

    Shapes: image ``(B, 3, H, W)`` in [-1, 1], mask ``(B, 1, H, W)``; any H, W. label,
    words, embedding as in `Conditions`.
    """

    def __init__(
        self,
        width: int = 32,
        levels: int = 2,
        blocks: int = 1,
        shuffle: int = 2,
        attention: int | None = None,
        attention_spectral: bool = True,
        dilation: int = 1,
        norm: str = "none",
        activation: str = "silu",
        start: str = "harmonic",
        condition: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        self.start = choice("generator.start", start, ("harmonic", "given"))
        whole_numbers("generator", width=width, levels=levels, shuffle=shuffle, dilation=dilation)
        whole_numbers("generator", least=0, blocks=blocks)
        if attention is not None and whole("generator.attention", attention, 0) > levels:
            raise Refused(f"generator.attention: there is no level {attention}; give 0 to {levels}, or null for none")
        self.multiple = shuffle * 2**levels
        self.minimum = self.multiple * (2 if norm == "instance" else 1)  # one position has no variance
        widths = [width * 2 ** min(level, 2) for level in range(levels + 1)]

        # Of blocks of one pixel nothing is shuffled, and an exported graph would hold a reshape that fixes sizes.
        down = nn.PixelUnshuffle(shuffle) if shuffle > 1 else nn.Identity()
        up = nn.PixelShuffle(shuffle) if shuffle > 1 else nn.Identity()
        self.stem = nn.Sequential(down, nn.Conv2d(5 * shuffle**2, width, 3, padding=1))
        self.down = nn.ModuleList()
        self.encode = nn.ModuleList()
        for level, channels in enumerate(widths):
            if level:
                self.down.append(nn.Conv2d(widths[level - 1], channels, 4, 2, 1))
            rate = dilation if level == levels else 1
            self.encode.append(nn.Sequential(*(Block(channels, rate, norm, activation) for _ in range(blocks))))
        self.merge = nn.ModuleList()
        self.decode = nn.ModuleList()
        for before, after in pairwise(widths[::-1]):
            self.merge.append(nn.Conv2d(before + after, after, 3, padding=1))
            self.decode.append(nn.Sequential(*(Block(after, 1, norm, activation) for _ in range(blocks))))
        last = nn.Conv2d(width, 3 * shuffle**2, 3, padding=1)
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
        self.head = nn.Sequential(ACTIVATIONS[choice("generator.activation", activation, ACTIVATIONS)](), last, up)
        # After everything else, so that with and without it the other weights start alike.
        if attention is not None:
            on_the_way_up = [self.encode[-1], *self.decode][levels - attention]
            on_the_way_up.add_module("attention", SelfAttention(widths[attention], attention_spectral))
        self.condition = Conditions(condition, WIDTH, "generator", DROPPED)
        self.films = nn.ModuleList(FiLM(WIDTH, channels) for channels in widths[::-1] if condition)
        self.needs = self.condition.kinds

    def forward(self, image: Tensor, mask: Tensor, **said: Tensor | None) -> Outputs:
        """Paint the picture: the pixels of `image` inside the hole are not read, unless it starts from them."""
        fill, hole = self._begin(image, mask)
        standard, contrast = standardise(fill)
        *skips, x = self._down(standard, hole)
        hear = self._listening(mask, said)
        x = hear(x)
        for merge, blocks, skip in zip(self.merge, self.decode, skips[::-1], strict=True):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = blocks(hear(merge(torch.cat([x, skip], dim=1))))

        output = fill + hole * contrast * self.head(x)
        return compose(crop(output, mask), image, mask)

    def initial_fill(self, image: Tensor, mask: Tensor) -> Tensor:
        """What it paints before anything is learnt, ``(B, 3, H, W)``: the harmonic fill, or the given picture."""
        return enlarged(image, mask) if self.start == "given" else harmonic(image, mask)

    def features(self, image: Tensor, mask: Tensor) -> Tensor:
        """What the lowest level knows before anything is painted: ``(B, C, h, w)``."""
        fill, hole = self._begin(image, mask)
        standard, _ = standardise(fill)
        return self._down(standard, hole)[-1]

    def _begin(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """What it starts from and the hole, both padded to sides that can be halved."""
        if self.start == "given":
            return pad_to_multiple(enlarged(image, mask), mask, self.multiple, self.minimum)
        known, hole = pad_to_multiple(image, mask, self.multiple, self.minimum)
        return harmonic(known, hole), hole

    def _listening(self, mask: Tensor, said: Mapping[str, Tensor | None]) -> Callable[[Tensor], Tensor]:
        """What the features of each level in turn, the lowest first, hear of what is said of the pictures."""
        if not self.films:
            return lambda x: x
        condition, films = self.condition(mask, said), iter(self.films)
        return lambda x: next(films)(x, condition)

    def _down(self, standard: Tensor, hole: Tensor) -> list[Tensor]:
        """Features of every level, the highest resolution first."""
        x = self.stem(torch.cat([standard, hole, white_noise(hole)], dim=1))
        levels = []
        for blocks, down in zip(self.encode, self.down, strict=False):
            levels.append(blocks(x))
            x = down(levels[-1])
        return [*levels, self.encode[-1](x)]
