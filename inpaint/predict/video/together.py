"""Frames of a video restored together by a network that sees several, a window of frames in memory at a time.

Frame ``i * window`` begins the i-th window, whichever frame the work begins at, so that a video that is gone on with
comes out as one that is done at once.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np

from inpaint.predict.video.filling import Filled, Frame

Restore = Callable[[list[np.ndarray], list[np.ndarray]], list[np.ndarray]]


class Windows(NamedTuple):
    """How frames are taken together.

    length: frames that are restored together.
    margin: frames before and after that are seen with them, as a recurrent network remembers them.
    """

    length: int
    margin: int

    def begin(self, frame: int) -> int:
        """The frame that is read first where the work begins at one."""
        return max(0, frame // self.length * self.length - self.margin)

    def end(self, frame: int) -> int:
        """The frame that is read last where the work ends with one."""
        return (frame // self.length + 1) * self.length + self.margin - 1


def restored(frames: Iterable[Frame], start: int, windows: Windows, restore: Restore) -> Iterator[tuple[Frame, Filled]]:
    """The frames in their order, each with its composite; one that came with it keeps it.

    Args:
        frames: of one size and type, read as they are needed, from `Windows.begin` of the first that has no composite.
        start: the number of the first.
        windows: how many go together.
        restore: pictures of successive frames and their holes, to the pictures.
    """
    source, first = iter(frames), start  # of those that are held
    place = -(-start // windows.length) * windows.length  # of the window that is worked on
    held = list(islice(source, place - start))
    yield from ((frame, Filled()) for frame in held)  # they are done, and seen with the others
    while True:
        held += islice(source, place + windows.length + windows.margin - first - len(held))
        mine = held[place - first : place - first + windows.length]
        if not mine:
            return
        if any(frame.composite is None for frame in mine):
            made = restore([frame.pixels for frame in held], [frame.hole for frame in held])
            for frame, composite in zip(mine, made[place - first :], strict=False):
                frame.composite = composite if frame.composite is None else frame.composite
        for frame in mine:
            yield frame, Filled(painted=int(frame.hole.sum()))
        place += windows.length
        begin = max(first, place - windows.margin)
        del held[: begin - first]
        first = begin
