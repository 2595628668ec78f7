"""A hole as a few convex shapes, painted in batch: every row of a convex shape is one interval.

A new convex shape is a field of `Shapes` and two functions that give its rows and, on each row, its columns.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

HOST = "cpu"  # the one device whose numbers may be looked at without making the host wait
BYTES, NUMBERS = 2**22, 2**15  # of counters, and in a calculation, that a CPU has at a time, for the sake of its caches
TINY = 1e-6  # px; what is shorter has no direction
Size = tuple[int, int]  # (height, width) in pixels
# The first row or column of something and the one past its last, float32 holding whole numbers. The geometry of a shape
# with P numbers is two functions: rows((K, P)) -> ends (K,), and columns((K, P), rows y (K, R)) -> ends (K, R).
Ends = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Shapes:
    """What is to be painted, in pixels: a sample's hole is the union of its shapes. A shape filled with -1 is empty.

    boxes: float32 ``(B, N, 4)``, x0, y0, x1, y1, covering x0 <= x < x1 and y0 <= y < y1 (as slices do).
    capsules: float32 ``(B, M, 5)``, x0, y0, x1, y1, radius: the points within `radius`, edge included, of the segment
        from (x0, y0) to (x1, y1). One piece of a round brush stroke; a disc where the segment has no length.
    bars: float32 ``(B, L, 5)``, x0, y0, x1, y1, half width: the rectangle about the segment from (x0, y0) to (x1, y1)
        that reaches this far to either side, edge included. A point where the segment has no length.
    """

    boxes: Tensor | None = None
    capsules: Tensor | None = None
    bars: Tensor | None = None

    def only(self, on: Tensor) -> "Shapes":
        """The shapes of the samples that are `on`, bool ``(B,)``; the others' are empty."""
        return Shapes(**{name: part.masked_fill(~on[:, None, None], -1) for name, part in self.parts().items()})

    def parts(self) -> dict[str, Tensor]:
        """The tensors of the kinds of shape that there are, by name."""
        return {name: part for name in _GEOMETRY if (part := getattr(self, name)) is not None}


def together(several: Sequence[Shapes]) -> Shapes:
    """All the shapes of several, sample by sample."""
    parts = [shapes.parts() for shapes in several]
    names = [name for name in _GEOMETRY if any(name in part for part in parts)]
    return Shapes(**{name: torch.cat([part[name] for part in parts if name in part], 1) for name in names})


def on_host(tensor: Tensor) -> bool:
    """Whether the tensor's numbers may be looked at without making the host wait for a GPU."""
    return tensor.device.type == HOST


def paint(shapes: Shapes, size: Size) -> Tensor:
    """Masks of `shapes`: float32 ``(B, 1, H, W)``, exactly 0 or 1, 1 inside any of a sample's shapes.

    Every shape is convex, so on a row it is one interval: write +1 at its beginning and -1 past its end, and the sum
    along the row counts the shapes over each pixel. O(shapes x rows + pixels) in place of O(shapes x pixels).
    """
    parts = shapes.parts()
    first = next(iter(parts.values()))
    number, pixels = sum(part.shape[1] for part in parts.values()), size[0] * size[1]
    # The narrowest counter that this many shapes over one pixel cannot bring back to 0, for memory bounds the speed.
    dtype = next(d for d in (torch.int8, torch.int16, torch.int32) if number < 2 ** torch.iinfo(d).bits)
    masks = empty((len(first), 1, *size), first.device)
    for rows in groups(masks, BYTES // dtype.itemsize):
        # One row after another: what ends with one ends before the first pixel of the next, or of none.
        marks = torch.zeros(rows.stop - rows.start, pixels + 1, dtype=dtype, device=first.device)
        for name, part in parts.items():
            _mark(marks, part[rows], size, *_GEOMETRY[name])
        torch.ne(marks.cumsum_(1)[:, :pixels], 0, out=masks[rows].view(-1, pixels))
    return masks


def _mark(marks: Tensor, shapes: Tensor, size: Size, rows: Callable[..., Ends], columns: Callable[..., Ends]) -> None:
    """Add the ends of the intervals of `shapes` ``(B, N, P)`` to `marks` ``(B, H * W + 1)``."""
    height, width = size
    sample = torch.arange(len(shapes), device=shapes.device).repeat_interleave(shapes.shape[1])
    shapes = shapes.flatten(0, 1)
    top, bottom = (end.clamp(0, height) for end in rows(shapes))
    offsets = torch.arange(height, device=shapes.device, dtype=torch.float32)
    # In chunks of shapes whose intermediate tensors hold at most a quarter as many numbers as the masks (but 64 shapes
    # at least, for the sake of a single small mask): memory grows with the pixels, not with pixels x shapes. A GPU goes
    # through all rows of every shape, a CPU through the rows that the tallest shape of each chunk touches.
    budget, heights = marks.numel() // 4, [height] * len(shapes)
    if on_host(shapes):
        reach, order = (bottom - top).sort(descending=True)
        heights = reach[reach > 0].int().tolist()
        order = order[: len(heights)]
        shapes, sample, top, bottom = shapes[order], sample[order], top[order], bottom[order]
        budget = min(budget, NUMBERS)
    k = 0
    while k < len(shapes):
        chunk = slice(k, k := k + max(64, budget // heights[k]))
        y = top[chunk, None] + offsets[: heights[chunk.start]]
        start, stop = (end.clamp(0, width) for end in columns(shapes[chunk], y))
        mark = (y < bottom[chunk, None]).to(marks.dtype).flatten()
        line = y.clamp_(max=height - 1).long().mul_(width).add_(sample[chunk, None] * marks.shape[1])
        marks.view(-1).scatter_add_(0, (line + start.long()).flatten(), mark)
        marks.view(-1).scatter_add_(0, (line + torch.maximum(start, stop).long()).flatten(), mark.neg_())


def _box_rows(boxes: Tensor) -> Ends:
    return boxes[:, 1].ceil(), boxes[:, 3].ceil()


def _box_columns(boxes: Tensor, y: Tensor) -> Ends:
    return boxes[:, 0, None].ceil().expand_as(y), boxes[:, 2, None].ceil().expand_as(y)


def _capsule_rows(capsules: Tensor) -> Ends:
    _, y0, _, y1, radius = capsules.unbind(1)
    return (torch.minimum(y0, y1) - radius).ceil(), (torch.maximum(y0, y1) + radius).floor() + 1


def _capsule_columns(capsules: Tensor, y: Tensor) -> Ends:
    """A capsule is a disc swept along its axis, t from 0 to 1.

    On row y the disc at t ends at x(t) + sqrt(r^2 - (y - y(t))^2). This is concave in t, so it is greatest at its
    stationary point clamped to [0, 1]: sides and caps in one formula. The stationary point lies r dx / (length |dy|)
    beyond the point where the axis crosses the row; for the left end, as far before it.
    """
    x0, y0, x1, y1, radius = capsules[..., None].unbind(1)
    dx, dy = x1 - x0, y1 - y0
    level = dy.abs() < TINY  # the axis crosses no row, and the capsule ends at the cap that lies further
    lead = torch.where(level, 2 * dx.sign(), radius * dx / ((dx * dx + dy * dy).sqrt() * dy.abs()))
    below = y - y0
    crossing = below * torch.where(level, 0, 1 / dy)

    def disc(t: Tensor) -> tuple[Tensor, Tensor]:  # its centre and half width on the row
        t = t.clamp_(0, 1)
        offset = below - t * dy
        return x0 + t * dx, ((radius - offset) * (radius + offset)).clamp_(min=0).sqrt_()

    (left, left_half), (right, right_half) = disc(crossing - lead), disc(crossing + lead)
    return (left - left_half).ceil_(), (right + right_half).floor_().add_(1)


def _bar_rows(bars: Tensor) -> Ends:
    x0, y0, x1, y1, half = bars.unbind(1)
    dx, dy = x1 - x0, y1 - y0
    reach = half * dx.abs() / (dx * dx + dy * dy).sqrt().clamp(min=TINY)
    return (torch.minimum(y0, y1) - reach).ceil(), (torch.maximum(y0, y1) + reach).floor() + 1


def _bar_columns(bars: Tensor, y: Tensor) -> Ends:
    """From the corner furthest left an edge runs to the top corner and one to the bottom corner; so on the right.

    With v counted from the segment's left end towards its right end, those are at v = 0 and v = |dy|, and the corners
    at (x0 - a, b), (x0 + a, -b), (x1 + a, |dy| - b) and (x1 - a, |dy| + b): each end is a sum of two clamped ramps.
    """
    x0, y0, x1, y1, half = bars[..., None].unbind(1)
    swap = x0 > x1
    x0, y0, x1, y1 = (torch.where(swap, *ends) for ends in ((x1, x0), (y1, y0), (x0, x1), (y0, y1)))
    dx, dy = x1 - x0, y1 - y0
    per_length = half / (dx * dx + dy * dy).sqrt().clamp(min=TINY)
    run, a, b = dy.abs(), per_length * dy.abs(), per_length * dx
    v = (y - y0) * torch.where(dy < 0, -1, 1)

    def ramp(numerator: Tensor, extent: Tensor) -> Tensor:
        return (numerator / extent.clamp(min=TINY)).clamp_(0, 1)

    left = x0 - a + 2 * a * ramp(b - v, 2 * b) + dx * ramp(v - b, run)
    right = x1 + a - 2 * a * ramp(v - run + b, 2 * b) - dx * ramp(run - b - v, run)
    return left.ceil_(), right.floor_().add_(1)


_GEOMETRY = {
    "boxes": (_box_rows, _box_columns),
    "capsules": (_capsule_rows, _capsule_columns),
    "bars": (_bar_rows, _bar_columns),
}


def groups(masks: Tensor, pixels: int) -> Iterator[slice]:
    """Which samples of ``(B, 1, H, W)`` to make at a time: on a CPU those of about so many pixels, on a GPU all."""
    step = max(1, pixels // masks.shape[2:].numel()) if on_host(masks) else max(1, len(masks))
    for k in range(0, len(masks), step):
        yield slice(k, min(k + step, len(masks)))


def empty(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Uninitialised float32.

    From 32 MiB on, malloc takes new memory from the system each time, which costs as much as painting does: NumPy asks
    for it in pages of 2 MiB in place of 4 KiB, torch does not.
    """
    if device.type == HOST and 4 * math.prod(shape) >= 2**25:
        return torch.from_numpy(numpy.empty(shape, numpy.float32))
    return torch.empty(shape, dtype=torch.float32, device=device)
