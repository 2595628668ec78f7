"""Holes as old photographs have them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from inpaint.masks.kind import EVERY_AREA, Drawn, between, scalar, shorter_side, sine, span, whole
from inpaint.masks.shapes import Shapes, Size

STEPS = 24  # segments of a curve


class Scratches(Drawn):
    """Thin curves that wander and branch: cracks, folds and scratches of old photographs and films. Never empty.

    A curve starts anywhere and goes in a `direction` or its opposite, in 24 steps. Each is up to `wander` off the
    curve's heading, which keeps a third of that, and has a width of its own. A branch leaves its curve at any step, 30
    to 90 degrees to either side, half as long and three quarters as wide. Our own model, made after scans of damaged
    prints and films: no paper states one in numbers.

    Args:
        count: fewest and most curves, whole numbers.
        branches: fewest and most branches of a curve, whole numbers.
        length: shortest and longest curve, pixels at `resolution`.
        width: thinnest and thickest step of a curve, pixels at `resolution`; in the picture never below 1.5 pixels,
            which covers a pixel's centre wherever it is.
        wander: most that a step is off the curve's heading, degrees, to either side.
        direction: degrees clockwise from rightwards: 90 is upright, as on film.
        spread: most that a curve's first direction differs from this, degrees, to either side; 90 is every direction.
        resolution: the shorter side, in pixels, of the pictures that lengths and widths are stated for.
        area: least and greatest share of the picture that a hole may cover, see `Masks`.
    """

    def __init__(
        self,
        count: Sequence[int] = (2, 8),
        branches: Sequence[int] = (0, 4),
        length: Sequence[float] = (40, 320),
        width: Sequence[float] = (1, 3),
        wander: float = 45.0,
        direction: float = 90.0,
        spread: float = 90.0,
        resolution: float = 256,
        area: Sequence[float] = EVERY_AREA,
    ) -> None:
        super().__init__(area)
        unit = shorter_side(resolution)
        self.count = span("count", count, 1, 1000, "two whole numbers", whole=True)
        self.branches = span("branches", branches, 0, 100, "two whole numbers", whole=True)
        low, high = span("length", length, 0, 10 * unit, "two lengths")
        self.length = (low / unit, high / unit)
        low, high = span("width", width, 0, unit, "two widths")
        self.width = (low / unit, high / unit)
        self.wander = scalar("wander", wander, 0, 180, "an angle in degrees")
        self.direction = scalar("direction", direction, -360, 360, "an angle in degrees")
        self.spread = scalar("spread", spread, 0, 90, "an angle in degrees")

    def draw(self, keys: Tensor, size: Size) -> Shapes:
        """At most ``24 * count[1] * (1 + branches[1])`` capsules a sample."""
        curves, most = self.count[1], self.branches[1]
        on = torch.arange(curves, device=keys.device) < whole(keys, "count", 1, self.count)
        first = between(keys, "heading", curves, (self.direction - self.spread, self.direction + self.spread)) / 360
        start = torch.stack(
            (
                between(keys, "x", curves, (-0.5, size[1] - 0.5)),
                between(keys, "y", curves, (-0.5, size[0] - 0.5)),
                first + whole(keys, "opposite", curves, (0, 1)) / 2,  # full turns
            ),
            2,
        )
        length = between(keys, "length", curves, self.length)
        trunks, places = self._walk(keys, "trunks", start, length, size)
        capsules = [trunks.masked_fill(~on[..., None, None], -1)]
        if most:
            leaves = whole(keys, "leaves", most * curves, (0, STEPS - 1)).long()[..., None, None].expand(-1, -1, 1, 3)
            start = places.repeat(1, most, 1, 1).gather(2, leaves)[:, :, 0]
            side = whole(keys, "side", most * curves, (0, 1)) * 2 - 1
            start[..., 2] += between(keys, "fork", most * curves, (1 / 12, 1 / 4)) * side
            twigs, _ = self._walk(keys, "branches", start, length.repeat(1, most) / 2, size, thinner=0.75)
            number = whole(keys, "branches", curves, self.branches) * on
            on = torch.cat([k < number for k in range(most)], 1)
            capsules.append(twigs.masked_fill(~on[..., None, None], -1))
        return Shapes(capsules=torch.cat(capsules, 1).flatten(1, 2))

    def _walk(
        self, keys: Tensor, stream: str, start: Tensor, length: Tensor, size: Size, thinner: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Curves from x, y, heading ``(B, N, 3)``: capsules ``(B, N, 24, 5)``, and where each begins, as `start`."""
        number = start.shape[1]
        turns = between(keys, f"{stream} turn", STEPS * number, (-self.wander / 360, self.wander / 360))
        widths = between(keys, f"{stream} width", STEPS * number, self.width) * (min(size) * thinner)
        step = length * (min(size) / STEPS)
        x, y, heading = start.unbind(2)
        capsules, places = [], []
        for turn, width in zip(turns.chunk(STEPS, 1), widths.chunk(STEPS, 1), strict=True):
            places.append(torch.stack((x, y, heading), 2))
            to_x, to_y = x + step * sine(heading + turn + 0.25), y + step * sine(heading + turn)
            capsules.append(torch.stack((x, y, to_x, to_y, (width / 2).clamp(min=0.75)), 2))
            x, y, heading = to_x, to_y, heading + turn / 3
        return torch.stack(capsules, 2), torch.stack(places, 2)
