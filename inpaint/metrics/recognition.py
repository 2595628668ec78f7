"""Whether a classifier says the same of a repaired picture as of the original."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from inpaint.metrics.foreign import DEVIATION, MEAN, Foreign


class Recogniser(nn.Module):
    """A classifier from a file: what it takes a picture for.

    Args:
        file: TorchScript or ONNX, see `Foreign`; one output a class.
        size: pixels that pictures are resized to.
        mean: of each channel, RGB in [0, 1], as in the classifier's training.
        deviation: of each channel.

    Raises:
        Refused: a file that is not there or is no classifier of pictures.
    """

    def __init__(
        self,
        file: Path,
        size: int = 224,
        mean: Sequence[float] = MEAN,
        deviation: Sequence[float] = DEVIATION,
    ) -> None:
        super().__init__()
        self.network = Foreign(file, "recogniser", size, mean, deviation)

    def forward(self, pictures: Tensor) -> Tensor:
        """The class of the largest output, int64 ``(B,)``, of pictures ``(B, 3, H, W)`` in [-1, 1]."""
        return self.network(pictures).argmax(dim=1)
