"""How pictures are degraded in a batch, where they have holes as well, and those that come with a degraded one."""

from collections.abc import Sequence

from torch import Tensor

from inpaint.batch import emptied, from_uint8
from inpaint.data.augmentation import Augmentation
from inpaint.data.sources import Source, say
from inpaint.degradations import Degradation, Paired
from inpaint.masks import Masks
from inpaint.settings import Refused, whole


def degraded(
    degradation: Degradation, image: Tensor, companion: Tensor, mask: Tensor, keys: Tensor, masks: Masks | None
) -> Tensor:
    """What the generator is given of the truth `image`, ``(B, 3, H, W)``.

    Args:
        degradation: what happens to it.
        companion: the degraded picture that each comes with, ``(B, 3, H, W)``, each pixel of it a square of `scale` of
            them a side; or none, ``(B, 0, H, W)``.
        mask: the holes, ``(B, 1, H, W)``.
        keys: int64 ``(B,)``.
        masks: what drew the holes. Where they are `whole`, all of the picture is to be restored and nothing of it is
            hidden; other holes are emptied.
    """
    if isinstance(degradation, Paired):
        middle, scale = degradation.scale // 2, degradation.scale
        made = companion[..., middle::scale, middle::scale].contiguous()
    else:
        made = degradation(image, keys)
    return made if masks is not None and masks.whole else emptied(made, mask)


def apart(tile: Tensor) -> tuple[Tensor, Tensor]:
    """The channels of tiles, uint8 ``(B, C, H, W)``, as pictures in [-1, 1], one behind the other, and mask.

    Of three channels each and one; none of what there is not.
    """
    colours = tile.shape[1] // 3 * 3
    return from_uint8(tile[:, :colours]), tile[:, colours:].float()


def check_pairs(
    degradation: Degradation | None, source: Source, augmentation: Augmentation, ramp: Sequence[Sequence[int]]
) -> None:
    """Whether photographs come with degraded ones where they have to, and both can be cropped alike.

    Raises:
        Refused: naming the setting.
    """
    scale = getattr(source, "given_scale", 0)
    if not isinstance(degradation, Paired):
        if scale:
            say("data.given_root: not looked at; degradation=paired gives those pictures")
        return
    if not scale:
        raise Refused(
            "degradation: paired needs photographs that come with degraded ones; give data=folder data.given_root=DIR"
        )
    if degradation.scale != scale:
        raise Refused(
            f"degradation.scale: {degradation.scale}, and the given pictures have {scale} times fewer pixels a side "
            f"than their truths; degradation.scale={scale} is right"
        )
    colours = [name for name in ("brightness", "contrast", "saturation", "hue") if getattr(augmentation, name)]
    if colours:
        raise Refused(f"data.augmentation.{colours[0]}: changes the truth and not what is given with it; set it to 0")
    if scale > 1 and (ramp or not augmentation.is_plain):
        raise Refused(
            "data.augmentation: resamples the truth, and the given pictures have other pixels; give "
            "'data.augmentation.zoom=[1,1]', no rotate, shear or perspective, and no data.ramp"
        )


def check_scale(
    degradation: Degradation | None, crop: int, ramp: Sequence[Sequence[int]], masks: Sequence[Masks | None]
) -> None:
    """Whether pictures can be made as many times smaller as a degradation makes them.

    Raises:
        Refused: the scale is no whole number, a crop has a side that cannot, or there are holes, which have the truth's
            size.
    """
    scale = 1 if degradation is None else degradation.scale
    if whole("degradation.scale", scale, 1) == 1:
        return
    for side in (crop, *(side for _, side in ramp)):
        if side % scale:
            raise Refused(f"data.crop: {side} pixels a side cannot be made {scale} times fewer, as degradation asks")
    if not all(kind is not None and kind.whole for kind in masks):
        raise Refused("masks: where degradation makes pictures smaller, all is to be restored; choose masks=full")
