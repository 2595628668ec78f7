"""What every kind of mask shares: how it is called, limits on the hole's area, and keyed random numbers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from inpaint.masks.shapes import Shapes, Size, empty, groups, on_host, paint
from inpaint.rng import fold, uniform
from inpaint.settings import interval, number

if TYPE_CHECKING:
    from inpaint.masks.frozen import Frozen

TRIES = 12  # draws of a sample's mask at most, while its area is outside the limits
AT_ONCE = 2**26  # pixels of masks that a GPU draws at a time, 256 MiB
EVERY_AREA = (0.0, 1.0)
PIXELS = 2**18  # that a CPU computes one by one at a time


class Masks(ABC):
    """A kind of mask. Wrong arguments raise a `Refused` that names the config key.

    Args:
        area: least and greatest share of the picture that a hole may cover, both included. A mask outside is drawn
            anew, at most `TRIES` times in all, each draw a function of the sample's key; if none lies within, the
            nearest is taken.

    Attributes:
        frozen: the frozen set that the masks are those of, if they are; it has masks for its own crops only.
    """

    frozen: "Frozen | None" = None

    def __init__(self, area: Sequence[float] = EVERY_AREA) -> None:
        self.area = span("area", area, 0, 1, "two shares of the picture's area")

    @property
    def whole(self) -> bool:
        """Whether every hole is all of the picture; of a degraded one, all is restored then and nothing is hidden."""
        return False

    @abstractmethod
    def make(self, keys: Tensor, size: Size) -> Tensor:
        """One draw: masks float32 ``(B, 1, H, W)``, exactly 0 or 1, of int64 keys ``(B,)``, on their device."""

    def draw(self, keys: Tensor, size: Size) -> Shapes | None:
        """One draw as shapes, where the kind is made of nothing else, so that several kinds are painted at once."""
        return None

    @torch.no_grad()
    def __call__(self, keys: Tensor, size: Size) -> Tensor:
        """Masks float32 ``(B, 1, H, W)``, exactly 0 or 1, 1 = hole, on the device of the int64 keys ``(B,)``."""
        mask = self.make(keys, size)
        if self.area == EVERY_AREA:
            return mask
        misfit, tried = self._misfit(mask), 1
        while tried < TRIES:
            # On a GPU all masks are redrawn, since the host would have to wait to learn which do not fit: all tries
            # that are left at once, as far as memory allows. On a CPU only the misfits are redrawn, doubling the number
            # of tries each round while they fit into one batch, as a small batch costs nearly as much as a full one.
            if on_host(keys):
                rows = misfit.nonzero()[:, 0]
                if not len(rows):
                    break
                times = min(tried, TRIES - tried, len(keys) // len(rows))
            else:
                rows = torch.arange(len(keys), device=keys.device)
                times = max(1, min(TRIES - tried, AT_ONCE // max(mask.numel(), 1)))
            again = self.make(torch.cat([fold(keys[rows], f"draw {tried + k}") for k in range(times)]), size)
            distance, attempt = self._misfit(again).view(times, len(rows)).min(0)  # the best attempt at each of `rows`
            nearest = again.view(times, len(rows), 1, *size)[attempt, torch.arange(len(rows), device=keys.device)]
            better = distance < misfit[rows]
            mask.index_copy_(0, rows, torch.where(better[:, None, None, None], nearest, mask[rows]))
            misfit.index_copy_(0, rows, torch.minimum(distance, misfit[rows]))
            tried += times
        return mask

    def _misfit(self, mask: Tensor) -> Tensor:
        """How far each mask's area is from the limits, in pixels: float32 ``(B,)``, 0 within."""
        pixels = mask.shape[2:].numel()
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


class Pixelwise(Masks):
    """A kind that is computed for each pixel, which takes memory: a CPU makes a few samples at a time, in its cache."""

    @abstractmethod
    def inside(self, keys: Tensor, size: Size) -> Tensor:
        """Which pixels are hole: bool ``(B, H, W)`` of int64 keys ``(B,)``."""

    def make(self, keys: Tensor, size: Size) -> Tensor:
        """All samples."""
        mask = empty((len(keys), 1, *size), keys.device)
        for rows in groups(mask, PIXELS):
            mask[rows, 0] = self.inside(keys[rows], size).to(torch.float32)
        return mask


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
    """`settings.interval` of a setting of masks."""
    return interval(f"masks.{name}", value, least, most, unit, whole)


def scalar(name: str, value: float, least: float, most: float, unit: str, whole: bool = False) -> float:
    """`settings.number` of a setting of masks."""
    return number(f"masks.{name}", value, least, most, unit, whole)


def shorter_side(resolution: float) -> float:
    """The `resolution` that lengths are stated for, or a `Refused` that names the config key."""
    return scalar("resolution", resolution, 1, 1e6, "the shorter side of the pictures that lengths are stated for")
