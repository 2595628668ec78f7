"""Classical restorations, against independent computations."""

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut

from inpaint.batch import from_uint8, to_uint8
from inpaint.degradations import GaussianBlur, GaussianNoise, MotionBlur
from inpaint.restoration import Bicubic, NonLocalMeans, RichardsonLucy, TotalVariation, Wiener
from inpaint.settings import Refused


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_is_pillows(scale):
    picture = astronaut()[100:124, 200:232]
    image = from_uint8(torch.from_numpy(picture.copy()).permute(2, 0, 1)[None])
    mask = torch.ones(1, 1, 24 * scale, 32 * scale)
    outputs = Bicubic()(image, mask)
    expected = np.array(Image.fromarray(picture).resize((32 * scale, 24 * scale), Image.Resampling.BICUBIC))
    assert (to_uint8(outputs.composite[0]).permute(1, 2, 0).int() - torch.from_numpy(expected).int()).abs().max() <= 1


def test_a_picture_of_the_truths_size_is_itself():
    image = torch.rand(2, 3, 8, 9) * 2 - 1
    assert torch.equal(Bicubic()(image, torch.ones(2, 1, 8, 9)).output, image)


FACE = from_uint8(torch.from_numpy(astronaut()[40:136, 160:256].copy()).permute(2, 0, 1))[None]
KEY = torch.zeros(1, dtype=torch.int64)


def psnr(picture):
    return -10 * torch.log10((picture.clamp(-1, 1) - FACE).square().mean() / 4).item()


@pytest.mark.parametrize(("build", "gain"), [(NonLocalMeans, 5.0), (TotalVariation, 3.0)])
def test_denoisers_take_noise_off_told_or_not(build, gain):
    image, mask = GaussianNoise(25.0)(FACE, KEY), torch.ones(1, 1, 96, 96)
    measured, told = (psnr(method(image, mask).composite) for method in (build(), build(25)))
    assert measured > psnr(image) + gain and measured == pytest.approx(told, abs=0.3)
    assert (build(0)(image, mask).composite - image).abs().max() < 1e-6
    half = mask.clone()
    half[..., :48] = 0
    assert torch.equal(build(25)(image, half).composite[..., :48], image[..., :48])


@pytest.mark.parametrize("method", [NonLocalMeans(10), TotalVariation(10)])
def test_denoisers_give_pictures_of_the_truths_size(method):
    image, mask = torch.rand(2, 3, 16, 16) * 2 - 1, torch.ones(2, 1, 32, 32)
    assert method(image, mask).composite.shape == (2, 3, 32, 32)


@pytest.mark.parametrize("method", [NonLocalMeans(25), TotalVariation(25)])
def test_pictures_in_threads_under_inference_mode_are_as_one_by_one(method):
    image = GaussianNoise(25.0)(torch.zeros(3, 3, 16, 24), torch.arange(3))
    mask, before = torch.ones(3, 1, 16, 24), torch.get_num_threads()
    one_by_one = torch.cat([method(image[row : row + 1], mask[:1]).output for row in range(3)])
    torch.set_num_threads(2)
    try:
        with torch.inference_mode():
            together = method(image, mask).output
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert torch.equal(together, one_by_one)


def test_what_is_no_strength_is_refused():
    for wrong in (lambda: NonLocalMeans(-1), lambda: TotalVariation(300), lambda: TotalVariation(25, 0)):
        with pytest.raises(Refused, match=r"^generator\.(sigma|weight): "):
            wrong()


@pytest.mark.parametrize("build", [Wiener, RichardsonLucy])
def test_a_known_blur_is_undone_and_another_is_not(build):
    mask = torch.ones(1, 1, 96, 96)
    soft = GaussianNoise(2.0)(GaussianBlur(1.6)(FACE, KEY), KEY)
    assert psnr(build()(soft, mask).output) > psnr(soft) + 1
    assert psnr(build(sigma=4.0)(soft, mask).output) < psnr(soft)
    moved = MotionBlur(5.0, 30.0)(FACE, KEY)
    right, wrong = (psnr(build(sigma=None, length=5.0, angle=angle)(moved, mask).output) for angle in (30.0, 150.0))
    assert right > psnr(moved) + 1 and wrong < psnr(moved)
    half = mask.clone()
    half[..., :48] = 0
    assert torch.equal(build()(soft, half).composite[..., :48], soft[..., :48])
    assert build()(soft[..., :1, :2], mask[..., :1, :2]).output.shape == (1, 3, 1, 2)


def test_a_blur_is_one_of_two():
    for wrong in ({"length": 3.0}, {"sigma": None}, {"sigma": 0}, {"sigma": None, "length": 3.0, "angle": 200}):
        with pytest.raises(Refused, match=r"^generator\.(sigma|angle)"):
            Wiener(**wrong)
    with pytest.raises(Refused, match=r"^generator\.steps"):
        RichardsonLucy(steps=0)
