"""The fills of OpenCV."""

import torch
from torch import Tensor, nn

from inpaint.batch import Outputs, from_uint8, to_uint8
from inpaint.fills.single import one_by_one


def _opencv(picture: Tensor, hole: Tensor, radius: float, method: str) -> Tensor:
    """`cv2.inpaint` on 8-bit RGB; the colour channels are filled one by one, so their order does not matter.

    OpenCV (5.0) reads a hole's own pixels where it touches the top or left edge of the picture: called on the truth, it
    gives some of it away. Here they are mid grey.
    """
    import cv2

    rgb = to_uint8(picture).permute(1, 2, 0).contiguous().numpy()
    filled = cv2.inpaint(rgb, hole.to(torch.uint8).numpy(), radius, getattr(cv2, method))
    return from_uint8(torch.from_numpy(filled)).permute(2, 0, 1)


class Telea(nn.Module):
    """Fast marching: each pixel, from the rim inwards, is a weighted mean of the known ones near it (Telea 2004).

    OpenCV's version, which works on 8-bit pixels. radius: of the neighbourhood, in pixels.
    """

    def __init__(self, radius: float = 3) -> None:
        super().__init__()
        self.radius = radius

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Fill the hole; shapes and ranges as in `inpaint.fills`."""
        return one_by_one(image, mask, lambda picture, hole: _opencv(picture, hole, self.radius, "INPAINT_TELEA"))


class NavierStokes(nn.Module):
    """Continues the lines of equal brightness into the hole as a fluid's stream lines (Bertalmio et al. 2001).

    OpenCV's version, which works on 8-bit pixels. radius: of the neighbourhood, in pixels.
    """

    def __init__(self, radius: float = 3) -> None:
        super().__init__()
        self.radius = radius

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Fill the hole; shapes and ranges as in `inpaint.fills`."""
        return one_by_one(image, mask, lambda picture, hole: _opencv(picture, hole, self.radius, "INPAINT_NS"))
