"""Classical ways to restore a degraded picture: what stands beside a network in the table, without training.

Every class is an `nn.Module` without parameters, called as a generator is: ``restore(image, mask) -> Outputs``.

* image: what is given, float32 ``(B, 3, h, w)``; it may leave [-1, 1].
* mask: float32 ``(B, 1, H, W)``, exactly 0 or 1, 1 = to be restored. H and W are the truth's, h and w or a whole
  multiple of them.
* output and composite: ``(B, 3, H, W)``; outside the mask the composite is the given picture.
"""

from torch import Tensor, nn

from inpaint.batch import Outputs, compose
from inpaint.degradations.resampling import resized


class Bicubic(nn.Module):
    """The given picture itself, made as large as the truth (MATLAB's bicubic to 0.01 dB): to be beaten by all."""

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Enlarge; shapes and ranges as in the module's docstring."""
        return compose(enlarged(image, mask), image, mask)


def enlarged(image: Tensor, mask: Tensor) -> Tensor:
    """What is given, ``(B, 3, h, w)``, at the size of the mask ``(B, 1, H, W)``: bicubic where it has fewer pixels."""
    if image.shape[2:] == mask.shape[2:]:
        return image
    return resized(image, (mask.shape[2], mask.shape[3]), "bicubic")
