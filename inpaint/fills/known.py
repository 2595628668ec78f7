"""What is known of a picture with a hole, and the fill that takes only its mean."""

import torch
from torch import Tensor, nn

from inpaint.batch import Outputs, compose


def clear(image: Tensor, mask: Tensor) -> Tensor:
    """The image with 0 in its hole; a selection, because 0 times NaN is NaN."""
    return torch.where(mask > 0.5, 0, image)


class Mean(nn.Module):
    """The mean colour of each picture's known pixels: the floor that every other method has to beat."""

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Fill the hole; shapes and ranges as in `inpaint.fills`."""
        known = clear(image, mask)
        count = (1 - mask).sum((2, 3), keepdim=True).clamp_min(1)
        mean = known.sum((2, 3), keepdim=True) / count
        return compose(torch.where(mask > 0.5, mean, image), image, mask)
