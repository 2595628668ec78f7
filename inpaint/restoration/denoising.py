"""Classical denoisers by scikit-image, each told or measuring how strong the noise is."""

from abc import abstractmethod

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaint import portable
from inpaint.batch import Outputs, compose
from inpaint.fills.single import share_threads
from inpaint.restoration.enlarging import enlarged
from inpaint.settings import Refused

IMMERKAER = ((1.0, -2.0, 1.0), (-2.0, 4.0, -2.0), (1.0, -2.0, 1.0))  # blind to planes; its norm is 6
MEDIAN = 0.6745  # of the absolute value of a standard normal number
STRENGTH = 0.6  # of non-local means: patches are alike up to this share of the noise's deviation
PATCH, DISTANCE = 5, 6  # pixels: the side of a patch, and how far away others are sought


class _Denoiser(nn.Module):
    """What takes noise off pictures, each by itself.

    Args:
        sigma: of the noise in 8-bit levels; None measures it in each picture (`noise_level`).
    """

    def __init__(self, sigma: float | None = None) -> None:
        super().__init__()
        self.sigma = checked_sigma(sigma)

    @abstractmethod
    def smooth(self, pixels: np.ndarray, level: float) -> np.ndarray:
        """A picture, float32 ``(H, W, 3)`` in [-1, 1] or beyond, without noise of so many 8-bit levels."""

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Take the noise off, and enlarge what is left; shapes and ranges as in `inpaint.restoration`."""
        levels = sigma_of(image, self.sigma).tolist()
        pictures = image.detach().permute(0, 2, 3, 1).float().cpu().contiguous()
        smooth = torch.empty_like(pictures)

        def work(row: int) -> None:
            smooth[row] = torch.from_numpy(self.smooth(pictures[row].numpy(), levels[row]))

        share_threads(range(len(pictures)), work)
        return compose(enlarged(smooth.permute(0, 3, 1, 2).to(image), mask), image, mask)


class NonLocalMeans(_Denoiser):
    """Each pixel becomes the mean of those whose surroundings look like its own (Buades et al. 2005).

    Args:
        sigma: of the noise in 8-bit levels; None measures it in each picture (`noise_level`).
    """

    def smooth(self, pixels: np.ndarray, level: float) -> np.ndarray:
        """By scikit-image's fast mode."""
        from skimage.restoration import denoise_nl_means

        sigma = level / 127.5
        settings = {"patch_size": PATCH, "patch_distance": DISTANCE, "h": STRENGTH * sigma, "sigma": sigma}
        return denoise_nl_means(pixels, **settings, fast_mode=True, channel_axis=-1) if sigma > 0 else pixels


class TotalVariation(_Denoiser):
    """The picture of least total variation that is as far from the given one as the noise is strong (Chambolle 2004).

    Args:
        sigma: of the noise in 8-bit levels; None measures it in each picture (`noise_level`).
        weight: of the variation, times the noise's deviation on a scale of [0, 1].
    """

    def __init__(self, sigma: float | None = None, weight: float = 0.7) -> None:
        super().__init__(sigma)
        if not (isinstance(weight, int | float) and weight > 0):
            raise Refused(f"generator.weight: give a number above 0; got {weight!r}")
        self.weight = weight

    def smooth(self, pixels: np.ndarray, level: float) -> np.ndarray:
        """On the scale of [0, 1], on which the weight is stated."""
        from skimage.restoration import denoise_tv_chambolle

        light, weight = (pixels + 1) / 2, self.weight * level / 255
        return 2 * (denoise_tv_chambolle(light, weight=weight, channel_axis=-1) if weight > 0 else light) - 1


def checked_sigma(sigma: float | None) -> float | None:
    """A setting ``generator.sigma``: 8-bit levels, or None to measure them.

    Raises:
        Refused: it is something else.
    """
    if sigma is not None and not (isinstance(sigma, int | float) and 0 <= sigma <= 255):
        raise Refused(f"generator.sigma: give 8-bit levels, 0 to 255, or null to measure them; got {sigma!r}")
    return sigma


def sigma_of(image: Tensor, sigma: float | None) -> Tensor:
    """The noise of each picture in 8-bit levels, ``(B,)``: `sigma` for all, or `noise_level` where that is None."""
    return noise_level(image) if sigma is None else image.new_full((len(image),), sigma)


def noise_level(image: Tensor) -> Tensor:
    """The standard deviation of white noise in a picture, 8-bit levels: ``(B, C, H, W)`` in [-1, 1] to ``(B,)``.

    The median of what Immerkaer's filter (1996) leaves of it: 25 is measured as 25.6, texture alone as about 3.
    Pictures with a side below 3 pixels have none, 0.
    """
    if min(image.shape[2:]) < 3:
        return image.new_zeros(len(image))
    levels = image.float().flatten(0, 1)[:, None] * 127.5
    kernel = levels.new_tensor(IMMERKAER)[None, None]
    left = F.conv2d(levels, kernel).abs().view(len(image), -1)
    median = portable.median(left) if torch.compiler.is_exporting() else left.median(dim=1).values
    return median / (MEDIAN * 6)
