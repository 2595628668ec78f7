"""A loss."""

from torch import Tensor

from inpaint.batch import Batch, Outputs
from inpaint.losses.term import Term


class Edges(Term):
    """Mean absolute difference of the differences between neighbouring pixels, of composite and truth."""

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__(weight, needs=["composite"])

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        """A scalar."""
        error = outputs.composite.float() - batch["image"]
        return error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
