"""Full-reference figures of each repaired picture: how far the composite is from the truth.

Papers use one name for different figures (L1 over the hole or the picture, PSNR on grey, SSIM windows of 7, 11 or 51
pixels), so each figure has one written definition, `DEFINITIONS`, that is printed with every table of results.
"""

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from inpaint.batch import to_uint8
from inpaint.metrics.columns import COLUMNS

MEASURES = ("hole_l1", "hole_psnr", "psnr", "ssim")
DEFINITIONS: dict[str, str] = {name: COLUMNS[name].definition for name in MEASURES}
HIGHER_IS_BETTER: dict[str, bool] = {name: COLUMNS[name].higher_is_better for name in MEASURES}

SSIM_WINDOW = 11  # pixels; a Gaussian of sigma 1.5 cut at 3.5 sigma


@torch.no_grad()
def measure(composite: Tensor, image: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """The figures of `DEFINITIONS` for each sample, on pixels rounded to 8 bits as a user would store them.

    Args:
        composite: the repaired pictures, ``(B, 3, H, W)`` in [-1, 1]; what lies outside the range is clamped.
        image: the truth, ``(B, 3, H, W)`` in [-1, 1].
        mask: ``(B, 1, H, W)``, 1 = hole.

    Returns:
        float32 tensors ``(B,)``. A picture equal to the truth has a PSNR of inf, an empty hole has hole figures of NaN,
        and a picture with a side below 11 pixels has an SSIM of NaN; `inpaint.table.aggregate` keeps both out of its
        averages.

    Example:
        >>> image = torch.zeros(1, 3, 16, 16)
        >>> mask = torch.zeros(1, 1, 16, 16)
        >>> mask[..., :8] = 1
        >>> figures = measure(image + 0.2 * mask, image, mask)    # 25 of 255 levels off in the hole
        >>> {name: round(value.item(), 2) for name, value in figures.items()}
        {'hole_l1': 9.8, 'hole_psnr': 20.17, 'psnr': 23.18, 'ssim': 0.78}
    """
    assert composite.shape == image.shape, f"composite {tuple(composite.shape)}, image {tuple(image.shape)}"
    assert mask.shape == (len(image), 1, *image.shape[2:]), f"mask {tuple(mask.shape)}, image {tuple(image.shape)}"
    painted, truth = to_uint8(composite), to_uint8(image)

    # Sums of whole numbers are exact, so the figures do not depend on the device or on the order of the pixels.
    difference = painted.long() - truth.long()
    hole = mask > 0.5
    hole_values = hole.sum(dim=(1, 2, 3)) * image.shape[1]
    hole_l1 = (difference.abs() * hole).sum(dim=(1, 2, 3)) / hole_values
    hole_mse = (difference.square() * hole).sum(dim=(1, 2, 3)) / hole_values
    mse = difference.square().sum(dim=(1, 2, 3)) / image[0].numel()
    return {
        "hole_l1": 100 * hole_l1 / 255,
        "hole_psnr": _psnr(hole_mse),
        "psnr": _psnr(mse),
        "ssim": _ssim(painted, truth),
    }


def hole_area(mask: Tensor) -> Tensor:
    """The share of each picture that is hole: ``(B, 1, H, W)`` to float32 ``(B,)`` in [0, 1]."""
    return (mask > 0.5).float().mean(dim=(1, 2, 3))


def _psnr(mse: Tensor) -> Tensor:
    """Mean squared error in squared 8-bit levels to decibels: inf for 0, NaN for NaN."""
    return 10 * torch.log10(255**2 / mse)


def _ssim(painted: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004) of 8-bit pictures ``(B, 3, H, W)``: float32 ``(B,)``.

    Population covariances, K1 = 0.01, K2 = 0.03, averaged over the channels and **all** pixels, windows at the border
    seeing the picture mirrored. scikit-image and MAT's scripts average over the pixels 5 or more from the border, which
    says little about holes that touch it; the two differ by up to 0.01 in such pictures of 256 pixels.
    """
    if min(truth.shape[-2:]) < SSIM_WINDOW:
        return torch.full((len(truth),), torch.nan, device=truth.device)
    # The variances are small differences of large means: in bfloat16 (autocast) SSIM came out as -0.4 where it is 0.87.
    # On a GPU float32 may mean TF32, so there the work is done in float64, which would be 20 times slower on a CPU.
    dtype = torch.float64 if truth.is_cuda else torch.float32
    with torch.autocast(truth.device.type, enabled=False):
        similarity = structural_similarity_index_measure(
            painted.to(dtype) / 255,
            truth.to(dtype) / 255,
            gaussian_kernel=True,
            sigma=1.5,
            kernel_size=SSIM_WINDOW,
            data_range=1.0,
            reduction="none",
        )
    assert isinstance(similarity, Tensor)  # a pair only where full maps are asked for
    return similarity.float()
