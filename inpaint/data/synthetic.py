"""Pictures that are made: dead leaves alone, or among photographs."""

from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint import rng
from inpaint.data.datamodule import InpaintingData
from inpaint.data.leaves import dead_leaves
from inpaint.data.sources import Folder, Picture, say
from inpaint.data.splits import Split
from inpaint.masks import Masks
from inpaint.pictures.mask_files import MaskReader
from inpaint.pictures.reading import image_size, read_image
from inpaint.settings import Refused, whole

VALIDATED = 32  # pictures that validate where there are no photographs
LEAST = 16  # pixels a side
MOST = 2048  # likewise: a picture is made at twice the side, in several planes of floats
SHRUNK = 4.0  # how many times its side a window may measure in a photograph


class DeadLeaves:
    """Pictures of dead leaves (`leaves.dead_leaves`), square.

    Args:
        pictures: how many train; 32 others validate, which are the same for every seed.
        side: of each in pixels.
        seed: keys those that train.

    Raises:
        Refused: one of these is no number of pictures or pixels.
    """

    masked = False
    mask_reader = MaskReader()

    def __init__(self, pictures: int, side: int, seed: int) -> None:
        self.pictures, self.side = whole("data.pictures", pictures, 1), whole("data.side", side, LEAST)
        if side > MOST:
            raise Refused(f"data.side: {side} pixels a side are too many to be made at once; give at most {MOST}")
        self.seed = seed

    def count(self, split: Split) -> int:
        """How many train, or validate."""
        return self.pictures if split == "train" else VALIDATED

    def name(self, split: Split, row: int) -> str:
        """Its number."""
        return f"dead_leaves_{row:05d}"

    def size(self, split: Split, row: int) -> tuple[int, int]:
        """All are square."""
        return self.side, self.side

    def read(self, split: Split, row: int) -> Picture:
        """The picture, made anew."""
        of = (self.seed, "train") if split == "train" else ("validation",)
        return Picture(image=dead_leaves(rng.key("dead leaves", *of, row), self.side))

    def shards(self, split: Split) -> None:
        """Any order."""
        return None


class LeavesAmongPhotographs:
    """Training pictures of two kinds: dead leaves, and as many windows of photographs as make the share of the former.

    A window is as large as a picture of dead leaves and shows up to four times as many pixels a side, shrunk, at a
    place of its photograph; all of it is keyed. So a few large photographs train as much as they should, at several
    scales. The photographs that validate are whole.

    Args:
        leaves: the former.
        photographs: the latter.
        share: of dead leaves, 0.001 to 0.999.

    Raises:
        Refused: it is no such share.
    """

    masked = False
    mask_reader = MaskReader()

    def __init__(self, leaves: DeadLeaves, photographs: Folder, share: float) -> None:
        if not (isinstance(share, int | float) and 0.001 <= share <= 0.999):
            raise Refused(f"data.share: {share!r} of dead leaves is not between 0.001 and 0.999; others train alone")
        self.leaves, self.photographs = leaves, photographs
        self.windows = max(1, round(leaves.pictures * (1 - share) / share))
        say(
            f"data: {leaves.pictures} pictures of dead leaves train, and {self.windows} windows of "
            f"{photographs.count('train')} photographs; {photographs.count('validation')} photographs validate"
        )

    def count(self, split: Split) -> int:
        """Dead leaves and windows train, photographs validate."""
        return self.leaves.pictures + self.windows if split == "train" else self.photographs.count(split)

    def _photograph(self, window: int) -> int:
        """Which one a window shows; successive windows show the same, so that each is decoded once."""
        return window * self.photographs.count("train") // self.windows

    def name(self, split: Split, row: int) -> str:
        """Of dead leaves their number, of a window its photograph and number."""
        if split == "validation":
            return self.photographs.name(split, row)
        window = row - self.leaves.pictures
        if window < 0:
            return self.leaves.name(split, row)
        return f"{self.photographs.name(split, self._photograph(window))}_{window:05d}"

    def size(self, split: Split, row: int) -> tuple[int, int]:
        """Height and width; a window of a photograph that is smaller than dead leaves is its largest square.

        Raises:
            BadImage: it is refused by its header.
        """
        if split == "validation":
            return self.photographs.size(split, row)
        window = row - self.leaves.pictures
        if window < 0:
            return self.leaves.size(split, row)
        path = self.photographs.root / self.photographs.name(split, self._photograph(window))
        side = min(self.leaves.side, *_size(path, self.photographs.resize))
        return side, side

    def read(self, split: Split, row: int) -> Picture:
        """The picture.

        Raises:
            BadImage: naming the file, if it cannot be read.
        """
        if split == "validation":
            return self.photographs.read(split, row)
        window = row - self.leaves.pictures
        if window < 0:
            return self.leaves.read(split, row)
        path = self.photographs.root / self.photographs.name(split, self._photograph(window))
        with _DECODING:  # several windows of one photograph may be asked for at once
            image = _decoded(path, self.photographs.resize)
        return Picture(image=_window(image, self.leaves.side, rng.key("window", self.leaves.seed, window)))

    def shards(self, split: Split) -> None:
        """Any order."""
        return None


_DECODING = Lock()


@lru_cache(maxsize=3)
def _decoded(path: Path, resize: int | None) -> Tensor:
    return read_image(path, resize)


@lru_cache(maxsize=1 << 16)
def _size(path: Path, resize: int | None) -> tuple[int, int]:
    return image_size(path, resize)


def _window(image: Tensor, side: int, key: int) -> Tensor:
    """A part of a picture, shrunk to `side` pixels: uint8 ``(3, side, side)``, or less where the picture has less."""
    zoom, down, across = rng.uniform(torch.tensor([key]), 3)[0].tolist()
    height, width = image.shape[-2:]
    side = min(side, height, width)
    shown = round(side * max(1.0, min(SHRUNK, min(height, width) / side)) ** zoom)
    top, left = int(down * (height - shown + 1)), int(across * (width - shown + 1))
    part = image[:, top : top + shown, left : left + shown]
    if shown == side:
        return part.clone()
    return F.interpolate(part[None], (side, side), mode="bilinear", antialias=True)[0]


class DeadLeavesData(InpaintingData):
    """`InpaintingData` of dead leaves, alone or among photographs.

    Args:
        masks: as there.
        pictures, side: as in `DeadLeaves`.
        root: a folder of photographs that train with them and validate alone; None: there are none.
        share: of dead leaves in training, as in `LeavesAmongPhotographs`; None: half.
        train, validation, resize: of the photographs, as in `sources.Folder`.
        seed: keys the pictures, too.
        settings: as in `InpaintingData`.

    Raises:
        Refused: settings of photographs without photographs, and what is refused there.
    """

    def __init__(
        self,
        masks: Masks | None,
        pictures: int = 256,
        side: int = 256,
        root: str | None = None,
        share: float | None = None,
        train: str | None = None,
        validation: float | str | None = None,
        resize: int | None = None,
        seed: int = 0,
        **settings: Any,
    ) -> None:
        leaves = DeadLeaves(pictures, side, seed)
        source: DeadLeaves | LeavesAmongPhotographs = leaves
        if root is not None:
            photographs = Folder(root, train, 0.1 if validation is None else validation, resize=resize)
            source = LeavesAmongPhotographs(leaves, photographs, 0.5 if share is None else share)
        else:
            given = {"share": share, "train": train, "validation": validation, "resize": resize}
            if named := [name for name, value in given.items() if value is not None]:
                raise Refused(f"data.{named[0]}: there are no photographs; give data.root=PHOTOS too")
        super().__init__(source, masks, seed=seed, **settings)
