"""Holes drawn with a brush."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from inpaint.masks.kind import EVERY_AREA, Drawn, between, scalar, shorter_side, sine, span, whole
from inpaint.masks.shapes import Shapes, Size
from inpaint.rng import fold, uniform


class Strokes(Drawn):
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
        area: least and greatest share of the picture that a hole may cover, see `Masks`.
    """

    def __init__(
        self,
        count: Sequence[int] = (1, 5),
        segments: Sequence[int] = (1, 6),
        length: Sequence[float] = (0.1, 0.4),
        width: Sequence[float] = (0.04, 0.25),
        turn: Sequence[float] = (0.0, 90.0),
        area: Sequence[float] = EVERY_AREA,
    ) -> None:
        super().__init__(area)
        self.count = span("count", count, 1, 1000, "two whole numbers", whole=True)
        self.segments = span("segments", segments, 1, 1000, "two whole numbers", whole=True)
        self.length = span("length", length, 0, 10, "two fractions of the shorter side")
        self.width = span("width", width, 0, 2, "two fractions of the shorter side")
        self.turn = span("turn", turn, 0, 180, "two angles in degrees")

    def draw(self, keys: Tensor, size: Size) -> Shapes:
        """At most ``count[1] * segments[1]`` capsules a sample."""
        (height, width), strokes, segments = size, self.count[1], self.segments[1]
        radius = (between(keys, "width", strokes, self.width) * (min(size) / 2)).clamp(min=0.75)
        length = between(keys, "length", segments * strokes, self.length) * min(size)
        side = whole(keys, "side", segments * strokes, (0, 1)) * 2 - 1
        turn = between(keys, "turn", segments * strokes, self.turn) * side * (1 / 360)  # full turns, as the heading
        heading = uniform(fold(keys, "heading"), strokes)
        x = between(keys, "x", strokes, (-0.5, width - 0.5))
        y = between(keys, "y", strokes, (-0.5, height - 0.5))
        capsules = []
        for step, bend in zip(length.chunk(segments, 1), turn.chunk(segments, 1), strict=True):  # each (B, strokes)
            ahead_x, ahead_y = x + step * sine(heading + 0.25), y + step * sine(heading)
            to_x, to_y = ahead_x.clamp(-0.5, width - 0.5), ahead_y.clamp(-0.5, height - 0.5)
            capsules.append(torch.stack((x, y, to_x, to_y, radius), 2))
            # Bounce: a stroke that kept its heading would slide along the edge, and holes would pile up there.
            heading = torch.where(to_x != ahead_x, 0.5 - heading, heading)
            heading = torch.where(to_y != ahead_y, -heading, heading)
            x, y, heading = to_x, to_y, heading + bend
        return Shapes(capsules=torch.cat(capsules, 1).masked_fill(~_drawn(keys, self.count, self.segments), -1))


class LamaStrokes(Drawn):
    """The irregular masks of LaMa (Suvorov et al. 2022), as its code draws them with OpenCV. Never empty.

    A stroke starts at any pixel and has 1 to 5 segments. Each draws its own angle (0.01 + k rad from downwards, k below
    `max_angle`, to the left on the first and every other stroke, to the right on the rest), length (10 pixels
    and up to ``max_length - 1`` more) and thickness (5 and up to ``max_width - 1`` more), ends on a whole pixel, and is
    cut off at the picture's edges.

    At `resolution`, 99.9 % of the pixels are those that ``cv2.line`` paints for the same segments (99.8 % of the thin
    masks' in the worst; measured). Other sizes show the same picture, larger or smaller.

    Args:
        times: fewest and most strokes, whole numbers.
        max_width: thickest brush less 4, pixels at `resolution`.
        max_length: longest segment less 9, pixels at `resolution`.
        max_angle: number of angles to either side, a whole number.
        resolution: the shorter side, in pixels, of the pictures that lengths and widths are stated for.
        lama_compat: draw up to ``times[1] + 1`` strokes, as LaMa's released code does by an off-by-one error: LaMa was
            trained and measured with these. False draws `times[1]` at most.
        area: least and greatest share of the picture that a hole may cover, see `Masks`.
    """

    SEGMENTS, LENGTH, WIDTH = 5, 10, 5  # the most segments; the shortest; the thinnest

    def __init__(
        self,
        times: Sequence[int] = (1, 5),
        max_width: int = 100,
        max_length: int = 200,
        max_angle: int = 4,
        resolution: int = 256,
        lama_compat: bool = True,
        area: Sequence[float] = EVERY_AREA,
    ) -> None:
        super().__init__(area)
        low, high = span("times", times, 1, 1000, "two whole numbers", whole=True)
        self.count = (low, high + bool(lama_compat))
        self.max_width = scalar("max_width", max_width, 1, 1e6, "a whole number of pixels", whole=True)
        self.max_length = scalar("max_length", max_length, 1, 1e6, "a whole number of pixels", whole=True)
        self.resolution = shorter_side(resolution)
        # Rounded to float32, all libraries' sines of these few angles are the same.
        number = int(scalar("max_angle", max_angle, 1, 100, "a whole number of angles", whole=True))
        angles = [0.01 + k for k in range(number)]
        self.directions = torch.tensor([[math.sin(angle), math.cos(angle)] for angle in angles])

    def draw(self, keys: Tensor, size: Size) -> Shapes:
        """At most ``5 * times[1]`` lines a sample, each a capsule and a bar."""
        scale, strokes, most = min(size) / self.resolution, self.count[1], self.SEGMENTS * self.count[1]
        height, width = size[0] / scale, size[1] / scale  # all in pixels at `resolution`, up to the last step
        thickness, length, angle = uniform(fold(keys, "segment"), 3 * most).chunk(3, 1)
        thickness = (self.WIDTH + thickness * self.max_width).floor()
        length = (self.LENGTH + length * self.max_length).floor()
        direction = self.directions.to(keys.device, non_blocking=True)[(angle * len(self.directions)).long()]
        side = torch.arange(most, device=keys.device) % strokes % 2 * 2 - 1
        dx, dy = length * direction[..., 0] * side, length * direction[..., 1]
        x, y = uniform(fold(keys, "start"), 2 * strokes).chunk(2, 1)
        x, y = (x * width).floor(), (y * height).floor()
        ends = []
        for step_x, step_y in zip(dx.chunk(self.SEGMENTS, 1), dy.chunk(self.SEGMENTS, 1), strict=True):
            to_x, to_y = (x + step_x).trunc().clamp(0, width), (y + step_y).trunc().clamp(0, height)
            ends.append(torch.stack((x, y, to_x, to_y), 2))
            x, y = to_x, to_y
        off = ~_drawn(keys, self.count, (1, self.SEGMENTS))
        lines = [
            torch.cat(((line[..., :4] + 0.5) * scale - 0.5, (line[..., 4:] * scale).clamp(min=0.75)), 2)
            for line in _lines(torch.cat(ends, 1), thickness)
        ]
        capsules, bars = (line.masked_fill(off, -1) for line in lines)
        return Shapes(capsules=capsules, bars=bars)


class DeepFillStrokes(Drawn):
    """The brush strokes of DeepFill v2 (Yu et al. 2019). Never empty.

    A stroke starts anywhere. Its segments' lengths are normal, with a mean of 1/8 and a deviation of 1/16 of the
    picture's diagonal, cut off at 0 and 1/4; their angles from rightwards lie within a part of `angle` +- `spread` of
    the stroke's own, to one side and the other in turn; they end at the picture's edges at the latest.

    Departures from the released code: ends are not truncated to whole pixels; sizes other than `resolution` scale the
    width; the normal numbers are sums of four uniform ones, within 0.01 of the normal distribution function and exact
    on every device. Its flips have no effect there, so there are none here.

    Args:
        count: fewest and most strokes, whole numbers.
        vertices: fewest and most segments of a stroke, whole numbers.
        angle: mean angle, degrees (published as 2 pi / 5).
        spread: most that a stroke's range of angles goes to either side of it, degrees (published as 2 pi / 15).
        width: thinnest and thickest stroke, pixels at `resolution`.
        resolution: the shorter side, in pixels, of the pictures that widths are stated for.
        area: least and greatest share of the picture that a hole may cover, see `Masks`.
    """

    def __init__(
        self,
        count: Sequence[int] = (1, 3),
        vertices: Sequence[int] = (4, 11),
        angle: float = 72.0,
        spread: float = 24.0,
        width: Sequence[float] = (12, 40),
        resolution: int = 256,
        area: Sequence[float] = EVERY_AREA,
    ) -> None:
        super().__init__(area)
        self.count = span("count", count, 1, 1000, "two whole numbers", whole=True)
        self.segments = span("vertices", vertices, 1, 1000, "two whole numbers", whole=True)
        self.angle = scalar("angle", angle, 0, 360, "an angle in degrees")
        self.spread = scalar("spread", spread, 0, 180, "an angle in degrees")
        self.resolution = shorter_side(resolution)
        self.width = span("width", width, 0, 2 * resolution, "two widths in pixels")

    def draw(self, keys: Tensor, size: Size) -> Shapes:
        """At most ``count[1] * vertices[1]`` capsules a sample."""
        (height, width), strokes, segments = size, self.count[1], self.segments[1]
        radius = (between(keys, "width", strokes, self.width) * (min(size) / self.resolution / 2)).clamp(min=0.75)
        parts = uniform(fold(keys, "length"), 4 * segments * strokes).chunk(4, 1)
        normal = (parts[0] + parts[1] + parts[2] + parts[3] - 2) * math.sqrt(3)
        length = (2 + normal).clamp(0, 4) * (math.hypot(*size) / 16)
        low = -between(keys, "angle low", strokes, (0, self.spread))
        high = between(keys, "angle high", strokes, (0, self.spread))
        place = uniform(fold(keys, "angle"), segments * strokes)
        x = between(keys, "x", strokes, (-0.5, width - 0.5))
        y = between(keys, "y", strokes, (-0.5, height - 0.5))
        capsules = []
        for k, (step, part) in enumerate(zip(length.chunk(segments, 1), place.chunk(segments, 1), strict=True)):
            turns = (self.angle + low + part * (high - low)) * (1 / 360)
            side = -1 if k % 2 == 0 else 1
            to_x = (x + step * sine(turns + 0.25)).clamp(-0.5, width - 0.5)
            to_y = (y + side * step * sine(turns)).clamp(-0.5, height - 0.5)
            capsules.append(torch.stack((x, y, to_x, to_y, radius), 2))
            x, y = to_x, to_y
        return Shapes(capsules=torch.cat(capsules, 1).masked_fill(~_drawn(keys, self.count, self.segments), -1))


def _drawn(keys: Tensor, count: tuple[int, int], segments: tuple[int, int]) -> Tensor:
    """Which segments belong to a stroke's length and to the number of strokes: bool ``(B, segments * strokes, 1)``."""
    strokes = count[1]
    stroke = torch.arange(strokes, device=keys.device) < whole(keys, "count", 1, count)
    last = whole(keys, "segments", strokes, segments) * stroke
    return torch.cat([k < last for k in range(segments[1])], 1)[..., None]


def _lines(ends: Tensor, thickness: Tensor) -> tuple[Tensor, Tensor]:
    """What ``cv2.line`` paints between whole pixels ``(B, N, 4)``, thickness ``(B, N)``: capsules and bars.

    It fills discs of radius ceil(thickness / 2) about the two ends, which a capsule gives exactly, and a rectangle of
    the same half width. The rectangle's long edges it also draws as lines of pixels, one for each step along the axis
    they are closer to (the major one), from rounded corners on: hence half a pixel more along the minor axis, give or
    take the rounding of the corner, and at least half a pixel along the other.
    """
    x0, y0, x1, y1 = ends.unbind(2)
    radius = (thickness / 2).ceil()
    dx, dy = (x1 - x0).abs(), (y1 - y0).abs()
    major, minor = torch.maximum(dx, dy), torch.minimum(dx, dy)
    length = (dx * dx + dy * dy).sqrt().clamp(min=1)
    corner = radius * minor / length
    edge = torch.maximum(major / 2 + (corner.round() - corner) * minor, minor / 2)
    capsules, bars = (torch.cat((ends, half[..., None]), 2) for half in (radius, radius + edge / length))
    return capsules, bars
