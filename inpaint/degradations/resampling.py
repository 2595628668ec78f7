"""Fewer pixels: a smaller picture, or one that was smaller once."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint.degradations.kind import Degradation, between, span
from inpaint.settings import Refused, choice, whole

Method = Literal["area", "bilinear", "bicubic"]
METHODS = ("area", "bilinear", "bicubic")


class Resize(Degradation):
    """A smaller picture, which is to be made as large as the truth.

    Args:
        scale: how many times fewer pixels a side has, a whole number, mostly 2, 3 or 4. Sides that it does not divide
            are refused.
        method: ``bicubic`` is antialiased and MATLAB's `imresize` to 0.01 dB (a = -0.5), which published figures are
            of; ``bilinear`` is antialiased as well; ``area`` is the mean.
        stored: as in `Degradation`.
    """

    def __init__(self, scale: int = 2, method: Method = "bicubic", stored: bool = True) -> None:
        super().__init__(stored)
        self.scale, self.method = whole("degradation.scale", scale, 1), choice("degradation.method", method, METHODS)

    def apply(self, image: Tensor, keys: Tensor) -> Tensor:
        """Resize; the keys decide nothing."""
        height, width = image.shape[2:]
        if height % self.scale or width % self.scale:
            raise Refused(f"degradation.scale: {self.scale} does not divide {width}x{height} pixels; see data.crop")
        return resized(image, (height // self.scale, width // self.scale), self.method)


class Resample(Degradation):
    """A picture that was smaller once: made so, and as large as it was.

    Args:
        factor: its sides at that time as a share of what they are, each side for itself, or [least, greatest],
            0.05 to 1.
        back: how it was made larger.
        stored: as in `Degradation`.
    """

    def __init__(
        self,
        factor: float | Sequence[float] = (0.5, 1.0),
        back: Literal["nearest", "bilinear", "bicubic"] = "bilinear",
        stored: bool = False,
    ) -> None:
        super().__init__(stored)
        self.factor = span("factor", factor, 0.05, 1, "a share of the side")
        self.back = choice("degradation.back", back, ("nearest", "bilinear", "bicubic"))

    def apply(self, image: Tensor, keys: Tensor) -> Tensor:
        """Both steps at once: resampling is linear and goes by rows and columns, so each side has one matrix."""
        rows = self._matrix(image.shape[2], between(keys, "height", self.factor))[:, None]
        columns = self._matrix(image.shape[3], between(keys, "width", self.factor))[:, None]
        return rows @ image @ columns.mT

    def _matrix(self, side: int, factor: Tensor) -> Tensor:
        """What makes a side smaller by each factor, ``(B,)``, and as large again: ``(B, side, side)``."""
        fewer = (side * factor).round().clamp(1, side)
        down = resampling(side, fewer, side, "bicubic")
        up = resampling(fewer, torch.full_like(fewer, side), side, self.back)
        return up @ down


def resampling(source: Tensor | int, target: Tensor, most: int, method: str) -> Tensor:
    """Matrices that take sides of `source` pixels to sides of `target`, antialiased: float32 ``(B, most, most)``.

    Row i of a matrix has the weights of the source's pixels in pixel i of the target; rows and columns beyond the sides
    are zero.
    """
    source = torch.full_like(target, source) if isinstance(source, int) else source
    source, target = source.view(-1, 1, 1), target.view(-1, 1, 1)
    pixel = torch.arange(most, device=target.device, dtype=torch.float32)
    middle = (pixel.view(1, -1, 1) + 0.5) * (source / target) - 0.5  # of a target's pixel, in source's pixels
    inside = (pixel.view(1, -1, 1) < target) & (pixel.view(1, 1, -1) < source)
    if method == "nearest":
        taken = (middle + 0.5).floor().minimum(source - 1)
        return ((pixel.view(1, 1, -1) == taken) & inside).float()
    stretch = (source / target).clamp(min=1)  # fewer pixels: the kernel grows, so that nothing aliases
    distance = (pixel.view(1, 1, -1) - middle).abs() / stretch
    weights = (_cubic(distance) if method == "bicubic" else (1 - distance).clamp(min=0)) * inside
    return weights / weights.sum(2, keepdim=True).where(inside.any(2, keepdim=True), torch.ones(()))


def resized(image: Tensor, size: tuple[int, int], method: str) -> Tensor:
    """Pictures ``(B, C, H, W)`` of another size, antialiased where it is smaller."""
    if method == "area":
        return F.interpolate(image, size, mode="area")
    return F.interpolate(image, size, mode=method, antialias=True)


def _cubic(distance: Tensor, a: float = -0.5) -> Tensor:
    """Keys's cubic kernel (1981) of distances from 0 up."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = a * (((distance - 5) * distance + 8) * distance - 4)
    return torch.where(distance <= 1, near, torch.where(distance < 2, far, 0.0))
