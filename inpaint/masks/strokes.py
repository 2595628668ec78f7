"""Holes drawn with a brush."""

from collections.abc import Sequence

import torch
from torch import Tensor

from inpaint.masks.kind import EVERY_AREA, Drawn, between, sine, span, whole
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
        stroke = torch.arange(strokes, device=keys.device) < whole(keys, "count", 1, self.count)
        last = whole(keys, "segments", strokes, self.segments) * stroke
        on = torch.cat([k < last for k in range(segments)], 1)
        drawn = torch.cat(capsules, 1).masked_fill(~on[..., None], -1)
        return Shapes(drawn.new_zeros(len(keys), 0, 4), drawn)
