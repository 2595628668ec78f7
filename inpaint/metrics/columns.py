"""What is measured: name, unit and definition of each column of a table of results.

Papers use one name for different figures (L1 over the hole or the picture, PSNR on grey, SSIM windows of 7, 11 or 51
pixels), so each figure has one written definition, which is printed with every table. Imports no torch.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """How a figure is named, printed and judged."""

    title: str
    unit: str
    digits: int  # after the point
    higher_is_better: bool
    definition: str

    @property
    def heading(self) -> str:
        """Title with unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


# A further figure (LPIPS, say) is one more entry here: records that hold it get its column.
COLUMNS: dict[str, Column] = {
    "hole_l1": Column(
        *("hole L1", "%", 2, False),
        "mean |composite - truth| over the hole's pixels and RGB, 255 = 100 %; lower is better",
    ),
    "hole_psnr": Column(
        *("hole PSNR", "dB", 2, True),
        "10 log10(255^2 / mean squared error over the hole's pixels and RGB), mean of the dB",
    ),
    "psnr": Column(
        *("PSNR", "dB", 2, True),
        "the same over the whole composite: rises as holes shrink, whatever is painted in them",
    ),
    "ssim": Column(
        *("SSIM", "", 4, True),
        "whole composite, RGB, Gaussian window 11x11, sigma 1.5, border pixels count (mirrored)",
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
