"""The figures against scikit-image and against plain numpy."""

import doctest
import math

import numpy as np
import pytest
import torch
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from inpaint.batch import from_uint8, to_uint8
from inpaint.metrics import image as module
from inpaint.metrics.image import DEFINITIONS, HIGHER_IS_BETTER, hole_area, measure


def pictures() -> tuple[Tensor, Tensor, Tensor]:
    """Composites, truths and masks of two photographs ``(2, 3, 64, 96)``; one hole lies at the border."""
    photographs = [data.astronaut()[40:104, 180:276], data.coffee()[100:164, 200:296]]
    image = from_uint8(torch.stack([torch.from_numpy(p.copy()).permute(2, 0, 1) for p in photographs]))
    mask = torch.zeros(2, 1, 64, 96)
    mask[0, :, 20:40, 30:70] = 1
    mask[1, :, :, 80:] = 1
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0)) * 0.3
    return torch.where(mask > 0.5, image + noise, image), image, mask


def as_numpy(image: Tensor) -> list[np.ndarray]:
    """8-bit pictures ``(H, W, 3)``."""
    return [picture.permute(1, 2, 0).numpy() for picture in to_uint8(image)]


def test_one_float_figure_a_sample() -> None:
    figures = measure(*pictures())
    assert list(figures) == list(DEFINITIONS) == list(HIGHER_IS_BETTER)
    for values in figures.values():
        assert values.shape == (2,)
        assert values.dtype == torch.float32


def test_psnr_is_that_of_scikit_image() -> None:
    composite, image, mask = pictures()
    expected = [
        peak_signal_noise_ratio(truth, painted, data_range=255)
        for truth, painted in zip(as_numpy(image), as_numpy(composite), strict=True)
    ]
    np.testing.assert_allclose(measure(composite, image, mask)["psnr"], expected, rtol=1e-6)


def test_ssim_is_that_of_scikit_image_with_the_border_mirrored() -> None:
    # scikit-image leaves out the 5 pixels at the border: of a picture that was mirrored 5 pixels on it measures ours.
    composite, image, mask = pictures()
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    padding = ((5, 5), (5, 5), (0, 0))
    expected = [
        structural_similarity(
            np.pad(truth, padding, "reflect"), np.pad(painted, padding, "reflect"), channel_axis=-1, **options
        )
        for truth, painted in zip(as_numpy(image), as_numpy(composite), strict=True)
    ]
    np.testing.assert_allclose(measure(composite, image, mask)["ssim"], expected, atol=2e-5)


def test_ssim_sees_a_hole_at_the_border() -> None:
    _, image, mask = pictures()
    mask = torch.zeros_like(mask)
    mask[..., :3, :] = 1
    figures = measure(torch.where(mask > 0.5, -image, image), image, mask)
    assert (figures["ssim"] < 0.99).all()


def test_hole_figures_by_hand() -> None:
    composite, image, mask = pictures()
    figures = measure(composite, image, mask)
    for sample, (truth, painted) in enumerate(zip(as_numpy(image), as_numpy(composite), strict=True)):
        hole = mask[sample, 0].numpy() == 1
        error = (painted.astype(float) - truth.astype(float))[hole]
        assert error.shape == (hole.sum(), 3)
        assert figures["hole_l1"][sample].item() == pytest.approx(100 * np.abs(error).mean() / 255, rel=1e-6)
        psnr = 10 * math.log10(255**2 / (error**2).mean())
        assert figures["hole_psnr"][sample].item() == pytest.approx(psnr, rel=1e-6)


def test_samples_do_not_depend_on_their_batch() -> None:
    composite, image, mask = pictures()
    together = measure(composite, image, mask)
    for sample in range(2):
        alone = measure(composite[sample : sample + 1], image[sample : sample + 1], mask[sample : sample + 1])
        for name, value in alone.items():
            assert value.item() == pytest.approx(together[name][sample].item(), rel=1e-6), name


def test_pixels_are_rounded_not_cut() -> None:
    image = from_uint8(torch.full((1, 3, 16, 16), 100, dtype=torch.uint8))
    mask = torch.ones(1, 1, 16, 16)
    for shift, levels in ((0.4, 0), (-0.4, 0), (0.6, 1), (-0.6, 1)):
        figures = measure(image + shift / 127.5, image, mask)
        assert figures["hole_l1"].item() == pytest.approx(100 * levels / 255), shift


def test_what_is_outside_the_range_is_clamped() -> None:
    image = torch.ones(1, 3, 16, 16)
    assert measure(image * 7, image, torch.ones(1, 1, 16, 16))["hole_l1"].item() == 0


def test_a_perfect_picture() -> None:
    _, image, mask = pictures()
    figures = measure(image.clone(), image, mask)
    assert figures["hole_l1"].tolist() == [0, 0]
    assert figures["hole_psnr"].tolist() == [math.inf, math.inf]
    assert figures["psnr"].tolist() == [math.inf, math.inf]
    assert figures["ssim"].tolist() == [1, 1]


def test_an_empty_hole_has_no_hole_figures() -> None:
    composite, image, mask = pictures()
    mask[0] = 0
    figures = measure(composite, image, mask)
    for name in ("hole_l1", "hole_psnr"):
        assert figures[name].isnan().tolist() == [True, False]
    assert figures["psnr"].isfinite().all()


def test_known_pixels_do_not_count_in_hole_figures() -> None:
    composite, image, mask = pictures()
    before = measure(composite, image, mask)
    after = measure(torch.where(mask > 0.5, composite, -composite), image, mask)
    for name in ("hole_l1", "hole_psnr"):
        assert torch.equal(before[name], after[name])
    assert (after["psnr"] < before["psnr"]).all()


@pytest.mark.parametrize(("height", "width", "measured"), [(11, 11, True), (10, 64, False), (64, 10, False)])
def test_a_picture_below_the_window_has_no_ssim(height: int, width: int, measured: bool) -> None:
    image = torch.zeros(2, 3, height, width)
    figures = measure(image + 0.1, image, torch.ones(2, 1, height, width))
    assert figures["ssim"].shape == (2,)
    assert figures["ssim"].isfinite().all().item() is measured
    assert figures["psnr"].isfinite().all()


def test_autocast_does_not_blur_the_figures() -> None:
    composite, image, mask = pictures()
    expected = measure(composite, image, mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        figures = measure(composite, image, mask)
    for name, values in figures.items():
        assert torch.equal(values, expected[name]), name


def test_hole_area() -> None:
    mask = torch.zeros(2, 1, 10, 20)
    mask[0, :, :5, :4] = 1
    mask[1] = 1
    assert hole_area(mask).tolist() == pytest.approx([0.1, 1])
    assert hole_area(mask).shape == (2,)


def test_mismatched_shapes_are_refused() -> None:
    image = torch.zeros(2, 3, 16, 16)
    with pytest.raises(AssertionError, match="mask"):
        measure(image, image, torch.ones(1, 1, 16, 16))


def test_the_example_in_the_docstring() -> None:
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0
