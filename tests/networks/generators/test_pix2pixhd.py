import pytest
import torch
import torch.nn.functional as F
from torch import nn

from inpaint.networks.generators.pix2pixhd import Pix2PixHDGlobal, _ResidualBlock


def test_the_published_size():
    with torch.device("meta"):
        assert sum(p.numel() for p in Pix2PixHDGlobal().parameters()) == 45_617_731


def test_a_block_against_its_parts():
    torch.manual_seed(0)
    block = _ResidualBlock(4)
    x = torch.randn(3, 4, 6, 5)
    y = x
    for place, last in ((0, False), (3, True)):
        conv = block.inner[place]
        y = F.conv2d(F.pad(y, (1, 1, 1, 1), mode="reflect"), conv.weight, conv.bias)
        y = (y - y.mean((0, 2, 3), keepdim=True)) / (y.var((0, 2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()
        y = y if last else y.clamp(min=0)
    result = block(x)
    assert torch.allclose(result, x + y, atol=1e-5) and result.min() < 0


def test_black_hole_in_and_the_packages_range_out():
    network = Pix2PixHDGlobal(blocks=1, width=4).eval()
    seen = []
    network.encoder[0].register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0]))
    image, mask = torch.rand(1, 3, 16, 16) * 2 - 1, torch.zeros(1, 1, 16, 16)
    mask[:, :, 4:9, 5:] = 1
    last = network.decoder[-2]
    nn.init.zeros_(last.weight)
    last.bias.data = torch.tensor([-30.0, 0.0, 30.0])
    output = network(image, mask).output
    assert torch.equal(seen[0], torch.cat([(image + 1) / 2 * (1 - mask), mask], dim=1))
    assert torch.allclose(output, torch.tensor([-1.0, 0.0, 1.0]).view(1, 3, 1, 1).expand_as(output), atol=1e-6)


@pytest.mark.parametrize("key", ["blocks", "width", "levels"])
def test_impossible_numbers(key):
    with pytest.raises(ValueError, match=rf"^generator\.{key}: 0 "):
        Pix2PixHDGlobal(**{key: 0})


@pytest.mark.parametrize("levels", [1, 4])
def test_other_depths(levels):
    network = Pix2PixHDGlobal(blocks=1, width=4, levels=levels)
    assert network.multiple == 2**levels
    assert network(torch.rand(1, 3, 20, 30), torch.ones(1, 1, 20, 30)).output.shape == (1, 3, 20, 30)
