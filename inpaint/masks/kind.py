"""What every kind of mask shares: how it is called, limits on the hole's area, and keyed random numbers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from inpaint.masks.shapes import Shapes, Size, on_host, paint
from inpaint.rng import fold, uniform

TRIES = 12  # draws of a sample's mask at most, while its area is outside the limits
EVERY_AREA = (0.0, 1.0)


class Masks(ABC):
    """A kind of mask. Wrong arguments raise a ValueError that names the config key.

    Args:
        area: least and greatest share of the picture that a hole may cover, both included. A mask outside is drawn
            anew, at most `TRIES` times in all, each draw a function of the sample's key; if none lies within, the
            nearest is taken.
    """

    def __init__(self, area: Sequence[float] = EVERY_AREA) -> None:
        self.area = span("area", area, 0, 1, "two shares of the picture's area")

    @abstractmethod
    def make(self, keys: Tensor, size: Size) -> Tensor:
        """One draw: masks float32 ``(B, 1, H, W)``, exactly 0 or 1, of int64 keys ``(B,)``, on their device."""

    @torch.no_grad()
    def __call__(self, keys: Tensor, size: Size) -> Tensor:
        """Masks float32 ``(B, 1, H, W)``, exactly 0 or 1, 1 = hole, on the device of the int64 keys ``(B,)``."""
        mask = self.make(keys, size)
        if self.area == EVERY_AREA:
            return mask
        misfit = self._misfit(mask)
        for attempt in range(1, TRIES):
            # On the CPU only what does not fit is drawn anew. A GPU draws all, as looking would make the host wait.
            rows = misfit.nonzero()[:, 0] if on_host(keys) else torch.arange(len(keys), device=keys.device)
            if not len(rows):
                break
            again = self.make(fold(keys[rows], f"draw {attempt}"), size)
            distance = self._misfit(again)
            better = distance < misfit[rows]
            mask[rows] = torch.where(better[:, None, None, None], again, mask[rows])
            misfit[rows] = torch.where(better, distance, misfit[rows])
        return mask

    def _misfit(self, mask: Tensor) -> Tensor:
        """How far each mask's area is from the limits, in pixels: float32 ``(B,)``, 0 within."""
        pixels = mask[0].numel()
        # Whole numbers, exact in any order of summation up to 2^24 pixels.
        area = mask.flatten(1).sum(1)
        return (self.area[0] * pixels - area).clamp(min=0) + (area - self.area[1] * pixels).clamp(min=0)


class Drawn(Masks):
    """A kind that is drawn as convex shapes: drawing is its own, painting is shared."""

    @abstractmethod
    def draw(self, keys: Tensor, size: Size) -> Shapes:
        """The shapes of each sample's hole: int64 keys ``(B,)``, pictures of `size` (H, W) pixels."""

    def make(self, keys: Tensor, size: Size) -> Tensor:
        """Draw and paint."""
        return paint(self.draw(keys, size), size)


def between(keys: Tensor, stream: str, count: int, ends: tuple[float, float]) -> Tensor:
    """Uniform numbers in [ends[0], ends[1]): float32 ``(B, count)``, independent of those of any other `stream`."""
    return uniform(fold(keys, stream), count) * (ends[1] - ends[0]) + ends[0]


def whole(keys: Tensor, stream: str, count: int, ends: tuple[int, int]) -> Tensor:
    """Uniform whole numbers ends[0]..ends[1], both included: float32 ``(B, count)``."""
    return between(keys, stream, count, (ends[0], ends[1] + 1)).floor_()


def sine(turns: Tensor) -> Tensor:
    """Sine of an angle in full turns, to 0.001: a parabola, refined once, whose bits every device shares."""
    t = turns - (turns + 0.5).floor()
    s = 8 * t - 16 * t * t.abs()
    return s + 0.225 * (s * s.abs() - s)


def span(name: str, value: Sequence, least: float, most: float, unit: str, whole: bool = False) -> tuple:
    """`value` as (low, high) with least <= low <= high <= most, or a ValueError that names the config key."""
    try:
        low, high = value
        if least <= low <= high <= most and not (whole and (low % 1 or high % 1)):
            return (int(low), int(high)) if whole else (low, high)
    except (TypeError, ValueError):
        pass
    raise ValueError(f"masks.{name}: give [low, high], {unit}, {least:g} <= low <= high <= {most:g}; got {value!r}")
