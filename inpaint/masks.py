"""Where holes come from: masks that are pure functions of a sample's key, drawn as a few shapes and painted in batch.

A mask generator is a plain object called as ``masks(keys, size)``: int64 keys ``(B,)``, one a sample, already derived
from (seed, epoch, index), and the size ``(H, W)`` in pixels. It returns float32 ``(B, 1, H, W)`` on the keys' device,
exactly 0 or 1, 1 = hole. The work is in two halves: a generator's `draw` makes a few numbers for each sample
(`Shapes`), `paint` makes pixels of them. A new kind of mask is a new `draw`; a new convex shape is a field of `Shapes`
and two functions that give its rows and, on each row, its columns.

*Coordinates.* The centre of the pixel in column i and row j is the point (i, j), so a picture covers
[-0.5, W - 0.5] x [-0.5, H - 0.5]. A pixel is in the hole when its centre lies in a shape. Lengths in a config are
fractions of the picture's shorter side, so one config serves every resolution.

*The same everywhere.* Nothing looks across samples, makes the host wait for a GPU, or leaves the arithmetic that
IEEE 754 rounds in one way only (+, -, *, /, sqrt, floor): sin and cos differ in the last bit between libraries.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from inpaint.rng import fold, uniform

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

    def only(self, on: Tensor) -> "Shapes":
        """The shapes of the samples where `on`, bool ``(B, 1)``, is true; those of the others empty."""
        return Shapes(*(shapes.masked_fill(~on[..., None], -1) for shapes in (self.boxes, self.capsules)))

    @staticmethod
    def union(parts: Sequence["Shapes"]) -> "Shapes":
        """The shapes of all `parts`, sample by sample."""
        return Shapes(torch.cat([p.boxes for p in parts], 1), torch.cat([p.capsules for p in parts], 1))


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
    if shapes.device.type == HOST:
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


def _between(keys: Tensor, stream: str, count: int, span: tuple[float, float]) -> Tensor:
    """Uniform numbers in [span[0], span[1]): float32 ``(B, count)``, independent of those of any other `stream`."""
    return uniform(fold(keys, stream), count) * (span[1] - span[0]) + span[0]


def _whole(keys: Tensor, stream: str, count: int, span: tuple[int, int]) -> Tensor:
    """Uniform whole numbers span[0]..span[1], both included: float32 ``(B, count)``."""
    return _between(keys, stream, count, (span[0], span[1] + 1)).floor_()


def _sine(turns: Tensor) -> Tensor:
    """Sine of an angle in full turns, to 0.001: a parabola, refined once, whose bits every device shares."""
    t = turns - (turns + 0.5).floor()
    s = 8 * t - 16 * t * t.abs()
    return s + 0.225 * (s * s.abs() - s)


def _span(name: str, value: Sequence, least: float, most: float, unit: str, whole: bool = False) -> tuple:
    """`value` as (low, high) with least <= low <= high <= most, or a ValueError that names the config key."""
    try:
        low, high = value
        if least <= low <= high <= most and not (whole and (low % 1 or high % 1)):
            return (int(low), int(high)) if whole else (low, high)
    except (TypeError, ValueError):
        pass
    raise ValueError(f"masks.{name}: give [low, high], {unit}, {least:g} <= low <= high <= {most:g}; got {value!r}")


class Masks(ABC):
    """Drawing is a kind's own, painting is shared. Wrong arguments raise a ValueError that names the config key."""

    @abstractmethod
    def draw(self, keys: Tensor, size: Size) -> Shapes:
        """The shapes of each sample's hole: int64 keys ``(B,)``, pictures of `size` (H, W) pixels."""

    @torch.no_grad()
    def __call__(self, keys: Tensor, size: Size) -> Tensor:
        """Masks float32 ``(B, 1, H, W)``, exactly 0 or 1, 1 = hole, on the device of the int64 keys ``(B,)``."""
        return paint(self.draw(keys, size), size)


class Boxes(Masks):
    """Upright boxes, width and height independent, inside the picture, from whole pixel to whole pixel. Never empty.

    The boxes of LaMa's training masks (Suvorov et al. 2022): count (1, 4), side (30/256, 150/256), margin 10/256. The
    centre region of Context Encoders (Pathak et al. 2016): count (1, 1), side (0.5, 0.5), position (0.5, 0.5).

    Args:
        count: fewest and most boxes, whole numbers.
        side: shortest and longest width and height, fractions of the picture's shorter side, at most 1 - 2 margin.
        margin: strip along the picture's edges kept free, a fraction of its shorter side, 0 <= margin < 0.5.
        position: least and most of a box's place in the room it has, across and down, 0 = left, top, 1 = right, bottom.
    """

    def __init__(
        self,
        count: Sequence[int] = (1, 4),
        side: Sequence[float] = (0.1, 0.6),
        margin: float = 0.0,
        position: Sequence[float] = (0.0, 1.0),
    ) -> None:
        if not (isinstance(margin, int | float) and 0 <= margin < 0.5):
            raise ValueError(f"masks.margin: give a fraction of the shorter side, 0 <= margin < 0.5; got {margin!r}")
        self.count = _span("count", count, 1, 1000, "two whole numbers", whole=True)
        self.side = _span("side", side, 0, 1 - 2 * margin, "two fractions of the shorter side, less two margins")
        self.margin = margin
        self.position = _span("position", position, 0, 1, "two fractions of the room a box has")

    def draw(self, keys: Tensor, size: Size) -> Shapes:
        """At most ``count[1]`` boxes a sample."""
        number, shorter, margin = self.count[1], min(size), int(self.margin * min(size))
        starts, stops = [], []
        for axis, extent in (("x", size[1]), ("y", size[0])):
            length = _between(keys, f"side {axis}", number, self.side).mul(shorter).round()
            length = length.clamp(1, shorter - 2 * margin)
            room = extent - 2 * margin - length  # whole pixels, so there are room + 1 places
            place = _between(keys, f"position {axis}", number, self.position) * (room + 1)
            starts.append(margin + place.floor().minimum(room))
            stops.append(starts[-1] + length)
        boxes = torch.stack(starts + stops, 2)
        on = torch.arange(number, device=keys.device) < _whole(keys, "count", 1, self.count)
        return Shapes(boxes.masked_fill(~on[..., None], -1), boxes.new_zeros(len(keys), 0, 5))


class Strokes(Masks):
    """Strokes of a round brush along polylines inside the picture. Never empty.

    A stroke starts anywhere, in any direction, turns from segment to segment, and bounces off the picture's edges:
    after the irregular masks of DeepFill v2 (Yu et al. 2019) and LaMa (Suvorov et al. 2022), but not equal to them.

    Args:
        count: fewest and most strokes, whole numbers.
        segments: fewest and most segments of a stroke, whole numbers.
        length: shortest and longest segment, fractions of the picture's shorter side, at most 10.
        width: thinnest and thickest stroke, fractions of the picture's shorter side, at most 2; in pixels never below
            1.5, which covers a pixel's centre wherever the brush stands.
        turn: least and most change of direction from segment to segment, degrees, to either side, 0..180.
    """

    def __init__(
        self,
        count: Sequence[int] = (1, 5),
        segments: Sequence[int] = (1, 6),
        length: Sequence[float] = (0.1, 0.4),
        width: Sequence[float] = (0.04, 0.25),
        turn: Sequence[float] = (0.0, 90.0),
    ) -> None:
        self.count = _span("count", count, 1, 1000, "two whole numbers", whole=True)
        self.segments = _span("segments", segments, 1, 1000, "two whole numbers", whole=True)
        self.length = _span("length", length, 0, 10, "two fractions of the shorter side")
        self.width = _span("width", width, 0, 2, "two fractions of the shorter side")
        self.turn = _span("turn", turn, 0, 180, "two angles in degrees")

    def draw(self, keys: Tensor, size: Size) -> Shapes:
        """At most ``count[1] * segments[1]`` capsules a sample."""
        (height, width), strokes, segments = size, self.count[1], self.segments[1]
        radius = (_between(keys, "width", strokes, self.width) * (min(size) / 2)).clamp(min=0.75)
        length = _between(keys, "length", segments * strokes, self.length) * min(size)
        side = _whole(keys, "side", segments * strokes, (0, 1)) * 2 - 1
        turn = _between(keys, "turn", segments * strokes, self.turn) * side * (1 / 360)  # full turns, as the heading
        heading = uniform(fold(keys, "heading"), strokes)
        x = _between(keys, "x", strokes, (-0.5, width - 0.5))
        y = _between(keys, "y", strokes, (-0.5, height - 0.5))
        capsules = []
        for step, bend in zip(length.chunk(segments, 1), turn.chunk(segments, 1), strict=True):  # each (B, strokes)
            ahead_x, ahead_y = x + step * _sine(heading + 0.25), y + step * _sine(heading)
            to_x, to_y = ahead_x.clamp(-0.5, width - 0.5), ahead_y.clamp(-0.5, height - 0.5)
            capsules.append(torch.stack((x, y, to_x, to_y, radius), 2))
            # Bounce: a stroke that kept its heading would slide along the edge, and holes would pile up there.
            heading = torch.where(to_x != ahead_x, 0.5 - heading, heading)
            heading = torch.where(to_y != ahead_y, -heading, heading)
            x, y, heading = to_x, to_y, heading + bend
        stroke = torch.arange(strokes, device=keys.device) < _whole(keys, "count", 1, self.count)
        last = _whole(keys, "segments", strokes, self.segments) * stroke
        on = torch.cat([k < last for k in range(segments)], 1)
        drawn = torch.cat(capsules, 1).masked_fill(~on[..., None], -1)
        return Shapes(drawn.new_zeros(len(keys), 0, 4), drawn)


class Mixture(Masks):
    """One kind of mask a sample, chosen by probability: the shapes of the others are empty, and all are painted once.

    Args:
        kinds: mask generators by name, mixtures among them. A kind's shapes depend on its name, not on the other kinds.
        probabilities: a number from 0 up for each name, relative to one another (3 and 1: 75 % and 25 %); null: alike.
    """

    def __init__(self, kinds: Mapping[str, Masks], probabilities: Mapping[str, float] | None = None) -> None:
        if not kinds:
            raise ValueError("masks.kinds: give at least one mask generator by name, as in kinds.boxes")
        weights = dict.fromkeys(kinds, 1.0) if probabilities is None else dict(probabilities)
        if odd := sorted(weights.keys() ^ kinds.keys()):
            raise ValueError(f"masks.probabilities: give one for each name in kinds ({', '.join(kinds)}); see to {odd}")
        valid = all(isinstance(weight, int | float) and 0 <= weight < float("inf") for weight in weights.values())
        if not valid or not any(weights.values()):
            raise ValueError(f"masks.probabilities: give numbers from 0 up, and not all of them 0; got {weights}")
        self.kinds = {name: kind for name, kind in kinds.items() if weights[name] > 0}
        self.probabilities = {name: weights[name] / sum(weights.values()) for name in self.kinds}

    def draw(self, keys: Tensor, size: Size) -> Shapes:
        """The shapes of all kinds, side by side."""
        edges = [0.0, *accumulate(self.probabilities.values())][:-1]  # where each kind's share of [0, 1) begins
        taken = torch.stack([uniform(fold(keys, "kind"), 1) >= edge for edge in edges]).sum(0) - 1
        draws = [kind.draw(fold(keys, f"kind {name}"), size) for name, kind in self.kinds.items()]
        return Shapes.union([shapes.only(taken == place) for place, shapes in enumerate(draws)])
