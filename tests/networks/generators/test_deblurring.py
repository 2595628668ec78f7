"""Networks that sharpen: sizes as published, what a fresh one paints, and the arithmetic of their blocks."""

import pytest
import torch

from inpaint.networks.generators.deblurring import DeblurGAN, NAFNet
from inpaint.settings import Refused

GOPRO = {"encoder": (1, 1, 1, 28), "middle": 1, "decoder": (1, 1, 1, 1)}


@pytest.mark.parametrize(
    ("build", "count"),
    [
        (NAFNet, 29_159_715),
        (lambda: NAFNet(64), 115_982_915),
        (lambda: NAFNet(**GOPRO), 17_111_907),
        (DeblurGAN, 11_378_179),
    ],
)
def test_parameters_are_those_published(build, count):
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in build().parameters()) == count


@pytest.mark.parametrize(
    "build", [lambda: NAFNet(4, (1, 1), 1, (1, 1)), lambda: DeblurGAN(width=4, blocks=1)], ids=["nafnet", "deblurgan"]
)
@pytest.mark.parametrize("size", [(16, 16), (9, 14), (1, 3)])
def test_networks_add_to_a_picture_of_any_size_all_of_which_they_see(build, size):
    torch.manual_seed(0)
    network = build().eval()
    image = (torch.rand(2, 3, *size) - 0.5).requires_grad_()
    outputs = network(image, torch.ones(2, 1, *size))
    assert outputs.output.shape == image.shape and torch.equal(outputs.output, outputs.composite)
    outputs.output.sum().backward()
    assert (image.grad.abs().sum(dim=1) > 0).all()
    for parameter in network.last.parameters() if isinstance(network, NAFNet) else network.layers[-2].parameters():
        torch.nn.init.zeros_(parameter)
    assert torch.equal(network(image, torch.ones(2, 1, *size)).output, image)


def test_a_fresh_block_of_nafnet_is_nothing_and_its_parts_are_products():
    """With factors of 1, all 1 x 1 weights at 0 and biases at 1, each gate is 1 * 1 and each step adds 1."""
    block = NAFNet(2, (1,), 1, (1,)).middle[0]
    x = torch.rand(1, 4, 3, 5)
    assert torch.equal(block(x), x)
    for parameter in block.factors:
        torch.nn.init.ones_(parameter)
    for layer in (*block.spread, block.attention, block.mix, *block.second):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.ones_(layer.bias)
    assert torch.allclose(block(x), x + 2)


def test_a_way_up_of_another_length_is_refused():
    with pytest.raises(Refused, match=r"^generator\.decoder: 1 resolutions, and generator\.encoder has 2"):
        NAFNet(4, (1, 1), 1, (1,))
