"""What is measured: name, unit and definition of each column of a table of results.

Papers use one name for different figures (L1 over the hole or the picture, PSNR on grey, SSIM windows of 7, 11 or 51
pixels), so each figure has one written definition, which is printed with every table. Imports no torch.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from inpaint.settings import CONTROL, Refused


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
        title="hole L1",
        unit="%",
        digits=2,
        higher_is_better=False,
        definition="mean |composite - truth| over the hole's pixels and RGB, 255 = 100 %; lower is better",
    ),
    "hole_l2": Column(
        title="hole L2",
        unit="%",
        digits=3,
        higher_is_better=False,
        definition="mean (composite - truth)^2 over the hole's pixels and RGB, 255^2 = 100 %; lower is better",
    ),
    "hole_psnr": Column(
        title="hole PSNR",
        unit="dB",
        digits=2,
        higher_is_better=True,
        definition="10 log10(255^2 / mean squared error over the hole's pixels and RGB), mean of the dB",
    ),
    "l1": Column(
        title="L1",
        unit="%",
        digits=2,
        higher_is_better=False,
        definition="mean |composite - truth| over the whole composite and RGB, 255 = 100 %: falls as holes shrink",
    ),
    "l2": Column(
        title="L2",
        unit="%",
        digits=3,
        higher_is_better=False,
        definition="mean (composite - truth)^2 over the whole composite and RGB, 255^2 = 100 %: falls as holes shrink",
    ),
    "psnr": Column(
        title="PSNR",
        unit="dB",
        digits=2,
        higher_is_better=True,
        definition="10 log10(255^2 / mean squared error) of the whole composite, mean of the dB: rises as holes "
        "shrink, whatever is painted in them",
    ),
    "ssim": Column(
        title="SSIM",
        unit="",
        digits=4,
        higher_is_better=True,
        definition="whole composite, RGB, Gaussian window 11x11, sigma 1.5, border pixels count (mirrored)",
    ),
    "hole_ssim": Column(
        title="hole SSIM",
        unit="",
        digits=4,
        higher_is_better=True,
        definition="the map of SSIM averaged over the hole's pixels alone",
    ),
    "ssim_inside": Column(
        title="SSIM inside",
        unit="",
        digits=4,
        higher_is_better=True,
        definition="the map of SSIM averaged over the pixels whose windows lie inside the picture, 5 or more from "
        "the border: what most papers call SSIM",
    ),
    "ms_ssim": Column(
        title="MS-SSIM",
        unit="",
        digits=4,
        higher_is_better=True,
        definition="SSIM at five scales, each half as fine, with the exponents of Wang et al. 2003, border pixels "
        "count (mirrored); sides of at least 176 pixels",
    ),
    "ms_ssim_inside": Column(
        title="MS-SSIM inside",
        unit="",
        digits=4,
        higher_is_better=True,
        definition="the same over the windows that lie inside the picture at each scale: what most papers call MS-SSIM",
    ),
    "psnr_y": Column(
        title="PSNR-Y",
        unit="dB",
        digits=2,
        higher_is_better=True,
        definition="10 log10(255^2 / mean squared error) of the composite's luma (BT.601, 16 to 235, not rounded); of "
        "pictures given with fewer pixels without as many pixels at each edge as the scale: super-resolution's PSNR",
    ),
    "ssim_y": Column(
        title="SSIM-Y",
        unit="",
        digits=4,
        higher_is_better=True,
        definition="SSIM inside of the same luma, without the same edges",
    ),
    "gradient": Column(
        title="edge error",
        unit="%",
        digits=2,
        higher_is_better=False,
        definition="mean difference of the lengths of the Sobel gradients (per pixel, 255 = 100 %) of composite and "
        "truth over RGB and the hole dilated by one pixel; lower is better",
    ),
    "texture": Column(
        title="texture error",
        unit="dB",
        digits=2,
        higher_is_better=False,
        definition="mean |10 log10| of the ratio of local energies of fine structure, composite to truth, over the "
        "hole's pixels: the squared Laplacian of grey, averaged under SSIM's window, above that of noise "
        "of one level, at the picture's size and at half of it; 0 is as rough as the truth at every "
        "place, blur and noise raise it",
    ),
    "band_l1": Column(
        title="band L1",
        unit="%",
        digits=2,
        higher_is_better=False,
        definition="mean |raw output - truth| over the known pixels at most 8 from the hole, where a seam would "
        "show; none for methods that paint the hole alone",
    ),
    "band_psnr": Column(
        title="band PSNR",
        unit="dB",
        digits=2,
        higher_is_better=True,
        definition="10 log10(255^2 / mean squared error) of the raw output over the known pixels at most 8 from the "
        "hole",
    ),
    "raw_l1": Column(
        title="raw L1",
        unit="%",
        digits=2,
        higher_is_better=False,
        definition="mean |raw output - truth| over the whole picture, nothing pasted; none for methods that paint "
        "the hole alone",
    ),
    "raw_psnr": Column(
        title="raw PSNR",
        unit="dB",
        digits=2,
        higher_is_better=True,
        definition="10 log10(255^2 / mean squared error) of the raw output over the whole picture, nothing pasted",
    ),
    "lpips_alex": Column(
        title="LPIPS alex",
        unit="",
        digits=4,
        higher_is_better=False,
        definition="learned perceptual distance of whole composite and truth, version 0.1, AlexNet; lower is better",
    ),
    "lpips_squeeze": Column(
        title="LPIPS squeeze",
        unit="",
        digits=4,
        higher_is_better=False,
        definition="learned perceptual distance of whole composite and truth, version 0.1, SqueezeNet; lower is better",
    ),
    "lpips_vgg": Column(
        title="LPIPS vgg",
        unit="",
        digits=4,
        higher_is_better=False,
        definition="learned perceptual distance of whole composite and truth, version 0.1, VGG16; lower is better",
    ),
    "recognised": Column(
        title="recognised",
        unit="%",
        digits=1,
        higher_is_better=True,
        definition="share of pictures of which the classifier says the same, repaired and original",
    ),
    "fid": Column(
        title="FID",
        unit="",
        digits=2,
        higher_is_better=False,
        definition="Frechet distance of the features of repaired and original pictures (Heusel et al. 2017); falls "
        "as pictures grow in number, so only equal numbers and equal feature networks compare; lower is "
        "better",
        per="set",
    ),
    "kid": Column(
        title="KID",
        unit="",
        digits=5,
        higher_is_better=False,
        definition="squared maximum mean discrepancy of the features, cubic kernel, unbiased, so it may be below 0 "
        "(Binkowski et al. 2018); only equal feature networks compare; lower is better",
        per="set",
    ),
    "p_ids": Column(
        title="P-IDS",
        unit="%",
        digits=2,
        higher_is_better=True,
        definition="share of pictures whose repair a linear SVM on the features takes for more real than the "
        "original (Zhao et al. 2021); 50 = indistinguishable",
        per="set",
    ),
    "u_ids": Column(
        title="U-IDS",
        unit="%",
        digits=2,
        higher_is_better=True,
        definition="share of repaired and original pictures that a linear SVM on the features takes for the other "
        "kind (Zhao et al. 2021); 50 = indistinguishable",
        per="set",
    ),
    "swd": Column(
        title="SWD",
        unit="",
        digits=1,
        higher_is_better=False,
        definition="sliced Wasserstein distance of patches of 7 x 7 pixels of made and real pictures, 1000 times the "
        "mean over the levels of a Laplacian pyramid (Karras et al. 2018; 32 patches a picture and level, 128 "
        "directions, normalised by the real set); only equal sizes and numbers of pictures compare; lower is better",
        per="set",
    ),
    "diversity": Column(
        title="diversity",
        unit="%",
        digits=2,
        higher_is_better=True,
        definition="root mean squared difference of two fills of one hole by other noise, over its pixels and RGB, "
        "255 = 100 %; none for methods that take no noise",
    ),
    **{
        f"diversity_lpips_{network}": Column(
            title=f"diversity LPIPS {network}",
            unit="",
            digits=4,
            higher_is_better=True,
            definition=f"LPIPS {network} between whole composites whose holes are filled by other noise, mean over "
            "successive fills",
        )
        for network in ("alex", "squeeze", "vgg")
    },
    "best_hole_psnr": Column(
        title="best hole PSNR",
        unit="dB",
        digits=2,
        higher_is_better=True,
        definition="the highest hole PSNR among fills of one hole by other noise, as many as the notes say",
    ),
    "warping_error": Column(
        title="warping error",
        unit="levels",
        digits=2,
        higher_is_better=False,
        definition="of clips: mean difference, of 255 levels, of a frame and of the one before as the truth's optical "
        "flow (DIS) leads it there, over the hole's pixels that both show (Lai et al. 2018); below the truth's own it "
        "is no virtue but blur; none of a clip's first frame, and where the flow has no way back",
    ),
    "warping_error_of_truth": Column(
        title="truth's warping error",
        unit="levels",
        digits=2,
        higher_is_better=False,
        definition="the same of the truth: its noise, its light, and what the flow gets wrong",
    ),
    "tof": Column(
        title="tOF",
        unit="px",
        digits=3,
        higher_is_better=False,
        definition="of clips: mean distance of the optical flow (Farneback 2003) from the frame before and of the "
        "truth's, over the whole picture (Chu et al. 2020, who cut edges and ends); the truth's own is 0",
    ),
    "ms": Column(
        title="ms per image",
        unit="",
        digits=1,
        higher_is_better=False,
        definition="time to repair one picture, in milliseconds; lower is better",
    ),
}

# Figures of a mean: decibels of the average of these squared errors, where a perfect picture is one like any other.
MEAN_OF = {"hole_psnr_of_mean": "hole_l2", "psnr_of_mean": "l2"}
COLUMNS |= {
    "hole_psnr_of_mean": Column(
        title="hole PSNR of the mean",
        unit="dB",
        digits=2,
        higher_is_better=True,
        definition="10 log10(255^2 / e), e the mean over all pictures of the squared error over the hole's pixels "
        "and RGB",
    ),
    "psnr_of_mean": Column(
        title="PSNR of the mean",
        unit="dB",
        digits=2,
        higher_is_better=True,
        definition="the same over the whole composite: bad pictures weigh more than in the mean of the dB",
    ),
}

BUILT_IN = frozenset(COLUMNS)  # all others are figures of one's own
NAME = re.compile(r"[A-Za-z]\w{0,59}", re.ASCII)
OTHERS = {"area", "method", "images", "perfect", "broken", "index", "run"}  # what tables have beside the figures
LONGEST = {"title": 60, "unit": 20, "definition": 1000}  # characters


MOST_OF_A_RUN = 100  # figures of one's own


def add_column(name: str, column: Column) -> None:
    """Let tables have a figure of one's own; `COLUMNS` has it from then on.

    Raises:
        Refused: another figure has that name, or tables have another use for it.
    """
    if not NAME.fullmatch(name) or name in OTHERS or name.endswith(("_low", "_high")):
        raise Refused(f"figures.{name}: no name for a column of a table: letters, digits and _, none that tables use")
    if COLUMNS.setdefault(name, column) != column:
        raise Refused(f"figures.{name}: another figure is called {name}; give the option another name")


def add_columns_of(definitions: Mapping[str, Any]) -> None:
    """Let tables have the figures of one's own that the results of a run define, which may come from anyone.

    Args:
        definitions: of results.json, the fields of `Column` by the name of the figure. Built-in ones are passed over:
            what they are is said here.

    Raises:
        Refused: one is no definition of a figure, or another run's figure of that name is something else.
    """
    if len(definitions) > len(BUILT_IN) + MOST_OF_A_RUN:
        raise Refused(f"it defines {len(definitions)} figures")
    for name, fields in definitions.items():
        if name in BUILT_IN:
            continue
        texts = {key: fields[key] for key in LONGEST}
        clean = all(
            isinstance(text, str) and len(text) <= LONGEST[key] and not CONTROL.search(text)
            for key, text in texts.items()
        )
        digits, higher, per = fields["digits"], fields["higher_is_better"], fields["per"]
        if not clean or type(digits) is not int or not 0 <= digits <= 9 or type(higher) is not bool:
            raise Refused(f"the definition of {name[:60]!r} is none of a figure")
        if per not in ("picture", "set"):
            raise Refused(f"the definition of {name[:60]!r} is none of a figure")
        add_column(name, Column(digits=digits, higher_is_better=higher, per=per, **texts))
