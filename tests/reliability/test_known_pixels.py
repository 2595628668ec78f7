"""The composite is the input outside the hole, to the bit, by every generator, in float32 and bfloat16."""

import cv2  # noqa: F401  it sets a variable of its own when it is imported
import hydra
import pytest
import torch
from omegaconf import OmegaConf

from inpaint import rng
from tests.conftest import smooth_picture
from tests.options import CONF, TINY, options

# lama_fourier has its blocks; and what is given twice as large has no pixel that was known.
MANY = sorted(set(options("generator")) - {"big_lama", "builtin_x2"})


def build(name):
    cfg = OmegaConf.load(CONF / "generator" / f"{name}.yaml")
    for key, value in TINY.items():
        if key in cfg:
            cfg[key] = value
    rng.seed_all(0)
    generator = hydra.utils.instantiate(cfg, _convert_="all").eval()
    if name == "nearest_neighbour":  # which copies from a collection
        generator.copy_from([torch.from_numpy(smooth_picture(number, 96, 96)).permute(2, 0, 1) for number in range(2)])
    return generator


@pytest.mark.parametrize("name", MANY)
def test_known_pixels_are_untouched(name):
    generator = build(name)
    image = rng.uniform(torch.arange(2), 3 * 64 * 64).view(2, 3, 64, 64) * 2 - 1
    mask = torch.zeros(2, 1, 64, 64)
    mask[0, :, 20:40, 10:50] = 1
    mask[1, :, 16:48, 16:48] = 1
    for dtype in (torch.float32, torch.bfloat16):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
            composite = generator(image * (1 - mask), mask).composite
        known = (mask == 0).expand_as(image)
        assert composite.dtype == image.dtype and torch.equal(composite[known], image[known])
        assert not torch.equal(composite[~known], image[~known])
