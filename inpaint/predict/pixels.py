"""Pixels between what files hold and what networks see."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def enlarged(pixels: np.ndarray, factor: int) -> np.ndarray:
    """A copy of ``(H, W, ...)`` in which each pixel is a square of them."""
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def unit(pixels: np.ndarray) -> np.ndarray:
    """float32 in [-1, 1], as `batch.from_uint8`."""
    if pixels.dtype.kind != "u":
        return pixels
    return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max / 2) - 1


def levels(values: np.ndarray, dtype: Any) -> np.ndarray:
    """Back from [-1, 1], clamped; not yet rounded."""
    if dtype.kind != "u":
        return values.clip(-1, 1)
    return ((values + 1) * np.float32(np.iinfo(dtype).max / 2)).clip(0, np.iinfo(dtype).max)


def array(pictures: "Tensor") -> np.ndarray:
    """``(B, C, H, W)`` to ``(B, H, W, C)``, float32."""
    return pictures.float().permute(0, 2, 3, 1).cpu().numpy()
