"""Where photographs come from. A source names its pictures, splits them **by picture**, and reads one at a time."""

import logging
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal, NotRequired, Protocol, TypedDict

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from inpaint.data.companions import Companions
from inpaint.data.headers import Headers
from inpaint.data.lists import read_list
from inpaint.data.splits import Split, by_fold, by_share
from inpaint.files.embeddings import read_embeddings
from inpaint.files.untrusted import read_text
from inpaint.pictures.mask_files import MaskReader, Polarity, Threshold
from inpaint.pictures.pairing import find_images, pair_masks
from inpaint.pictures.reading import BadImage, File, fit, paired_size, read_image
from inpaint.settings import Refused, listed

say = rank_zero_only(logging.getLogger("inpaint.data").info)  # what is chosen for the user, and why


class Picture(TypedDict):
    """What a source reads.

    image: uint8 ``(3, H, W)`` RGB, upright, after `resize`; of a clip ``(3 * frames, H, W)``, a frame behind the other.
    mask: uint8 ``(1, H, W)``, exactly 0 or 1, 1 = hole, where the source pairs masks with its pictures.
    given: uint8 ``(3, H / scale, W / scale)``, the same picture degraded, where the source has such.
    label: number of its class; all pictures of a source have one, or none has.
    caption: a text about it; all or none.
    embedding: float32 ``(E,)``, what some other network made of whatever belongs to it; all or none.
    """

    image: Tensor
    mask: NotRequired[Tensor]
    given: NotRequired[Tensor]
    label: NotRequired[int]
    caption: NotRequired[str]
    embedding: NotRequired[Tensor]


class Source(Protocol):
    """What a data module asks of a collection.

    masked: whether its pictures come with masks.
    mask_reader: how these are read.

    A source of clips has `frames`, how many are in each (`clips`).
    """

    masked: bool
    mask_reader: MaskReader

    def count(self, split: Split) -> int:
        """How many pictures a split has."""
        ...

    def name(self, split: Split, row: int) -> str:
        """What a picture is called: a relative path with forward slashes."""
        ...

    def size(self, split: Split, row: int) -> tuple[int, int] | None:
        """Height and width as `read` gives it, from the header; None where only reading would tell.

        Raises:
            BadImage: it, or its mask, is refused by its header.
        """
        ...

    def read(self, split: Split, row: int) -> Picture:
        """The picture and what belongs to it.

        Raises:
            BadImage: naming the file, if it cannot be read.
        """
        ...

    def shards(self, split: Split) -> list[int] | None:
        """Rows of each shard, in the order of the rows, where reading is only cheap in sequence; None: any order."""
        ...


def read_picture(file: File, mask: File | None, reader: MaskReader, resize: int | None) -> Picture:
    """A picture with its mask, if it has one.

    Raises:
        BadImage: one cannot be read, or the mask has another size.
    """
    picture = Picture(image=read_image(file, resize))
    if mask is not None:
        paired_size(file, mask, reader.size)
        picture["mask"] = reader(mask, resize).to(torch.uint8)
    return picture


def mask_reader(
    resize: int | None, threshold: Threshold, channel: str, polarity: Polarity | None, masks_key: str | None
) -> MaskReader:
    """How the masks of a source are read.

    Args:
        resize: of the source, checked here.
        threshold: of the mask, as `channel` and `polarity`: as in `MaskReader`.
        channel: see there.
        polarity: see there.
        masks_key: the setting that would give masks, where there are none.

    Raises:
        Refused: naming the setting, for a value that means nothing.
    """
    if resize is not None and resize < 1:
        raise Refused(f"data.resize: {resize} pixels is less than 1; null reads pictures as they are")
    reader = MaskReader(threshold, channel, polarity, prefix="data.mask_")
    if masks_key is not None and reader != MaskReader(prefix="data.mask_"):
        settings = {"polarity": polarity, "channel": channel if channel != "auto" else None, "threshold": threshold}
        changed = next(name for name, value in settings.items() if value is not None)
        raise Refused(f"data.mask_{changed}: there are no masks; give data.{masks_key} too")
    return reader


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
    masked = False
    mask_reader = MaskReader()

    def count(self, split: Split) -> int:
        """Eleven and four."""
        return len(self.SPLITS[split])

    def name(self, split: Split, row: int) -> str:
        """Their names in `skimage.data`."""
        return self.SPLITS[split][row]

    def size(self, split: Split, row: int) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self._load(self.name(split, row)).shape[-2:]
        return height, width

    def read(self, split: Split, row: int) -> Picture:
        """The image alone; grey ones have three equal channels."""
        return Picture(image=self._load(self.name(split, row)))

    def shards(self, split: Split) -> None:
        """Any order."""
        return None

    @staticmethod
    @cache
    def _load(name: str) -> Tensor:
        """uint8 ``(3, H, W)``. All fifteen stay in memory (20 MB)."""
        import skimage.data

        if name.startswith("motorcycle"):
            picture = skimage.data.stereo_motorcycle()[int(name.endswith("right"))]
        else:
            picture = getattr(skimage.data, name)()
        picture = np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture
        return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))


class Folder:
    """All photographs below a folder (jpg, png, webp, tif, bmp), with masks, classes and captions where there are some.

    Three ways to split it:

    - By a share, ``validation=0.1``: a hash of its relative name decides about each picture, so it keeps its side when
      others are added.
    - By sub-folders, ``train="train", validation="val"``.
    - By list files, ``train="train.txt", validation="val.txt"``: a path relative to the root on each line
      (`lists.read_list`).

    With `train` and a share, the pictures that `train` names are split by the share.

    Args:
        root: the folder, searched with its sub-folders.
        train: a sub-folder or a list file; None takes all.
        validation: a share between 0 and 1, a sub-folder or a list file.
        masks_root: a folder with a mask for each picture, of the same relative name and size (`pairing.pair_masks`);
            a picture with several masks stands once for each.
        mask_threshold: grey levels at or above it are hole, or auto; None demands masks of two levels.
        label: ``folder`` makes the first sub-folder (of the root, or of the split's own folder) the class; classes are
            numbered in the order of their names, which `classes` holds.
        caption: suffix of the text beside each picture: ``txt`` for NAME.txt beside NAME.jpg.
        resize: the shorter side is shrunk to this many pixels on reading; None reads pictures as they are.
        mask_channel: what of a mask file is the mask, as in `mask_files.MaskReader`, and `mask_polarity`.
        mask_polarity: see there.
        given_root: a folder with each picture degraded, under the same relative name; of the same size, or all a whole
            number of times smaller.
        folds: for cross-validation, so many parts by a hash of the names, of which one validates in place of a share.
        fold: which, from 0 up.
        embeddings: a file with numbers for each picture under its relative name, with or without its suffix, as
            `embeddings.read_embeddings` takes it.

    Attributes:
        given_scale: how many times fewer pixels a side those have; 0 without them.

    Raises:
        Refused: something is missing, contradictory, empty, on both sides of the split, or leads out of the folder;
            with counts and names.
    """

    def __init__(
        self,
        root: str,
        train: str | None = None,
        validation: float | str = 0.1,
        masks_root: str | None = None,
        mask_threshold: Threshold = None,
        label: Literal["folder"] | None = None,
        caption: str | None = None,
        resize: int | None = None,
        mask_channel: str = "auto",
        mask_polarity: Polarity | None = None,
        given_root: str | None = None,
        folds: int | None = None,
        fold: int = 0,
        embeddings: str | None = None,
    ) -> None:
        self.root, self.resize, self.masked = Path(root), resize, masks_root is not None
        self.headers = Headers(self.root)
        no_masks = None if self.masked else "masks_root"
        self.mask_reader = mask_reader(resize, mask_threshold, mask_channel, mask_polarity, no_masks)
        if train is None and isinstance(validation, str):
            raise Refused(f"data.train: {validation} validates; name a sub-folder or list of those that train, too")
        if folds is not None and isinstance(validation, str):
            raise Refused(f"data.folds: {validation} validates; leave data.validation out, as each fold does in turn")
        if folds is None and fold != 0:
            raise Refused(f"data.fold: {fold} is one of data.folds, which are not given; give data.folds=5, for one")

        images, self.companions = find_images(self.root, "data.root"), None
        if given_root is not None:
            if resize is not None:
                raise Refused("data.resize: shrinks the truths and not what is given with them; leave it out")
            self.companions = Companions(images, self.root, Path(given_root), self.headers.size)
            images = self.companions.truths
        self.given_scale = self.companions.scale if self.companions is not None else 0
        found = [path.relative_to(self.root).as_posix() for path in images]
        chosen, inside = self._select(found, "train", train)
        self.names: dict[Split, list[str]] = {"train": chosen, "validation": []}
        bases: dict[Split, str] = {"train": inside, "validation": inside}
        if isinstance(validation, str):
            self.names["validation"], bases["validation"] = self._select(found, "validation", validation)
            if both := sorted({*self.names["train"]} & {*self.names["validation"]}):
                raise Refused(f"data.validation: {len(both)} pictures train as well: {listed(both)}")

        masks: dict[str, list[Path]] = {}
        if masks_root is not None:
            paths = [self.root / name for names in self.names.values() for name in names]
            for pair in pair_masks(paths, self.root, Path(masks_root), "data.masks_root"):
                masks.setdefault(pair.picture.relative_to(self.root).as_posix(), []).append(pair.mask)
            self.names = {split: [n for n in names for _ in masks.get(n, ())] for split, names in self.names.items()}
        if not isinstance(validation, str):
            every = self.names["train"]
            shared = by_share(every, validation, root) if folds is None else by_fold(every, folds, fold, root)
            self.names = {split: [every[row] for row in rows] for split, rows in shared.items()}
        self.masks = {split: _in_turn(names, masks) for split, names in self.names.items()}

        self.classes, self.labels = self._classes(label, bases)
        self.caption = caption.removeprefix(".") if caption is not None else None
        self._check_captions()
        self.embeddings = self._embeddings(embeddings) if embeddings is not None else {}

    def _select(self, found: list[str], key: Split, name: str | None) -> tuple[list[str], str]:
        """The pictures that a setting names, and the folder of their classes."""
        if name is None:
            return found, ""
        path = PurePosixPath(name)
        if not path.is_absolute() and ".." not in path.parts and (self.root / path).is_dir():
            prefix = "" if path == PurePosixPath() else f"{path}/"
            if chosen := [picture for picture in found if picture.startswith(prefix)]:
                return chosen, prefix
            raise Refused(f"data.{key}: no pictures in {self.root / path}")
        for file in (Path(name), self.root / name):
            if file.is_file():
                return read_list(file, found, self.root, f"data.{key}"), ""
        raise Refused(f"data.{key}: {name} is neither a sub-folder of {self.root} nor a list file")

    def _classes(self, label: str | None, bases: dict[Split, str]) -> tuple[list[str], dict[Split, list[int]]]:
        """Names of the classes in order, and each picture's number."""
        if label is None:
            return [], {}
        if label != "folder":
            raise Refused(f"data.label: {label} is neither folder nor null")
        parts = {split: [n.removeprefix(bases[split]).split("/") for n in names] for split, names in self.names.items()}
        if bare := [path[0] for paths in parts.values() for path in paths if len(path) == 1]:
            raise Refused(f"data.label: {len(bare)} pictures are in no sub-folder: {listed(bare)}")
        classes = sorted({path[0] for paths in parts.values() for path in paths})
        number = {name: place for place, name in enumerate(classes)}
        return classes, {split: [number[path[0]] for path in paths] for split, paths in parts.items()}

    def _check_captions(self) -> None:
        if self.caption is None:
            return
        every = [name for names in self.names.values() for name in names]
        if lacking := [name for name in every if not self._caption(name).is_file()]:
            raise Refused(
                f"data.caption: {len(lacking)} of {len(every)} pictures have no text beside them: "
                f"{listed([self._caption(name).relative_to(self.root).as_posix() for name in lacking])}"
            )

    def _embeddings(self, file: str) -> dict[str, Tensor]:
        """The embedding of each picture, by its name."""
        rows = read_embeddings(file, "data.embeddings")
        every = {
            name: rows.get(name, rows.get(name.rpartition(".")[0])) for each in self.names.values() for name in each
        }
        if lacking := [name for name, row in every.items() if row is None]:
            raise Refused(
                f"data.embeddings: {len(lacking)} of {len(every)} pictures have none in {file}: {listed(lacking)}"
            )
        return {name: row for name, row in every.items() if row is not None}

    def _caption(self, name: str) -> Path:
        return (self.root / name).with_suffix(f".{self.caption}")

    def count(self, split: Split) -> int:
        """How many pictures a split has."""
        return len(self.names[split])

    def name(self, split: Split, row: int) -> str:
        """Path relative to the root, with forward slashes."""
        return self.names[split][row]

    def size(self, split: Split, row: int) -> tuple[int, int]:
        """Height and width as read, from the headers of picture and mask.

        Raises:
            BadImage: one is refused, or they differ.
        """
        file = self.root / self.names[split][row]
        mask = self.masks[split][row] if self.masked else None
        size_of_mask = partial(self.headers.size, read=self.mask_reader.size)
        height, width = fit(paired_size(file, mask, size_of_mask, self.headers.size), self.resize)
        if self.companions is not None:
            self.companions.check(file, (height, width))
        return height, width

    def read(self, split: Split, row: int) -> Picture:
        """The picture, with mask, label and caption where the folder has them.

        Raises:
            BadImage: naming the file, if it cannot be read.
        """
        name = self.names[split][row]
        mask = self.masks[split][row] if self.masked else None
        picture = read_picture(self.root / name, mask, self.mask_reader, self.resize)
        if self.companions is not None:
            picture["given"] = self.companions.read(self.root / name, picture["image"].shape[1:])
        if self.labels:
            picture["label"] = self.labels[split][row]
        if self.embeddings:
            picture["embedding"] = self.embeddings[name]
        if self.caption is not None:
            try:
                picture["caption"] = read_text(self._caption(name)).strip()
            except (OSError, Refused) as error:
                raise BadImage(f"{self._caption(name)}: no text that can be read ({error})") from None
        return picture

    def shards(self, split: Split) -> None:
        """Any order."""
        return None


def _in_turn(names: Sequence[str], masks: Mapping[str, Sequence[Path]]) -> list[Path]:
    """A mask for each name; one that is there several times has its masks one after another."""
    left = {name: iter(own) for name, own in masks.items()}
    return [next(left[name]) for name in names if name in left]
