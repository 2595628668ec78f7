"""How a picture of any size becomes windows that a network can take, and what it paints one picture again.

Nothing here knows a network. A window is a part of the picture, the size at which it is seen, and the pixels of the
hole that are taken from it. Memory follows the window: a network sees at most `tile` x `tile` pixels, unless the whole
picture is asked for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np

from inpaint.settings import Refused, choice, whole

STRATEGIES = ("auto", "full", "pad", "resize", "crop", "tile")
CELL = 16  # pixels; holes that have one of these squares, or two that touch, in common are one hole
MOST_CROPS = 400  # more holes than that are worked on in tiles
FAMILIAR = 0.5  # the share of a tile that may be hole; with less to go by, the whole is looked at, shrunk


@dataclass(frozen=True)
class Sizes:
    """How large pictures are taken apart.

    Args:
        strategy: "full", the whole picture as it is; "pad", the whole picture, reflected up to a multiple of `multiple`
            pixels; "resize", the whole picture shrunk to `tile`, from which the hole alone is taken; "crop", a window
            around each hole; "tile", windows side by side, blended where they overlap; "auto", full up to `tile` x
            `tile` pixels and crop beyond.
        tile: pixels of a side that a network sees at once, at most.
        context: pixels around a hole that a crop shows beside it.
        overlap: pixels that neighbouring tiles have in common, at least.
        multiple: of "pad".

    Raises:
        Refused: naming the setting, for a value that means nothing.
    """

    strategy: str = "auto"
    tile: int = 512
    context: int = 128
    overlap: int = 96
    multiple: int = 64

    def __post_init__(self) -> None:
        choice("strategy", self.strategy, STRATEGIES)
        for name, least in (("tile", 16), ("context", 0), ("overlap", 1), ("multiple", 1)):
            whole(name, getattr(self, name), least)
        if 3 * self.overlap > self.tile:  # else a tile could begin to fade out before it has faded in
            less = self.tile // 5
            raise Refused(f"overlap: {self.overlap} is more than a third of tile={self.tile}; overlap={less} is not")

    def check_whole(self) -> None:
        """Whether pictures that are restored as a whole can be taken apart so.

        Raises:
            Refused: the strategy goes by holes.
        """
        if self.strategy in ("crop", "resize"):
            raise Refused(
                f"strategy: {self.strategy} goes by holes, and this model restores whole pictures; give auto, full, "
                "pad or tile"
            )


class Shares(NamedTuple):
    """Along one side of a tile, its share in what is painted, and that of all tiles up to it: float32 ``(tile,)``."""

    own: np.ndarray
    so_far: np.ndarray


@dataclass(frozen=True)
class Window:
    """A part of a picture.

    top, left, height, width: in pixels of the picture.
    seen: height and width at which the network sees it; more than it has are reflected, fewer are averages.
    shares: of a tile among others, how much of each row and then of each column is its, and how much is its or an
        earlier tile's; None is all.
    own: bool ``(height, width)``, the pixels that are painted by it alone, whatever other windows show; None is all.
    """

    top: int
    left: int
    height: int
    width: int
    seen: tuple[int, int]
    shares: "tuple[Shares, Shares] | None" = field(default=None, compare=False)
    own: np.ndarray | None = field(default=None, compare=False)

    @property
    def place(self) -> tuple[slice, slice]:
        """What it covers, as an index of ``(H, W, ...)``."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def weight(self) -> np.ndarray | None:
        """How much of each pixel it takes from what earlier windows painted: float32 ``(h, w, 1)``; None is all.

        The shares of all tiles in a pixel add up to 1, and each tile takes its part of what is shared out so far, so
        that in the end every one has its share, whatever their number.
        """
        if self.shares is None:
            return None
        rows, columns = self.shares
        own = rows.own[:, None] * columns.own
        so_far = (rows.so_far - rows.own)[:, None] + rows.own[:, None] * columns.so_far
        return (own / np.maximum(so_far, 1e-6))[..., None]

    def enlarged(self, scale: int) -> "Window":
        """The same part of a picture that has `scale` times as many pixels a side."""
        if scale == 1:
            return self
        shares = None
        if self.shares is not None:
            rows, columns = (Shares(*(each.repeat(scale) for each in side)) for side in self.shares)
            shares = rows, columns
        top, left, height, width = (scale * pixels for pixels in (self.top, self.left, self.height, self.width))
        return Window(top, left, height, width, (scale * self.seen[0], scale * self.seen[1]), shares)


@dataclass(frozen=True)
class Plan:
    """The windows of one picture, in the order in which they are painted, and what they are called: ``3 crops``."""

    taken: str
    windows: list[Window]


def plan(hole: np.ndarray, sizes: Sizes) -> Plan:
    """What is painted how.

    Args:
        hole: bool ``(H, W)``.
        sizes: how.
    """
    height, width = hole.shape
    if not hole.any():
        return Plan("no hole", [])
    strategy = sizes.strategy
    if strategy == "auto":
        strategy = "full" if max(height, width) <= sizes.tile else "crop"
    if strategy in ("full", "pad"):
        return _in_one(height, width, strategy, sizes)
    region = Window(0, 0, height, width, _shrunk(height, width, sizes.tile))
    if strategy == "resize":
        return Plan(f"resized to {region.seen[1]} x {region.seen[0]}", [region])
    if strategy == "tile":
        windows = [*_tiles(hole, region, sizes)]
        return Plan(_count(windows, "tile"), windows)
    crops, tiles, shrunk = [], [], []
    for crop in _crops(hole, sizes):
        if max(crop.height, crop.width) <= sizes.tile:
            crops.append(crop)
            continue
        parts = [*_tiles(hole, crop, sizes)]
        if all(hole[part.place].mean() <= FAMILIAR for part in parts):
            tiles += parts
        else:
            shrunk.append(crop)
    named = [_count(windows, what) for windows, what in ((crops, "crop"), (tiles, "tile")) if windows]
    named += [f"{len(shrunk)} resized"] if shrunk else []
    return Plan(", ".join(named), crops + tiles + shrunk)


def cover(size: tuple[int, ...], sizes: Sizes) -> Plan:
    """What is painted how of a picture ``(H, W)`` that is restored everywhere; ``auto`` is tiles for those beyond one.

    Tiles begin at multiples of `CELL` pixels, so that networks that work on blocks see the same blocks as in the whole
    picture, and of a tile nothing is taken within a third of the overlap from where it is cut: what a network paints of
    a pixel that it sees no further around is the same in tiles and at once.
    """
    height, width = size
    if sizes.strategy in ("full", "pad") or max(height, width) <= sizes.tile:
        return _in_one(height, width, "pad" if sizes.strategy == "pad" else "full", sizes)
    rows, columns = ([*_side_by_side(length, sizes)] for length in (height, width))
    windows = []
    for down, of_rows in rows:
        for across, of_columns in columns:
            shape = (down.stop - down.start, across.stop - across.start)
            windows.append(Window(down.start, across.start, *shape, seen=shape, shares=(of_rows, of_columns)))
    return Plan(_count(windows, "tile"), windows)


def seen(window: Window, picture: np.ndarray, hole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A window as a network sees it.

    Args:
        window: of the picture.
        picture: float32 ``(h, w, 3)``, its pixels of the window.
        hole: bool ``(h, w)``, likewise.

    Returns:
        float32 ``(h', w', 3)``, in whose holes nothing means anything, and bool ``(h', w')``. Of a shrunk window, each
        pixel is the average of the known ones that it stands for, and hole where it stands for any pixel of the hole.
    """
    height, width = window.seen
    if (height, width) == picture.shape[:2]:
        return picture, hole
    if height >= picture.shape[0] and width >= picture.shape[1]:
        more = ((0, height - picture.shape[0]), (0, width - picture.shape[1]))
        return np.pad(picture, (*more, (0, 0)), mode="symmetric"), np.pad(hole, more, mode="symmetric")
    size = (width, height)
    known = cv2.resize((~hole).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    sums = cv2.resize(picture * ~hole[..., None], size, interpolation=cv2.INTER_AREA)
    return sums / np.maximum(known, 1e-6)[..., None], known < 1 - 1e-4


def back(window: Window, painted: np.ndarray) -> np.ndarray:
    """What was painted at the size at which it was seen, float32 ``(h', w', 3)``, at the window's: ``(h, w, 3)``."""
    if painted.shape[0] >= window.height and painted.shape[1] >= window.width:
        return painted[: window.height, : window.width]
    return cv2.resize(painted, (window.width, window.height), interpolation=cv2.INTER_CUBIC)


# ---- windows --------------------------------------------------------------------------------------------------------


def _in_one(height: int, width: int, strategy: str, sizes: Sizes) -> Plan:
    """The whole picture, reflected up to a multiple where the strategy is to pad it."""
    multiple = sizes.multiple if strategy == "pad" else 1
    return Plan(strategy, [Window(0, 0, height, width, (height + -height % multiple, width + -width % multiple))])


def _crops(hole: np.ndarray, sizes: Sizes) -> list[Window]:
    """A window around each hole; holes whose windows overlap share one, where that is no larger than a tile."""
    height, width = hole.shape
    below, right = -height % CELL, -width % CELL
    padded = np.pad(hole, ((0, below), (0, right))) if below or right else hole
    cells = padded.reshape(padded.shape[0] // CELL, CELL, padded.shape[1] // CELL, CELL).any(axis=(1, 3))
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(np.asarray(cells, np.uint8), connectivity=8)
    if count - 1 > MOST_CROPS:
        return [Window(0, 0, height, width, _shrunk(height, width, sizes.tile))]
    groups: list[tuple[tuple[int, int, int, int], list[int]]] = []  # top, left, bottom, right; the holes in there
    for number in range(1, count):
        x, y, across, down = (int(value) * CELL for value in boxes[number][:4])
        box = (y, x, min(y + down, height), min(x + across, width))
        box = (
            max(0, box[0] - sizes.context),
            max(0, box[1] - sizes.context),
            min(height, box[2] + sizes.context),
            min(width, box[3] + sizes.context),
        )
        members = [number]
        while (other := next((group for group in groups if _share(group[0], box, sizes.tile)), None)) is not None:
            groups.remove(other)
            box, members = _around(other[0], box), other[1] + members
        groups.append((box, members))
    windows = []
    for (top, left, bottom, end), members in sorted(groups):
        rows, columns = np.arange(top, bottom) // CELL, np.arange(left, end) // CELL
        own = np.isin(labels, members)[np.ix_(rows, columns)]
        size = (bottom - top, end - left)
        windows.append(Window(top, left, *size, _shrunk(*size, sizes.tile), own=own))
    return windows


def _share(first: tuple[int, int, int, int], second: tuple[int, int, int, int], tile: int) -> bool:
    """Whether two windows overlap and both fit into one tile."""
    apart = first[0] >= second[2] or second[0] >= first[2] or first[1] >= second[3] or second[1] >= first[3]
    top, left, bottom, right = _around(first, second)
    return not apart and max(bottom - top, right - left) <= tile


def _around(first: tuple[int, int, int, int], second: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    return (*map(min, first[:2], second[:2]), *map(max, first[2:], second[2:]))  # type: ignore[return-value]


def _tiles(hole: np.ndarray, region: Window, sizes: Sizes) -> Iterator[Window]:
    """Tiles of a region that have something of its hole, row after row."""
    height, width = min(sizes.tile, region.height), min(sizes.tile, region.width)
    for top, rows in _spread(region.height, sizes):
        for left, columns in _spread(region.width, sizes):
            place = slice(top, top + height), slice(left, left + width)
            inside = hole[region.place][place]
            own = None if region.own is None else region.own[place]
            if (inside if own is None else inside & own).any():
                size = (height, width)
                yield Window(region.top + top, region.left + left, *size, size, (rows, columns), own)


def _spread(length: int, sizes: Sizes) -> list[tuple[int, Shares]]:
    """Where tiles of a hole begin along a side, at equal distances, and their shares."""
    if length <= sizes.tile:
        return [(0, Shares(np.ones(length, np.float32), np.ones(length, np.float32)))]
    steps = -(-(length - sizes.tile) // (sizes.tile - sizes.overlap))
    starts = [round(number * (length - sizes.tile) / steps) for number in range(steps + 1)]
    places = [slice(start, start + sizes.tile) for start in starts]
    return [(place.start, shares) for place, shares in _shared(places, sizes.overlap)]


def _side_by_side(length: int, sizes: Sizes) -> "Iterator[tuple[slice, Shares]]":
    """Tiles along a side of a picture that is restored everywhere; the last one may be smaller."""
    free = sizes.tile - sizes.overlap
    step = free // CELL * CELL or free
    starts = range(0, max(1, length - sizes.overlap), step)
    return _shared([slice(start, min(start + sizes.tile, length)) for start in starts], max(1, sizes.overlap // 3))


def _shared(places: Sequence[slice], fade: int) -> "Iterator[tuple[slice, Shares]]":
    """Tiles along a side with their shares: each fades into the next over `fade` pixels around the middle of both."""
    x = np.arange(places[-1].stop, dtype=np.float32) + 0.5
    ends = [(here.start + before.stop - fade) / 2 for before, here in pairwise(places)]
    risen = [np.ones_like(x), *(((x - end) / fade).clip(0, 1) for end in ends), np.zeros_like(x)]
    for place, (now, after) in zip(places, pairwise(risen), strict=True):
        yield place, Shares((now - after)[place], (1 - after)[place])


def _shrunk(height: int, width: int, longest: int) -> tuple[int, int]:
    """The size with its longer side at most `longest`, in proportion."""
    if max(height, width) <= longest:
        return height, width
    scale = longest / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _count(windows: list[Window], what: str) -> str:
    return f"{len(windows)} {what}" + ("" if len(windows) == 1 else "s")
