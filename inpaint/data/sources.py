"""Where photographs come from. A source names its pictures, splits them **by picture**, and reads one at a time."""

import hashlib
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from inpaint.files import find_images, image_size, read_image

Split = Literal["train", "validation"]


class Source(Protocol):
    """What a data module asks of a collection."""

    def names(self, split: Split) -> list[str]:
        """The pictures of a split, in a fixed order."""
        ...

    def size(self, name: str) -> tuple[int, int]:
        """Height and width of a picture in pixels."""
        ...

    def read(self, name: str) -> Tensor:
        """The picture as uint8 ``(3, H, W)``."""
        ...


class Photos:
    """The photographs and textures that the scikit-image package carries; nothing is downloaded.

    Fifteen pictures of 300 to 1411 pixels a side: people, animals, things, machines, sky, tissue and textures. The two
    views of the motorcycle are one scene and hence on one side of the split.
    """

    SPLITS: ClassVar[dict[Split, list[str]]] = {
        "train": [
            "astronaut",
            "brick",
            "camera",
            "coins",
            "gravel",
            "hubble_deep_field",
            "immunohistochemistry",
            "moon",
            "motorcycle_left",
            "motorcycle_right",
            "retina",
        ],
        "validation": ["chelsea", "coffee", "grass", "rocket"],
    }

    def names(self, split: Split) -> list[str]:
        """The pictures of a split."""
        return self.SPLITS[split]

    def size(self, name: str) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.read(name).shape[-2:]
        return height, width

    @staticmethod
    @cache
    def read(name: str) -> Tensor:
        """uint8 ``(3, H, W)``; grey ones become three equal channels. All fifteen stay in memory (20 MB)."""
        import skimage.data

        if name.startswith("motorcycle"):
            picture = skimage.data.stereo_motorcycle()[int(name.endswith("right"))]
        else:
            picture = getattr(skimage.data, name)()
        picture = np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture
        return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))


class Folder:
    """All photographs below a folder (jpg, png, webp), split by a hash of their relative names.

    The hash makes the split independent of the order and the number of files: a picture that is in validation stays
    there when others are added.

    Args:
        root: the folder, searched with its sub-folders.
        validation: share of the pictures that validate, between 0 and 1.

    Raises:
        ValueError: no such folder, no pictures in it, or a split that leaves one side empty.
    """

    def __init__(self, root: str, validation: float = 0.1) -> None:
        self.root = Path(root)
        if not 0 < validation < 1:
            raise ValueError(f"data.validation: {validation} is not between 0 and 1")
        self.splits: dict[Split, list[str]] = {"train": [], "validation": []}
        for path in find_images(self.root, "data.root"):
            name = path.relative_to(self.root).as_posix()
            place = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
            self.splits["validation" if place < validation else "train"].append(name)
        for split, names in self.splits.items():
            if not names:
                total = sum(map(len, self.splits.values()))
                raise ValueError(
                    f"data.validation: {validation} of the {total} pictures in {self.root} leaves none for {split}; "
                    "give more pictures or another share"
                )

    def names(self, split: Split) -> list[str]:
        """Paths relative to the root, with forward slashes, sorted."""
        return self.splits[split]

    def size(self, name: str) -> tuple[int, int]:
        """Height and width in pixels, from the header."""
        return image_size(self.root / name)

    def read(self, name: str) -> Tensor:
        """uint8 ``(3, H, W)``, upright.

        Raises:
            ValueError: naming the file, if it cannot be read.
        """
        return read_image(self.root / name)
