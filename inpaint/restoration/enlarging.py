"""The given picture itself, as large as the truth."""

from torch import Tensor, nn

from inpaint.batch import Outputs, compose
from inpaint.degradations.resampling import resized


class Bicubic(nn.Module):
    """The given picture itself, made as large as the truth (MATLAB's bicubic to 0.01 dB): to be beaten by all."""

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Enlarge; shapes and ranges as in `inpaint.restoration`."""
        return compose(enlarged(image, mask), image, mask)


def enlarged(image: Tensor, mask: Tensor) -> Tensor:
    """What is given, ``(B, 3, h, w)``, at the size of the mask ``(B, 1, H, W)``: bicubic where it has fewer pixels."""
    if image.shape[2:] == mask.shape[2:]:
        return image
    return resized(image, (mask.shape[2], mask.shape[3]), "bicubic")
