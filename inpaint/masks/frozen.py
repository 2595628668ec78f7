"""A frozen set: the crops and holes of an evaluation as plain files, so that anyone can repeat it with any tool.

    FOLDER/manifest.csv         a header and one line a crop, UTF-8; written last
    FOLDER/masks/000007.png     the hole of row 7: 8-bit grey, 255 = hole, 0 = known
    FOLDER/images/000007.png    the crop of row 7: 8-bit RGB, if images were asked for
    FOLDER/given/000007.png     where it is degraded, what is given of it; what is not rounded to 8 bits is 000007.npy,
                                float32 (3, h, w) in [-1, 1] or beyond

Columns of the manifest: `index` (row in the validation set), `photograph` (its name in the collection), `height` and
`width` in pixels, `hole_area` (share of the crop, 0..1), `image_sha256` and `mask_sha256` (`digest`), `mask_key`
(the int64 that the mask generator was called with), `mask` and `image` (files, relative to the folder; `image` is empty
where the crops were not written), and `given` (likewise) in a set of degraded crops. The
first, `photograph`, `hole_area` and the digests are those of a run's
``validation.csv``.
"""

import csv
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from inpaint.batch import stored, to_uint8
from inpaint.files.folder import inside, replacing
from inpaint.files.untrusted import read_table
from inpaint.files.writing import write_table
from inpaint.masks.shapes import Size
from inpaint.pictures.mask_files import MaskReader
from inpaint.pictures.reading import BadImage
from inpaint.settings import Refused

MANIFEST = "manifest.csv"
COLUMNS = (
    "index",
    "photograph",
    "height",
    "width",
    "hole_area",
    "image_sha256",
    "mask_sha256",
    "mask_key",
    "mask",
    "image",
)


def digest(pixels: Tensor) -> str:
    """sha256 of 8-bit pixels ``(C, H, W)`` in hexadecimal, of the bytes as they are shown: row by row, RGB."""
    return hashlib.sha256(pixels.permute(1, 2, 0).contiguous().numpy().tobytes()).hexdigest()


@dataclass(frozen=True)
class Crop:
    """A validation crop with its hole, in 8 bits.

    index: row in the validation set.
    photograph: the picture it was cut from.
    area: share of the crop that the hole covers.
    key: what the mask generator was called with.
    image: uint8 ``(3, H, W)``.
    mask: uint8 ``(1, H, W)``, 255 = hole.
    given: what is given of a crop that is degraded, float32 ``(3, h, w)`` in [-1, 1] or beyond; None of others.
    """

    index: int
    photograph: str
    area: float
    key: int
    image: Tensor
    mask: Tensor
    given: Tensor | None = None


def described(index: int, photograph: str, area: float, image: Tensor, mask: Tensor) -> dict[str, Any]:
    """What tells a crop under its hole, given as in `Crop`, from any other: the columns that manifests share."""
    return {
        "index": index,
        "photograph": photograph,
        "hole_area": area,
        "image_sha256": digest(image),
        "mask_sha256": digest(mask),
    }


def new_folder(folder: Path) -> None:
    """Refuse a folder that a frozen set cannot be written into.

    Raises:
        Refused: it holds something, or is a file.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise Refused(f"freeze: {folder} exists and is not an empty folder; give another one")


def write_frozen(folder: Path, crops: Iterable[Crop], images: bool = False) -> int:
    """Write a frozen set; returns the number of crops.

    Args:
        folder: a new or an empty folder.
        crops: taken one after another.
        images: write the crops too, for tools that do not cut them themselves.

    Raises:
        Refused: `folder` holds something.
    """
    new_folder(folder)
    (folder / "masks").mkdir(parents=True, exist_ok=True)
    if images:
        (folder / "images").mkdir(exist_ok=True)
    rows, columns = [], list(COLUMNS)
    for crop in crops:
        height, width = crop.mask.shape[1:]
        mask, image = f"masks/{crop.index:06d}.png", f"images/{crop.index:06d}.png" if images else ""
        with replacing(folder / mask) as scratch:
            Image.fromarray(crop.mask[0].numpy()).save(scratch)
        if images:
            with replacing(folder / image) as scratch:
                Image.fromarray(crop.image.permute(1, 2, 0).contiguous().numpy()).save(scratch)
        place = {"height": height, "width": width, "mask_key": crop.key, "mask": mask, "image": image}
        if crop.given is not None:
            place["given"] = _write_given(folder, crop.index, crop.given)
            columns = [*COLUMNS, "given"]
        rows.append(described(crop.index, crop.photograph, crop.area, crop.image, crop.mask) | place)
    write_table(folder / MANIFEST, columns, rows)
    return len(rows)


def _write_given(folder: Path, index: int, given: Tensor) -> str:
    """Write what is given of a crop, exactly; returns the file relative to the folder."""
    (folder / "given").mkdir(exist_ok=True)
    rounded = torch.equal(stored(given), given)
    name = f"given/{index:06d}.{'png' if rounded else 'npy'}"
    with replacing(folder / name) as scratch:
        if rounded:
            Image.fromarray(to_uint8(given).permute(1, 2, 0).contiguous().numpy()).save(scratch)
        else:
            with scratch.open("wb") as file:
                np.save(file, given.numpy())
    return name


class FrozenCrop(NamedTuple):
    """A crop's photograph, its files and the digests of their pixels; `image` is None if the crop was not written."""

    photograph: str
    image: Path | None
    mask: Path
    image_sha256: str
    mask_sha256: str


def _crop_of(root: Path, line: Mapping[str, str]) -> FrozenCrop:
    """The crop that a line of the manifest in the folder `root` describes."""
    return FrozenCrop(
        photograph=line["photograph"],
        image=root / line["image"] if line["image"] else None,
        mask=root / line["mask"],
        image_sha256=line["image_sha256"],
        mask_sha256=line["mask_sha256"],
    )


class Frozen:
    """The manifest of a frozen set: which of its masks belongs to which key.

    Args:
        root: its folder.
        setting: what messages call it.

    Raises:
        Refused: it is no manifest, empty, or names a key twice, crops of several sizes or a file elsewhere.
    """

    def __init__(self, root: Path, setting: str = "masks.root") -> None:
        self.root = root
        where = f"{setting}: {root / MANIFEST}"
        try:
            lines = read_table(root / MANIFEST)
            # In the order of the keys, which is how they are looked up.
            lines.sort(key=lambda line: int(line["mask_key"]))
            self.keys = torch.tensor([int(line["mask_key"]) for line in lines], dtype=torch.int64)
            self.files = [(root / line["mask"], line["mask_sha256"]) for line in lines]
            self.images = {int(line["mask_key"]): line["image_sha256"] for line in lines}
            in_order = sorted(lines, key=lambda line: int(line["index"]))
            self.crops = {int(line["index"]): _crop_of(root, line) for line in in_order}
            sizes = {(int(line["height"]), int(line["width"])) for line in lines}
        except (OSError, KeyError, TypeError, ValueError, RuntimeError, csv.Error):
            raise Refused(
                f"{where} is not the manifest of a frozen set, or is cut short; see inpaint-preview"
            ) from None
        if len(sizes) != 1:
            raise Refused(f"{where} names crops of {len(sizes)} sizes; a frozen set has one")
        self.size: Size = sizes.pop()
        for column, distinct in (("mask_key", len(self.keys.unique())), ("index", len(self.crops))):
            if distinct != len(lines):
                raise Refused(f"{where} names the same {column} twice")
        try:
            for line in lines:
                inside(root, line["mask"])
                if line["image"]:
                    inside(root, line["image"])
        except Refused as error:
            raise Refused(f"{where}: {error}") from None

    def pictures(self) -> Iterator[np.ndarray]:
        """The masks in the order of their keys, bool ``(H, W)``, 1 = hole, each checked against its digest.

        Raises:
            Refused: a file is missing, unreadable, or not the one that was frozen.
        """
        read = MaskReader()
        for path, expected in self.files:
            try:
                mask = read(path)
            except BadImage as error:
                raise Refused(f"masks.root: {error}") from None
            if tuple(mask.shape[1:]) != self.size or digest(mask.mul(255).byte()) != expected:
                raise Refused(f"masks.root: {path} is not the mask that was frozen: its sha256 is another one")
            yield mask[0].numpy() > 0.5

    def check_number(self, number: int) -> None:
        """Compare the number of validation crops with that of the set.

        Raises:
            Refused: the set has more or fewer.
        """
        if number != len(self.images):
            raise self._of_others(f"it has {len(self.images)}, the data {number}")

    def check(self, keys: Tensor, images: Tensor) -> None:
        """Compare crops, uint8 ``(B, 3, H, W)``, with those of the same keys that the set was made of.

        Raises:
            Refused: they have other pixels.
        """
        differing = [digest(image) != self.images.get(key) for key, image in zip(keys.tolist(), images, strict=True)]
        if any(differing):
            raise self._of_others(f"{sum(differing)} of {len(differing)} that were compared differ")

    def _of_others(self, how: str) -> Refused:
        return Refused(
            f"masks.root: {self.root} was made of other photographs or crops: {how}; give the data that it was made of"
        )

    def find(self, keys: Tensor, size: Size) -> Tensor:
        """The places of `keys` among `pictures`: int64 ``(B,)`` on the device of the keys. Makes the host wait.

        Raises:
            Refused: pictures of another size, or a key that was not frozen.
        """
        advice = "a frozen set serves the validation crops that it was made of: same data, same crops"
        if size != self.size:
            raise Refused(
                f"masks.root: the masks in {self.root} have {self.size[1]} x {self.size[0]} pixels, the pictures "
                f"{size[1]} x {size[0]}; {advice}"
            )
        asked = keys.cpu()
        place = torch.searchsorted(self.keys, asked).clamp_(max=len(self.keys) - 1)
        lacking = int((self.keys[place] != asked).sum())
        if lacking:
            raise Refused(
                f"masks.root: {self.root} has no mask for {lacking} of {len(keys)} samples; {advice}. To train with "
                f"its masks, give masks.root={self.root / 'masks'}"
            )
        return place.to(keys.device)
