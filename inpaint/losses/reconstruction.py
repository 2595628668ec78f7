"""Losses that compare pixels with the truth."""

from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor

from inpaint import ranks
from inpaint.batch import Batch, Outputs
from inpaint.losses.term import Term, Weight
from inpaint.settings import Refused, choice

Region = Literal["hole", "known", "all"]
Share = Literal["region", "image", "hole"]
Painted = Literal["output", "composite", "coarse"]


class _Pixelwise(Term):
    """A mean of per-pixel errors over a region; a subclass says which error."""

    def __init__(
        self,
        weight: Weight = 1.0,
        region: Region = "all",
        per: Share = "region",
        of: Painted = "output",
        discount: float = 1.0,
        band: int = 0,
        band_weight: float = 10.0,
    ) -> None:
        super().__init__(weight, {of})
        key = f"losses.{type(self).__name__.lower()}"
        self.region = choice(f"{key}.region", region, ("hole", "known", "all"))
        self.per = choice(f"{key}.per", per, ("region", "image", "hole"))
        self.of = choice(f"{key}.of", of, ("output", "composite", "coarse"))
        if not 0 < discount <= 1:
            raise Refused(f"{key}.discount: {discount} is outside (0, 1]")
        if band < 0:
            raise Refused(f"{key}.band: {band} pixels; 0 is no band")
        if region == "known" and (discount < 1 or band > 0):
            raise Refused(f"{key}.region: discount and band weigh pixels of the hole, but region is known")
        self.discount, self.band, self.band_weight = discount, band, band_weight

    @abstractmethod
    def error(self, difference: Tensor) -> Tensor:
        """The error of each value, of the difference of painted and true values; both of one shape."""

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Scalar float32, not yet multiplied by `weight`; 0 where the batch has no pixel to divide by."""
        error = self.error((getattr(outputs, self.of) - batch["image"]).float())
        mask = batch["mask"]
        if self.discount < 1 or self.band > 0:
            error = error * self._importance(mask)
        parts = {"hole": mask, "known": 1 - mask, "all": torch.ones_like(mask)}
        divisor = {"region": self.region, "image": "all", "hole": "hole"}[self.per]
        # The count is over the batch of all ranks, so every pixel of the region weighs the same whatever hole it is in.
        count = parts[divisor].sum() * error.shape[1]
        count = count if divisor == "all" else ranks.mean(count)
        return torch.where(count > 0, (error * parts[self.region]).sum() / count.clamp(min=1e-6), 0)

    def _importance(self, mask: Tensor) -> Tensor:
        """What each pixel counts, ``(B, 1, H, W)``: 1 where it is known."""
        distance = distance_to_known(mask)
        band = (mask > 0.5) & (distance <= self.band)
        return torch.where(band, self.band_weight, 1.0) * self.discount**distance


class L1(_Pixelwise):
    """Mean absolute difference, on the [-1, 1] scale (twice the figure on [0, 1]).

    Args:
        weight: factor in the generator's total loss.
        region: over which pixels the sum runs: the hole, the known ones, or all.
        per: what the sum is divided by (times 3 channels): the pixels of the `region` in the batch; those of the whole
            batch, `image`, as in the partial-convolution paper (Liu et al. 2018, section 3.3), where 6 * hole +
            1 * known is a weighted mean over the picture; or those of the `hole`, whatever the region: EdgeConnect
            (Nazeri et al. 2019, section 3.2) divides the mean over all pixels by that of the mask.
        of: the generator's raw `output`, the `composite`, whose known pixels are right by construction, or what the
            first of two stages painted, `coarse`.
        discount: a pixel of the hole counts ``discount ** distance``, the distance being that of `distance_to_known`;
            1 is off. DeepFill v1 (Yu et al. 2018, section 3.2) has 0.99, because far from its border a hole has many
            right answers. Known pixels count 1, and so does what the sum is divided by.
        band: pixels of the hole within this distance of a known one count `band_weight` times as much. Context Encoder
            (Pathak et al. 2016, section 3.1): 4 px in the code, 7 px in the paper, 10 times; so that the painted
            joins the known. 0 is off.
        band_weight: see `band`.

    Raises:
        Refused: a choice that does not exist, or a weight of hole pixels where only known ones count.
    """

    def error(self, difference: Tensor) -> Tensor:
        """Its absolute value."""
        return difference.abs()


class L2(_Pixelwise):
    """Mean squared difference, on the [-1, 1] scale (four times the figure on [0, 1]); arguments as for `L1`.

    The Context Encoder's reconstruction loss (Pathak et al. 2016, equation 1) is this with weight 0.999 over the hole.
    """

    def error(self, difference: Tensor) -> Tensor:
        """Its square."""
        return difference.square()


class Charbonnier(_Pixelwise):
    """Mean of ``sqrt(difference^2 + epsilon^2)``: L1 without its corner at 0 (Charbonnier et al. 1994; LapSRN 2017).

    On the [-1, 1] scale; it is `epsilon`, not 0, where nothing is wrong.

    Args:
        weight, region, per, of, discount, band, band_weight: as for `L1`.
        epsilon: size of the differences below which it is quadratic (LapSRN: 0.001).

    Raises:
        Refused: as for `L1`, or an epsilon that is not positive.
    """

    def __init__(
        self,
        weight: Weight = 1.0,
        region: Region = "all",
        per: Share = "region",
        of: Painted = "output",
        discount: float = 1.0,
        band: int = 0,
        band_weight: float = 10.0,
        epsilon: float = 1e-3,
    ) -> None:
        super().__init__(weight, region, per, of, discount, band, band_weight)
        if epsilon <= 0:
            raise Refused(f"losses.charbonnier.epsilon: {epsilon} is not positive; losses=[l1] is the limit of 0")
        self.epsilon = epsilon

    def error(self, difference: Tensor) -> Tensor:
        """The smoothed absolute value."""
        return (difference.square() + self.epsilon**2).sqrt()


class PSNR(Term):
    """The negative peak signal-to-noise ratio of the output, in dB (NAFNet, Chen et al. 2022; HINet 2021).

    ``10 log10(mean squared difference)`` of each picture in [0, 1], averaged over the pictures: each counts alike,
    however far it is from its truth. 1e-8 is added to the mean, so a picture that is right has -80.

    Args:
        weight: factor in the generator's total loss (published: 1).
    """

    def __init__(self, weight: Weight = 1.0) -> None:
        super().__init__(weight, {"output"})

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Scalar float32, not yet multiplied by `weight`."""
        squares = (outputs.output.float() - batch["image"].float()).square() / 4
        return 10 * (squares.mean(dim=(1, 2, 3)) + 1e-8).log10().mean()


@torch.no_grad()
def distance_to_known(mask: Tensor) -> Tensor:
    """City-block distance of each pixel to the nearest known one, in pixels: ``(B, 1, H, W)`` to the same, float32.

    0 where the pixel is known, 1 in the hole next to it. For a box it is the distance to the nearest side, as it would
    be in any other metric. In a picture that is all hole it is H + W everywhere. What lies outside is not known.

    Exact: the distance is separable, along each axis the least of ``value + steps`` on either side, a running minimum.
    """
    distance = torch.where(mask > 0.5, float(mask.shape[-2] + mask.shape[-1]), 0.0)
    for axis in (2, 3):
        steps = torch.arange(mask.shape[axis], device=mask.device, dtype=torch.float32)
        steps = steps.view(-1, 1) if axis == 2 else steps
        before = (distance - steps).cummin(dim=axis).values + steps
        after = ((distance + steps).flip(axis).cummin(dim=axis).values).flip(axis) - steps
        distance = torch.minimum(before, after)
    return distance
