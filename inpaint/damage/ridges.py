"""Faint cracks: light lines that are lighter than both their sides, by more than their surroundings have.

For pictures of which somebody says that they are cracked: in clean photographs there is as much.
"""

import cv2
import numpy as np
from skimage.morphology import skeletonize

WIDTHS = (1.5, 3.0, 5.5)  # of lines, pixels
ANGLES = 12
PIECE, STEP = 7, 5  # a line is three pieces of 7 pixels, 5 pixels apart
REACH = 5  # half the side of a filter: OpenCV is fast up to 11
BESIDE = 2  # pixels from a line's border to where its sides are measured
PAD = 16
QUANTILE, WINDOW = 0.15, 61  # share of the pixels around, in a window of 61, that may be as light as noise is
LEVELS = (1, 1.5, 2.2, 3.2, 4.5, 6.5, 9, 13, 18, 26, 38, 55, 80, 120)  # at which that is counted
LOW, HIGH = 1.5, 3.0  # multiples of it: where a line begins, and what one must have somewhere
FAINTEST = 4.0  # such contrast, levels
LONGEST = 1024  # side to which pictures are shrunk
SHORTEST, WIDEST = 20, 7  # extent and width of a crack, pixels


def faint_cracks(pixels: np.ndarray) -> np.ndarray:
    """Where they are, bool ``(H, W)``.

    Args:
        pixels: RGB ``(H, W, 3)``, uint8.
    """
    height, width = pixels.shape[:2]
    if min(height, width) < 2 * PAD:
        return np.zeros((height, width), bool)
    grey: np.ndarray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    scale = min(1.0, LONGEST / max(height, width))
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    light = ridge(grey)
    relative = light / (1 + _usual(np.maximum(light, ridge(255 - grey))))
    low, high = (relative > LOW) & (light > FAINTEST * 0.6), (relative > HIGH) & (light > FAINTEST)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(low.astype(np.uint8), connectivity=8)
    strong = np.bincount(labels[high], minlength=count) > 4
    length = np.bincount(labels[skeletonize(low)], minlength=count).clip(1)
    kept = strong & (np.hypot(boxes[:, 2], boxes[:, 3]) >= SHORTEST) & (boxes[:, 4] < WIDEST * length)
    kept[0] = False
    found = kept[labels].astype(np.uint8)
    if scale < 1:
        found = cv2.resize(found, (width, height), interpolation=cv2.INTER_NEAREST)
    return found > 0


def ridge(grey: np.ndarray) -> np.ndarray:
    """How much lighter a line through each pixel is than the lighter of its sides, over all angles and widths.

    An edge has none, because one of its sides is as light: a ridge is a pair of opposite edges.

    Args:
        grey: float32 ``(H, W)``.
    """
    padded = cv2.copyMakeBorder(grey, PAD, PAD, PAD, PAD, cv2.BORDER_REFLECT)
    best = np.zeros(grey.shape, np.float32)
    for number in range(ANGLES):
        angle = np.pi * number / ANGLES
        along = np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-along[1], along[0]])
        side = cv2.filter2D(padded, -1, _line(angle, WIDTHS[0]))
        for width in WIDTHS:
            beside = (across * (width / 2 + BESIDE)).round().astype(int)
            lighter = np.maximum(_moved(side, beside, PAD // 2), _moved(side, -beside, PAD // 2))
            contrast = _moved(cv2.filter2D(padded, -1, _line(angle, width)), np.zeros(2, int), PAD // 2) - lighter
            steps = [(along * step).round().astype(int) for step in (-STEP, 0, STEP)]
            np.maximum(best, sum(_moved(contrast, step, PAD // 2) for step in steps) / 3, out=best)
    return best


def _moved(values: np.ndarray, by: np.ndarray, margin: int) -> np.ndarray:
    """What lies `by` pixels (x, y) further, without a margin."""
    height, width = values.shape
    return values[margin + by[1] : height - margin + by[1], margin + by[0] : width - margin + by[0]]


def _line(angle: float, width: float) -> np.ndarray:
    """A filter that averages over a piece of a line, antialiased."""
    y, x = np.mgrid[-REACH : REACH + 1, -REACH : REACH + 1].astype(np.float32)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    piece = (width / 2 + 0.5 - abs(across)).clip(0, 1) * (PIECE / 2 + 0.5 - abs(along)).clip(0, 1)
    return (piece / piece.sum()).astype(np.float32)


def _usual(values: np.ndarray) -> np.ndarray:
    """The value that `QUANTILE` of the pixels around each exceed, between `LEVELS` by their logarithms."""
    usual = np.full(values.shape, 0.7, np.float32)
    above: np.ndarray = np.ones(values.shape, np.float32)
    before = 0.7
    for level in LEVELS:
        share = cv2.blur((values > level).astype(np.float32), (WINDOW, WINDOW), borderType=cv2.BORDER_REFLECT)
        crossed = (above >= QUANTILE) & (share < QUANTILE)
        part = ((above - QUANTILE) / (above - share).clip(1e-6)).clip(0, 1)
        np.copyto(usual, before * (level / before) ** part, where=crossed)
        above, before = share, level
    usual[above >= QUANTILE] = LEVELS[-1]
    return usual
