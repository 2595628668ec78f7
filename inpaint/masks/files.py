"""Holes from mask pictures on disk."""

import logging
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from inpaint.masks.frozen import MANIFEST, Frozen
from inpaint.masks.kind import EVERY_AREA, Masks, between, sine, span, whole
from inpaint.masks.pool import Pool, from_centre, grown, reduced
from inpaint.masks.shapes import Size
from inpaint.pictures.mask_files import MaskReader, Polarity, Threshold, check_shares
from inpaint.pictures.pairing import find_images
from inpaint.pictures.reading import BadImage
from inpaint.progress import track
from inpaint.settings import Refused

log = logging.getLogger(__name__)

UNCLEAR = (0.4, 0.6)  # mean white shares that do not tell whether white is the hole


class Files(Masks):
    """Masks from a folder of pictures, such as the irregular masks of partial convolutions (Liu et al. 2018).

    Every sample takes one file at random. It is made just large enough to cover the picture, times `scale`, and put
    anywhere in the room that leaves; what lies outside the file is known. With the defaults, a file of the picture's
    size is taken pixel by pixel. The files are read once and kept with one bit a pixel.

    A folder that holds the manifest of a frozen set (`inpaint.masks.frozen`) gives each validation crop the very mask
    that was frozen for it, and nothing else.

    Args:
        root: the folder, searched with its sub-folders; jpg, png, webp, tif, bmp.
        polarity: "white" or "black": what the hole is in the files. "auto": what covers less of them all.
        threshold: grey levels at or above it are white, 1..255, or "auto"; null demands files of two levels.
        side: files whose shorter side has more pixels than this are reduced to it.
        flip: mirror half of the masks left to right, and half of them top to bottom.
        rotate: least and most turn about the picture's centre, degrees, -360..360.
        scale: smallest and largest size, 1 covers the picture, 0.1..10.
        dilate: least and most growth of the hole, in all directions, a fraction of the picture's shorter side, 0..0.25.
        area: least and greatest share of the picture that a hole may cover, see `Masks`.
        channel: what of a file is its mask, see `pictures.mask_files.MaskReader`.

    Raises:
        Refused: the folder is missing or empty, a file is unreadable, not binary, or a link to elsewhere, no file has a
            hole, or the polarity cannot be told.
    """

    def __init__(
        self,
        root: str,
        polarity: Polarity | Literal["auto"] = "auto",
        threshold: Threshold = None,
        side: int = 512,
        flip: bool = False,
        rotate: Sequence[float] = (0.0, 0.0),
        scale: Sequence[float] = (1.0, 1.0),
        dilate: Sequence[float] = (0.0, 0.0),
        area: Sequence[float] = EVERY_AREA,
        channel: str = "auto",
    ) -> None:
        super().__init__(area)
        if polarity not in ("auto", "white", "black"):
            raise Refused(f"masks.polarity: give auto, white or black, what the hole is; got {polarity!r}")
        reader = MaskReader(threshold, channel, prefix="masks.")
        if not (isinstance(side, int) and side >= 1):
            raise Refused(f"masks.side: give a number of pixels from 1 up; got {side!r}")
        self.root, self.flip = Path(root), flip
        self.rotate = span("rotate", rotate, -360, 360, "two angles in degrees")
        self.scale = span("scale", scale, 0.1, 10, "two sizes, of which 1 covers the picture")
        self.dilate = span("dilate", dilate, 0, 0.25, "two fractions of the shorter side")
        self.frozen = Frozen(self.root) if (self.root / MANIFEST).is_file() else None
        if self.frozen is not None:
            self._refuse_changes(polarity, reader)
            self.pool = Pool(self.frozen.pictures())
            log.info("masks: %d frozen masks in %s, their digests verified", len(self.pool), root)
        else:
            self.pool = self._read(polarity, reader, side)

    def _refuse_changes(self, polarity: str, reader: MaskReader) -> None:
        """Nothing may change the masks of a frozen set, or they would not be those that were frozen."""
        neutral = {
            "polarity": polarity != "black",
            "threshold": reader.threshold is None,
            "channel": reader.channel == "auto",
            "flip": not self.flip,
            "rotate": self.rotate == (0, 0),
            "scale": self.scale == (1, 1),
            "dilate": self.dilate == (0, 0),
            "area": self.area == EVERY_AREA,
        }
        if changed := [name for name, is_neutral in neutral.items() if not is_neutral]:
            raise Refused(
                f"masks.{changed[0]}: {self.root} is a frozen set, whose masks are taken as they are; leave "
                f"{', '.join(changed)} at the default, or give masks.root={self.root / 'masks'} to draw from them"
            )

    def _read(self, polarity: str, reader: MaskReader, side: int) -> Pool:
        """All files as one pool, 1 = hole; says what was found and decided."""
        paths = find_images(self.root, "masks.root")
        sizes, white = [], []  # of each file: (height, width), and the share of it that is white
        remarks: Counter[str] = Counter()  # what was taken of files that are not plainly black and white

        def pictures() -> Iterator[np.ndarray]:
            for path in track(paths, "reading masks", "files"):
                try:
                    marked = reader.look(path)
                except BadImage as error:
                    raise Refused(f"masks.root: {error}") from None
                picture = marked.white
                sizes.append(picture.shape)
                white.append(picture.mean())
                remarks.update([marked.remark] if marked.remark else [])
                factor = min(1, side / min(picture.shape))
                height, width = (max(1, round(extent * factor)) for extent in picture.shape)
                yield reduced(picture, (height, width))

        pool = Pool(pictures())
        hole, reason = self._decide(polarity, float(np.mean(white)))
        share = np.array(white)
        if hole == "black":
            pool.invert()
            share = 1 - share
        check_shares(share, "masks.root", True, f"{hole} is the hole in {self.root}, {reason}")
        sizes.sort(key=math.prod)
        extents = list(dict.fromkeys(f"{width} x {height}" for height, width in (sizes[0], sizes[-1])))
        special = {
            f"reduced to a shorter side of {side}": sum(min(size) > side for size in sizes),
            "without a hole": int((share == 0).sum()),
            "all hole": int((share == 1).sum()),
        }
        special |= {f"read by their {remark}": number for remark, number in remarks.most_common(3)}
        notes = "".join(f"; {number} {what}" for what, number in special.items() if number)
        log.info(
            f"masks: {len(pool)} files in {self.root}, {' to '.join(extents)} pixels; {hole} is the hole, {reason} "
            f"({share.mean():.1%} on average){notes}"
        )
        return pool

    def _decide(self, polarity: str, white: float) -> tuple[str, str]:
        """What the hole is, and why: `white` is the share of all files that is white."""
        if polarity != "auto":
            return polarity, "as masks.polarity says"
        if UNCLEAR[0] <= white <= UNCLEAR[1]:
            raise Refused(
                f"masks.polarity: white covers {white:.0%} of the masks in {self.root}, which does not tell whether "
                "white or black is the hole; give masks.polarity=white or masks.polarity=black"
            )
        return ("white" if white < 0.5 else "black"), "as it covers less of them"

    def make(self, keys: Tensor, size: Size) -> Tensor:
        """Choose a file, then look up for each pixel of the picture the pixel of the file it comes from."""
        if self.frozen is not None:
            which = self.frozen.find(keys, size)
        else:
            which = whole(keys, "file", 1, (0, len(self.pool) - 1))[:, 0].long()
        x, y = from_centre(size, keys.device)
        if self.flip:
            mirror_x, mirror_y = (whole(keys, "flip", 2, (0, 1)) * 2 - 1)[..., None, None].unbind(1)
            x, y = x * mirror_x, y * mirror_y
        if self.rotate != (0, 0):
            turn = between(keys, "rotate", 1, self.rotate)[..., None] * (1 / 360)
            cos, sin = sine(turn + 0.25), sine(turn)
            x, y = cos * x - sin * y, sin * x + cos * y
        # How many of the file's pixels go to one of the picture's, and how many are then left over. Tensors divided by
        # tensors: a GPU would multiply by the reciprocal of a plain number.
        have_y, have_x = self.pool.extent(which)
        need_y, need_x = torch.full_like(have_y, size[0]), torch.full_like(have_x, size[1])
        pace = torch.minimum(have_y / need_y, have_x / need_x) / between(keys, "scale", 1, self.scale)[..., None]
        place_x, place_y = between(keys, "place", 2, (-0.5, 0.5))[..., None, None].unbind(1)
        x = x * pace + place_x * (have_x - need_x * pace)
        y = y * pace + place_y * (have_y - need_y * pace)
        return grown(self.pool.look(which, x, y), keys, self.dilate)
