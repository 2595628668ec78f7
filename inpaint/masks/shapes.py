"""A hole as a few convex shapes, painted in batch: every row of a convex shape is one interval.

A new convex shape is a field of `Shapes` and two functions that give its rows and, on each row, its columns.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

HOST = "cpu"  # the one device whose numbers may be looked at without making the host wait
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
    """

    boxes: Tensor
    capsules: Tensor


def on_host(tensor: Tensor) -> bool:
    """Whether the tensor's numbers may be looked at without making the host wait for a GPU."""
    return tensor.device.type == HOST


def paint(shapes: Shapes, size: Size) -> Tensor:
    """Masks of `shapes`: float32 ``(B, 1, H, W)``, exactly 0 or 1, 1 inside any of a sample's shapes.

    Every shape is convex, so on a row it is one interval: write +1 at its beginning and -1 past its end, and the sum
    along the row counts the shapes over each pixel. O(shapes x rows + pixels) in place of O(shapes x pixels).
    """
    height, width = size
    batch, number = len(shapes.boxes), shapes.boxes.shape[1] + shapes.capsules.shape[1]
    # The narrowest counter that this many shapes over one pixel cannot overflow, for memory traffic bounds the speed.
    dtype = next(d for d in (torch.int8, torch.int16, torch.int32) if number <= torch.iinfo(d).max)
    marks = torch.zeros(batch * height * (width + 1), dtype=dtype, device=shapes.boxes.device)
    _mark(marks, shapes.boxes, size, _box_rows, _box_columns)
    _mark(marks, shapes.capsules, size, _capsule_rows, _capsule_columns)
    cover = marks.view(batch, 1, height, width + 1).cumsum_(3)[..., :width]
    return cover.clamp(max=1).to(torch.float32)


def _mark(marks: Tensor, shapes: Tensor, size: Size, rows: Callable[..., Ends], columns: Callable[..., Ends]) -> None:
    """Add the ends of the intervals of `shapes` ``(B, N, P)`` to `marks`, flat ``(B, H, W + 1)``."""
    (height, width), (batch, number) = size, shapes.shape[:2]
    sample = torch.arange(batch, device=shapes.device).repeat_interleave(number)
    shapes = shapes.flatten(0, 1)
    top, bottom = (end.clamp(0, height) for end in rows(shapes))
    reach = height  # how many rows to go through for each shape
    if on_host(shapes):
        on = bottom > top
        shapes, sample, top, bottom = shapes[on], sample[on], top[on], bottom[on]
        reach = int((bottom - top).max()) if len(shapes) else 1
    # In chunks whose intermediate tensors hold a quarter as many numbers as the masks, however many shapes there are
    # (64 shapes at least, for the sake of a single small mask): memory grows with the pixels, not pixels x shapes.
    step = max(64, batch * height * width // (4 * reach))
    offsets = torch.arange(reach, device=shapes.device, dtype=torch.float32)
    for k in range(0, len(shapes), step):
        chunk = slice(k, k + step)
        y = top[chunk, None] + offsets
        start, stop = (end.clamp(0, width) for end in columns(shapes[chunk], y))
        mark = ((start < stop) & (y < bottom[chunk, None])).to(marks.dtype).flatten()
        line = (sample[chunk, None] * height + y.clamp_(max=height - 1).long()) * (width + 1)
        marks.scatter_add_(0, (line + start.long()).flatten(), mark)
        marks.scatter_add_(0, (line + stop.long()).flatten(), mark.neg_())


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
    level = dy.abs() < 1e-6  # px; the axis crosses no row, and the capsule ends at the cap that lies further
    lead = torch.where(level, 2 * dx.sign(), radius * dx / ((dx * dx + dy * dy).sqrt() * dy.abs()))
    below = y - y0
    crossing = below * torch.where(level, 0, 1 / dy)

    def disc(t: Tensor) -> tuple[Tensor, Tensor]:  # its centre and half width on the row
        t = t.clamp_(0, 1)
        offset = below - t * dy
        return x0 + t * dx, ((radius - offset) * (radius + offset)).clamp_(min=0).sqrt_()

    (left, left_half), (right, right_half) = disc(crossing - lead), disc(crossing + lead)
    return (left - left_half).ceil_(), (right + right_half).floor_().add_(1)
