"""Photographs written as tar shards, decoded and ready to be cut: what `Shards` reads without a decoder.

FOLDER/train-00000.tar        samples in the order of their rows: NUMBER.tif, as it is read after `resize`,
                              NUMBER.mask.png, NUMBER.cls and NUMBER.txt where there are masks, classes, captions
FOLDER/validation-00000.tar   likewise
FOLDER/counts.json            samples of each shard
"""

import importlib.util
import io
import os
import secrets
import shutil
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from inpaint.data.shards import Shards
from inpaint.data.sources import Picture
from inpaint.data.tiles import Tiles
from inpaint.files.writing import write_json
from inpaint.progress import track
from inpaint.settings import Refused

LARGEST = 1 << 28  # bytes of a shard; a larger collection has several, which are read in another order each epoch
COUNTS = "counts.json"
PATTERN = "*?[]{}"  # of addresses
TIMED = 256  # photographs of which both ways of reading are timed, a block of a shard


class Packed(NamedTuple):
    """What was written.

    photographs, shards: how many.
    bytes: of all shards.
    before, after: seconds of processor time that a photograph takes to be read, from the collection and from a shard.
    settings: those of ``data=shards`` that read it, by name.
    """

    photographs: int
    shards: int
    bytes: int
    before: float
    after: float
    settings: dict[str, str]


def new_shards(folder: Path) -> None:
    """Refuse a folder that shards cannot be written into.

    Raises:
        Refused: it holds something or is a file, its parent is no folder that can be written into, or `Shards` could
            not read from it.
    """
    if signs := sorted(set(PATTERN) & set(str(folder))):
        raise Refused(f"shards: {folder} has {' '.join(signs)}, which stand for several files where shards are read")
    for package in ("fsspec", "braceexpand"):
        if importlib.util.find_spec(package) is None:
            raise Refused(f"shards: they are read with {package}: pip install fsspec braceexpand")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise Refused(f"shards: {folder} exists and is not an empty folder; give another one")
    if not folder.parent.is_dir() or not os.access(folder.parent, os.W_OK):
        raise Refused(f"shards: {folder.parent} is no folder that can be written into")


def write_shards(folder: Path, splits: Sequence[Tiles], largest: int = LARGEST) -> Packed:
    """Write the photographs of a collection, each with what belongs to it; `folder` is there when all is written.

    A photograph that is left out is written as the one that stands in for it, so that every row, and hence every crop,
    is that of the collection.

    Args:
        folder: a new or an empty folder.
        splits: of the collection, checked.
        largest: bytes of a shard.

    Raises:
        Refused: `folder` cannot be written, or more photographs than allowed cannot be read.
    """
    new_shards(folder)
    if any(tiles.given_scale for tiles in splits):
        raise Refused("shards: hold no degraded pictures beside their truths; leave data.given_root out")
    if any(tiles.frames > 1 for tiles in splits):
        raise Refused("shards: hold no clips; data=frames reads videos as they are")
    scratch = folder.with_name(f".{folder.name[:100]}.{secrets.token_hex(8)}")
    try:
        scratch.mkdir()
        counts: dict[str, int] = {}
        for tiles in splits:
            counts |= _write_split(scratch, tiles, largest)
        write_json(scratch / COUNTS, counts, indent=0)
        if folder.is_dir():
            folder.rmdir()
        scratch.rename(folder)
    except OSError as error:
        raise Refused(f"shards: {folder} cannot be written ({error.strerror})") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)

    settings = {tiles.split: f"{folder}/{tiles.split}-*.tar" for tiles in splits} | {"counts": f"{folder / COUNTS}"}
    picture = splits[0].read(0)[1]
    present = {"mask": "mask.png", "label": "cls", "caption": "txt"}
    settings |= {name: extension for name, extension in present.items() if name in picture}
    source, tiles = Shards(**settings, image=["tif"]), splits[0]  # type: ignore[arg-type]
    rows = range(min(TIMED, tiles.count))
    before, after = (_seconds(read, rows) for read in (tiles.read, lambda row: source.read(tiles.split, row)))
    written = sum(file.stat().st_size for file in folder.glob("*.tar"))
    return Packed(sum(counts.values()), len(counts), written, before, after, settings)


def _seconds(read: Callable[[int], Any], rows: range) -> float:
    """Processor seconds of the faster of two passes, for a row."""
    passes = []
    for _ in range(2):
        begin = time.process_time()
        for row in rows:
            read(row)
        passes.append(time.process_time() - begin)
    return min(passes) / len(rows)


def _write_split(folder: Path, tiles: Tiles, largest: int) -> dict[str, int]:
    """Write the shards of a split; the number of samples of each, by its name."""
    counts: dict[str, int] = {}
    tar, size = None, 0
    try:
        for row, members in enumerate(_samples(tiles)):
            if tar is None or size > largest:
                if tar is not None:
                    tar.close()
                name = f"{tiles.split}-{len(counts):05d}.tar"
                tar, size, counts[name] = tarfile.open(folder / name, "w"), 0, 0  # noqa: SIM115
            for extension, data in members.items():
                entry = tarfile.TarInfo(f"{row:08d}.{extension}")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
                size += len(data)
            counts[name] += 1
    finally:
        if tar is not None:
            tar.close()
    return counts


def _samples(tiles: Tiles) -> Iterator[dict[str, bytes]]:
    """The members of each row's sample by extension, made by several threads, a few rows ahead."""
    threads = 1 if tiles.source.shards(tiles.split) is not None else os.cpu_count() or 1  # shards are read in turn
    with ThreadPoolExecutor(threads) as pool:
        rows = range(tiles.count)
        parts = (rows[first : first + 4 * threads] for first in range(0, tiles.count, 4 * threads))
        made = (members for part in parts for members in pool.map(lambda row: _members(tiles.read(row)[1]), part))
        for _ in track(rows, f"writing shards ({tiles.split})", "photographs"):
            yield next(made)


def _members(picture: Picture) -> dict[str, bytes]:
    """A picture and what belongs to it, as files."""
    members = {"tif": _encoded(picture["image"].permute(1, 2, 0).contiguous().numpy(), "TIFF")}
    if "mask" in picture:
        members["mask.png"] = _encoded(picture["mask"][0].mul(255).numpy(), "PNG")
    if "label" in picture:
        members["cls"] = str(picture["label"]).encode()
    if "caption" in picture:
        members["txt"] = picture["caption"].encode("utf-8", "backslashreplace")
    return members


def _encoded(pixels: np.ndarray, format: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format)
    return stream.getvalue()
