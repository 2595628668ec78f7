"""Photographs in Hugging Face data sets on the local disk, decoded here, without the network and without traces."""

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

from inpaint.data.sources import Picture, mask_reader, read_picture
from inpaint.data.splits import Split, by_share
from inpaint.files.folder import inside
from inpaint.pictures.mask_files import Polarity, Threshold
from inpaint.pictures.pairing import find_images
from inpaint.pictures.reading import BadImage, Encoded, File, fit, image_size, paired_size
from inpaint.settings import Refused, choice, listed

FORMATS = ("imagefolder", "parquet", "saved")
OWN_VALIDATION = ("validation", "test")  # splits of the set itself that validate, the first that it has


class HuggingFace:
    """A data set of the `datasets` library (Lhoest et al. 2021) in local files.

    Pictures are decoded as everywhere here, so everything that is refused elsewhere is refused in them.

    Args:
        path: a folder of pictures, a folder of parquet files or one such file, or what `save_to_disk` wrote.
        format: ``imagefolder``, ``parquet`` or ``saved``, in this order.
        train: split of the set to train on.
        validation: split of the set to validate on; a share between 0 and 1 of the training pictures, chosen by a hash
            of their names (their paths, or else the numbers of their rows); None takes ``validation`` or ``test``.
        image: column of the pictures.
        mask: column of the masks.
        mask_threshold: grey levels at or above it are hole, or auto; None demands masks of two levels.
        label: column of the classes (a ClassLabel, or whole numbers), whose names `classes` holds.
        caption: column of the texts.
        resize: the shorter side is shrunk to this many pixels on reading; None reads pictures as they are.
        cache_dir: folder for what `datasets` makes of image folders and parquet files (of the latter, a copy); None
            takes a temporary one that each process makes anew and removes at its end.
        mask_channel: what of a mask is taken, as in `mask_files.MaskReader`, and `mask_polarity`.
        mask_polarity: see there.

    Raises:
        Refused: the library is not installed, there is no such set, split or column, a column is of another kind or
            has gaps, or links leave the folder.
    """

    def __init__(
        self,
        path: str,
        format: Literal["imagefolder", "parquet", "saved"] = "imagefolder",
        train: str = "train",
        validation: float | str | None = None,
        image: str = "image",
        mask: str | None = None,
        mask_threshold: Threshold = None,
        label: str | None = None,
        caption: str | None = None,
        resize: int | None = None,
        cache_dir: str | None = None,
        mask_channel: str = "auto",
        mask_polarity: Polarity | None = None,
    ) -> None:
        no_masks = "mask" if mask is None else None
        self.mask_reader = mask_reader(resize, mask_threshold, mask_channel, mask_polarity, no_masks)
        choice("data.format", format, FORMATS)
        self.root, self.resize = Path(path).resolve(), resize
        self.image, self.mask, self.label, self.caption = image, mask, label, caption
        self.masked = mask is not None
        if not self.root.exists():
            raise Refused(f"data.path: there is no {path}")
        self.folder = self.root if self.root.is_dir() else self.root.parent  # that paths in it must not leave
        if format == "imagefolder":
            find_images(self.root, "data.path")  # refuses links that leave it
        sets = _load(self.root, format, cache_dir if cache_dir is not None or format == "saved" else self._temporary())

        if validation is None:
            validation = next((name for name in OWN_VALIDATION if name in sets and name != train), None)
            if validation is None:
                raise Refused(
                    f"data.validation: {self.root} has no split of its own to validate on (it has {', '.join(sets)}); "
                    f"data.validation=0.1 takes a tenth of {train}"
                )
        self.part: dict[Split, str] = {"train": train, "validation": train}
        if isinstance(validation, str):
            self.part["validation"] = validation
        for split, part in self.part.items():
            if part not in sets:
                raise Refused(f"data.{split}: {self.root} has no split {part}, only {', '.join(sets)}")
        if train == validation:
            raise Refused(f"data.validation: {train} trains as well; give another split, or a share of it")
        self.classes: list[str] = []
        self.tables = {part: self._checked(part, sets[part]) for part in dict.fromkeys(self.part.values())}
        self.rows: dict[Split, Any] = {split: range(len(self.tables[part])) for split, part in self.part.items()}
        if not isinstance(validation, str):
            names = [self._name(train, row) for row in self.rows["train"]]
            self.rows = {**by_share(names, validation, str(self.root))}

    def _temporary(self) -> str:
        folder = tempfile.mkdtemp(prefix="inpaint-datasets-")
        weakref.finalize(self, _remove, folder, os.getpid())
        return folder

    def _checked(self, part: str, table: Any) -> Any:
        """A part of the set, its pictures undecoded, whose columns are there, of the right kind, and have no gaps."""
        import datasets

        if not len(table):
            raise Refused(f"data.path: split {part} of {self.root} is empty")
        features = table.features
        named = {"image": self.image, "mask": self.mask, "label": self.label, "caption": self.caption}
        for key, column in named.items():
            if column is None:
                continue
            if column not in features:
                raise Refused(f"data.{key}: {part} has no column {column}, only {', '.join(features)}")
            kind = features[column]
            dtype = str(getattr(kind, "dtype", kind))
            if key in ("image", "mask"):
                encoded = isinstance(kind, dict) and {*kind} == {"bytes", "path"}  # as the library stores them
                if not isinstance(kind, datasets.Image) and not encoded and dtype not in ("binary", "large_binary"):
                    raise Refused(f"data.{key}: column {column} of {part} holds no pictures but {kind}")
                table = table.cast_column(column, datasets.Image(decode=False))
            elif key == "label" and not dtype.startswith(("int", "uint")):
                raise Refused(f"data.label: column {column} of {part} holds no classes but {kind}")
            elif key == "caption" and dtype not in ("string", "large_string"):
                raise Refused(f"data.caption: column {column} of {part} holds no texts but {kind}")
            values = table.data.column(column)
            # A class that is not known is None or -1.
            gaps = sum(v is None or v == -1 for v in values.to_pylist()) if key == "label" else values.null_count
            if gaps:
                raise Refused(f"data.{key}: {gaps} of {len(table)} rows of {part} have none in column {column}")
        if self.label is not None and isinstance(features[self.label], datasets.ClassLabel):
            names = list(features[self.label].names)
            if self.classes and self.classes != names:
                raise Refused(f"data.label: the splits name other classes, {listed(self.classes)} and {listed(names)}")
            self.classes = names
        return table

    def _name(self, part: str, row: int) -> str:
        """The picture's path below the root, or the split and the row."""
        cell = self._cell(part, self.image, row)
        if cell["bytes"].is_valid or not cell["path"].is_valid:
            return f"{part}/{row}"
        return self._inside(cell["path"].as_py()).relative_to(self.folder).as_posix()

    def _cell(self, part: str, column: str, row: int) -> Any:
        """An Arrow value, which refers to the bytes of the mapped file and copies none of them."""
        return self.tables[part].data.column(column)[row]

    def _inside(self, path: str) -> Path:
        try:
            return inside(self.folder, path).resolve()
        except Refused as error:
            raise BadImage(str(error)) from None

    def _file(self, split: Split, row: int, column: str) -> File:
        """Where the picture of a row is: a file of its own, or bytes in the table."""
        import pyarrow

        part, row = self.part[split], self.rows[split][row]
        cell = self._cell(part, column, row)
        if cell["bytes"].is_valid:
            suffix = "" if column == self.image else f" ({column})"
            return Encoded(pyarrow.BufferReader(cell["bytes"].as_buffer()), f"{part}/{row}{suffix}")
        if cell["path"].is_valid:
            return self._inside(cell["path"].as_py())
        raise BadImage(f"{part}/{row}: neither bytes nor a path in column {column}")

    def count(self, split: Split) -> int:
        """How many pictures a split has."""
        return len(self.rows[split])

    def name(self, split: Split, row: int) -> str:
        """The path relative to the root, or, for pictures inside a table, the set's split and row: ``train/17``."""
        return self._name(self.part[split], self.rows[split][row])

    def size(self, split: Split, row: int) -> tuple[int, int]:
        """Height and width as read, from the headers of picture and mask.

        Raises:
            BadImage: one is refused, or they differ.
        """
        file = self._file(split, row, self.image)
        if self.mask is None:
            return image_size(file, self.resize)
        height, width = fit(paired_size(file, self._file(split, row, self.mask), self.mask_reader.size), self.resize)
        return height, width

    def read(self, split: Split, row: int) -> Picture:
        """The picture, with mask, label and caption where columns are named for them.

        Raises:
            BadImage: naming the file or the row, if it cannot be read.
        """
        mask = self._file(split, row, self.mask) if self.mask is not None else None
        picture = read_picture(self._file(split, row, self.image), mask, self.mask_reader, self.resize)
        part, row = self.part[split], self.rows[split][row]
        if self.label is not None:
            picture["label"] = self._cell(part, self.label, row).as_py()
        if self.caption is not None:
            picture["caption"] = self._cell(part, self.caption, row).as_py()
        return picture

    def shards(self, split: Split) -> None:
        """Any order."""
        return None


def _load(root: Path, format: str, cache_dir: str | None) -> dict[str, Any]:
    """The set's splits; a saved one is mapped where it is."""
    try:
        import datasets
    except ImportError:
        raise Refused("data.path: Hugging Face data sets need the package datasets: pip install datasets") from None
    files = {"data_files": {"train": str(root)}} if root.is_file() else {"data_dir": str(root)}
    try:
        with _silent_and_offline():
            if format != "saved":
                return dict(datasets.load_dataset(format, cache_dir=cache_dir, **files))
            found = datasets.load_from_disk(str(root))
            return dict(found) if isinstance(found, dict) else {"train": found}
    except Exception as error:  # the library wraps what its readers raise in its own
        reason = str(error.__cause__ or error).strip().splitlines() or [type(error).__name__]
        raise Refused(f"data.path: {root} cannot be read as {format} ({reason[0]})") from None


@contextmanager
def _silent_and_offline() -> Iterator[None]:
    """Neither the network nor progress bars; the environment and the library stay as they were."""
    import datasets
    import huggingface_hub.constants

    with ExitStack() as stack:
        # Not through the environment, which the library looks at when it is imported, and never again.
        for module in (datasets.config, huggingface_hub.constants):
            stack.enter_context(patch.object(module, "HF_HUB_OFFLINE", True))
        if datasets.is_progress_bar_enabled():
            datasets.disable_progress_bars()
            stack.callback(datasets.enable_progress_bars)
        yield


def _remove(folder: str, owner: int) -> None:
    """Remove a temporary folder, but not from a process that was forked from its owner."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
