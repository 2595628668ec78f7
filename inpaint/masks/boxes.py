"""Holes with straight, upright edges."""

from collections.abc import Sequence

import torch
from torch import Tensor

from inpaint.masks.kind import EVERY_AREA, Drawn, between, span, whole
from inpaint.masks.shapes import Shapes, Size


class Boxes(Drawn):
    """Upright boxes, width and height independent, inside the picture, from whole pixel to whole pixel. Never empty.

    The boxes of LaMa's training masks (Suvorov et al. 2022): count (1, 4), side (30/256, 150/256), margin 10/256. The
    centre region of Context Encoders (Pathak et al. 2016): count (1, 1), side (0.5, 0.5), position (0.5, 0.5).

    Args:
        count: fewest and most boxes, whole numbers.
        side: shortest and longest width and height, fractions of the picture's shorter side, at most 1 - 2 margin.
        margin: strip along the picture's edges kept free, a fraction of its shorter side, 0 <= margin < 0.5.
        position: least and most of a box's place in the room it has, across and down, 0 = left, top, 1 = right, bottom.
        area: least and greatest share of the picture that a hole may cover, see `Masks`.
    """

    def __init__(
        self,
        count: Sequence[int] = (1, 4),
        side: Sequence[float] = (0.1, 0.6),
        margin: float = 0.0,
        position: Sequence[float] = (0.0, 1.0),
        area: Sequence[float] = EVERY_AREA,
    ) -> None:
        super().__init__(area)
        if not (isinstance(margin, int | float) and 0 <= margin < 0.5):
            raise ValueError(f"masks.margin: give a fraction of the shorter side, 0 <= margin < 0.5; got {margin!r}")
        self.count = span("count", count, 1, 1000, "two whole numbers", whole=True)
        self.side = span("side", side, 0, 1 - 2 * margin, "two fractions of the shorter side, less two margins")
        self.margin = margin
        self.position = span("position", position, 0, 1, "two fractions of the room a box has")

    def draw(self, keys: Tensor, size: Size) -> Shapes:
        """At most ``count[1]`` boxes a sample."""
        number, shorter, margin = self.count[1], min(size), int(self.margin * min(size))
        starts, stops = [], []
        for axis, extent in (("x", size[1]), ("y", size[0])):
            length = between(keys, f"side {axis}", number, self.side).mul(shorter).round()
            length = length.clamp(1, shorter - 2 * margin)
            room = extent - 2 * margin - length  # whole pixels, so there are room + 1 places
            place = between(keys, f"position {axis}", number, self.position) * (room + 1)
            starts.append(margin + place.floor().minimum(room))
            stops.append(starts[-1] + length)
        boxes = torch.stack(starts + stops, 2)
        on = torch.arange(number, device=keys.device) < whole(keys, "count", 1, self.count)
        return Shapes(boxes.masked_fill(~on[..., None], -1), boxes.new_zeros(len(keys), 0, 5))
