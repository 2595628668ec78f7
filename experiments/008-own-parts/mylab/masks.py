"""A kind of mask."""

from collections.abc import Sequence

import torch
from torch import Tensor

from inpaint.masks.kind import EVERY_AREA, Pixelwise, between, span
from inpaint.masks.shapes import Size


class TornCorner(Pixelwise):
    """The upper left corner is torn off along a straight line.

    Args:
        reach: least and most of the edges that are gone, shares of them, above 0.
        area: least and greatest share of the picture that a hole may cover.
    """

    def __init__(self, reach: Sequence[float] = (0.3, 0.9), area: Sequence[float] = EVERY_AREA) -> None:
        super().__init__(area)
        self.reach = span("reach", reach, 0.01, 1, "two shares of the edges")

    def inside(self, keys: Tensor, size: Size) -> Tensor:
        """Bool ``(B, H, W)``."""
        down, right = between(keys, "reach", 2, self.reach)[:, :, None, None].unbind(1)
        y, x = (torch.arange(side, device=keys.device) / side for side in size)
        return y[:, None] / down + x / right < 1
