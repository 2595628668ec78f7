"""Blur: a lens out of focus, something that moves, a camera that shakes."""

from collections.abc import Sequence

from torch import Tensor

from inpaint.degradations.filters import filtered, gaussian, line, odd_side, path
from inpaint.degradations.kind import Degradation, between, span
from inpaint.rng import fold, normal

MOMENTS = 64  # of a shaking camera


class GaussianBlur(Degradation):
    """A Gaussian, round or longer in one direction.

    Args:
        sigma: standard deviation along its long axis in pixels, or [least, greatest], above 0 and up to 20.
        ratio: of its short axis to its long one, or [least, greatest], 0.05 to 1; 1 is round.
        stored: as in `Degradation`.
    """

    def __init__(
        self,
        sigma: float | Sequence[float] = (0.5, 3.0),
        ratio: float | Sequence[float] = 1.0,
        stored: bool = True,
    ) -> None:
        super().__init__(stored)
        self.sigma = span("sigma", sigma, 0.05, 20, "pixels")
        self.ratio = span("ratio", ratio, 0.05, 1, "the short axis over the long one")

    def apply(self, image: Tensor, keys: Tensor) -> Tensor:
        """Filter each picture with a kernel of its own."""
        sigma, angle = between(keys, "sigma", self.sigma), between(keys, "angle", (0, 0.5))
        short = sigma * between(keys, "ratio", self.ratio)
        return filtered(image, gaussian(sigma, short, angle, odd_side(3 * self.sigma[1])))


class MotionBlur(Degradation):
    """Straight motion.

    Args:
        length: of the way in pixels, or [least, greatest], 0 to 100.
        angle: of the way in degrees clockwise from rightwards, or [least, greatest], 0 to 180.
        stored: as in `Degradation`.
    """

    def __init__(
        self,
        length: float | Sequence[float] = (3.0, 15.0),
        angle: float | Sequence[float] = (0.0, 180.0),
        stored: bool = True,
    ) -> None:
        super().__init__(stored)
        self.length = span("length", length, 0, 100, "pixels")
        self.angle = span("angle", angle, 0, 180, "degrees")

    def apply(self, image: Tensor, keys: Tensor) -> Tensor:
        """Filter each picture with a line of its own."""
        length, angle = between(keys, "length", self.length), between(keys, "angle", self.angle) / 360
        return filtered(image, line(length, angle, odd_side(self.length[1] / 2 + 1)))


class CameraShake(Degradation):
    """The way of a hand-held camera while its shutter is open: a random walk of the velocity, so it is smooth.

    The way's mean is where the picture was, so that what is restored lies where the truth does.

    Args:
        extent: of the way in pixels, the greater of its height and width, or [least, greatest], 0 to 100.
        stored: as in `Degradation`.
    """

    def __init__(self, extent: float | Sequence[float] = (4.0, 16.0), stored: bool = True) -> None:
        super().__init__(stored)
        self.extent = span("extent", extent, 0, 100, "pixels")

    def apply(self, image: Tensor, keys: Tensor) -> Tensor:
        """Filter each picture with a way of its own."""
        pushes = normal(fold(keys, "pushes"), 2 * MOMENTS).view(-1, MOMENTS, 2)
        places = pushes.cumsum(1).cumsum(1)
        low, high = places.amin(1, keepdim=True), places.amax(1, keepdim=True)
        size = (high - low).amax(2, keepdim=True)
        extent = between(keys, "extent", self.extent).view(-1, 1, 1)
        ways = (places - places.mean(1, keepdim=True)) / size * extent
        return filtered(image, path(ways, odd_side(self.extent[1] + 1)))
