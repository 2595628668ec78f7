"""Losses on the structure of the painted picture rather than its single pixels."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint.batch import Batch, Outputs
from inpaint.losses.blur import gaussian_blur
from inpaint.losses.term import Term, Weight
from inpaint.settings import Refused, choice

Painted = Literal["output", "composite"]

WINDOW, SIGMA = 11, 1.5  # pixels
LUMINANCE, CONTRAST = 0.01**2, 0.03**2  # (K L)^2 with L = 1
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang, Simoncelli, Bovik 2003, section 4.2
LEAST = 1e-4  # a fractional power has an infinite slope at 0


def _similarity(painted: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Structural similarity, and its part without luminance, of each sample: ``(B, 3, H, W)`` in [0, 1] to ``(B,)``."""
    both = torch.cat([painted, truth, painted * painted, truth * truth, painted * truth])
    blurred = gaussian_blur(both, WINDOW, SIGMA, "reflect")
    mean_painted, mean_truth, square_painted, square_truth, product = blurred.chunk(5)
    # A variance below 0 is rounding.
    variances = (square_painted - mean_painted**2).clamp_min(0) + (square_truth - mean_truth**2).clamp_min(0)
    structure = (2 * (product - mean_painted * mean_truth) + CONTRAST) / (variances + CONTRAST)
    luminance = (2 * mean_painted * mean_truth + LUMINANCE) / (mean_painted**2 + mean_truth**2 + LUMINANCE)
    return (luminance * structure).mean(dim=(1, 2, 3)), structure.mean(dim=(1, 2, 3))


class SSIM(Term):
    """One minus the structural similarity (Wang, Bovik, Sheikh, Simoncelli 2004), as `metrics.image` defines it.

    Windows of 11 pixels (Gaussian, sigma 1.5), population covariances, K1 = 0.01, K2 = 0.03, averaged over channels
    and all pixels, so that holes at the border count; windows there see the picture mirrored. The variances are
    small differences of large means, so this is float32 whatever the autocast, and float64 on a GPU, where float32
    may mean TF32.

    Args:
        weight: factor in the generator's total loss.
        of: `output` or `composite`.

    Raises:
        Refused: a choice that does not exist; at the first batch, pictures with a side below 11 pixels.
    """

    def __init__(self, weight: Weight = 1.0, of: Painted = "output") -> None:
        super().__init__(weight, {of})
        self.of = choice("losses.ssim.of", of, ("output", "composite"))

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Scalar float32 in [0, 2]."""
        painted, truth = _unit(getattr(outputs, self.of)), _unit(batch["image"])
        _check_size("losses.ssim", truth, 1)
        with torch.autocast(truth.device.type, enabled=False):
            return 1 - _similarity(painted, truth)[0].mean().float()


class MSSSIM(Term):
    """One minus the multi-scale structural similarity (Wang, Simoncelli, Bovik 2003).

    The similarity of the coarsest scale times that of contrast and structure at the finer ones, each scale half as fine
    as the one before (means of 2 x 2 pixels), with the published exponents, which for fewer than five scales are
    scaled to the same sum. The windows are those of `SSIM`, at the border too; negative similarities count 0.0001.

    Args:
        weight: factor in the generator's total loss.
        scales: how many (published: 5, for pictures of at least 176 pixels).
        of: `output` or `composite`.

    Raises:
        Refused: a choice that does not exist; at the first batch, pictures with a side below 11 * 2^(scales - 1).
    """

    def __init__(self, weight: Weight = 1.0, scales: int = 5, of: Painted = "output") -> None:
        super().__init__(weight, {of})
        if not 1 <= scales <= len(SCALES):
            raise Refused(f"losses.ms_ssim.scales: {scales} is not one of 1..{len(SCALES)}")
        self.exponents = [exponent * sum(SCALES) / sum(SCALES[:scales]) for exponent in SCALES[:scales]]
        self.of = choice("losses.ms_ssim.of", of, ("output", "composite"))

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Scalar float32 in [0, 1]."""
        painted, truth = _unit(getattr(outputs, self.of)), _unit(batch["image"])
        _check_size("losses.ms_ssim", truth, len(self.exponents))
        product = torch.ones(len(truth), device=truth.device, dtype=truth.dtype)
        with torch.autocast(truth.device.type, enabled=False):
            for scale, exponent in enumerate(self.exponents):
                if scale > 0:
                    painted, truth = (F.avg_pool2d(picture, 2) for picture in (painted, truth))
                whole, structure = _similarity(painted, truth)
                last = scale == len(self.exponents) - 1
                product = product * (whole if last else structure).clamp_min(LEAST) ** exponent
        return 1 - product.mean().float()


def _unit(picture: Tensor) -> Tensor:
    """[-1, 1] to [0, 1], in the precision that variances need."""
    return picture.to(torch.float64 if picture.is_cuda else torch.float32).add(1).div(2)


def _check_size(key: str, picture: Tensor, scales: int) -> None:
    side, least = min(picture.shape[-2:]), WINDOW * 2 ** (scales - 1)
    if side < least:
        fits = max((n for n in range(1, scales) if WINDOW * 2 ** (n - 1) <= side), default=0)
        advice = f"; losses.ms_ssim.scales={fits} fits" if fits else ""
        raise Refused(f"{key}: needs pictures of at least {least} pixels a side, got {side}{advice}")


class TotalVariation(Term):
    """Mean absolute difference of neighbouring pixels of the composite (Liu et al. 2018, section 3.3).

    Pairs beside and above one another whose pixels both lie in the region, on the [-1, 1] scale.

    Args:
        weight: factor in the generator's total loss (partial convolutions: 0.1).
        region: `hole`, dilated by one pixel so that the seam counts, or `all`.
        per: what the sum is divided by: the values of the whole batch, `image`, as in the paper, or the pairs that
            count (times 3 channels), `region`.
        of: `composite` or `output`.

    Raises:
        Refused: a choice that does not exist.
    """

    def __init__(
        self,
        weight: Weight = 0.1,
        region: Literal["hole", "all"] = "hole",
        per: Literal["region", "image"] = "image",
        of: Painted = "composite",
    ) -> None:
        super().__init__(weight, {of})
        self.region = choice("losses.total_variation.region", region, ("hole", "all"))
        self.per = choice("losses.total_variation.per", per, ("region", "image"))
        self.of = choice("losses.total_variation.of", of, ("output", "composite"))

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Scalar float32; 0 where there is no hole."""
        picture, mask = getattr(outputs, self.of).float(), batch["mask"]
        region = F.max_pool2d(mask, 3, 1, 1) if self.region == "hole" else torch.ones_like(mask)
        total = pairs = torch.zeros((), device=picture.device)
        for axis in (2, 3):
            length = picture.shape[axis] - 1
            both = region.narrow(axis, 1, length) * region.narrow(axis, 0, length)
            total = total + (picture.diff(dim=axis).abs() * both).sum()
            pairs = pairs + both.sum() * picture.shape[1]
        return total / (pairs.clamp_min(1) if self.per == "region" else picture.numel())


class FocalFrequency(Term):
    """Focal frequency loss (Jiang, Dai, Wu, Loy, ICCV 2021): the frequencies that are furthest off count most.

    Squared distance of the two-dimensional spectra (orthonormal FFT, each channel by itself), each frequency weighed by
    its own distance to the power `alpha`, divided by the largest such weight of the channel and held constant
    (equations 8 and 9); the mean over all frequencies. On [0, 1] pictures, as in the paper. The FFT is in float32
    whatever the autocast.

    Args:
        weight: factor in the generator's total loss (the paper: 1, beside the model's own losses).
        alpha: how much more the far frequencies count; 0 is the mean squared error, by Parseval (the paper: 1).
        of: `output` or `composite`.

    Raises:
        Refused: a choice that does not exist, or a negative alpha.
    """

    def __init__(self, weight: Weight = 1.0, alpha: float = 1.0, of: Painted = "output") -> None:
        super().__init__(weight, {of})
        if alpha < 0:
            raise Refused(f"losses.focal_frequency.alpha: {alpha} is negative; 0 weighs all frequencies alike")
        self.alpha = alpha
        self.of = choice("losses.focal_frequency.of", of, ("output", "composite"))

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Scalar float32."""
        difference = (getattr(outputs, self.of).float() - batch["image"]) / 2
        spectrum = torch.fft.fft2(difference, norm="ortho")
        distance = spectrum.real.square() + spectrum.imag.square()
        weights = distance.detach().sqrt() ** self.alpha
        weights = weights / weights.amax(dim=(2, 3), keepdim=True).clamp_min(1e-12)
        return (weights * distance).mean()
