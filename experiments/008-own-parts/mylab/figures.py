"""A figure of the table."""

from typing import ClassVar

from torch import Tensor

from inpaint.metrics.columns import Column
from inpaint.metrics.figure import Figure


class ColourShift(Figure):
    """How far the mean colour of the repaired hole is from the true one."""

    column: ClassVar[Column] = Column(
        title="colour shift",
        unit="%",
        digits=2,
        higher_is_better=False,
        definition="mean over RGB of |mean colour painted in the hole - mean there|, 255 = 100 %; lower is better",
    )

    def forward(self, painted: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """``(B,)``; NaN for an empty hole."""
        error = ((painted - truth) * mask).sum(dim=(2, 3)) / mask.sum(dim=(2, 3))
        return 50 * error.abs().mean(dim=1)
