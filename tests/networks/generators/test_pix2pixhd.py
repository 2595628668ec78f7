import pytest
import torch
import torch.nn.functional as F
from torch import nn

from inpaint.networks.generators.pix2pixhd import Pix2PixHDGlobal
from inpaint.networks.layers import ResidualBlock


def test_the_published_size():
    with torch.device("meta"):
        assert sum(p.numel() for p in Pix2PixHDGlobal().parameters()) == 45_617_731
        # pix2pixHD's own: ends of 7 x 7, four halvings and doublings of 3 x 3, nine blocks, biases, no norm's weights
        halves = sum(9 * a * b + b for a, b in ((64, 128), (128, 256), (256, 512), (512, 1024)))
        doubles = sum(9 * a * b + b for a, b in ((1024, 512), (512, 256), (256, 128), (128, 64)))
        blocks = 9 * 2 * (9 * 1024**2 + 1024)
        expected = (49 * 4 * 64 + 64) + halves + blocks + doubles + (49 * 64 * 3 + 3)
        assert sum(p.numel() for p in Pix2PixHDGlobal(levels=4, norm="instance").parameters()) == expected
        assert round(expected / 1e6) == 182


def test_initial_weights_are_torchs_or_pix2pixhds():
    torch.manual_seed(0)
    lama, wang = Pix2PixHDGlobal(blocks=1, width=16), Pix2PixHDGlobal(blocks=1, width=16, init="normal")
    assert lama.encoder[0].weight.std().item() == pytest.approx(1 / (3 * 4 * 49) ** 0.5, rel=0.03)
    assert wang.encoder[0].weight.std().item() == pytest.approx(0.02, rel=0.03)
    with pytest.raises(ValueError, match=r"^generator\.init: "):
        Pix2PixHDGlobal(init="zero")


def test_a_block_against_its_parts():
    torch.manual_seed(0)
    block = ResidualBlock(4, "batch")
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


def test_instance_norm_has_no_statistics_of_others():
    network = Pix2PixHDGlobal(blocks=1, width=4, norm="instance")
    assert not list(network.buffers())
    image, mask = torch.rand(2, 3, 16, 16) * 2 - 1, torch.ones(2, 1, 16, 16)
    mask[:, :, :9] = 0
    assert torch.allclose(network(image, mask).output[:1], network(image[:1], mask[:1]).output, atol=1e-6)
    with pytest.raises(ValueError, match=r"^generator\.norm: give one of none, batch, instance, group; got 'layer'"):
        Pix2PixHDGlobal(norm="layer")


@pytest.mark.parametrize("levels", [1, 4])
def test_other_depths(levels):
    network = Pix2PixHDGlobal(blocks=1, width=4, levels=levels)
    assert network.multiple == 2**levels
    assert network(torch.rand(1, 3, 20, 30), torch.ones(1, 1, 20, 30)).output.shape == (1, 3, 20, 30)
