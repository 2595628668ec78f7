"""Holes of a video filled from its other frames, a window of frames in memory at a time.

A pixel of a hole is followed along the flow, frame by frame, backward and forward, until it comes to a place that is
known: the nearer frame gives the value, of two equally near the earlier. What is known in no frame of the window comes
from the frame before as that was repaired, so that what was painted once stays the same; and only what that cannot
tell either is painted.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from inpaint.pictures.motion import Motion, View, motion

Paint = Callable[[np.ndarray, np.ndarray], np.ndarray]
WHOLE = 0.05  # pixels; so near to the middle of a pixel, its value is taken as it is


@dataclass(eq=False)
class Frame:
    """A frame of the window.

    pixels: ``(H, W, 3)``, uint8 or uint16; what they hold in the hole is not looked at.
    hole: bool ``(H, W)``.
    content: whatever belongs to it.
    composite: the pixels with the hole filled, once it is.
    """

    pixels: np.ndarray
    hole: np.ndarray
    content: Any = None
    composite: np.ndarray | None = None
    _view: View | None = field(default=None, repr=False)
    _onward: Motion | None = field(default=None, repr=False)

    def motion_to(self, following: "Frame") -> Motion:
        """Between this frame and the next; found once."""
        if self._onward is None:
            self._onward = motion(self.view, following.view)
        return self._onward

    @property
    def view(self) -> View:
        """As motion is looked for in it."""
        if self._view is None:
            self._view = View(self.pixels, self.hole)
        return self._view


class Filled(NamedTuple):
    """How many pixels of a hole came from where.

    known: from other frames, where they are known.
    carried: from the frame before, as that was repaired.
    painted: by the generator.
    """

    known: int = 0
    carried: int = 0
    painted: int = 0


def fill(frames: Iterable[Frame], window: int, paint: Paint) -> Iterator[tuple[Frame, Filled]]:
    """The frames in their order, each with its composite; one that came with it keeps it.

    At most ``2 * window + 1`` frames are held.

    Args:
        frames: of one size and type, read as they are needed.
        window: frames before and after, in which a known pixel is looked for.
        paint: the picture, of which the hole alone is not known, and that hole, to the picture with it painted.
    """
    held: deque[Frame] = deque()
    source = iter(frames)
    place = 0  # of the frame that is worked on
    ended = False
    while True:
        while not ended and len(held) <= place + window:
            following = next(source, None)
            if following is None:
                ended = True
            else:
                held.append(following)
                del following
        if place == len(held):
            return
        frame, filled = held[place], Filled()
        if frame.composite is None:
            frame.composite, filled = _filled(held, place, window, paint)
        yield frame, filled
        del frame
        place += 1
        if place > window:
            held.popleft()
            place -= 1


def _filled(held: "deque[Frame]", place: int, window: int, paint: Paint) -> tuple[np.ndarray, Filled]:
    """The composite of one frame of the window."""
    frame = held[place]
    canvas = frame.pixels.copy()
    rows, columns = np.nonzero(frame.hole)
    if not len(rows):
        return canvas, Filled()
    values = np.zeros((len(rows), 3), np.float32)
    is_known, is_carried = np.zeros((2, len(rows)), bool)
    start = np.stack([columns, rows], axis=1).astype(np.float32)
    paths = {-1: _Path(start), 1: _Path(start)}
    for distance in range(1, window + 1):
        for step, path in paths.items():
            there = place + step * distance
            if not 0 <= there < len(held):
                continue
            path.drop(is_known)
            if not path.alive.any():
                continue
            other, before = held[there], held[there - step]
            if step < 0:
                between = other.motion_to(before)
                path.follow(between.backward, between.backward_holds)
            else:
                between = before.motion_to(other)
                path.follow(between.forward, between.forward_holds)
            found, pixels = path.known(other.pixels, other.hole)
            values[found], is_known[found] = pixels, True
            if step < 0 and distance == 1 and other.composite is not None:
                alive = np.flatnonzero(path.alive & ~is_known)
                values[alive], is_carried[alive] = path.read(alive, other.composite), True
    is_carried &= ~is_known
    given = is_known | is_carried
    canvas[rows[given], columns[given]] = np.rint(values[given]).astype(canvas.dtype)
    if not given.all():
        rest = np.zeros_like(frame.hole)
        rest[rows[~given], columns[~given]] = True
        canvas = paint(canvas, rest)
    return canvas, Filled(int(is_known.sum()), int(is_carried.sum()), int((~given).sum()))


class _Path:
    """Where pixels of a hole are in another frame, as the flow leads them there.

    Args:
        start: columns and rows, float32 ``(N, 2)``.
    """

    def __init__(self, start: np.ndarray) -> None:
        self.points, self.alive = start.copy(), np.ones(len(start), bool)

    def drop(self, done: np.ndarray) -> None:
        """Follow these, bool ``(N,)``, no longer."""
        self.alive &= ~done

    def follow(self, flow: np.ndarray, holds: np.ndarray) -> None:
        """Go on to the next frame; what leaves it, or whose flow does not hold, is lost."""
        alive = np.flatnonzero(self.alive)
        x, y = np.rint(self.points[alive]).astype(np.intp).T
        self.points[alive] += _read(flow, self.points[alive])
        last = np.array(holds.shape[::-1], np.float32) - 1
        inside = ((self.points[alive] >= 0) & (self.points[alive] <= last)).all(axis=1)
        self.alive[alive[~(inside & holds[y, x])]] = False

    def known(self, pixels: np.ndarray, hole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which of them are at a place that is known, int ``(n,)``, and the values there, ``(n, 3)``."""
        alive = np.flatnonzero(self.alive)
        found = alive[_read(hole[..., None].astype(np.float32), _snapped(self.points[alive]))[:, 0] == 0]
        return found, self.read(found, pixels)

    def read(self, which: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """Values where they are, float32 ``(n, C)``."""
        return _read(pixels, _snapped(self.points[which]))


def _snapped(points: np.ndarray) -> np.ndarray:
    """Points, those near the middle of a pixel in it: reading between pixels blurs, and this much is no motion."""
    middle = np.rint(points)
    return np.where(np.abs(points - middle) < WHOLE, middle, points)


def _read(values: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Values ``(H, W, C)`` at points ``(n, 2)`` inside, bilinear and exact amid a pixel: float32 ``(n, C)``."""
    height, width = values.shape[:2]
    corner = np.floor(points)
    part_x, part_y = (points - corner).T[..., None]
    x, y = corner.astype(np.intp).T
    right, below = np.minimum(x + 1, width - 1), np.minimum(y + 1, height - 1)
    top = values[y, x] * (1 - part_x) + values[y, right] * part_x
    bottom = values[below, x] * (1 - part_x) + values[below, right] * part_x
    return top * (1 - part_y) + bottom * part_y
