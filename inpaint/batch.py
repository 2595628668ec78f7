"""The words of the project as types: what a batch holds and what a generator returns.

An *image* is float32 ``(B, 3, H, W)`` in [-1, 1]; pixels become 8-bit RGB only at the edges (`to_uint8`, `from_uint8`).
A *mask* is float32 ``(B, 1, H, W)``, exactly 0 or 1, and **1 is the hole**, the part that is to be painted.
"""

from dataclasses import dataclass
from typing import NotRequired, TypedDict

import torch
from torch import Tensor


class Batch(TypedDict):
    """What every training, validation and prediction step receives.

    image: the truth, float32 ``(B, 3, H, W)`` in [-1, 1].
    mask: float32 ``(B, 1, H, W)``, exactly 0 or 1, 1 = hole.
    index: int64 ``(B,)``, the row of each sample in its data set.
    label: int64 ``(B,)``, the number of each picture's class, where the data set has classes.
    caption: a text for each picture, where the data set has texts.
    """

    image: Tensor
    mask: Tensor
    index: Tensor
    label: NotRequired[Tensor]
    caption: NotRequired[list[str]]


@dataclass(frozen=True)
class Outputs:
    """What a generator made of a batch; both ``(B, 3, H, W)``.

    output: what it painted, over the whole picture.
    composite: the output inside the hole, the given picture outside it, bit for bit.
    """

    output: Tensor
    composite: Tensor


def compose(output: Tensor, image: Tensor, mask: Tensor) -> Outputs:
    """Paste `output`, in the precision of `image`, into the hole of `image`.

    A selection rather than ``mask * output + (1 - mask) * image``: it is exact in every precision, and an infinite or
    NaN output inside the hole cannot leak into the known pixels.
    """
    return Outputs(output=output, composite=torch.where(mask > 0.5, output.to(image.dtype), image))


def to_uint8(image: Tensor) -> Tensor:
    """[-1, 1] floats to 0..255 bytes, clamped and rounded (truncation would darken every picture by half a level)."""
    return image.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def from_uint8(image: Tensor) -> Tensor:
    """0..255 bytes to float32 in [-1, 1]; `to_uint8` gives every byte back."""
    return image.to(torch.float32).div(127.5).sub(1)
