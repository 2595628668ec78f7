"""Learned perceptual image patch similarity (Zhang, Isola, Efros, Shechtman, Wang, CVPR 2018)."""

from pathlib import Path

import torch
from torch import Tensor

from inpaint.batch import stored
from inpaint.networks.backbones import HoldsBackbone, shared
from inpaint.settings import Refused

# Of each variant: the backbone, the layers that are compared, and their channels, which a file of heads must fit.
VARIANTS: dict[str, tuple[str, dict[str, int]]] = {
    "alex": ("alexnet", {"relu1": 64, "relu2": 192, "relu3": 384, "relu4": 256, "relu5": 256}),
    "vgg": ("vgg16", {"relu1_2": 64, "relu2_2": 128, "relu3_3": 256, "relu4_3": 512, "relu5_3": 512}),
    "squeeze": (
        "squeezenet1_1",
        {"relu1": 64, "fire3": 128, "fire5": 256, "fire6": 384, "fire7": 384, "fire8": 512, "fire9": 512},
    ),
}

LEAST = 32  # pixels; less does not come through all layers


class LPIPS(HoldsBackbone):
    """How differently two pictures are seen, version 0.1 with linear heads: 0 for equal ones, lower is better.

    Features at five (squeeze: seven) layers are scaled to length 1 over the channels; their squared difference, each
    channel weighed by the head, is averaged over the places and summed over the layers. In float32 whatever the
    autocast, on pixels rounded to 8 bits. As published it is measured on whole pictures; a figure belongs to its size
    and to its variant.

    Args:
        variant: `alex` (what most papers report), `vgg` or `squeeze`.
        weights: of the backbone, see `backbones.Backbone`; None is torch's hub cache or a download.
        heads: a file of linear heads; None is the authors', which come with this package (``lpips_v0.1``, with their
            licence).

    Raises:
        Refused: a variant that does not exist, or files that are nowhere to be found or do not fit.
    """

    def __init__(self, variant: str = "alex", weights: str | None = None, heads: str | None = None) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise Refused(f"lpips.variant: {variant!r} is none of {tuple(VARIANTS)}")
        network, channels = VARIANTS[variant]
        self.variant = variant
        self.layers = tuple(channels)
        self.hold(shared(network, weights, "torchvision", self.layers, "lpips"))
        for place, head in enumerate(_heads(variant, heads)):
            self.register_buffer(f"head_{place}", head, persistent=False)

    @torch.no_grad()
    def forward(self, painted: Tensor, truth: Tensor) -> Tensor:
        """Distances, float32 ``(B,)``, of pictures ``(B, 3, H, W)`` in [-1, 1].

        NaN with a side below 32 pixels, or a pixel that is not finite.
        """
        if min(truth.shape[-2:]) < LEAST:
            return torch.full((len(truth),), torch.nan, device=truth.device)
        painted, truth = (stored(picture) for picture in (painted, truth))
        with torch.autocast(truth.device.type, enabled=False):
            total = torch.zeros(len(truth), device=truth.device)
            pairs = zip(self.backbone(painted, self.layers), self.backbone(truth, self.layers), strict=True)
            for place, (mine, theirs) in enumerate(pairs):
                total += _difference(mine, theirs, self.get_buffer(f"head_{place}"))
        return total


def _difference(mine: Tensor, theirs: Tensor, head: Tensor) -> Tensor:
    """Of one layer's features ``(B, C, h, w)``: ``(B,)``. On a CPU one by one, which fits its cache."""
    if not mine.is_cuda and len(mine) > 1:
        return torch.cat([_difference(*pair, head) for pair in zip(mine.split(1), theirs.split(1), strict=True)])
    difference = _directions(mine).sub_(_directions(theirs)).square_()
    return (difference.mean(dim=(2, 3), keepdim=True) * head).sum(dim=(1, 2, 3))


def _directions(features: Tensor) -> Tensor:
    """``(B, C, h, w)`` scaled to length 1 over C."""
    return features / (features.square().sum(dim=1, keepdim=True).sqrt() + 1e-10)


def _heads(variant: str, file: str | None) -> list[Tensor]:
    """The weights of each layer's channels, ``(1, C, 1, 1)``."""
    path = Path(file) if file is not None else Path(__file__).parent / "lpips_v0.1" / f"{variant}.pth"
    if not path.is_file():
        raise Refused(f"lpips.heads: there is no file {path}")
    state = torch.load(path, map_location="cpu", weights_only=True)
    channels = list(VARIANTS[variant][1].values())
    heads = [state.get(f"lin{place}.model.1.weight") for place in range(len(channels))]
    for head, count in zip(heads, channels, strict=True):
        if head is None or head.shape != (1, count, 1, 1):
            raise Refused(f"lpips.heads: {path} does not hold the {len(channels)} heads of {variant}")
    return [head.float() for head in heads]
