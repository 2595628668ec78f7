"""What is measured: name, unit and definition of each column of a table of results.

Papers use one name for different figures (L1 over the hole or the picture, PSNR on grey, SSIM windows of 7, 11 or 51
pixels), so each figure has one written definition, which is printed with every table. Imports no torch.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Column:
    """How a figure is named, printed and judged, and whether it belongs to each picture or to a set of pictures."""

    title: str
    unit: str
    digits: int  # after the point
    higher_is_better: bool
    definition: str
    per: Literal["picture", "set"] = "picture"

    @property
    def heading(self) -> str:
        """Title with unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


# A further figure is one more entry here: records that hold it get its column, in this order.
COLUMNS: dict[str, Column] = {
    "hole_l1": Column(
        *("hole L1", "%", 2, False),
        "mean |composite - truth| over the hole's pixels and RGB, 255 = 100 %; lower is better",
    ),
    "hole_l2": Column(
        *("hole L2", "%", 3, False),
        "mean (composite - truth)^2 over the hole's pixels and RGB, 255^2 = 100 %; lower is better",
    ),
    "hole_psnr": Column(
        *("hole PSNR", "dB", 2, True),
        "10 log10(255^2 / mean squared error over the hole's pixels and RGB), mean of the dB",
    ),
    "l1": Column(
        *("L1", "%", 2, False),
        "mean |composite - truth| over the whole composite and RGB, 255 = 100 %: falls as holes shrink",
    ),
    "l2": Column(
        *("L2", "%", 3, False),
        "mean (composite - truth)^2 over the whole composite and RGB, 255^2 = 100 %: falls as holes shrink",
    ),
    "psnr": Column(
        *("PSNR", "dB", 2, True),
        "10 log10(255^2 / mean squared error) of the whole composite, mean of the dB: rises as holes shrink, whatever "
        "is painted in them",
    ),
    "ssim": Column(
        *("SSIM", "", 4, True),
        "whole composite, RGB, Gaussian window 11x11, sigma 1.5, border pixels count (mirrored)",
    ),
    "hole_ssim": Column(
        *("hole SSIM", "", 4, True),
        "the map of SSIM averaged over the hole's pixels alone",
    ),
    "ssim_inside": Column(
        *("SSIM inside", "", 4, True),
        "the map of SSIM averaged over the pixels whose windows lie inside the picture, 5 or more from the border: "
        "what most papers call SSIM",
    ),
    "ms_ssim": Column(
        *("MS-SSIM", "", 4, True),
        "SSIM at five scales, each half as fine, with the exponents of Wang et al. 2003, border pixels count "
        "(mirrored); sides of at least 176 pixels",
    ),
    "ms_ssim_inside": Column(
        *("MS-SSIM inside", "", 4, True),
        "the same over the windows that lie inside the picture at each scale: what most papers call MS-SSIM",
    ),
    "gradient": Column(
        *("edge error", "%", 2, False),
        "mean difference of the lengths of the Sobel gradients (per pixel, 255 = 100 %) of composite and truth over "
        "RGB and the hole dilated by one pixel; lower is better",
    ),
    "texture": Column(
        *("texture error", "dB", 2, False),
        "mean |10 log10| of the ratio of local energies of fine structure, composite to truth, over the hole's pixels: "
        "the squared Laplacian of grey, averaged under SSIM's window, above that of noise of one level, at the "
        "picture's size and at half of it; 0 is as rough as the truth at every place, blur and noise raise it",
    ),
    "band_l1": Column(
        *("band L1", "%", 2, False),
        "mean |raw output - truth| over the known pixels at most 8 from the hole, where a seam would show; "
        "none for methods that paint the hole alone",
    ),
    "band_psnr": Column(
        *("band PSNR", "dB", 2, True),
        "10 log10(255^2 / mean squared error) of the raw output over the known pixels at most 8 from the hole",
    ),
    "raw_l1": Column(
        *("raw L1", "%", 2, False),
        "mean |raw output - truth| over the whole picture, nothing pasted; none for methods that paint the hole alone",
    ),
    "raw_psnr": Column(
        *("raw PSNR", "dB", 2, True),
        "10 log10(255^2 / mean squared error) of the raw output over the whole picture, nothing pasted",
    ),
    "lpips_alex": Column(
        *("LPIPS alex", "", 4, False),
        "learned perceptual distance of whole composite and truth, version 0.1, AlexNet; lower is better",
    ),
    "lpips_squeeze": Column(
        *("LPIPS squeeze", "", 4, False),
        "learned perceptual distance of whole composite and truth, version 0.1, SqueezeNet; lower is better",
    ),
    "lpips_vgg": Column(
        *("LPIPS vgg", "", 4, False),
        "learned perceptual distance of whole composite and truth, version 0.1, VGG16; lower is better",
    ),
    "recognised": Column(
        *("recognised", "%", 1, True),
        "share of pictures of which the classifier says the same, repaired and original",
    ),
    "fid": Column(
        *("FID", "", 2, False),
        "Frechet distance of the features of repaired and original pictures (Heusel et al. 2017); falls as pictures "
        "grow in number, so only equal numbers and equal feature networks compare; lower is better",
        "set",
    ),
    "kid": Column(
        *("KID", "", 5, False),
        "squared maximum mean discrepancy of the features, cubic kernel, unbiased, so it may be below 0 (Binkowski et "
        "al. 2018); only equal feature networks compare; lower is better",
        "set",
    ),
    "p_ids": Column(
        *("P-IDS", "%", 2, True),
        "share of pictures whose repair a linear SVM on the features takes for more real than the original (Zhao et "
        "al. 2021); 50 = indistinguishable",
        "set",
    ),
    "u_ids": Column(
        *("U-IDS", "%", 2, True),
        "share of repaired and original pictures that a linear SVM on the features takes for the other kind (Zhao et "
        "al. 2021); 50 = indistinguishable",
        "set",
    ),
    "ms": Column(
        *("ms per image", "", 1, False),
        "time to repair one picture, in milliseconds; lower is better",
    ),
}

# Figures of a mean: decibels of the average of these squared errors, where a perfect picture is one like any other.
MEAN_OF = {"hole_psnr_of_mean": "hole_l2", "psnr_of_mean": "l2"}
COLUMNS |= {
    "hole_psnr_of_mean": Column(
        *("hole PSNR of the mean", "dB", 2, True),
        "10 log10(255^2 / e), e the mean over all pictures of the squared error over the hole's pixels and RGB",
    ),
    "psnr_of_mean": Column(
        *("PSNR of the mean", "dB", 2, True),
        "the same over the whole composite: bad pictures weigh more than in the mean of the dB",
    ),
}
