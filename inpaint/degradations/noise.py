"""Noise of sensors and of what went wrong on the way: Gaussian, Poisson, speckle, salt and pepper."""

from collections.abc import Sequence

import torch
from torch import Tensor

from inpaint.degradations.kind import LEVEL, Degradation, between, each, happens, share, span
from inpaint.rng import each_frame, fold, normal, uniform

MANY = 20.0  # photons from which a normal distribution, corrected for its skewness, stands for Poisson's
COUNTED = 64  # the largest number that fewer give: the chance of more is below 1e-13


class GaussianNoise(Degradation):
    """White Gaussian noise.

    Args:
        sigma: standard deviation in 8-bit levels, or [least, greatest], 0 to 255.
        grey: share of the pictures whose noise is the same in the three channels.
        stored: as in `Degradation`; the field's figures are of noise that is neither clipped nor rounded.
    """

    def __init__(self, sigma: float | Sequence[float] = 25.0, grey: float = 0.0, stored: bool = False) -> None:
        super().__init__(stored)
        self.sigma, self.grey = span("sigma", sigma, 0, 255, "8-bit levels"), share("grey", grey)

    def apply(self, image: Tensor, keys: Tensor) -> Tensor:
        """Add it."""
        return image + each(between(keys, "sigma", self.sigma)) * LEVEL * _white(image, keys, self.grey)


class SpeckleNoise(Degradation):
    """Gaussian noise in proportion to the light.

    Args:
        sigma: standard deviation at white in 8-bit levels, or [least, greatest], 0 to 255.
        grey: share of the pictures whose noise is the same in the three channels.
        stored: as in `Degradation`.
    """

    def __init__(self, sigma: float | Sequence[float] = (5.0, 50.0), grey: float = 0.0, stored: bool = False) -> None:
        super().__init__(stored)
        self.sigma, self.grey = span("sigma", sigma, 0, 255, "8-bit levels"), share("grey", grey)

    def apply(self, image: Tensor, keys: Tensor) -> Tensor:
        """Add it."""
        light = (image + 1) / 2
        return image + light * each(between(keys, "sigma", self.sigma)) * LEVEL * _white(image, keys, self.grey)


class PoissonNoise(Degradation):
    """The noise of counted photons.

    Args:
        photons: that a white pixel catches, or [least, greatest], 1 to 1e6: the fewer, the noisier.
        stored: as in `Degradation`.
    """

    def __init__(self, photons: float | Sequence[float] = (20.0, 500.0), stored: bool = False) -> None:
        super().__init__(stored)
        self.photons = span("photons", photons, 1, 1e6, "photons at white")

    def apply(self, image: Tensor, keys: Tensor) -> Tensor:
        """Count."""
        photons = each(between(keys, "photons", self.photons))
        return 2 * poisson((image + 1).clamp(min=0) / 2 * photons, keys) / photons - 1


class SaltAndPepper(Degradation):
    """Pixels that are white or black.

    Args:
        amount: share of such pixels, or [least, greatest].
        salt: share of the white ones among them, or [least, greatest].
        stored: as in `Degradation`.
    """

    def __init__(
        self,
        amount: float | Sequence[float] = (0.0, 0.01),
        salt: float | Sequence[float] = (0.3, 0.8),
        stored: bool = False,
    ) -> None:
        super().__init__(stored)
        self.amount = span("amount", amount, 0, 1, "a share of the pixels")
        self.salt = span("salt", salt, 0, 1, "the share of white among them")

    def apply(self, image: Tensor, keys: Tensor) -> Tensor:
        """Replace them."""
        amount, salt = (each(between(keys, *drawn)) for drawn in (("amount", self.amount), ("salt", self.salt)))
        pixels = image.shape[2:]
        chance = uniform(each_frame(fold(keys, "pixels")), pixels.numel()).view(-1, 1, *pixels)
        speckled = torch.where(chance < amount * salt, 1.0, image)
        return torch.where((chance >= amount * salt) & (chance < amount), -1.0, speckled)


def poisson(mean: Tensor, keys: Tensor) -> Tensor:
    """Poisson numbers of the means ``(B, C, H, W)``, at least 0: exact below `MANY`, to a hundredth above."""
    size = mean[0].numel()
    chance = uniform(each_frame(fold(keys, "photons")), size).view_as(mean)
    few = mean.clamp(max=MANY)
    probability = torch.exp(-few)
    below, count = probability.clone(), torch.zeros_like(mean)
    for number in range(1, COUNTED):  # how many of the distribution's steps lie below the chance
        count += chance >= below
        probability = probability * few / number
        below += probability
    quantile = torch.special.ndtri(chance.double() + 2.0**-25).float()
    many = (mean + mean.sqrt() * quantile + (quantile**2 - 1) / 6).round().clamp(min=0)
    return torch.where(mean < MANY, count, many)


def _white(image: Tensor, keys: Tensor, grey: float) -> Tensor:
    """Standard normal numbers of the shape of `image`; for a share `grey` of the samples alike in the channels."""
    noise = normal(each_frame(fold(keys, "noise")), image[0].numel()).view_as(image)
    if grey == 0:
        return noise
    return torch.where(each(happens(keys, "grey", grey)), noise[:, :1], noise)
