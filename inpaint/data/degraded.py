"""How pictures are degraded in a batch, where they have holes as well."""

from collections.abc import Sequence

from torch import Tensor

from inpaint.batch import emptied
from inpaint.degradations import Degradation
from inpaint.masks import Full, Masks
from inpaint.settings import Refused


def degraded(degradation: Degradation, image: Tensor, mask: Tensor, keys: Tensor, masks: Masks | None) -> Tensor:
    """What the generator is given of the truth `image`, ``(B, 3, H, W)``.

    Args:
        degradation: what happens to it.
        mask: the holes, ``(B, 1, H, W)``.
        keys: int64 ``(B,)``.
        masks: what drew the holes. `Full` says that all of the picture is to be restored, and hides nothing of it;
            other holes are emptied.
    """
    made = degradation(image, keys)
    return made if isinstance(masks, Full) else emptied(made, mask)


def check_scale(scale: int, crop: int, ramp: Sequence[Sequence[int]], masks: Sequence[Masks | None]) -> None:
    """Whether pictures can be made so many times smaller.

    Raises:
        Refused: a crop has a side that cannot, or there are holes, which have the truth's size.
    """
    if scale == 1:
        return
    for side in (crop, *(side for _, side in ramp)):
        if side % scale:
            raise Refused(f"data.crop: {side} pixels a side cannot be made {scale} times fewer, as degradation asks")
    if not all(isinstance(kind, Full) for kind in masks):
        raise Refused("masks: where degradation makes pictures smaller, all is to be restored; choose masks=full")
