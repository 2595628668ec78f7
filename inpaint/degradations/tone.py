"""What time does to a print's colours, and damage that nobody marked."""

from collections.abc import Sequence

import torch
from torch import Tensor

from inpaint.degradations.kind import Degradation, between, each, span
from inpaint.masks import Masks

LUMA = (0.299, 0.587, 0.114)  # BT.601
PAPER = (1.0, 0.94, 0.80)  # yellowed paper beside white, red green blue


class Grey(Degradation):
    """Black and white."""

    def apply(self, image: Tensor, keys: Tensor) -> Tensor:
        """Luma in the three channels."""
        return luma(image).expand_as(image)


class Fading(Degradation):
    """A print that has faded: its colours and blacks are weaker, its paper yellower.

    Args:
        colour: share of the distance to grey that is lost, or [least, greatest].
        black: how light black has become, a share of white, or [least, greatest].
        yellow: how far white has gone towards yellowed paper, or [least, greatest], 0 to 1.
        stored: as in `Degradation`.
    """

    def __init__(
        self,
        colour: float | Sequence[float] = (0.2, 0.9),
        black: float | Sequence[float] = (0.0, 0.3),
        yellow: float | Sequence[float] = (0.0, 1.0),
        stored: bool = True,
    ) -> None:
        super().__init__(stored)
        self.colour = span("colour", colour, 0, 1, "a share")
        self.black = span("black", black, 0, 0.9, "a share of white")
        self.yellow = span("yellow", yellow, 0, 1, "a share of the way")

    def apply(self, image: Tensor, keys: Tensor) -> Tensor:
        """Fade."""
        colour, black, yellow = (
            each(between(keys, name, getattr(self, name))) for name in ("colour", "black", "yellow")
        )
        light = (image + 1) / 2
        light = light + colour * (luma(light) - light)
        paper = 1 - yellow * (1 - light.new_tensor(PAPER).view(1, 3, 1, 1))
        return 2 * paper * (black + (1 - black) * light) - 1


class PaintedHoles(Degradation):
    """Damage that is part of the picture, such as white scratches, of which no mask is given.

    Args:
        masks: where it is.
        level: of grey that it has, 0 black to 1 white, or [least, greatest].
        stored: as in `Degradation`.
    """

    def __init__(self, masks: Masks, level: float | Sequence[float] = 1.0, stored: bool = False) -> None:
        super().__init__(stored)
        self.masks, self.level = masks, span("level", level, 0, 1, "a level of grey")

    def apply(self, image: Tensor, keys: Tensor) -> Tensor:
        """Paint."""
        level = 2 * each(between(keys, "level", self.level)) - 1
        return torch.where(self.masks(keys, (image.shape[2], image.shape[3])) > 0.5, level, image)


def luma(image: Tensor) -> Tensor:
    """BT.601's luma on the picture's own scale, ``(B, 1, H, W)``."""
    return (image * image.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
