"""Thin things in a picture, which may be scratches, cracks, twigs or letters, and what they look like."""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.morphology import skeletonize

# What is measured of a candidate, in the order of the columns; lengths in pixels, levels 0..255.
FEATURES = (
    "length",  # logarithm of the skeleton's pixels
    "width",  # area over length
    "width_deviation",  # of the distance to its border along the skeleton, relative
    "contrast",  # logarithm of the mean top-hat
    "polarity",  # logarithm of the pixels as thin and as strong over those of the other polarity
    "rank",  # share of the picture's pixels that are less extreme
    "level_deviation",  # along the skeleton
    "colour_deviation",
    "chroma",  # largest less smallest channel
    "chroma_beyond",  # that of its surroundings
    "winding",  # length over the bounding box's diagonal
    "extremeness",  # 1 is white where it is lighter, black where it is darker
    "only_thin",  # share of the pixels of its colour, anywhere, that are in candidates
    "alike",  # share of all candidates' length that has its colour
    "alike_length",  # logarithm of that length over the picture's sides
    "sharpness",  # Laplacian over contrast
    "background_deviation",  # logarithm of what the median around it varies over what it varies itself
    "threshold",  # which of `THRESHOLDS`
    "clutter",  # logarithm of the length of all candidates over the picture's sides
    "other_clutter",  # logarithm of the mean top-hat of the other polarity
    "local_clutter",  # logarithm of the mean top-hat around it over its own
    "sparsity",  # logarithm of the bounding box over the area
    "height",  # of the bounding box, over the picture's
    "upright",  # logarithm of height over width of the bounding box
    "dust",  # logarithm of how many specks have its colour
    "joined",  # 1 where upright pieces were joined
)
THRESHOLDS = (20, 35, 60, 100)  # top-hats from which pixels are thin, levels
JOINED = THRESHOLDS[:3]
SHORTEST = 15  # skeleton of a candidate, pixels
RUN, GAP, TALLEST_GAP = 11, 31, 30  # of upright pieces: shortest, longest gap that is closed, shortest of all, pixels
WINDOW, AROUND = 21, 61  # sides of the windows that surroundings are averaged over, pixels
ALIKE = 25  # levels that each channel may differ
MOST = 400  # candidates of a threshold, or specks, beyond which they are not compared with one another
CELLS = 16  # of each channel in the histogram of colours


class Candidates(NamedTuple):
    """Candidates of one polarity at one threshold.

    polarity: 1 for lighter, -1 for darker than their surroundings.
    labels: which candidate's each pixel is, int32 ``(H, W)``; also of what is none.
    numbers: those of `labels` that are candidates.
    lengths: of their skeletons, pixels.
    features: a row each, a column for each of `FEATURES`.
    """

    polarity: int
    labels: np.ndarray
    numbers: np.ndarray
    lengths: np.ndarray
    features: np.ndarray


class _Picture:
    """What all thresholds share."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.bytes = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        self.grey = self.bytes.astype(np.float32)
        self.colour = pixels.astype(np.float32)
        self.size = self.grey.shape
        self.hats = top_hats(self.bytes)
        self.levels = np.sort(self.grey, None)
        self.chroma = self.colour.max(2) - self.colour.min(2)
        self.chroma_around = cv2.blur(self.chroma, (WINDOW, WINDOW))
        cell = (pixels // (256 // CELLS)).astype(np.int64)
        self.cell = (cell[..., 0] * CELLS + cell[..., 1]) * CELLS + cell[..., 2]
        self.cells = self.histogram(np.ones(self.size, bool))
        self.laplacian = np.abs(cv2.Laplacian(self.grey, cv2.CV_32F, ksize=1))
        self.median = cv2.medianBlur(self.bytes, 4 * radius_of(self.size) + 1).astype(np.float32)
        self.around = {polarity: cv2.blur(hat, (AROUND, AROUND)) for polarity, hat in self.hats.items()}

    def histogram(self, where: np.ndarray) -> np.ndarray:
        """How many pixels have about the colour of each cell, float32 ``(4096,)``."""
        counts = np.bincount(self.cell[where], minlength=CELLS**3).reshape(CELLS, CELLS, CELLS)
        return gaussian_filter(counts.astype(np.float32), 0.6).ravel()


def radius_of(size: tuple[int, ...]) -> int:
    """Half the width, in pixels, below which something is thin: 3, or a hundredth of the shorter side."""
    return max(3, round(min(size[:2]) / 110))


def top_hats(grey: np.ndarray) -> dict[int, np.ndarray]:
    """What is thin: how much lighter (1) or darker (-1) than all that a disc fits into, float32 ``(H, W)`` each.

    An edge between two surfaces leaves nothing, because the disc fits on both its sides.

    Args:
        grey: uint8 ``(H, W)``.
    """
    side = 2 * radius_of(grey.shape) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    kinds = {1: cv2.MORPH_TOPHAT, -1: cv2.MORPH_BLACKHAT}
    return {polarity: cv2.morphologyEx(grey, kind, disc).astype(np.float32) for polarity, kind in kinds.items()}


def candidates(pixels: np.ndarray) -> Iterator[Candidates]:
    """All candidates, of both polarities and every threshold; one thing may be a candidate at several.

    Args:
        pixels: RGB ``(H, W, 3)``, uint8.
    """
    picture = _Picture(pixels)
    for polarity, hat in picture.hats.items():
        for number, threshold in enumerate(THRESHOLDS):
            found = _measure(picture, polarity, number, hat > threshold, False)
            if found is not None:
                yield found
        for number, threshold in enumerate(JOINED):
            runs = cv2.morphologyEx((hat > threshold).astype(np.uint8), cv2.MORPH_OPEN, np.ones((RUN, 1)))
            found = _measure(
                picture, polarity, number, cv2.morphologyEx(runs, cv2.MORPH_CLOSE, np.ones((GAP, 1))) > 0, True
            )
            if found is not None:
                yield found


def _measure(picture: _Picture, polarity: int, number: int, mask: np.ndarray, joined: bool) -> Candidates | None:
    """The candidates of a mask, or None where there is none."""
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    wide, high, area = boxes[:, 2], boxes[:, 3], boxes[:, 4].astype(float)
    possible = (area >= SHORTEST) & (high >= (TALLEST_GAP if joined else 0))
    possible[0] = False  # the background
    if not possible.any():
        return None
    skeleton = skeletonize(mask)
    of_mask, of_skeleton = labels[mask], labels[skeleton]
    lengths = np.bincount(of_skeleton, minlength=count).astype(float)
    ids = np.flatnonzero(possible & (lengths >= SHORTEST))
    if not len(ids):
        return None
    length = lengths[ids]

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(of_mask, weights=values[mask], minlength=count)[ids] / area[ids]

    def along(values: np.ndarray) -> np.ndarray:
        return np.bincount(of_skeleton, weights=values[skeleton], minlength=count)[ids] / length

    def deviation(values: np.ndarray) -> np.ndarray:
        return np.sqrt((along(values**2) - along(values) ** 2).clip(0))

    hat, (height, width) = picture.hats[polarity], picture.size
    grey, contrast, level_deviation = along(picture.grey), mean(hat), deviation(picture.grey)
    rank = np.searchsorted(picture.levels, grey) / picture.levels.size
    inside = np.isin(labels, ids) & mask
    only = (picture.histogram(inside) / (picture.cells + 1e-3))[picture.cell]
    channels = [picture.colour[..., channel] for channel in range(3)]
    colours = np.stack([along(channel) for channel in channels], 1)
    total, few = length.sum(), len(ids) < MOST
    like = np.array([length[_alike(colours, colour)].sum() for colour in colours]) if few else np.zeros(len(ids))
    dust = np.zeros(len(ids))
    specks = np.flatnonzero((area >= 3) & (area < 60) & (wide < 12) & (high < 12))
    if few and len(specks) and not joined:
        sums = [np.bincount(of_mask, weights=channel[mask], minlength=count)[specks] for channel in channels]
        theirs = np.stack([channel / area[specks] for channel in sums], 1)[:MOST]
        dust = np.array([np.log1p(_alike(theirs, colour).sum()) for colour in colours])
    thin = [(picture.hats[side] > THRESHOLDS[number]).sum() + 20 for side in (polarity, -polarity)]
    thickness = np.asarray(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3))
    every = np.ones(len(ids))
    columns = {
        "length": np.log(length),
        "width": area[ids] / length,
        "width_deviation": deviation(thickness) / along(thickness),
        "contrast": np.log(contrast.clip(1)),
        "polarity": every * np.log(thin[0] / thin[1]),
        "rank": rank if polarity == 1 else 1 - rank,
        "level_deviation": level_deviation,
        "colour_deviation": sum(deviation(channel) for channel in channels) / 3,
        "chroma": along(picture.chroma),
        "chroma_beyond": along(picture.chroma) - along(picture.chroma_around),
        "winding": length / np.hypot(wide[ids], high[ids]),
        "extremeness": (grey if polarity == 1 else 255 - grey) / 255,
        "only_thin": along(only),
        "alike": like / total,
        "alike_length": np.log(like / (height + width) + 0.02),
        "sharpness": along(picture.laplacian) / contrast.clip(1),
        "background_deviation": np.log((deviation(picture.median) + 2) / (level_deviation + 2)),
        "threshold": every * number,
        "clutter": every * np.log(total / (height + width)),
        "other_clutter": every * np.log(picture.around[-polarity].mean() + 1),
        "local_clutter": np.log((mean(picture.around[polarity]) + 1) / contrast.clip(1)),
        "sparsity": np.log(wide[ids] * high[ids] / area[ids]),
        "height": high[ids] / height,
        "upright": np.log(high[ids] / wide[ids]),
        "dust": dust,
        "joined": every * joined,
    }
    return Candidates(polarity, labels, ids, length, np.stack([columns[name] for name in FEATURES], 1))


def _alike(colours: np.ndarray, colour: np.ndarray) -> np.ndarray:
    return np.abs(colours - colour).max(1) < ALIKE
