"""JPEG."""

from collections.abc import Sequence

from kornia.enhance import jpeg_codec_differentiable
from torch import Tensor

from inpaint.degradations.kind import Degradation, between, span


class Jpeg(Degradation):
    """JPEG's quantisation on the device, each picture with its own quality.

    It is kornia's codec, 38 to 48 dB from what libjpeg makes of the same picture with 4:2:0 chroma.

    Args:
        quality: as libjpeg counts it, or [least, greatest], 1 to 100.
        stored: as in `Degradation`.
    """

    def __init__(self, quality: float | Sequence[float] = (30.0, 95.0), stored: bool = True) -> None:
        super().__init__(stored)
        self.quality = span("quality", quality, 1, 100, "libjpeg's quality")

    def apply(self, image: Tensor, keys: Tensor) -> Tensor:
        """Compress."""
        return compressed(image, between(keys, "quality", self.quality))


def compressed(image: Tensor, quality: Tensor) -> Tensor:
    """Pictures ``(B, 3, H, W)`` in [-1, 1] after JPEG of the qualities ``(B,)``."""
    return 2 * jpeg_codec_differentiable(((image + 1) / 2).clamp(0, 1), quality) - 1
