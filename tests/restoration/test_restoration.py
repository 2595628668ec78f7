"""Classical restorations, against independent computations."""

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut

from inpaint.batch import from_uint8, to_uint8
from inpaint.restoration import Bicubic


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
