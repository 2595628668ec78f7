"""Holes with straight, upright edges."""

from collections.abc import Sequence

import torch
from torch import Tensor

from inpaint.masks.kind import EVERY_AREA, Drawn, Masks, between, scalar, shorter_side, span, whole
from inpaint.masks.shapes import Shapes, Size
from inpaint.rng import fold, uniform
from inpaint.settings import Refused

SIDES = ("left", "top", "right", "bottom")


class Boxes(Drawn):
    """Upright boxes, width and height independent, inside the picture, from whole pixel to whole pixel. Never empty.

    The boxes of LaMa's training masks (Suvorov et al. 2022): count (1, 4), side (30, 150), margin 10, resolution 256.
    The holes of Global & Local (Iizuka et al. 2017): count (1, 1), side (96, 128), resolution 256. The centre region of
    Context Encoders (Pathak et al. 2016): count (1, 1), side (0.5, 0.5), position (0.5, 0.5).

    Args:
        count: fewest and most boxes, whole numbers.
        side: shortest and longest width and height, at most the picture's shorter side less two margins.
        margin: strip along the picture's edges kept free, less than half the shorter side.
        position: least and most of a box's place in the room it has, across and down, 0 = left, top, 1 = right, bottom.
        resolution: the picture's shorter side in the unit of `side` and `margin`: 1 for fractions of it.
        area: least and greatest share of the picture that a hole may cover, see `Masks`.
    """

    def __init__(
        self,
        count: Sequence[int] = (1, 4),
        side: Sequence[float] = (0.1, 0.6),
        margin: float = 0.0,
        position: Sequence[float] = (0.0, 1.0),
        resolution: float = 1,
        area: Sequence[float] = EVERY_AREA,
    ) -> None:
        super().__init__(area)
        unit = shorter_side(resolution)
        if not (isinstance(margin, int | float) and 0 <= margin < 0.5 * unit):
            raise Refused(f"masks.margin: give a length, 0 <= margin < half the shorter side; got {margin!r}")
        self.count = span("count", count, 1, 1000, "two whole numbers", whole=True)
        low, high = span("side", side, 0, unit - 2 * margin, "two lengths, at most the shorter side less two margins")
        self.side, self.margin = (low / unit, high / unit), margin / unit
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
        return Shapes(boxes=boxes.masked_fill(~on[..., None], -1))


class Outpainting(Drawn):
    """Strips along the picture's edges: what lies outside a smaller picture. Never empty.

    The outpainting masks of LaMa's code (Suvorov et al. 2022): each side with probability 0.5, 4 to 25 % of the width
    or height; where no side is drawn, one of them, each as often.

    Args:
        sides: which edges may have a strip, some of left, top, right, bottom.
        probability: of a strip along each, 0..1; one always has it.
        width: narrowest and widest strip, fractions of the picture's width (left, right) or height (top, bottom).
        area: least and greatest share of the picture that a hole may cover, see `Masks`.
    """

    def __init__(
        self,
        sides: Sequence[str] = SIDES,
        probability: float = 0.5,
        width: Sequence[float] = (0.04, 0.25),
        area: Sequence[float] = EVERY_AREA,
    ) -> None:
        super().__init__(area)
        if not sides or isinstance(sides, str) or not set(sides) <= set(SIDES):
            raise Refused(f"masks.sides: give some of {', '.join(SIDES)}; got {sides!r}")
        self.sides = tuple(sides)
        self.probability = scalar("probability", probability, 0, 1, "the probability of each side")
        self.width = span("width", width, 0, 1, "two fractions of the picture's width or height")

    def draw(self, keys: Tensor, size: Size) -> Shapes:
        """One box for each of the sides."""
        height, width = size
        chance = uniform(fold(keys, "sides"), len(self.sides))
        on = (chance < self.probability) | (chance == chance.amin(1, keepdim=True))
        strips = between(keys, "width", len(self.sides), self.width)
        boxes = []
        for side, strip in zip(self.sides, strips.unbind(1), strict=True):
            wide = strip.mul(width if side in ("left", "right") else height).round().clamp(min=1)
            none = torch.zeros_like(wide)
            box = {
                "left": (none, none, wide, none + height),
                "top": (none, none, none + width, wide),
                "right": (width - wide, none, none + width, none + height),
                "bottom": (none, height - wide, none + width, none + height),
            }[side]
            boxes.append(torch.stack(box, 1))
        return Shapes(boxes=torch.stack(boxes, 1).masked_fill(~on[..., None], -1))


class Grid(Masks):
    """All but every n-th pixel of every n-th row: super-resolution by a factor n, as inpainting.

    n and the place of the first known pixel are drawn for each sample. A hole covers 1 - 1 / n^2 of the picture. The
    super-resolution masks of LaMa's code (Suvorov et al. 2022) with n = 2..4 and known lines one pixel wide, but with
    one n for both directions.

    Args:
        step: least and greatest n, pixels of the picture itself, whole numbers from 2 up.
        area: least and greatest share of the picture that a hole may cover, see `Masks`.
    """

    def __init__(self, step: Sequence[int] = (2, 4), area: Sequence[float] = EVERY_AREA) -> None:
        super().__init__(area)
        self.step = span("step", step, 2, 1000, "two whole numbers of pixels", whole=True)

    def make(self, keys: Tensor, size: Size) -> Tensor:
        """Known where both the row and the column are."""
        step = whole(keys, "step", 1, self.step)
        known = []
        for axis, extent in (("y", size[0]), ("x", size[1])):
            offset = (uniform(fold(keys, f"offset {axis}"), 1) * step).floor()
            place = (torch.arange(extent, device=keys.device) - offset) / step
            known.append(place == place.floor())  # exact: both are whole numbers below 2^24
        return 1 - (known[0][:, None, :, None] & known[1][:, None, None, :]).to(torch.float32)


class Full(Masks):
    """The whole picture is hole: nothing is known, and inpainting is synthesis."""

    def __init__(self) -> None:
        super().__init__()

    @property
    def whole(self) -> bool:
        """Yes."""
        return True

    def make(self, keys: Tensor, size: Size) -> Tensor:
        """Ones."""
        return torch.ones(len(keys), 1, *size, device=keys.device)
