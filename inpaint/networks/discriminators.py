"""Networks that judge pictures: ``(image, mask) -> Verdict``."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from inpaint.batch import Verdict
from inpaint.networks.layers import normal_init


class Patch(nn.Module):
    """PatchGAN (Isola et al. 2017, section 3.2.2), with spectral norm (Miyato et al. 2018) in place of batch norm.

    4 x 4 convolutions with leaky ReLU 0.2: `layers` of stride 2, one of stride 1, and a last one to a single channel.
    With 3 layers a logit sees 70 x 70 pixels, with 2 it sees 34 x 34.

    Args:
        width: channels of the first layer; they double up to 8 times that.
        layers: strided layers.
        spectral: spectral norm on every layer but the last (as in AOT-GAN): with a norm of 1 there as well, the logits
            of blurred and of sharp patches stay so close that short trainings learn nothing from them.
        sees_mask: the mask is a fourth input channel, so that known pixels help to judge the painted ones.

    Shapes: image ``(B, 3, H, W)`` in [-1, 1], mask ``(B, 1, H, W)``; one map of logits ``(B, 1, h, w)``, and the
    activations after each leaky ReLU.
    """

    def __init__(self, width: int = 64, layers: int = 3, spectral: bool = True, sees_mask: bool = True) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"discriminator.layers: {layers} strided layers, at least 1 is needed")
        self.sees_mask = sees_mask
        widths = [3 + int(sees_mask)] + [min(width * 2**layer, width * 8) for layer in range(layers + 1)]
        strides = [2] * layers + [1]
        blocks = []
        for (before, after), stride in zip(pairwise(widths), strides, strict=True):
            blocks.append(nn.Sequential(nn.Conv2d(before, after, 4, stride, 1), nn.LeakyReLU(0.2)))
        self.layers = nn.ModuleList(blocks)
        self.last = nn.Conv2d(widths[-1], 1, 4, 1, 1)
        normal_init(self)
        if spectral:
            for block in blocks:
                spectral_norm(block[0])

    def forward(self, image: Tensor, mask: Tensor) -> Verdict:
        """Judge the patches."""
        x = torch.cat([image, mask], dim=1) if self.sees_mask else image
        features = []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return Verdict((self.last(x),), (tuple(features),))
