"""EdgeConnect: Generative Image Inpainting with Adversarial Edge Learning (Nazeri, Ng, Joseph et al., 2019).

First the edges of what is missing, then the picture that fits them. The networks are here; the order in which the
paper trains them is `inpaint/training/edge_connect.py`.
"""

import math

import torch
from kornia.color import rgb_to_grayscale
from kornia.filters import canny
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from inpaint.batch import Outputs, compose
from inpaint.fills import harmonic
from inpaint.networks.layers import crop, exact, normal_init, pad_to_multiple
from inpaint.settings import Refused, whole_numbers

MULTIPLE, MINIMUM = 4, 12  # reflect padding of 2 needs three positions at a quarter of the resolution


def grey_of(image: Tensor) -> Tensor:
    """Luma of a picture in [-1, 1] as ``(B, 1, H, W)`` in [0, 1]."""
    return rgb_to_grayscale((image.float() + 1) / 2)


@torch.no_grad()
def edges_of(grey: Tensor, sigma: float = 2.0) -> Tensor:
    """Canny's edges of grey pictures in [0, 1], on their device: 0 or 1, ``(B, 1, H, W)`` to the same.

    Thresholds 0.1 and 0.2 on the magnitude of the Sobel gradient, as scikit-image's; `sigma`, in pixels, of the
    Gaussian before it. In float32 whatever the autocast.
    """
    reach = math.ceil(3 * sigma)
    padded, _ = pad_to_multiple(grey.float(), grey, 1, reach + 1)  # the blur reflects the picture
    with exact(grey):
        _, edges = canny(padded, kernel_size=2 * reach + 1, sigma=(sigma, sigma))
    return crop(edges, grey)


class _Block(nn.Module):
    """``x + norm(conv(relu(norm(dilated(x)))))``, 3 x 3 with reflect padding."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=2, dilation=2, padding_mode="reflect", bias=False),
            nn.InstanceNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=False),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


def _network(before: int, after: int, width: int, blocks: int) -> nn.Sequential:
    """The skeleton of both generators (Johnson et al. 2016, with dilation), without what follows its last convolution.

    Every convolution but the last has instance norm without affine parameters (which would take a bias away, so there
    is none) and, but for the second in a block, ReLU; weights N(0, 0.02).
    """

    def normed(conv: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
        return [conv, nn.InstanceNorm2d(conv.out_channels), nn.ReLU(inplace=True)]

    network = nn.Sequential(
        *normed(nn.Conv2d(before, width, 7, padding=3, padding_mode="reflect", bias=False)),
        *normed(nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False)),
        *normed(nn.Conv2d(2 * width, 4 * width, 4, 2, 1, bias=False)),
        *(_Block(4 * width) for _ in range(blocks)),
        *normed(nn.ConvTranspose2d(4 * width, 2 * width, 4, 2, 1, bias=False)),
        *normed(nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False)),
        nn.Conv2d(width, after, 7, padding=3, padding_mode="reflect"),
    )
    normal_init(network)
    return network


class EdgeGenerator(nn.Module):
    """Draws the edges of the whole picture from those that are known; spectral norm on every convolution but the last.

    As published the grey picture has 1 (white) and the edges 0 in the hole.

    Args:
        width: channels of the first layer; twice and four times that below (published: 64).
        blocks: dilated residual blocks (published: 8).

    Shapes: grey, edges, mask ``(B, 1, H, W)`` in [0, 1]; returns ``(B, 1, H, W)``, the probability of an edge. Any
    H, W (padded to a multiple of 4).
    """

    def __init__(self, width: int = 64, blocks: int = 8) -> None:
        super().__init__()
        self.network = _network(3, 1, width, blocks)
        for layer in list(self.network[:-1].modules()):
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                spectral_norm(layer)

    def forward(self, grey: Tensor, edges: Tensor, mask: Tensor) -> Tensor:
        """Draw the edges: what `grey` and `edges` hold inside the hole is not read."""
        both, hole = pad_to_multiple(torch.cat([grey, edges], dim=1), mask, MULTIPLE, MINIMUM)
        missing = hole > 0.5
        seen = torch.cat([torch.where(missing, 1, both[:, :1]), torch.where(missing, 0, both[:, 1:]), hole], dim=1)
        return crop(torch.sigmoid(self.network(seen)), grey)


class EdgeConnect(nn.Module):
    """An edge generator, and an inpainting generator (10.8 M parameters) that paints along its edges.

    `forward` is the last of the published stages: known edges come from Canny, those in the hole from the edge
    generator, and gradients reach it through them. `paint` takes given edges, as the stage before does.

    As published the inpainting generator sees the picture in [0, 1] with 1 (white) in its hole, and the edges; the
    mask is no input of its own. The published ``(tanh + 1) / 2`` in [0, 1] is the tanh in this package's [-1, 1].

    Departures: Canny sees the hole filled harmonically, so that its border makes no edges, where the published code
    excludes the hole from scikit-image's blur; grey is the luma of ITU-R BT.601, not BT.709.

    Args:
        width: channels of the first layer of both; twice and four times that below (published: 64).
        blocks: dilated residual blocks of both (published: 8).
        sigma: of the Gaussian before Canny's gradient, in pixels (published: 2).

    Raises:
        Refused: a number that is too small.

    Shapes: image ``(B, 3, H, W)`` in [-1, 1], mask ``(B, 1, H, W)``; any H, W (padded to `multiple` and `minimum`).
    """

    multiple, minimum = MULTIPLE, MINIMUM

    def __init__(self, width: int = 64, blocks: int = 8, sigma: float = 2.0) -> None:
        super().__init__()
        whole_numbers("generator", width=width, blocks=blocks)
        if not 0 < sigma <= 100:  # the Gaussian has six times as many pixels in a row
            raise Refused(f"generator.sigma: {sigma} pixels, give more than 0 and no more than 100")
        self.sigma = sigma
        self.edges = EdgeGenerator(width, blocks)
        self.painter = nn.Sequential(_network(4, 3, width, blocks), nn.Tanh())

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Paint the picture: the pixels of `image` inside the hole are not read."""
        return self.paint(image, mask, self.edge_map(grey_of(image), mask))

    def edge_map(self, grey: Tensor, mask: Tensor) -> Tensor:
        """Edges of the known part, and what the edge generator draws in the hole: ``(B, 1, H, W)`` in [0, 1]."""
        known = self.known_edges(grey, mask)
        return torch.where(mask > 0.5, self.edges(grey, known, mask), known)

    def known_edges(self, grey: Tensor, mask: Tensor) -> Tensor:
        """Canny's edges of the known part of `grey`, ``(B, 1, H, W)`` in [0, 1]; 0 or 1, 0 in the hole."""
        return edges_of(harmonic(grey, mask), self.sigma) * (1 - mask)

    def paint(self, image: Tensor, mask: Tensor, edges: Tensor) -> Outputs:
        """Paint along `edges`, ``(B, 1, H, W)`` in [0, 1], of the known part and of the hole."""
        both, hole = pad_to_multiple(torch.cat([image, edges], dim=1), mask, self.multiple, self.minimum)
        white = torch.where(hole > 0.5, 1, (both[:, :3] + 1) / 2)
        output = self.painter(torch.cat([white, both[:, 3:]], dim=1))
        return compose(crop(output, image), image, mask)
