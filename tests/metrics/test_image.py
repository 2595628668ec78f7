"""The figures against scikit-image, scipy and plain numpy."""

import doctest
import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from inpaint.batch import Outputs, compose, from_uint8, to_uint8
from inpaint.degradations import Resize
from inpaint.metrics import image as module
from inpaint.metrics.columns import COLUMNS
from inpaint.metrics.image import MEASURES, hole_area
from inpaint.restoration import Bicubic

RAW = ("band_l1", "band_psnr", "raw_l1", "raw_psnr")


def measure(composite: Tensor, image: Tensor, mask: Tensor, names: tuple[str, ...] | None = None) -> dict[str, Tensor]:
    """Of a method that paints the hole alone."""
    return module.measure(Outputs(composite, composite), image, mask, names)


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
    assert tuple(figures) == MEASURES
    assert all(COLUMNS[name].per == "picture" for name in MEASURES)
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


def test_hole_ssim_is_the_map_of_scikit_image_in_the_hole() -> None:
    composite, image, mask = pictures()
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255, "full": True}
    padding = ((5, 5), (5, 5), (0, 0))
    found = measure(composite, image, mask)["hole_ssim"]
    for sample, (truth, painted) in enumerate(zip(as_numpy(image), as_numpy(composite), strict=True)):
        padded = (np.pad(picture, padding, "reflect") for picture in (truth, painted))
        similarity = structural_similarity(*padded, channel_axis=-1, **options)[1][5:-5, 5:-5]
        expected = similarity[mask[sample, 0].numpy() == 1].mean()
        assert found[sample].item() == pytest.approx(expected, abs=2e-5)


def test_ssim_keeps_its_digits_on_flat_pictures() -> None:
    """Where variances are nearly nothing beside the square of the mean."""
    image = from_uint8(torch.full((1, 3, 64, 64), 250, dtype=torch.uint8))
    composite = from_uint8(torch.full((1, 3, 64, 64), 253, dtype=torch.uint8))
    luminance = (2 * 250 * 253 + 6.5025) / (250**2 + 253**2 + 6.5025)
    assert measure(composite, image, torch.ones(1, 1, 64, 64))["ssim"].item() == pytest.approx(luminance, abs=4e-5)


def large_pictures() -> tuple[Tensor, Tensor, Tensor]:
    image = from_uint8(torch.from_numpy(data.astronaut()[:181, 100:300].copy()).permute(2, 0, 1)[None])
    mask = torch.zeros(1, 1, 181, 200)
    mask[..., 60:120, 80:150] = 1
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0)) * 0.3
    return torch.where(mask > 0.5, image + noise, image), image, mask


def test_ms_ssim_by_scipy() -> None:
    composite, image, mask = large_pictures()
    a, b = (picture[0].astype(float) for picture in (as_numpy(composite), as_numpy(image)))
    product = 1.0
    for scale, exponent in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        if scale:
            height, width = (extent // 2 * 2 for extent in a.shape[:2])
            a, b = (x[:height, :width].reshape(height // 2, 2, width // 2, 2, 3).mean(axis=(1, 3)) for x in (a, b))

        def mean(x: np.ndarray) -> np.ndarray:
            return ndimage.gaussian_filter(x, (1.5, 1.5, 0), radius=(5, 5, 0), mode="mirror")

        covariance = mean(a * b) - mean(a) * mean(b)
        variances = mean(a * a) - mean(a) ** 2 + mean(b * b) - mean(b) ** 2
        similarity = (2 * covariance + 7.65**2) / (variances + 7.65**2)
        if scale == 4:
            similarity *= (2 * mean(a) * mean(b) + 2.55**2) / (mean(a) ** 2 + mean(b) ** 2 + 2.55**2)
        product *= similarity.mean() ** exponent
    assert measure(composite, image, mask)["ms_ssim"].item() == pytest.approx(product, abs=1e-5)


@pytest.mark.parametrize(("height", "width", "measured"), [(176, 176, True), (175, 300, False)])
def test_a_picture_too_small_for_five_scales_has_no_ms_ssim(height: int, width: int, measured: bool) -> None:
    image = torch.zeros(2, 3, height, width)
    figures = measure(image + 0.1, image, torch.ones(2, 1, height, width))
    assert figures["ms_ssim"].isfinite().tolist() == [measured] * 2
    assert figures["ssim"].isfinite().all()


def test_a_negative_ms_ssim_counts_nothing() -> None:
    _, image, mask = large_pictures()
    assert measure(-image, image, torch.ones_like(mask))["ms_ssim"].item() == 0


def test_the_psnr_of_the_mean_follows_from_l2() -> None:
    composite, image, mask = pictures()
    squared = [((a.astype(float) - b) ** 2).mean() for a, b in zip(as_numpy(composite), as_numpy(image), strict=True)]
    mean = measure(composite, image, mask)["l2"].double().mean().item()
    assert 10 * math.log10(100 / mean) == pytest.approx(10 * math.log10(255**2 / np.mean(squared)), rel=1e-6)


def test_l1_over_the_picture_by_hand() -> None:
    composite, image, mask = pictures()
    expected = [np.abs(a.astype(float) - b).mean() for a, b in zip(as_numpy(composite), as_numpy(image), strict=True)]
    np.testing.assert_allclose(measure(composite, image, mask)["l1"], np.array(expected) / 2.55, rtol=1e-6)


def test_the_gradient_error_by_scipy() -> None:
    composite, image, mask = pictures()
    found = measure(composite, image, mask)["gradient"]
    for sample, pair in enumerate(zip(as_numpy(image), as_numpy(composite), strict=True)):
        region = ndimage.binary_dilation(mask[sample, 0].numpy() == 1, np.ones((3, 3)))
        lengths = [
            np.hypot(*(ndimage.sobel(picture[..., c].astype(float), axis, mode="nearest") / 8 for axis in (0, 1)))
            for picture in pair
            for c in range(3)
        ]
        expected = np.mean([np.abs(lengths[c] - lengths[c + 3])[region].mean() for c in range(3)]) / 2.55
        assert found[sample].item() == pytest.approx(expected, rel=1e-5)


def test_blur_costs_edges_and_a_shifted_level_does_not() -> None:
    _, image, mask = pictures()
    image = image.clamp(-0.8, 0.8)
    blurred = torch.nn.functional.avg_pool2d(image, 5, 1, 2)
    everything = torch.ones_like(mask)
    assert (measure(blurred, image, everything)["gradient"] > 1).all()
    assert (measure(image + 20 / 127.5, image, everything)["gradient"] < 1e-6).all()


def test_raw_figures_by_hand() -> None:
    _, image, mask = pictures()
    output = image + torch.randn(image.shape, generator=torch.Generator().manual_seed(1)) * 0.2
    figures = module.measure(compose(output, image, mask), image, mask)
    for sample, (truth, raw) in enumerate(zip(as_numpy(image), as_numpy(output), strict=True)):
        hole = mask[sample, 0].numpy() == 1
        band = (ndimage.distance_transform_cdt(~hole, "chessboard") <= 8) & ~hole
        error = raw.astype(float) - truth
        for prefix, part in (("band", error[band]), ("raw", error)):
            assert figures[f"{prefix}_l1"][sample].item() == pytest.approx(np.abs(part).mean() / 2.55, rel=1e-6)
            psnr = 10 * math.log10(255**2 / (part**2).mean())
            assert figures[f"{prefix}_psnr"][sample].item() == pytest.approx(psnr, rel=1e-6)


def test_a_picture_without_a_raw_output_has_no_raw_figures() -> None:
    composite, image, mask = pictures()
    output = composite.clone()
    output[1, :, 0, 0] += 0.5
    figures = module.measure(compose(output, image, mask), image, mask, RAW)
    for name in RAW[2:]:
        assert figures[name].isfinite().tolist() == [False, True], name
    assert figures["band_l1"].isnan().tolist() == [True, False]
    assert figures["band_psnr"].tolist()[1] == math.inf  # the changed pixel is far from the hole


@pytest.mark.parametrize("value", [0, 1])
def test_without_hole_or_without_known_pixels_there_is_no_band(value: int) -> None:
    _, image, mask = pictures()
    outputs = compose(image + 0.1, image, torch.full_like(mask, value))
    figures = module.measure(outputs, image, torch.full_like(mask, value))
    assert figures["band_l1"].isnan().all() and figures["band_psnr"].isnan().all()


def test_names_choose_and_order() -> None:
    everything = measure(*pictures())
    for names in (("ssim",), ("psnr", "hole_l1"), ("gradient", "raw_l1"), ()):
        figures = measure(*pictures(), names)
        assert tuple(figures) == names
        for name in names:
            assert torch.equal(figures[name].nan_to_num(), everything[name].nan_to_num())
    with pytest.raises(ValueError, match=r"metrics: lpips is none of hole_l1"):
        measure(*pictures(), ("lpips", "ssim"))


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
            assert value.item() == pytest.approx(together[name][sample].item(), rel=1e-6, nan_ok=True), name


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
    assert figures["ssim"].tolist() == figures["hole_ssim"].tolist() == [1, 1]
    for name in ("hole_l2", "l1", "l2", "gradient"):
        assert figures[name].tolist() == [0, 0], name


def test_an_empty_hole_has_no_hole_figures() -> None:
    composite, image, mask = pictures()
    mask[0] = 0
    figures = measure(composite, image, mask)
    for name in ("hole_l1", "hole_l2", "hole_psnr", "hole_ssim", "gradient"):
        assert figures[name].isnan().tolist() == [True, False], name
    for name in ("l1", "l2", "psnr", "ssim"):
        assert figures[name].isfinite().all(), name


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
        assert torch.equal(values.nan_to_num(), expected[name].nan_to_num()), name


def test_texture_error_is_that_of_scipy() -> None:
    """The definition once more, in numpy and scipy, one picture at a time; odd sides, a hole at the border."""
    composite, image, mask = pictures()
    figures = measure(composite, image, mask)["texture"]
    for row in range(len(image)):
        errors = []
        pair = [to_uint8(picture)[row].double().mean(0).numpy() for picture in (composite, image)]
        hole = mask[row, 0].numpy() > 0.5
        for scale in (1, 2):
            energies = []
            for picture in pair:
                squares = ndimage.laplace(picture, mode="nearest") ** 2
                window = {"sigma": 1.5, "truncate": 5 / 1.5, "mode": "nearest"}
                energies.append(ndimage.gaussian_filter(squares, **window) + 20)
            decibels = abs(10 * np.log10(energies[0] / energies[1])).repeat(scale, 0).repeat(scale, 1)
            errors.append(decibels[: hole.shape[0], : hole.shape[1]][hole].mean())
            pair = [torch.nn.functional.avg_pool2d(torch.tensor(p)[None], 2, ceil_mode=True)[0].numpy() for p in pair]
        assert figures[row].item() == pytest.approx(np.mean(errors), rel=1e-4)


def test_texture_error_sees_what_psnr_does_not() -> None:
    """Noise like the truth's, but elsewhere, is a better texture than its mean, and has the worse PSNR."""
    generator = torch.Generator().manual_seed(0)
    image, other = (0.3 * torch.randn(1, 3, 64, 64, generator=generator) for _ in range(2))
    mask = torch.ones(1, 1, 64, 64)
    noise, flat = (measure(painted, image, mask) for painted in (other, torch.zeros_like(image)))
    assert noise["texture"] < 2 < 10 < flat["texture"] and noise["psnr"] < flat["psnr"] - 2
    assert measure(3 * other, image, mask)["texture"] > 2 * noise["texture"], "too rough is wrong as well"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_measures_the_same() -> None:
    _, image, mask = large_pictures()
    outputs = compose(image + 0.1 * image.flip(-1), image, mask)
    expected = module.measure(outputs, image, mask)
    figures = module.measure(Outputs(outputs.output.cuda(), outputs.composite.cuda()), image.cuda(), mask.cuda())
    for name, value in figures.items():
        assert value.item() == pytest.approx(expected[name].item(), rel=1e-5), name


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


# PSNR-Y, PSNR over RGB and PSNR-Y with the border: they differ by up to 2 dB, and papers state the first.
@pytest.mark.parametrize(("factor", "stated"), [(2, (32.17, 30.54, 32.12)), (4, (27.65, 26.08, 27.58))])
def test_bicubic_super_resolution_has_the_figures_of_its_protocol(factor, stated) -> None:
    truth = from_uint8(torch.from_numpy(data.astronaut()[:240, 120:360].copy()).permute(2, 0, 1))[None]
    small = Resize(factor)(truth, torch.zeros(1, dtype=torch.int64))
    mask = torch.ones(1, 1, 240, 240)
    outputs = Bicubic()(small, mask)
    own = module.measure(outputs, truth, mask, ["psnr_y", "psnr", "ssim_y"], border=factor)
    whole = module.measure(outputs, truth, mask, ["psnr_y"])["psnr_y"].item()
    assert (own["psnr_y"].item(), own["psnr"].item(), whole) == pytest.approx(stated, abs=0.005)

    def luma(picture):
        red, green, blue = np.moveaxis(as_numpy(picture)[0][factor:-factor, factor:-factor] / 255, -1, 0)
        return 16 + 65.481 * red + 128.553 * green + 24.966 * blue

    pair = luma(truth), luma(outputs.composite)
    assert own["psnr_y"].item() == pytest.approx(peak_signal_noise_ratio(*pair, data_range=255), abs=1e-4)
    settings = {"data_range": 255, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "full": True}
    expected = structural_similarity(*pair, **settings)[1][5:-5, 5:-5].mean()
    assert own["ssim_y"].item() == pytest.approx(expected, abs=1e-5)
