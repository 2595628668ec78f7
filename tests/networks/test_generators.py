from itertools import pairwise

import pytest
import torch

from inpaint.fills import harmonic
from inpaint.networks.generators.context_encoder import ContextEncoder
from inpaint.networks.generators.residual_unet import ResidualUNet

SMALL = {
    "context_encoder": lambda: ContextEncoder(width=8, levels=3, bottleneck=32),
    "residual_unet": lambda: ResidualUNet(width=8, levels=2),
}


def picture(batch=2, height=32, width=32):
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(batch, 3, height, width, generator=generator) * 2 - 1
    mask = torch.zeros(batch, 1, height, width)
    mask[:, :, height // 4 : height // 2, width // 3 :] = 1
    return image, mask


def excite(network):
    """Move every weight off its zero start, so that all paths carry something."""
    for parameter in network.parameters():
        parameter.data.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
    return network


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("size", [(32, 32), (37, 50), (64, 40), (5, 9)])
def test_any_size(name, size):
    image, mask = picture(2, *size)
    outputs = excite(SMALL[name]())(image * (1 - mask), mask)
    assert outputs.output.shape == outputs.composite.shape == image.shape
    known = (mask == 0).expand_as(image)
    assert torch.equal(outputs.composite[known], image[known])
    assert outputs.output.isfinite().all()


@pytest.mark.parametrize("name", SMALL)
def test_the_hole_is_never_read(name):
    image, mask = picture()
    network = excite(SMALL[name]()).eval()
    other = torch.where(mask == 1, torch.full_like(image, 0.77), image)
    assert torch.equal(network(image, mask).output, network(other, mask).output)


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_learns(name):
    image, mask = picture(4)
    network = excite(SMALL[name]())
    network(image * (1 - mask), mask).output.square().mean().backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", SMALL)
def test_a_sample_does_not_depend_on_its_batch(name):
    image, mask = picture(3)
    mask[1] = 0
    mask[2, :, :10] = 1
    network = excite(SMALL[name]()).eval()
    together = network(image, mask).output
    for sample in range(3):
        alone = network(image[sample : sample + 1], mask[sample : sample + 1]).output
        assert torch.allclose(together[sample : sample + 1], alone, atol=1e-5)


def test_residual_unet_starts_as_the_harmonic_fill():
    image, mask = picture()
    output = ResidualUNet(width=8)(image, mask).output
    assert torch.equal(output, harmonic(image, mask))


def test_context_encoder_has_the_published_size():
    """Random-region model at 128 px: 64 -> 4000 -> 64 as in the authors' code, counted by hand."""
    network = ContextEncoder(width=64, levels=4, bottleneck=4000)
    widths = [64, 128, 256, 512]

    def norm(channels):
        return 2 * channels

    encoder = 3 * 64 * 16 + 64 + sum(a * b * 16 + b + norm(b) for a, b in pairwise(widths))
    bottleneck = 512 * 4000 * 16 + 4000 + norm(4000) + 4000 * 512 * 16 + 512 + norm(512)
    back = widths[::-1]
    decoder = sum(a * b * 16 + b + norm(b) for a, b in pairwise(back)) + 64 * 3 * 16 + 3
    assert sum(p.numel() for p in network.parameters()) == encoder + bottleneck + decoder


def test_context_encoder_sees_the_published_mean_colour_in_the_hole():
    image, mask = picture()
    network = SMALL["context_encoder"]().eval()
    seen = []
    network.encoder[0].register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0]))
    network(image, mask)
    hole = seen[0][:, :, :32, :32][(mask == 1).expand_as(image)].view(2, 3, -1)
    for channel, level in enumerate((123, 117, 104)):
        assert torch.allclose(hole[:, channel], torch.tensor(level / 127.5 - 1))


def test_impossible_levels():
    with pytest.raises(ValueError, match=r"generator\.levels"):
        ContextEncoder(levels=0)
