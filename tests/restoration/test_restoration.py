"""Classical restorations, against independent computations."""

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut

from inpaint.batch import from_uint8, to_uint8
from inpaint.degradations import GaussianNoise
from inpaint.restoration import Bicubic, NonLocalMeans, TotalVariation
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


@pytest.mark.parametrize(("build", "gain"), [(NonLocalMeans, 5.0), (TotalVariation, 3.0)])
def test_denoisers_take_noise_off_told_or_not(build, gain):
    truth = from_uint8(torch.from_numpy(astronaut()[40:136, 160:256].copy()).permute(2, 0, 1))[None]
    image, mask = GaussianNoise(25.0)(truth, torch.zeros(1, dtype=torch.int64)), torch.ones(1, 1, 96, 96)

    def psnr(picture):
        return -10 * torch.log10((picture.clamp(-1, 1) - truth).square().mean() / 4).item()

    measured, told = (psnr(method(image, mask).composite) for method in (build(), build(25)))
    assert measured > psnr(image) + gain and measured == pytest.approx(told, abs=0.3)
    assert (build(0)(image, mask).composite - image).abs().max() < 1e-6
    half = mask.clone()
    half[..., :48] = 0
    assert torch.equal(build(25)(image, half).composite[..., :48], image[..., :48])


def test_what_is_no_strength_is_refused():
    for wrong in (lambda: NonLocalMeans(-1), lambda: TotalVariation(300), lambda: TotalVariation(25, 0)):
        with pytest.raises(Refused, match=r"^generator\.(sigma|weight): "):
            wrong()
