"""What a source of another package promises (`sources.Source`), tried on one picture of each split."""

from collections.abc import Mapping
from typing import Any, get_args

import torch
from torch import Tensor

from inpaint.data.sources import Source
from inpaint.data.splits import Split
from inpaint.pictures.reading import BadImage
from inpaint.settings import Refused

NAMES = ("masked", "mask_reader", "count", "name", "size", "read", "shards")


def check_source(source: Source) -> None:
    """Refuse a source that is not of this package and breaks its promise, before its pictures are kept.

    Raises:
        Refused: naming the class, what it should give and what it gave.
    """
    name = f"{type(source).__module__}.{type(source).__name__}"
    if name.startswith("inpaint."):
        return
    if lacking := [word for word in NAMES if not hasattr(source, word)]:
        raise Refused(f"data: {name} has no {', '.join(lacking)}, which inpaint.data.sources.Source has")
    for split in get_args(Split):
        if not isinstance(count := source.count(split), int):
            raise Refused(f"data: {name} should count the pictures of {split}; it gave {count!r}")
        if count:
            _check_picture(name, source, split)


def _check_picture(name: str, source: Source, split: Split) -> None:
    try:
        size, picture = source.size(split, 0), source.read(split, 0)
    except BadImage:  # which has rules of its own
        return
    if not isinstance(picture, Mapping):
        raise Refused(f"data: {name} should read a dict with the picture as image; it gave a {type(picture).__name__}")
    wanted = {"image": 3 * getattr(source, "frames", 1)} | ({"mask": 1} if source.masked else {})
    for key, channels in wanted.items():
        pixels: Any = picture.get(key)
        fits = isinstance(pixels, Tensor) and pixels.dtype == torch.uint8 and pixels.dim() == 3
        if not fits or len(pixels) != channels:
            got = type(pixels).__name__ if not isinstance(pixels, Tensor) else f"{pixels.dtype} {tuple(pixels.shape)}"
            raise Refused(f"data: {name} should read {key} as uint8 ({channels}, H, W); it gave {got}")
        if size is not None and tuple(size) != pixels.shape[1:]:
            raise Refused(
                f"data: {name} should give the size, height and width, of what it reads, {tuple(pixels.shape[1:])}; it "
                f"gave {tuple(size)}"
            )
        if key == "mask" and pixels.max() > 1:
            raise Refused(f"data: {name} should read a mask of 0 and 1; it gave values up to {pixels.max()}")
