"""Binary pictures kept together, one bit a pixel, and looked up in batch: what masks from files are drawn from."""

import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from inpaint.masks.kind import between
from inpaint.masks.shapes import Size
from inpaint.settings import Refused

MOST = 2**31  # bytes of a pool, which are counted in 32 bits


class Resident:
    """Tensors that go to each device once, at their first use there, and stay."""

    def __init__(self, *tensors: Tensor) -> None:
        self._on = {torch.device("cpu"): tensors}

    def __call__(self, device: torch.device) -> tuple[Tensor, ...]:
        """The tensors on `device`."""
        if device not in self._on:
            self._on[device] = tuple(tensor.to(device) for tensor in self._on[torch.device("cpu")])
        return self._on[device]


class Pool:
    """Binary pictures of any sizes.

    Args:
        pictures: bool ``(h, w)`` each; taken one after another, so they need not fit in memory before they are packed.
    """

    def __init__(self, pictures: Iterable[np.ndarray]) -> None:
        packed, sizes = [], []
        for picture in pictures:
            packed.append(np.packbits(picture, axis=1, bitorder="little").ravel())  # every row begins with a byte
            sizes.append(picture.shape)
        lengths = np.array([len(part) for part in packed], dtype=np.int64)
        if lengths.sum() >= MOST:
            raise Refused(f"masks.side: {lengths.sum() / 2**30:.1f} GiB of masks, more than 2; give a smaller side")
        self._length = len(sizes)
        self._bits = Resident(torch.from_numpy(np.concatenate(packed or [np.zeros(0, np.uint8)])))
        size = torch.tensor(sizes, dtype=torch.int32).view(-1, 2)
        # Height and width, bytes a row, and the byte where each picture begins.
        self._table = Resident(size, (size[:, 1] + 7) >> 3, torch.from_numpy(lengths.cumsum() - lengths).int())

    def __len__(self) -> int:
        return self._length

    def invert(self) -> None:
        """Exchange 0 and 1 in all pictures."""
        (bits,) = self._bits(torch.device("cpu"))
        self._bits = Resident(~bits)

    def extent(self, which: Tensor) -> tuple[Tensor, Tensor]:
        """Heights and widths of the pictures `which` ``(B,)`` in their pixels: float32 ``(B, 1, 1)`` each."""
        height, width = self._table(which.device)[0][which].float()[..., None, None].unbind(1)
        return height, width

    def look(self, which: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Pixels of one picture a sample, each the one that a point lies in: bool ``(B, H, W)``, 0 outside the picture.

        Args:
            which: int64 ``(B,)``, 0 <= which < len.
            x, y: the points, float32 that broadcast to ``(B, H, W)``, in the picture's pixels from its centre.
        """
        (bits,), (_, strides, firsts) = self._bits(which.device), self._table(which.device)
        stride, first = strides[which][:, None, None], firsts[which][:, None, None]
        height, width = self.extent(which)
        column, row = (x + width * 0.5).floor_(), (y + height * 0.5).floor_()
        inside = ((column >= 0) & (column < width)).logical_and((row >= 0) & (row < height))
        # In place and with the narrowest numbers, for memory traffic bounds the speed.
        column = torch.minimum(column, width - 1, out=column).clamp_(min=0).int()
        row = torch.minimum(row, height - 1, out=row).clamp_(min=0).int()
        bit = (column & 7).to(torch.uint8)
        byte = (row * stride + first) + column.bitwise_right_shift_(3)
        return (bits.index_select(0, byte.flatten()).view(byte.shape) >> bit).bitwise_and_(inside).bool()


def from_centre(size: Size, device: torch.device) -> tuple[Tensor, Tensor]:
    """The centres of a picture's pixels, counted from its own centre: float32, x ``(1, 1, W)`` and y ``(1, H, 1)``."""
    height, width = size
    x = torch.arange(width, device=device) - (width - 1) / 2
    y = torch.arange(height, device=device) - (height - 1) / 2
    return x[None, None], y[None, :, None]


def reduced(picture: np.ndarray, size: Size) -> np.ndarray:
    """`picture` ``(h, w)`` at `size` (height, width) by its nearest pixels."""
    rows, columns = (
        ((np.arange(to) + 0.5) * (have / to)).astype(int) for to, have in zip(size, picture.shape, strict=True)
    )
    return picture[rows[:, None], columns]


def grown(hole: Tensor, keys: Tensor, dilate: tuple[float, float]) -> Tensor:
    """The hole dilated by a disc of a keyed radius, as a mask: bool ``(B, H, W)`` to float32 ``(B, 1, H, W)``.

    Args:
        hole: as drawn.
        keys: int64 ``(B,)``.
        dilate: least and greatest radius, fractions of the shorter side.
    """
    if dilate != (0, 0):
        shorter = min(hole.shape[1:])
        radius = between(keys, "dilate", 1, dilate)[:, 0] * shorter
        hole = dilated(hole, radius, math.ceil(dilate[1] * shorter))
    return hole[:, None].float()


def dilated(hole: Tensor, radius: Tensor, reach: int) -> Tensor:
    """Every pixel whose centre lies within `radius` of the centre of a pixel of the hole: bool ``(B, H, W)``.

    The square of the Euclidean distance to the hole, exact up to `reach`: the distance along each row, then down each
    column the least sum of its square and that of the rows between. No radius is looked at: each sample has its own.

    Args:
        hole: bool ``(B, H, W)``.
        radius: float32 ``(B,)`` in pixels, 0 leaves the hole as it is.
        reach: whole pixels that no radius exceeds.
    """
    height, width = hole.shape[1:]
    column = torch.arange(width, device=hole.device, dtype=torch.float32)
    far = float(2 * reach + width)
    left = torch.where(hole, column, -far).cummax(2).values
    right = torch.where(hole, column, width + far).flip(2).cummin(2).values.flip(2)
    across = torch.minimum(column - left, right - column).square_()
    square, below = across.clone(), torch.empty_like(across)
    for step in range(1, min(reach, height - 1) + 1):
        torch.add(across, step * step, out=below)
        for here, there in ((slice(step, None), slice(None, -step)), (slice(None, -step), slice(step, None))):
            torch.minimum(square[:, here], below[:, there], out=square[:, here])
    return square <= radius.square()[:, None, None]
