"""A generator."""

import torch
from torch import Tensor, nn

from inpaint.batch import Outputs, compose
from inpaint.settings import whole


class Dilated(nn.Module):
    """Convolutions of growing dilation (Yu and Koltun 2016) and a last one to colours.

    Args:
        width: channels of each layer.
        layers: convolutions, of dilation 1, 2, 4, ...

    Shapes: image ``(B, 3, H, W)`` in [-1, 1] with its hole emptied, mask ``(B, 1, H, W)``; any H and W.
    """

    def __init__(self, width: int = 32, layers: int = 4) -> None:
        super().__init__()
        whole("generator.width", width, 1)
        whole("generator.layers", layers, 1)
        widths = [4, *[width] * layers]
        self.layers = nn.ModuleList(
            nn.Conv2d(widths[place], width, 3, padding=2**place, dilation=2**place) for place in range(layers)
        )
        self.colours = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Paint the whole picture and paste it into the hole."""
        x = torch.cat([image, mask], dim=1)
        for layer in self.layers:
            x = layer(x).relu()
        return compose(self.colours(x).tanh(), image, mask)
