"""Networks that make pictures of more pixels: VDSR on luma, and the compact one of Real-ESRGAN.

They are given a picture with `scale` times fewer pixels a side than the mask, which says how large the truth is, and
look at all of it; with a scale of 1 they restore pictures of the truth's size.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from inpaint.batch import Outputs, compose
from inpaint.degradations.tone import luma
from inpaint.restoration import enlarged
from inpaint.settings import choice, whole_numbers


class VDSR(nn.Module):
    """Twenty layers that learn what a bicubic enlargement lacks (Kim et al. 2016, arXiv 1511.04587).

    They see luma alone, as in the paper; colours are bicubic. Departure: the paper's gradient clipping belongs to its
    rate of 0.1 and its loss, a sum over pixels; with Adam neither is needed.

    Args:
        width: channels, 64 in the paper.
        depth: layers, 20 in the paper: 665,921 parameters.

    Shapes: image ``(B, 3, h, w)`` in [-1, 1], mask ``(B, 1, H, W)``; output ``(B, 3, H, W)``.
    """

    def __init__(self, width: int = 64, depth: int = 20) -> None:
        super().__init__()
        whole_numbers("generator", width=width)
        whole_numbers("generator", least=2, depth=depth)
        layers: list[nn.Module] = [nn.Conv2d(1, width, 3, padding=1), nn.ReLU()]
        for _ in range(depth - 2):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, 1, 3, padding=1))
        he_initialise(self.layers)

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Enlarge the picture and add what is missing in its luma."""
        base = enlarged(image, mask)
        # Grey added to luma is added to the three channels alike.
        return compose(base + self.layers(luma(base)), image, mask)

    def initial_fill(self, image: Tensor, mask: Tensor) -> Tensor:
        """What it adds to: the bicubic enlargement, ``(B, 3, H, W)``."""
        return enlarged(image, mask)


class SRVGG(nn.Module):
    """The compact network of Real-ESRGAN (`SRVGGNetCompact`): all layers work on the small picture.

    Args:
        scale: how many times more pixels a side gets.
        width: channels, 64 as published.
        depth: convolutions between the first and the last, 16 as published: 621,424 parameters at a scale of 4.
        start: what is added to: ``nearest``, as published, or ``bicubic``, which starts where super-resolution begins.

    Shapes: image ``(B, 3, h, w)`` in [-1, 1], mask ``(B, 1, scale * h, scale * w)``; output ``(B, 3, H, W)``.
    """

    def __init__(self, scale: int = 2, width: int = 64, depth: int = 16, start: str = "bicubic") -> None:
        super().__init__()
        whole_numbers("generator", scale=scale, width=width)
        whole_numbers("generator", least=0, depth=depth)
        self.scale, self.start = scale, choice("generator.start", start, ("nearest", "bicubic"))
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1), nn.PReLU(width)]
        for _ in range(depth):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.PReLU(width)]
        last = nn.Conv2d(width, 3 * scale**2, 3, padding=1)
        self.layers = nn.Sequential(*layers, last)
        he_initialise(self.layers)
        nn.init.zeros_(last.weight)  # so that it begins as what it adds to

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Add to the start, block by block of ``scale x scale`` pixels."""
        detail = F.pixel_shuffle(self.layers(image), self.scale)
        return compose(self.initial_fill(image, mask) + detail, image, mask)

    def initial_fill(self, image: Tensor, mask: Tensor) -> Tensor:
        """What it adds to, ``(B, 3, H, W)``."""
        if self.start == "nearest":
            return F.interpolate(image, scale_factor=self.scale, mode="nearest")
        return enlarged(image, mask)


def he_initialise(layers: nn.Module) -> None:
    """Weights after He et al. 2015, for rectifiers with a slope of a quarter below zero; biases at zero.

    Networks without normalisation need it: with torch's own start the features of eight layers hardly vary over a
    picture, and a last layer that starts at zero learns nothing from them.
    """
    for layer in layers.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, a=0.25)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
