"""Free-Form Image Inpainting with Gated Convolution (DeepFill v2; Yu et al., ICCV 2019)."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from inpaint.batch import Verdict
from inpaint.networks.layers import normal_init
from inpaint.settings import Refused, whole


class SNPatch(nn.Module):
    """SN-PatchGAN (section 3.3): 5 x 5 convolutions of stride 2 with spectral norm, and every feature is a logit.

    There is no last convolution to one channel: the 256 channels at each of the h x w places of the last layer are
    256 judgements of that place, each with the hinge loss (``adversarial=hinge``), and the leaky ReLU 0.2 comes after
    that layer too. The mask is an input. Six layers see all of a 256 px picture at most places. 5.95 M parameters.

    Departure: two pixels of padding on every side, where TensorFlow's SAME puts one before and two after; the sizes of
    the maps are the same.

    Args:
        width: channels of the first layer; they double up to 4 times that (published: 64 to 256).
        layers: strided layers (published: 6).

    Raises:
        Refused: a number that is not whole, or fewer than two layers.

    Shapes: image ``(B, 3, H, W)`` in [-1, 1], mask ``(B, 1, H, W)``; one map of logits ``(B, 4 * width, h, w)`` with
    ``h = ceil(H / 2 ** layers)``, and the activations of the layers before.
    """

    def __init__(self, width: int = 64, layers: int = 6) -> None:
        super().__init__()
        whole("discriminator.width", width, 1)
        if whole("discriminator.layers", layers, 1) < 2:
            raise Refused(f"discriminator.layers: {layers} strided layers, at least 2 are needed")
        widths = [4] + [width * 2 ** min(layer, 2) for layer in range(layers)]
        self.layers = nn.ModuleList(nn.Conv2d(before, after, 5, 2, 2) for before, after in pairwise(widths))
        self.activation = nn.LeakyReLU(0.2)
        normal_init(self)
        for layer in self.layers:
            spectral_norm(layer)

    def forward(self, image: Tensor, mask: Tensor) -> Verdict:
        """Judge every place of the last layer by all of its channels."""
        x = torch.cat([image, mask], dim=1)
        activations = []
        for layer in self.layers:
            x = self.activation(layer(x))
            activations.append(x)
        return Verdict((x,), (tuple(activations[:-1]),))
