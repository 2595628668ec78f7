"""Degraded pictures that are there already, beside their truths."""

from torch import Tensor

from inpaint.degradations.kind import Degradation
from inpaint.settings import Refused, whole


class Paired(Degradation):
    """What is given comes with each photograph, as files (``data.given_root``): of a camera, or of another program.

    Args:
        scale: how many times fewer pixels a side the given pictures have.
    """

    def __init__(self, scale: int = 1) -> None:
        super().__init__(stored=True)
        self.scale = whole("degradation.scale", scale, 1)

    def apply(self, image: Tensor, keys: Tensor) -> Tensor:
        """Nothing is made of a truth alone.

        Raises:
            Refused: always, as in a sequence, or on pictures that come without such files.
        """
        raise Refused("degradation: paired takes pictures from files and makes none; it is no part of a sequence")
