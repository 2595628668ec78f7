"""Full-reference figures of each repaired picture: how far it is from the truth.

Each is defined in `metrics.columns`, and is taken on pixels rounded to 8 bits as a user would store them. Errors are
sums of whole numbers and hence exact: they depend neither on the device nor on the order of the pixels.
"""

from collections.abc import Sequence, Set

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint.batch import Outputs, finite, to_uint8
from inpaint.settings import Refused

SIMILARITIES = ("ssim", "hole_ssim", "ssim_inside", "ms_ssim", "ms_ssim_inside")
MEASURES = (
    "hole_l1",
    "hole_l2",
    "hole_psnr",
    "l1",
    "l2",
    "psnr",
    *SIMILARITIES,
    "psnr_y",
    "ssim_y",
    "gradient",
    "texture",
    "band_l1",
    "band_psnr",
    "raw_l1",
    "raw_psnr",
)

OF_OUTPUT = ("band_", "raw_")  # begin the names of what is measured on the raw output
BAND = 8  # pixels around the hole
WINDOW, SIGMA = 11, 1.5  # pixels; of SSIM's Gaussian
LUMINANCE, CONTRAST = (0.01 * 255) ** 2, (0.03 * 255) ** 2
TEXTURE_SCALES = 2  # the picture and half of it
TEXTURE_FLOOR = 20.0  # squared levels: noise of one level has 20
STUDIO = (65.481, 128.553, 24.966)  # of red, green, blue from 0 to 1: luma of BT.601 from 16 to 235
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # exponents, from fine to coarse


@torch.no_grad()
def measure(
    outputs: Outputs, image: Tensor, mask: Tensor, names: Sequence[str] | None = None, border: int = 0
) -> dict[str, Tensor]:
    """The figures `names`, all of `MEASURES` if None, for each sample.

    The mean of ``l2`` over pictures is 100 * 255^-2 times their mean squared error, so the PSNR of the mean is
    ``10 log10(100 / mean)``; it differs from the mean of the PSNRs.

    Args:
        outputs: the repaired pictures, ``(B, 3, H, W)`` in [-1, 1]; what lies outside the range is clamped.
        image: the truth, ``(B, 3, H, W)`` in [-1, 1].
        mask: ``(B, 1, H, W)``, 1 = hole.
        names: what to measure; the rest costs nothing.
        border: pixels at each edge that ``psnr_y`` and ``ssim_y`` leave out: in super-resolution its scale.

    Returns:
        float32 tensors ``(B,)``, in the order of `names`. Errors of 0 have a PSNR of inf. NaN are figures over no
        pixels (an empty hole, say), SSIM with a side below 11 and MS-SSIM with one below 176 pixels, and the figures of
        the raw output where it is the composite, bit for bit. `evaluation.intervals` keeps both out of its averages.
        NaN are also all figures of a composite with NaN or infinite pixels, and those of such a raw output: they have
        no 8-bit value.

    Raises:
        Refused: a name that is none of `MEASURES`.

    Examples:
        >>> image = torch.zeros(1, 3, 16, 16)
        >>> mask = torch.zeros(1, 1, 16, 16)
        >>> mask[..., :8] = 1
        >>> painted = image + 0.2                                 # 25 of 255 levels off
        >>> outputs = Outputs(output=painted, composite=torch.where(mask > 0.5, painted, image))
        >>> figures = measure(outputs, image, mask, ["hole_l1", "hole_psnr", "psnr", "ssim", "band_l1"])
        >>> {name: round(value.item(), 2) for name, value in figures.items()}
        {'hole_l1': 9.8, 'hole_psnr': 20.17, 'psnr': 23.18, 'ssim': 0.78, 'band_l1': 9.8}
    """
    names = MEASURES if names is None else names
    if unknown := [name for name in names if name not in MEASURES]:
        raise Refused(f"metrics: {', '.join(unknown)} is none of {', '.join(MEASURES)}")
    assert outputs.composite.shape == image.shape, f"composite {tuple(outputs.composite.shape)}, image {image.shape}"
    assert mask.shape == (len(image), 1, *image.shape[2:]), f"mask {tuple(mask.shape)}, image {tuple(image.shape)}"
    if not image.is_cuda and len(image) > 1:  # one by one, as a picture fits into a CPU's cache and a batch does not
        alone = zip(*(x.split(1) for x in (outputs.output, outputs.composite, image, mask)), strict=True)
        each = [measure(Outputs(raw, painted), truth, hole, names, border) for raw, painted, truth, hole in alone]
        return {name: torch.cat([figures[name] for figures in each]) for name in names}
    hole = mask[:, 0] > 0.5
    painted, truth = to_uint8(outputs.composite), to_uint8(image)

    found: dict[str, Tensor] = {}
    if set(names) & {"hole_l1", "hole_l2", "hole_psnr", "l1", "l2", "psnr"}:
        errors = _errors(painted, truth)
        found |= _named("hole_", *_means(errors, hole)) | _named("", *_means(errors, torch.ones_like(hole)))
    if set(names) & {"band_l1", "band_psnr", "raw_l1", "raw_psnr"}:
        errors = _errors(to_uint8(outputs.output), truth)
        band = _dilate(hole, BAND) & ~hole
        pasted = (outputs.output == outputs.composite).flatten(1).all(dim=1)
        for prefix, region in (("band_", band), ("raw_", torch.ones_like(hole))):
            found |= _named(prefix, *(mean.masked_fill(pasted, torch.nan) for mean in _means(errors, region)))
    if set(names) & set(SIMILARITIES):
        found |= _similarities(painted, truth, hole, set(names))
    if {"psnr_y", "ssim_y"} & set(names):
        found |= _of_luma(painted, truth, border)
    if "gradient" in names:
        found["gradient"] = _gradient_error(painted, truth, _dilate(hole, 1))
    if "texture" in names:
        found["texture"] = _texture_error(painted, truth, hole)
    numbers = {True: finite(outputs.output), False: finite(outputs.composite)}
    return {name: torch.where(numbers[name.startswith(OF_OUTPUT)], found[name].float(), torch.nan) for name in names}


def hole_area(mask: Tensor) -> Tensor:
    """The share of each picture that is hole: ``(B, 1, H, W)`` to float32 ``(B,)`` in [0, 1]."""
    return (mask > 0.5).float().mean(dim=(1, 2, 3))


# ---- errors of single pixels ----------------------------------------------------------------------------------------


def _errors(painted: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Absolute and squared errors in 8-bit levels, each pixel's summed over RGB: whole, float32 ``(B, H, W)``."""
    red, green, blue = (painted.float() - truth.float()).abs().unbind(dim=1)
    return red + green + blue, red * red + green * green + blue * blue


def _means(errors: tuple[Tensor, Tensor], region: Tensor) -> tuple[Tensor, Tensor]:
    """Mean absolute and squared error over RGB and a region, bool ``(B, H, W)``: ``(B,)``, NaN for no pixels."""
    values = 3 * region.sum(dim=(1, 2))
    # In float64, which holds every sum of whole numbers that a picture has.
    absolute, squared = ((error * region).sum(dim=(1, 2), dtype=torch.float64) / values for error in errors)
    return absolute, squared


def _named(prefix: str, absolute: Tensor, squared: Tensor) -> dict[str, Tensor]:
    """L1 and L2 in % and PSNR in dB: inf for an error of 0, NaN for NaN."""
    return {
        f"{prefix}l1": 100 * absolute / 255,
        f"{prefix}l2": 100 * squared / 255**2,
        f"{prefix}psnr": 10 * torch.log10(255**2 / squared),
    }


def _dilate(region: Tensor, reach: int) -> Tensor:
    """Bool ``(B, H, W)`` with all pixels at most `reach` beside and above one of the region."""
    for axis in (-1, -2):
        wide = region.clone()
        for shift in range(1, min(reach, region.shape[axis] - 1) + 1):
            length = region.shape[axis] - shift
            wide.narrow(axis, shift, length).bitwise_or_(region.narrow(axis, 0, length))
            wide.narrow(axis, 0, length).bitwise_or_(region.narrow(axis, shift, length))
        region = wide
    return region


def _gradient_error(painted: Tensor, truth: Tensor, region: Tensor) -> Tensor:
    """Mean difference of the gradients' lengths over RGB and a region: 8-bit ``(B, 3, H, W)`` to % ``(B,)``."""
    difference = (_gradient(painted) - _gradient(truth)).abs().mean(dim=1)
    return 100 / 255 * (difference * region).sum(dim=(1, 2)) / region.sum(dim=(1, 2))


def _gradient(picture: Tensor) -> Tensor:
    """Length of Sobel's gradient in levels a pixel, the border continued: ``(B, 3, H, W)`` to float32."""
    x = F.pad(picture.float(), (1,) * 4, mode="replicate")
    beside = x[..., 2:] - x[..., :-2]
    above = x[..., 2:, :] - x[..., :-2, :]
    beside = beside[..., :-2, :].add(beside[..., 1:-1, :], alpha=2).add_(beside[..., 2:, :])
    above = above[..., :-2].add(above[..., 1:-1], alpha=2).add_(above[..., 2:])
    return beside.square_().add_(above.square_()).sqrt_().div_(8)


# ---- texture --------------------------------------------------------------------------------------------------------


def _texture_error(painted: Tensor, truth: Tensor, hole: Tensor) -> Tensor:
    """Mean |dB| between the local energies of fine structure over the hole: 8-bit ``(B, 3, H, W)`` to ``(B,)``."""
    height, width = hole.shape[1:]
    total = torch.zeros(len(truth), device=truth.device)
    pair = [picture.float().mean(dim=1, keepdim=True) for picture in (painted, truth)]
    for scale in range(TEXTURE_SCALES):
        mine, theirs = (_energy(picture) + TEXTURE_FLOOR for picture in pair)
        decibels = (10 * torch.log10(mine / theirs)).abs()
        decibels = decibels.repeat_interleave(2**scale, 2).repeat_interleave(2**scale, 3)[:, 0, :height, :width]
        total += (decibels * hole).sum(dim=(1, 2)) / hole.sum(dim=(1, 2))
        pair = [F.avg_pool2d(picture, 2, ceil_mode=True) for picture in pair]
    return total / TEXTURE_SCALES


def _energy(picture: Tensor) -> Tensor:
    """Squared Laplacian in squared levels, averaged under SSIM's window: ``(B, 1, H, W)`` to the same shape."""
    x = F.pad(picture, (1,) * 4, mode="replicate")
    beside, above = x[..., 1:-1, :-2] + x[..., 1:-1, 2:], x[..., :-2, 1:-1] + x[..., 2:, 1:-1]
    squares = (beside + above - 4 * picture).square()
    return _window_mean(F.pad(squares, (WINDOW // 2,) * 4, mode="replicate"))


# ---- structural similarity ------------------------------------------------------------------------------------------


def _similarities(painted: Tensor, truth: Tensor, hole: Tensor, names: Set[str]) -> dict[str, Tensor]:
    """SSIM (Wang et al. 2004) of 8-bit pictures, over all pixels and over the hole, and MS-SSIM (Wang et al. 2003).

    Population covariances, K1 = 0.01, K2 = 0.03, averaged over the channels. The plain figures count **all** pixels,
    windows at the border seeing the picture mirrored. Those called `inside` count the pixels 5 or more from the border,
    whose windows lie inside the picture: what scikit-image, pytorch-msssim and hence most papers print. They say little
    about holes that touch the border; the two differ by up to 0.03 in pictures of 256 pixels. MS-SSIM halves pictures
    by means of 2 x 2 pixels; negative similarities count 0; inside, it is the mean of the channels' own.
    """
    nothing = torch.full((len(truth),), torch.nan, device=truth.device)
    figures = dict.fromkeys(SIMILARITIES, nothing)
    side = min(truth.shape[-2:])
    if side < WINDOW:
        return figures
    pair = (painted.float(), truth.float())
    whole, structure = _similarity(*pair)
    figures["hole_ssim"] = (whole.mean(dim=1) * hole).sum(dim=(1, 2)) / hole.sum(dim=(1, 2))
    figures |= {name: average(whole).mean(dim=1) for name, average in BORDERS["ssim"].items()}
    if names & BORDERS["ms_ssim"].keys() and side >= WINDOW * 2 ** (len(SCALES) - 1):
        products: dict[str, Tensor] = dict.fromkeys(BORDERS["ms_ssim"], nothing.new_ones(len(truth), 1))
        for scale, exponent in enumerate(SCALES):
            if scale > 0:
                pair = (F.avg_pool2d(pair[0], 2), F.avg_pool2d(pair[1], 2))
                whole, structure = _similarity(*pair)
            last = whole if scale == len(SCALES) - 1 else structure
            for name, average in BORDERS["ms_ssim"].items():
                products[name] = products[name] * average(last).clamp_min(0) ** exponent
        figures |= {name: product.mean(dim=1) for name, product in products.items()}
    return figures


def _of_luma(painted: Tensor, truth: Tensor, border: int) -> dict[str, Tensor]:
    """PSNR and SSIM as super-resolution states them: of luma, not rounded, without the border."""
    inside = (..., slice(border, truth.shape[-2] - border), slice(border, truth.shape[-1] - border))
    weights = truth.new_tensor(STUDIO, dtype=torch.float64).view(1, 3, 1, 1) / 255
    pair = [16 + (picture[inside].double() * weights).sum(dim=1, keepdim=True) for picture in (painted, truth)]
    squares = (pair[0] - pair[1]).square().mean(dim=(1, 2, 3))
    figures = {"psnr_y": 10 * torch.log10(255**2 / squares), "ssim_y": torch.full_like(squares, torch.nan)}
    if min(pair[0].shape[-2:]) >= WINDOW:
        figures["ssim_y"] = _inside(_similarity(*(luma.float() for luma in pair))[0])[:, 0]
    return figures


def _all(similarity: Tensor) -> Tensor:
    """``(B, 3, H, W)`` to ``(B, 1)``: over all pixels and channels."""
    return similarity.mean(dim=(1, 2, 3)).unsqueeze(1)


def _inside(similarity: Tensor) -> Tensor:
    """``(B, C, H, W)`` to ``(B, C)``: each channel's over the pixels whose windows lie inside the picture."""
    reach = WINDOW // 2
    return similarity[..., reach:-reach, reach:-reach].mean(dim=(2, 3))


# How a map is averaged in the figures of each kind.
BORDERS = {
    "ssim": {"ssim": _all, "ssim_inside": _inside},
    "ms_ssim": {"ms_ssim": _all, "ms_ssim_inside": _inside},
}


def _similarity(painted: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Maps ``(B, C, H, W)`` of SSIM and of its part without luminance, of pictures of this shape in 0..255.

    Sums of shifted pictures: faster on a CPU than any convolution, and float32 to the end, where convolutions are TF32
    on a GPU and bfloat16 under autocast.
    """
    reach = WINDOW // 2
    # Levels around 0 make smaller squares, and so variances, differences of two of them, with more digits.
    a, b = (F.pad(picture, (reach,) * 4, mode="reflect").sub_(128) for picture in (painted, truth))
    mean_a, mean_b, squares, product = (_window_mean(x) for x in (a, b, (a * a).add_(b * b), a * b))
    means_squared, means_product = (mean_a * mean_a).add_(mean_b * mean_b), mean_a * mean_b
    structure = product.sub_(means_product).mul_(2).add_(CONTRAST)
    structure /= squares.sub_(means_squared).add_(CONTRAST)
    shift = mean_a.add_(mean_b).mul_(2 * 128).add_(2 * 128**2 + LUMINANCE)  # back to levels from 0
    luminance = means_product.mul_(2).add_(shift).div_(means_squared.add_(shift))
    return luminance.mul_(structure), structure


def _window_mean(x: Tensor) -> Tensor:
    """Means over Gaussian windows that lie inside: ``(..., H + 10, W + 10)`` to ``(..., H, W)``."""
    reach = WINDOW // 2
    window = torch.exp(-torch.arange(-reach, reach + 1).double().square() / (2 * SIGMA**2))
    weights = (window / window.sum()).tolist()
    for axis in (-1, -2):
        length = x.shape[axis] - 2 * reach
        total = weights[0] * x.narrow(axis, 0, length)
        for shift, weight in enumerate(weights[1:], start=1):
            total.add_(x.narrow(axis, shift, length), alpha=weight)
        x = total
    return x
