"""Every degradation follows its key, alone and in a batch; each kind stands beside an independent computation."""

import io
import math

import hydra
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage
from skimage.data import astronaut

from inpaint.batch import from_uint8, to_uint8
from inpaint.degradations import (
    CameraShake,
    Edges,
    Fading,
    GaussianBlur,
    GaussianNoise,
    Grey,
    Jpeg,
    MotionBlur,
    PaintedHoles,
    PoissonNoise,
    Resample,
    Resize,
    SaltAndPepper,
    SpeckleNoise,
    filters,
)
from inpaint.degradations.noise import poisson
from inpaint.degradations.resampling import resampling
from inpaint.masks import Boxes
from inpaint.rng import fold
from inpaint.settings import Refused
from tests.options import compose, options


def photographs(samples=4, side=48):
    """Crops of a photograph, ``(samples, 3, side, side)`` in [-1, 1]."""
    picture = torch.from_numpy(astronaut()).permute(2, 0, 1)
    return from_uint8(torch.stack([picture[:, 60 * k : 60 * k + side, 150 : 150 + side] for k in range(samples)]))


def keys(samples=4):
    return fold(torch.arange(samples), "test")


def psnr(a, b):
    return (10 * torch.log10(4 / (a - b).square().mean())).item()


@pytest.mark.parametrize("option", [name for name in options("degradation") if name not in ("none", "paired")])
def test_a_picture_is_degraded_alike_alone_in_any_batch_and_again(option):
    degradation = hydra.utils.instantiate(compose(f"degradation={option}").degradation, _convert_="all")
    image, own = photographs(6), keys(6)
    made = degradation(image, own)
    side = image.shape[-1] // degradation.scale
    assert made.shape == (6, 3, side, side) and made.dtype == torch.float32 and made.isfinite().all()
    assert torch.equal(made, degradation(image, own))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    assert torch.equal(degradation(image[order], own[order]), made[order])
    assert torch.equal(degradation(image[2:3], own[2:3]), made[2:3])
    same = image[:1].expand_as(image)
    others = degradation(same, own)
    if option not in ("resize", "grey", "edges"):  # which draw nothing
        assert len({tuple(picture.flatten().tolist()) for picture in others}) > 2
    if degradation.stored:
        assert torch.equal(from_uint8(to_uint8(made)), made)


def test_a_drawing_has_lines_where_the_slope_is_and_no_colours():
    """A ramp of 1/32 a pixel is tanh(10 / 32) black, flat parts are white, and a step is a line as wide as the blur."""
    ramp = torch.arange(64.0).expand(1, 3, 64, 64) / 32 * 2 - 2
    assert (Edges(stored=False)(ramp, keys(1))[..., 8:-8, 8:-8] - (1 - 2 * math.tanh(10 / 32))).abs().max() < 1e-4
    step = torch.where(torch.arange(64) < 32, -0.5, 0.5).expand(1, 3, 64, 64)
    drawn = Edges(strength=20)(step, keys(1))
    assert (drawn[..., 8:-8, 31:33] < -0.9).all() and (drawn[..., :26] == 1).all() and (drawn[..., 38:] == 1).all()
    turned = Edges()(photographs(2).transpose(2, 3), keys(2))
    assert torch.allclose(turned.transpose(2, 3), Edges()(photographs(2), keys(2)), atol=0.01)
    assert torch.equal(turned[:, 0], turned[:, 2])
    with pytest.raises(Refused, match=r"degradation.sigma: give pixels"):
        Edges(sigma=0)


def test_gaussian_noise_has_its_strength_is_white_and_is_not_clipped():
    image = torch.ones(8, 3, 64, 64)
    noise = (GaussianNoise(25.0)(image, keys(8)) - image) * 127.5
    assert noise.std().item() == pytest.approx(25, rel=0.01) and abs(noise.mean().item()) < 0.2
    assert noise.max() > 80  # beyond white
    neighbours = (noise[..., 1:] * noise[..., :-1]).mean() / noise.square().mean()
    channels = (noise[:, 0] * noise[:, 1]).mean() / noise.square().mean()
    assert abs(neighbours) < 0.01 and abs(channels) < 0.01
    assert GaussianNoise(25.0, stored=True)(image, keys(8)).max() == 1


def test_a_range_gives_each_picture_a_strength_of_its_own_and_grey_noise_is_grey():
    image = torch.zeros(64, 3, 32, 32)
    noise = GaussianNoise([0.0, 50.0], grey=0.5)(image, keys(64)) * 127.5
    strength = noise.std(dim=(1, 2, 3))
    assert strength.min() < 5 and strength.max() > 45 and strength.mean().item() == pytest.approx(25, abs=4)
    grey = (noise[:, :1] == noise).flatten(1).all(1)
    assert 20 < grey.sum() < 44


def test_speckle_noise_grows_with_the_light():
    light = torch.tensor([-1.0, 0.0, 1.0]).view(3, 1, 1, 1).expand(3, 3, 64, 64)
    noise = (SpeckleNoise(20.0)(light, keys(3)) - light).std(dim=(1, 2, 3)) * 127.5
    assert noise[0] == 0
    assert noise[1:].tolist() == pytest.approx([10, 20], rel=0.03)


@pytest.mark.parametrize("mean", [0.0, 0.3, 4.0, 19.0, 30.0, 400.0])
def test_poisson_numbers_have_their_mean_variance_and_skewness(mean):
    drawn = poisson(torch.full((4, 1, 200, 200), mean), keys()).double().flatten()
    assert torch.equal(drawn, drawn.round()) and drawn.min() >= 0
    assert drawn.mean().item() == pytest.approx(mean, abs=5 * math.sqrt(mean / drawn.numel()) + 0.01 * math.sqrt(mean))
    assert drawn.var().item() == pytest.approx(mean, rel=0.02)
    if mean:
        third = ((drawn - drawn.mean()) / drawn.std()).pow(3).mean().item()
        assert third == pytest.approx(1 / math.sqrt(mean), abs=0.05)


def test_few_photons_are_distributed_as_scipys():
    from scipy.stats import poisson as reference

    drawn = poisson(torch.full((1, 1, 300, 300), 3.5), keys(1)).flatten()
    shares = [(drawn == number).float().mean().item() for number in range(9)]
    assert shares == pytest.approx(list(reference.pmf(range(9), 3.5)), abs=0.005)


def test_photons_at_white_decide_the_noise():
    image = torch.full((4, 3, 64, 64), 0.5)
    noise = PoissonNoise(100.0)(image, keys()) - image
    assert noise.std().item() == pytest.approx(2 * math.sqrt(0.75 / 100), rel=0.03) and abs(noise.mean()) < 0.005


def test_salt_and_pepper():
    made = SaltAndPepper(0.1, 0.7)(torch.zeros(8, 3, 64, 64), keys(8))
    assert (made == 1).float().mean().item() == pytest.approx(0.07, abs=0.005)
    assert (made == -1).float().mean().item() == pytest.approx(0.03, abs=0.005)
    assert torch.equal(made[:, 0], made[:, 1])


def test_a_round_gaussian_is_scipys():
    image = photographs(2)
    made = GaussianBlur(1.7, stored=False)(image, keys(2))
    expected = ndimage.gaussian_filter(image.double().numpy(), (0, 0, 1.7, 1.7), mode="mirror", radius=(0, 0, 6, 6))
    assert made.numpy() == pytest.approx(expected, abs=1e-5)


def test_a_long_gaussian_has_the_axes_and_the_angle_that_were_drawn():
    kernel = filters.gaussian(torch.tensor([4.0]), torch.tensor([1.0]), torch.tensor([30 / 360]), 41)[0].double()
    row, column = torch.meshgrid(torch.arange(-20.0, 21), torch.arange(-20.0, 21), indexing="ij")
    spread = torch.tensor([[(kernel * a * b).sum() for b in (column, row)] for a in (column, row)])
    values, vectors = torch.linalg.eigh(spread)
    assert values.sqrt().tolist() == pytest.approx([1, 4], rel=0.01)
    assert math.degrees(math.atan2(vectors[1, 1], vectors[0, 1])) % 180 == pytest.approx(30, abs=0.5)


def test_motion_is_a_line_of_its_length_and_angle():
    point = torch.full((1, 3, 41, 41), -1.0)
    point[..., 20, 20] = 1
    made = (MotionBlur(16.0, 30.0, stored=False)(point, keys(1))[0, 0] + 1) / 2
    assert made.sum().item() == pytest.approx(1, abs=1e-3)
    row, column = torch.nonzero(made > 1e-4).float().sub(20).T
    turn = math.radians(30)
    assert (row * math.cos(turn) - column * math.sin(turn)).abs().max() < 1.01  # beside the line
    assert (column * math.cos(turn) + row * math.sin(turn)).abs().max().item() == pytest.approx(8.5, abs=0.6)


def test_a_camera_shakes_by_its_extent_and_keeps_the_light():
    point = torch.full((5, 3, 41, 41), -1.0)
    point[..., 20, 20] = 1
    made = (CameraShake(12.0, stored=False)(point, keys(5))[:, 0] + 1) / 2
    assert made.sum((1, 2)).tolist() == pytest.approx([1] * 5, abs=1e-3)
    place = torch.arange(41.0)
    for way in made:
        assert [(way.sum(other) @ place).item() for other in (0, 1)] == pytest.approx([20, 20], abs=0.01)
        rows, columns = torch.nonzero(way > 1e-6).T
        assert 12 <= max(int(rows.max() - rows.min()), int(columns.max() - columns.min())) <= 14


@pytest.mark.parametrize("quality", [20.0, 50.0, 90.0])
def test_jpeg_is_near_libjpegs(quality):
    image = photographs(2, 64)
    made = Jpeg(quality)(image, keys(2))
    for picture, own in zip(image, made, strict=True):
        file = io.BytesIO()
        Image.fromarray(to_uint8(picture).permute(1, 2, 0).numpy()).save(file, "JPEG", quality=int(quality))
        libjpeg = from_uint8(torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1))
        assert psnr(own, libjpeg) > psnr(own, picture) + 3 and psnr(own, libjpeg) > 34


def test_each_picture_has_its_own_quality():
    made = Jpeg([5.0, 95.0])(photographs(1).expand(8, -1, -1, -1), keys(8))
    errors = [psnr(picture, photographs(1)[0]) for picture in made]
    assert max(errors) - min(errors) > 5


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_a_smaller_picture_is_pillows(factor):
    image = photographs(1)
    made = Resize(factor)(image, keys(1))
    pillow = Image.fromarray(to_uint8(image[0]).permute(1, 2, 0).numpy()).reduce(1)
    pillow = pillow.resize((48 // factor, 48 // factor), Image.Resampling.BICUBIC)
    assert (to_uint8(made[0]).int() - torch.from_numpy(np.array(pillow)).permute(2, 0, 1).int()).abs().max() <= 1


def test_sides_that_a_factor_does_not_divide_are_refused():
    with pytest.raises(Refused, match=r"degradation.scale: 3 does not divide 32x32 pixels"):
        Resize(3)(torch.zeros(1, 3, 32, 32), keys(1))


@pytest.mark.parametrize(("fewer", "method"), [(20, "bicubic"), (31, "bilinear"), (64, "bicubic"), (9, "bilinear")])
def test_resampling_is_torchs_antialiased_one(fewer, method):
    line = torch.randn(1, 1, 64, 5, generator=torch.Generator().manual_seed(0))
    matrix = resampling(64, torch.tensor([float(fewer)]), 64, method)
    expected = F.interpolate(line, (fewer, 5), mode=method, antialias=True)
    made = matrix @ line[0]
    assert made[0, :fewer] == pytest.approx(expected[0, 0], abs=2e-5) and (made[0, fewer:] == 0).all()


def test_nearest_takes_single_pixels():
    matrix = resampling(torch.tensor([5.0]), torch.tensor([12.0]), 12, "nearest")[0]
    taken = F.interpolate(torch.arange(5.0).view(1, 1, 5), 12, mode="nearest-exact")[0, 0]
    assert torch.equal(matrix[:, :5] @ torch.arange(5.0), taken)


def test_a_picture_that_was_smaller_has_lost_its_detail_alone():
    image = photographs(2)
    assert Resample(1.0)(image, keys(2)).numpy() == pytest.approx(image.numpy(), abs=1e-5)
    half = Resample(0.5, "bicubic")(image, keys(2))
    small = F.interpolate(image, (24, 24), mode="bicubic", antialias=True)
    assert half.numpy() == pytest.approx(
        F.interpolate(small, (48, 48), mode="bicubic", antialias=True).numpy(), abs=1e-4
    )
    nearest = Resample(0.5, "nearest")(image, keys(2))
    assert torch.equal(nearest[..., ::2, ::2], nearest[..., 1::2, 1::2])


def test_grey_is_luma_and_fading_moves_black_white_and_colour():
    image = photographs(1)
    light = (image + 1) / 2
    luma = 0.299 * light[:, 0] + 0.587 * light[:, 1] + 0.114 * light[:, 2]
    assert ((Grey()(image, keys(1)) + 1) / 2)[:, 2].numpy() == pytest.approx(luma.numpy(), abs=1e-6)
    ends = torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 8, 8)
    black, white = (Fading(0.0, 0.2, 1.0, stored=False)(ends, keys(2)) + 1) / 2
    assert white[:, 0, 0].tolist() == pytest.approx([1, 0.94, 0.8]) and black[:, 0, 0].tolist() == pytest.approx(
        [0.2, 0.188, 0.16]
    )
    assert torch.equal(Fading(0.0, 0.0, 0.0, stored=False)(ends, keys(2)), ends)
    faded = Fading(1.0, 0.0, 0.0, stored=False)(image, keys(1))
    assert faded.numpy() == pytest.approx(Grey()(image, keys(1)).numpy(), abs=1e-5)


def test_painted_holes_are_the_masks_and_nothing_else():
    image, own = photographs(), keys()
    made = PaintedHoles(Boxes(), 0.5)(image, own)
    hole = Boxes()(own, (48, 48)) > 0.5
    assert torch.equal(made, torch.where(hole, 0.0, image)) and hole.any()


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        (lambda: GaussianNoise(-1.0), "degradation.sigma"),
        (lambda: GaussianNoise([30.0, 20.0]), "degradation.sigma"),
        (lambda: GaussianNoise(25.0, grey=2), "degradation.grey"),
        (lambda: Jpeg(0), "degradation.quality"),
        (lambda: Resize(2.5), "degradation.scale"),
        (lambda: Resize(2, "lanczos"), "degradation.method"),
        (lambda: Resample([0.5, 1.5]), "degradation.factor"),
        (lambda: MotionBlur("long"), "degradation.length"),
    ],
)
def test_what_means_nothing_is_refused_by_its_key(wrong, key):
    with pytest.raises(Refused, match=f"^{key}: "):
        wrong()
