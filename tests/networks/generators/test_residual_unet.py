import torch

from inpaint.fills import harmonic
from inpaint.networks.generators.residual_unet import ResidualUNet


def test_it_starts_as_the_harmonic_fill():
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    mask = torch.zeros(2, 1, 32, 32)
    mask[:, :, 8:16, 10:] = 1
    assert torch.equal(ResidualUNet(width=8)(image, mask).output, harmonic(image, mask))
