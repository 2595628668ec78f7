"""Pixels of files as those of networks, and the reverse."""

import cv2
import numpy as np
import torch
from torch import Tensor


def shrunk(pixels: np.ndarray, size: int) -> np.ndarray:
    """Pixels ``(H, W, 3)`` whose longer side has at most `size`, in proportion."""
    longer = max(pixels.shape[:2])
    if longer <= size:
        return pixels
    height, width = (max(1, round(side * size / longer)) for side in pixels.shape[:2])
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)


def as_tensor(pixels: np.ndarray) -> Tensor:
    """Pixels ``(H, W, 3)`` of 8 or 16 bits as float32 ``(1, 3, H, W)`` in [-1, 1]."""
    scaled = pixels.astype(np.float32) * (2 / np.iinfo(pixels.dtype).max) - 1
    return torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1)))[None]


def as_pixels(picture: Tensor, like: np.ndarray) -> np.ndarray:
    """The reverse of `as_tensor`, with as many bits as other pixels have."""
    most = np.iinfo(like.dtype).max
    levels = picture[0].permute(1, 2, 0).cpu().double().add(1).mul(most / 2).round().clamp(0, most)
    return levels.numpy().astype(like.dtype)
