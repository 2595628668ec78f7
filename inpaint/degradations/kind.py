"""What every kind of degradation shares: how it is called, whether its result is stored, and keyed numbers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from inpaint.batch import stored
from inpaint.rng import fold, uniform
from inpaint.settings import interval, number

LEVEL = 2 / 255  # one 8-bit level on the scale of [-1, 1]


class Degradation(ABC):
    """A kind of degradation. Wrong arguments raise a `Refused` that names the config key.

    Args:
        stored: round the result to 8 bits and clip it to [-1, 1], as a file does; otherwise it is what the arithmetic
            gives, and noise leaves [-1, 1].

    Attributes:
        scale: how many times fewer pixels a side has than the truth.
    """

    scale: int = 1
    stored: bool = False

    def __init__(self, stored: bool = False) -> None:
        self.stored = stored

    @abstractmethod
    def apply(self, image: Tensor, keys: Tensor) -> Tensor:
        """Degrade float32 ``(B, 3, H, W)`` by int64 keys ``(B,)``, on their device."""

    @torch.no_grad()
    def __call__(self, image: Tensor, keys: Tensor) -> Tensor:
        """What is given of the truth `image`, float32 ``(B, 3, H, W)`` in [-1, 1]; see the package."""
        made = self.apply(image, keys)
        return stored(made) if self.stored else made


def between(keys: Tensor, stream: str, ends: tuple[float, float]) -> Tensor:
    """A uniform number in [ends[0], ends[1]) for each sample: float32 ``(B,)``, another one for each `stream`."""
    return uniform(fold(keys, stream), 1)[:, 0] * (ends[1] - ends[0]) + ends[0]


def happens(keys: Tensor, stream: str, probability: float) -> Tensor:
    """Which samples something of this probability happens to: bool ``(B,)``."""
    return between(keys, stream, (0.0, 1.0)) < probability


def each(values: Tensor) -> Tensor:
    """One number a sample, ``(B,)``, as it is multiplied with pictures: ``(B, 1, 1, 1)``."""
    return values.view(-1, 1, 1, 1)


def span(name: str, value: float | Sequence[float], least: float, most: float, unit: str) -> tuple[float, float]:
    """A strength's two ends; a single number stands for both."""
    ends: Any = (value, value) if isinstance(value, int | float) else value
    return interval(f"degradation.{name}", ends, least, most, unit)


def share(name: str, value: float) -> float:
    """A probability or a share, in [0, 1]."""
    return number(f"degradation.{name}", value, 0, 1, "a share")
