"""A GAN of two small networks without batch norm, for tests of the update."""

import torch

from inpaint import rng
from inpaint.losses.adversarial import NonSaturating
from inpaint.losses.reconstruction import L1
from inpaint.networks.discriminators import Patch
from inpaint.networks.generators.residual_unet import ResidualUNet
from inpaint.training.gan import InpaintingGAN


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.05)


def tiny(seed=0, **parts):
    """The same weights wherever it is made; `parts` replace arguments of `InpaintingGAN`."""
    rng.seed_all(seed)
    defaults = {
        "generator": ResidualUNet(width=4, levels=1),
        "losses": {"l1": L1()},
        "generator_optimizer": sgd,
        "discriminator": Patch(width=4, layers=1),
        "adversarial": NonSaturating(weight=0.1),
        "discriminator_optimizer": sgd,
    }
    return InpaintingGAN(**(defaults | parts))
