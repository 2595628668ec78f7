"""Scratches and cracks: thin lines of about one colour that run over what is in the picture.

Candidates are what a top-hat finds at four thresholds (`candidates.py`). Whether one is a scratch is decided by what 26
measurements say of it, none of which alone tells a scratch from a twig: a sum of small decision trees
(`scratches.json`, six leaves each, boosted) that were fitted to scratches drawn over photographs. Whether a picture is
scratched is decided by all of its candidates together.
"""

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from inpaint.damage.candidates import FEATURES, Candidates, candidates, top_hats

LIMIT = 55.8  # evidence from which a picture is scratched; 5 of 100 clean photographs have as much
LONGEST = 640  # side to which pictures are shrunk: that of the photographs which the trees were fitted to
SMALLEST = 32  # side of a picture below which nothing is looked for
LIKELY = 0.5  # probability from which a candidate is a scratch
GROWN = 0.5  # of a scratch's contrast, down to which its pixels reach
FAINTEST = 10  # contrast of such pixels, levels
DEEPEST = 6  # levels of the trees


class Scratches(NamedTuple):
    """Scratches of a picture.

    evidence: as `evidence` sums it.
    hole: the pixels of those that are likely, bool ``(H, W)``.
    """

    evidence: float
    hole: np.ndarray


def find(pixels: np.ndarray, beside: np.ndarray | None = None) -> Scratches:
    """Scratches and cracks, lighter and darker.

    Args:
        pixels: RGB ``(H, W, 3)``, uint8.
        beside: bool ``(H, W)``, where none are looked for: what is hole already, and text.
    """
    height, width = pixels.shape[:2]
    hole = np.zeros((height, width), bool)
    if min(height, width) < SMALLEST:
        return Scratches(0.0, hole)
    scale = LONGEST / max(height, width)
    if scale < 1:
        pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    size = pixels.shape[:2]
    clear = np.ones(size, bool)
    if beside is not None and beside.any():
        clear = cv2.resize(beside.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST) == 0
    hats = top_hats(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
    parts = []
    found: np.ndarray = np.zeros(size, np.uint8)
    for some in candidates(pixels):
        probability = _probability(some.features)
        area, free = (
            np.bincount(labels, minlength=some.numbers.max() + 1)
            for labels in (some.labels.ravel(), some.labels[clear])
        )
        probability[free[some.numbers] < 0.5 * area[some.numbers]] = 0
        parts.append((some.polarity, probability, some.lengths))
        found |= _grown(some, probability >= LIKELY, hats[some.polarity])
    found &= clear.astype(np.uint8)
    found = cv2.dilate(found, np.ones((3, 3), np.uint8))  # their borders are antialiased
    if scale < 1:
        found = cv2.resize(found, (width, height), interpolation=cv2.INTER_NEAREST)
    return Scratches(evidence(parts), found > 0)


def evidence(parts: Iterable[tuple[int, np.ndarray, np.ndarray]]) -> float:
    """How much speaks for scratches: sums over candidates of probability^2 sqrt(length), one for each polarity.

    The larger counts, less half the other: what a picture itself has of thin things is lighter and darker alike.

    Args:
        parts: polarity, probabilities and lengths of some candidates each.
    """
    sums = {1: 0.0, -1: 0.0}
    for polarity, probability, length in parts:
        sums[polarity] += float((probability**2 * np.sqrt(length)).sum())
    return max(sums.values()) - min(sums.values()) / 2


def _grown(some: Candidates, likely: np.ndarray, hat: np.ndarray) -> np.ndarray:
    """The pixels of likely candidates, and fainter ones that touch them, uint8 ``(H, W)``."""
    grown = np.zeros(hat.shape, np.uint8)
    if not likely.any():
        return grown
    seeds = np.isin(some.labels, some.numbers[likely])
    contrast = np.zeros(int(some.labels.max()) + 1, np.float32)
    contrast[some.numbers] = np.exp(some.features[:, FEATURES.index("contrast")])
    floor = max(float(FAINTEST), GROWN * float(np.median(contrast[some.numbers[likely]])))
    near = cv2.dilate(seeds.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    grown[seeds | (near & (hat > floor))] = 1
    return grown


@cache
def _trees() -> tuple[float, list[list[list[float]]]]:
    """The sum's start, and trees: a node is (column, threshold, node if not above it, node if above) or (value,)."""
    model = json.loads(Path(__file__).with_name("scratches.json").read_text(encoding="utf-8"))
    assert tuple(model["features"]) == FEATURES
    return model["base"], model["trees"]


def _probability(features: np.ndarray) -> np.ndarray:
    """That each candidate is a scratch, ``(N,)``."""
    base, trees = _trees()
    total = np.full(len(features), base)
    rows = np.arange(len(features))
    for tree in trees:
        inner = [node if len(node) == 4 else [0, 0.0, index, index] for index, node in enumerate(tree)]
        column, threshold, left, right = (np.array(part) for part in zip(*inner, strict=True))
        value = np.array([node[0] if len(node) == 1 else 0.0 for node in tree])
        node = np.zeros(len(features), np.int64)
        for _ in range(DEEPEST):
            below = features[rows, column[node].astype(np.int64)] <= threshold[node]
            node = np.where(below, left[node], right[node])
        total += value[node]
    return 1 / (1 + np.exp(-total))
