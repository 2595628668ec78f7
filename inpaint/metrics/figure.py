"""A figure of one's own, beside those of `metrics.columns`."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, TypeVar

from torch import Tensor, nn

from inpaint.metrics.columns import Column, add_column
from inpaint.settings import Refused

Made = TypeVar("Made", bound="Figure")


class Figure(nn.Module, ABC):
    """One number for each repaired picture: ``figure(painted, truth, mask)``.

    Attributes:
        column: how it is named, printed and judged.
    """

    column: ClassVar[Column]

    @abstractmethod
    def forward(self, painted: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """The figure of each picture.

        Args:
            painted: composites, float32 ``(B, 3, H, W)`` in [-1, 1], rounded to 8 bits.
            truth: likewise.
            mask: float32 ``(B, 1, H, W)``, 1 = hole.

        Returns:
            ``(B,)``; NaN where a picture has none.
        """


def known(figures: Mapping[str, Made]) -> dict[str, Made]:
    """Figures by name, after their columns are among those that tables have.

    Raises:
        Refused: one has no column, or the name of another figure.
    """
    for name, figure in figures.items():
        column = getattr(type(figure), "column", None)
        if not isinstance(column, Column):
            raise Refused(f"figures.{name}: {type(figure).__name__} has no attribute column, a metrics.columns.Column")
        add_column(name, column)
    return dict(figures)


def one_a_picture(name: str, values: Tensor, pictures: int) -> Tensor:
    """What a figure gave, which has to be a number for each picture.

    Raises:
        Refused: it is something else.
    """
    if not isinstance(values, Tensor) or values.shape != (pictures,) or not values.is_floating_point():
        what = f"{values.dtype} {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
        raise Refused(f"figures.{name}: a figure gives floats ({pictures},), one for each picture; got {what}")
    return values
