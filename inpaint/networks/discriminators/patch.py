"""PatchGAN, and several of them at several scales."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from inpaint.batch import Verdict
from inpaint.networks.layers import INITS, NORMS
from inpaint.settings import Refused, choice, whole, whole_numbers


class Patch(nn.Module):
    """PatchGAN (Isola et al. 2017, section 3.2.2), with spectral norm (Miyato et al. 2018) in place of batch norm.

    4 x 4 convolutions with leaky ReLU 0.2: `layers` of stride 2, one of stride 1, and a last one to a single channel.
    With 3 layers a logit sees 70 x 70 pixels, with 2 it sees 34 x 34.

    It is also the discriminator of three other papers, with `sees_mask` and `spectral` as they have it:
    AOT-GAN (Zeng et al. 2021; 3 layers, spectral norm, `bias` false: 2,763,777 parameters,
    ``discriminator=soft_mask_patch``), EdgeConnect (Nazeri et al. 2019; the same without `last_bias`: 2,763,776
    parameters), and LaMa (Suvorov et al. 2022; 4 layers, batch norm, padding 2, `init` torch: 6,962,369 parameters).

    Args:
        width: channels of the first layer; they double up to 8 times that.
        layers: strided layers.
        spectral: spectral norm on every layer but the last (as in AOT-GAN): with a norm of 1 there as well, the logits
            of blurred and of sharp patches stay so close that short trainings learn nothing from them.
        sees_mask: the mask is a fourth input channel, so that known pixels help to judge the painted ones.
        sees_given: so are the three channels of what the generator is given, as in pix2pix, where both are of one size.
        norm: `none`, `batch`, `instance` or `group` after every convolution but the first and the last, see
            `layers.NORMS`.
        padding: of every convolution, pixels; with 2 (pix2pixHD, LaMa) the map has more logits, and of the border too.
        bias: of every convolution but the last.
        last_bias: of the last convolution.
        init: the initial weights: `normal`, N(0, 0.02), as in most papers; or `torch`, torch's own, as in LaMa's code,
            whose first logits are a third as far apart.

    Raises:
        Refused: a number that is not whole or too small, or a norm or `init` that does not exist.

    Shapes: image ``(B, 3, H, W)`` in [-1, 1], mask ``(B, 1, H, W)``; one map of logits ``(B, 1, h, w)``, and the
    activations after each leaky ReLU.
    """

    def __init__(
        self,
        width: int = 64,
        layers: int = 3,
        spectral: bool = True,
        sees_mask: bool = True,
        norm: str = "none",
        padding: int = 1,
        bias: bool = True,
        last_bias: bool = True,
        init: str = "normal",
        sees_given: bool = False,
    ) -> None:
        super().__init__()
        whole_numbers("discriminator", width=width, layers=layers)
        whole_numbers("discriminator", least=0, padding=padding)
        choice("discriminator.norm", norm, NORMS)
        choice("discriminator.init", init, INITS)
        self.sees_mask, self.needs = sees_mask, ("given",) if sees_given else ()
        widths = [3 + int(sees_mask) + 3 * int(sees_given)] + [
            min(width * 2**layer, width * 8) for layer in range(layers + 1)
        ]
        strides = [2] * layers + [1]
        self.layers = nn.ModuleList()
        convolutions = []
        for place, ((before, after), stride) in enumerate(zip(pairwise(widths), strides, strict=True)):
            convolutions.append(nn.Conv2d(before, after, 4, stride, padding, bias=bias))
            normalised = NORMS[norm if place else "none"](after)
            self.layers.append(nn.Sequential(convolutions[-1], normalised, nn.LeakyReLU(0.2)))
        self.last = nn.Conv2d(widths[-1], 1, 4, 1, padding, bias=last_bias)
        INITS[init](self)
        if spectral:
            for convolution in convolutions:
                spectral_norm(convolution)

    def forward(self, image: Tensor, mask: Tensor, given: Tensor | None = None) -> Verdict:
        """Judge the patches; `given` ``(B, 3, H, W)`` where it is seen."""
        beside = [mask] if self.sees_mask else []
        if self.needs:
            if given is None or given.shape != image.shape:
                raise Refused("discriminator.sees_given: the generator is given no picture of the truth's size")
            beside.append(given.to(image.dtype))
        x = torch.cat([image, *beside], dim=1) if beside else image
        features = []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return Verdict((self.last(x),), (tuple(features),))


class MultiScale(nn.Module):
    """Equal PatchGANs on the picture and on coarser versions of it (pix2pixHD, Wang et al. 2018, section 3.2).

    Each scale is the one before, averaged over 3 x 3 pixels at stride 2. Published: 3 scales (2 in the authors' code)
    of 3 strided layers, padding 2, instance norm, least squares, and feature matching over all activations. The paper
    sums the adversarial loss over the scales where ours takes the mean, so a weight of 1 there is one of `scales` here.
    With `sees_mask` the mask is averaged along with the picture.

    Args:
        scales: number of PatchGANs.
        width, layers, spectral, sees_mask, norm, padding: of each, see `Patch`.

    Raises:
        Refused: no scale, and what `Patch` raises.

    Shapes: image ``(B, 3, H, W)`` in [-1, 1], mask ``(B, 1, H, W)``; a map of logits ``(B, 1, h, w)`` and features for
    each scale, the finest first. With 2 scales of 3 layers the sides are at least 16 pixels.
    """

    def __init__(
        self,
        scales: int = 2,
        width: int = 64,
        layers: int = 3,
        spectral: bool = False,
        sees_mask: bool = False,
        norm: str = "instance",
        padding: int = 2,
    ) -> None:
        super().__init__()
        whole("discriminator.scales", scales, 1)
        self.scales = nn.ModuleList(Patch(width, layers, spectral, sees_mask, norm, padding) for _ in range(scales))

    def forward(self, image: Tensor, mask: Tensor) -> Verdict:
        """Judge the patches of every scale."""
        verdicts = []
        for scale in self.scales:
            verdicts.append(scale(image, mask))
            image, mask = (F.avg_pool2d(x, 3, 2, 1, count_include_pad=False) for x in (image, mask))
        return Verdict(
            tuple(logits for verdict in verdicts for logits in verdict.logits),
            tuple(features for verdict in verdicts for features in verdict.features),
        )
