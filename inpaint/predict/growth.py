"""Holes that grow, and what is painted around them fading into what is known."""

import cv2
import numpy as np


def grown(hole: np.ndarray, pixels: int) -> np.ndarray:
    """A hole, bool ``(H, W)``, with what is up to so many pixels from it."""
    return _distance(hole) <= pixels if pixels and hole.any() else hole


def faded(picture: np.ndarray, painted: np.ndarray, hole: np.ndarray, pixels: int) -> np.ndarray:
    """What is painted in the hole, which turns into the picture with the distance from it, linearly over `pixels`.

    Args:
        picture: ``(H, W, C)``, uint8, uint16 or floats.
        painted: the same size and type, painted up to `pixels` beyond the hole.
        hole: bool ``(H, W)``.
        pixels: the first ring around the hole is painted by pixels / (pixels + 1), the last by 1 / (pixels + 1).
    """
    if not pixels or not hole.any():
        return painted
    weight = (1 - _distance(hole) / (pixels + 1)).clip(0, 1)[..., None]
    mixed = picture + weight * (painted.astype(np.float32) - picture)
    mixed = (np.rint(mixed) if picture.dtype.kind == "u" else mixed).astype(picture.dtype)
    return np.where(hole[..., None], painted, np.where(weight > 0, mixed, picture))


def _distance(hole: np.ndarray) -> np.ndarray:
    """Pixels from each pixel to the nearest one of the hole, Euclidean: float32 ``(H, W)``."""
    return cv2.distanceTransform((~hole).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
