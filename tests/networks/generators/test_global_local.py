import math

import pytest
import torch
from torch import nn

from inpaint.networks.generators.global_local import CompletionNetwork

# kernel, dilation, stride, channels of each layer of the paper's table 1; strides of 1/2 are transposed convolutions.
PUBLISHED = [
    *((5, 1, 1, 64), (3, 1, 2, 128), (3, 1, 1, 128), (3, 1, 2, 256), (3, 1, 1, 256), (3, 1, 1, 256)),
    *((3, 2, 1, 256), (3, 4, 1, 256), (3, 8, 1, 256), (3, 16, 1, 256), (3, 1, 1, 256), (3, 1, 1, 256)),
    *((4, 1, 0.5, 128), (3, 1, 1, 128), (4, 1, 0.5, 64), (3, 1, 1, 32), (3, 1, 1, 3)),
]


def convolutions(network):
    return [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]


def test_layers_are_those_of_the_papers_table():
    with torch.device("meta"):
        network = CompletionNetwork()
    found = [
        (c.kernel_size[0], c.dilation[0], 1 / c.stride[0] if c.transposed else c.stride[0], c.out_channels)
        for c in convolutions(network)
    ]
    assert found == PUBLISHED
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert [norm.num_features for norm in norms] == [channels for *_, channels in PUBLISHED[:-1]]


def test_the_published_size():
    channels = [4, *(row[-1] for row in PUBLISHED)]
    by_hand = sum(
        before * after * row[0] ** 2 + after
        for before, after, row in zip(channels, channels[1:], PUBLISHED, strict=False)
    )
    with torch.device("meta"):
        found = sum(p.numel() for c in convolutions(CompletionNetwork()) for p in c.parameters())
    assert found == by_hand == 6_066_179  # 6.07 M


def test_the_input_is_the_filled_picture_and_the_mask():
    network = CompletionNetwork(8).eval()
    seen = []
    network.layers[0].register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0]))
    image, mask = torch.rand(1, 3, 16, 16), torch.zeros(1, 1, 16, 16)
    mask[..., 4:9, 2:7] = 1
    network(image, mask)
    assert torch.equal(seen[0][:, 3:], mask)
    colour = torch.tensor([123, 117, 104]).div(127.5).sub(1).view(1, 3, 1, 1)
    assert torch.allclose(seen[0][:, :3], image * (1 - mask) + colour * mask)


def test_the_output_is_a_sigmoid_on_the_whole_range():
    network = CompletionNetwork(8).eval()
    image, mask = torch.rand(1, 3, 16, 16), torch.ones(1, 1, 16, 16)
    nn.init.zeros_(network.layers[-1].weight)
    for logit, value in ((-200.0, -1.0), (0.0, 0.0), (math.log(3), 0.5), (200.0, 1.0)):
        nn.init.constant_(network.layers[-1].bias, logit)
        assert torch.allclose(network(image, mask).output, torch.tensor(value), atol=1e-6)


def test_dilation_lets_a_pixel_see_across_a_hole():
    """Of 160 px a middle pixel reads more than 128 on each axis; with rates of 1 it does not."""

    def reach(rates):
        torch.manual_seed(0)
        network = CompletionNetwork(4, rates).eval()
        image = torch.rand(1, 3, 160, 160, requires_grad=True)
        network(image, torch.zeros(1, 1, 160, 160)).output[0, :, 80, 80].sum().backward()
        return (image.grad.abs().sum((0, 1, 2)) > 0).sum().item()

    assert reach((2, 4, 8, 16)) > 128 > reach((1, 1, 1, 1))


def test_impossible_numbers():
    with pytest.raises(ValueError, match=r"^generator\.width: "):
        CompletionNetwork(width=7)
    with pytest.raises(ValueError, match=r"^generator\.rates: "):
        CompletionNetwork(rates=[2, 0])
