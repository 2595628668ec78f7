"""What time does to a print's colours, and damage that nobody marked."""

import math
from collections.abc import Sequence

import torch
from kornia.filters import gaussian_blur2d, sobel
from torch import Tensor

from inpaint.degradations.kind import Degradation, between, each, span
from inpaint.masks import Masks
from inpaint.settings import number

LUMA = (0.299, 0.587, 0.114)  # BT.601
PAPER = (1.0, 0.94, 0.80)  # yellowed paper beside white, red green blue


class Grey(Degradation):
    """Black and white."""

    def apply(self, image: Tensor, keys: Tensor) -> Tensor:
        """Luma in the three channels."""
        return luma(image).expand_as(image)


class Edges(Degradation):
    """A drawing: dark lines on white where the picture has edges, all of whose colours are lost (pix2pix's edges).

    The blackness of a pixel is ``tanh(strength * slope)``, the slope being that of the blurred luma by Sobel's
    operator, in shares of the way from black to white per pixel. pix2pix draws by a trained detector of edges.

    Args:
        sigma: of the Gaussian before, pixels; larger leaves out texture.
        strength: of the lines: a slope of one over this is drawn 76 % black.
        stored: as in `Degradation`.
    """

    def __init__(self, sigma: float = 1.0, strength: float = 10.0, stored: bool = True) -> None:
        super().__init__(stored)
        self.sigma = number("degradation.sigma", sigma, 0.1, 20, "pixels")
        self.strength = number("degradation.strength", strength, 0.01, 100, "a factor")

    def apply(self, image: Tensor, keys: Tensor) -> Tensor:
        """Draw."""
        side = 2 * math.ceil(3 * self.sigma) + 1
        light = gaussian_blur2d((luma(image) + 1) / 2, (side, side), (self.sigma, self.sigma))
        length = sobel(light, eps=1e-12)
        return (1 - 2 * torch.tanh(self.strength * length)).expand_as(image)


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
