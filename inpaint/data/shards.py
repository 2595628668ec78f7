"""Photographs in tar shards of the WebDataset layout, streamed from a disk or from any address that fsspec knows."""

import io
import os
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from inpaint.data.sources import Picture, mask_reader, read_picture, say
from inpaint.data.splits import Split
from inpaint.data.tar import Reader, Sample
from inpaint.files.untrusted import parse_json, read_json
from inpaint.files.writing import write_json
from inpaint.pictures.mask_files import Polarity, Threshold
from inpaint.pictures.reading import BadImage, Encoded
from inpaint.progress import in_threads
from inpaint.settings import Refused, listed


class Shards:
    """Photographs in tar files: members of one name but for its extension, one after another, are one sample.

    ``00042.jpg, 00042.txt, 00042.cls`` is a picture with its caption and its class (Aizman, Maltby and Breuel 2019,
    "High performance I/O for large scale deep learning"); the extension is what follows the first dot. Nothing is
    unpacked or downloaded as a whole: a reader holds a block of samples of each shard it is in, as they were encoded.
    Rows are numbered shard after shard, so all must know how many samples each has.

    Args:
        train: shards to train on: a path or any address of fsspec (``s3://``, ``https://``, ``memory://``), with braces
            (``{000..127}.tar``) or wildcards, or a list of such.
        validation: shards to validate on.
        counts: a JSON file with the number of samples of each shard by its name; where it does not exist, they are
            counted and it is written. None counts them at every start.
        image: extensions of the picture, the first that a sample has.
        mask: extension of the mask.
        mask_threshold: grey levels at or above it are hole, or auto; None demands masks of two levels.
        label: extension of the number of the class, or ``json:KEY`` for a number in the sample's JSON.
        caption: extension of the text, or ``json:KEY``.
        resize: the shorter side is shrunk to this many pixels on reading; None reads pictures as they are.
        streams: places that each rank reads from in turn; best a multiple of the number of workers.
        block: successive samples that are shuffled, and held in memory by each stream.
        mask_channel: what of a mask is taken, as in `mask_files.MaskReader`, and `mask_polarity`.
        mask_polarity: see there.

    Raises:
        Refused: no such shards, none in a pattern, some twice or on both sides, broken ones, or wrong counts.
    """

    def __init__(
        self,
        train: str | Sequence[str],
        validation: str | Sequence[str],
        counts: str | None = None,
        image: Sequence[str] = ("jpg", "jpeg", "png", "webp", "tif"),
        mask: str | None = None,
        mask_threshold: Threshold = None,
        label: str | None = None,
        caption: str | None = None,
        resize: int | None = None,
        streams: int = 8,
        block: int = 256,
        mask_channel: str = "auto",
        mask_polarity: Polarity | None = None,
    ) -> None:
        for key, number in (("streams", streams), ("block", block)):
            if number < 1:
                raise Refused(f"data.{key}: {number} is less than 1")
        no_masks = "mask" if mask is None else None
        self.mask_reader = mask_reader(resize, mask_threshold, mask_channel, mask_polarity, no_masks)
        self.masked = mask is not None
        self.image, self.mask = [_extension(name) for name in image], _extension(mask) if mask is not None else None
        self.label, self.caption = label, caption
        self.resize = resize
        self.streams, self.block = streams, block
        self.wanted = {*self.image, *(_extension(name) for name in (mask, label, caption) if name is not None)}
        self.addresses: dict[Split, list[str]] = {
            "train": _expand(train, "train"),
            "validation": _expand(validation, "validation"),
        }
        every = [address for addresses in self.addresses.values() for address in addresses]
        if twice := [address for address, times in Counter(every).items() if times > 1]:
            raise Refused(f"data.validation: {len(twice)} shards are there twice, or train as well: {listed(twice)}")
        self.names = _short_names(every)
        self.counts = self._counted(every, Path(counts) if counts is not None else None)
        self.begins: dict[Split, list[int]] = {
            split: [0, *accumulate(self.counts[address] for address in addresses)]
            for split, addresses in self.addresses.items()
        }
        for split in self.addresses:
            if not self.count(split):
                raise Refused(
                    f"data.{split}: no samples with a picture ({', '.join(self.image)}) in "
                    f"{listed(self.addresses[split])}"
                )
        self._readers: dict[Split, list[Reader]] = {"train": [], "validation": []}
        self._process = os.getpid()

    def _counted(self, every: list[str], file: Path | None) -> dict[str, int]:
        """Samples of each shard, from the file, or counted and said aloud."""
        if file is not None and file.is_file():
            return self._known(file)
        if file is not None and not file.parent.is_dir():
            raise Refused(f"data.counts: {file} is not there, and cannot be made: {file.parent} is no folder")
        ignored: Counter[str] = Counter()
        counts = {}
        found = in_threads(self._walk_through, every, 8, "counting samples", "shards")  # which are mostly waited for
        for address, (number, left_out) in zip(every, found, strict=True):
            counts[address] = number
            ignored += left_out
        say(
            f"data.counts: counted {sum(counts.values())} samples in {len(every)} shards"
            + (f", written to {file}" if file is not None else "; data.counts=FILE keeps the numbers")
        )
        if ignored:
            kinds = ", ".join(f"{number} .{extension}" for extension, number in ignored.most_common(10))
            say(f"data: ignored {ignored.total()} members of the shards: {kinds}")
        if file is not None:
            # Several ranks may write the same.
            write_json(file, {self.names[address]: number for address, number in counts.items()}, indent=0)
        return counts

    def _known(self, file: Path) -> dict[str, int]:
        try:
            known = read_json(file)
            readable = all(isinstance(number, int) and number >= 0 for number in known.values())
        except (OSError, ValueError, AttributeError):
            readable = False
        if not readable:
            raise Refused(f'data.counts: {file} is no JSON of the form {{"000.tar": 100, "001.tar": 99}}')
        if missing := [name for name in self.names.values() if name not in known]:
            raise Refused(
                f"data.counts: {file} lacks {len(missing)} of {len(self.names)} shards: {listed(missing)}; "
                "add them, or delete the file to have it made anew"
            )
        return {address: known[name] for address, name in self.names.items()}

    def _walk_through(self, address: str) -> tuple[int, Counter[str]]:
        """Samples of a shard, and its members that belong to none, by extension; from the headers."""
        reader = self._open(address)
        try:
            return sum(1 for _ in reader.samples), reader.ignored
        except ValueError:
            raise
        except Exception as error:
            raise Refused(f"{reader.name}: the shard is broken ({error})") from None
        finally:
            reader.close()

    def _open(self, address: str) -> Reader:
        return Reader(address, self.names[address], self.wanted, self.image)

    def count(self, split: Split) -> int:
        """How many samples a split has."""
        return self.begins[split][-1]

    def name(self, split: Split, row: int) -> str:
        """The shard and the place of the sample in it, from 0; its own name is only in the shard."""
        address, position = self._find(split, row)
        return f"{self.names[address]}/{position}"

    def size(self, split: Split, row: int) -> None:
        """Unknown without reading."""
        return None

    def shards(self, split: Split) -> list[int]:
        """Samples of each shard."""
        return [self.counts[address] for address in self.addresses[split]]

    def read(self, split: Split, row: int) -> Picture:
        """The picture, with mask, label and caption where they are asked for.

        Cheap for rows of the block that a row before it was in, or of a later one.

        Raises:
            BadImage: naming shard and sample, if it cannot be read or lacks something.
            Refused: the shard is broken, or has another number of samples than was counted.
        """
        address, position = self._find(split, row)
        key, members = self._sample(split, address, position)
        where = f"{self.names[address]}/{key}"

        def member(extension: str) -> Encoded:
            if extension not in members:
                raise BadImage(f"{where}: has no .{extension}, only {', '.join(sorted(members))}")
            return Encoded(io.BytesIO(members[extension]), f"{where}.{extension}")

        image = next(extension for extension in self.image if extension in members)
        mask = member(self.mask) if self.mask is not None else None
        picture = read_picture(member(image), mask, self.mask_reader, self.resize)
        if self.label is not None:
            text = _text(member(_extension(self.label)), self.label)
            try:
                picture["label"] = int(text)
            except ValueError:
                raise BadImage(f"{where}.{self.label}: {text[:40]!r} is no number of a class") from None
        if self.caption is not None:
            picture["caption"] = _text(member(_extension(self.caption)), self.caption)
        return picture

    def _find(self, split: Split, row: int) -> tuple[str, int]:
        """The shard of a row, and its place in it."""
        begins = self.begins[split]
        shard = bisect_right(begins, row) - 1
        return self.addresses[split][shard], row - begins[shard]

    def _sample(self, split: Split, address: str, position: int) -> Sample:
        """A sample, out of the block that it is in."""
        if self._process != os.getpid():  # open files are those of the process that this worker was forked from
            self._readers, self._process = {"train": [], "validation": []}, os.getpid()
        readers, block = self._readers[split], position // self.block
        behind = [reader for reader in readers if reader.address == address and reader.block <= block]
        reader = max(behind, key=lambda reader: reader.block, default=None)
        for attempt in (1, 2):
            reader = reader or self._open(address)
            if reader in readers:
                readers.remove(reader)
            try:
                if reader.block != block:
                    reader.load(block, self.block, self.counts[address])
                break
            except ValueError:
                reader.close()
                raise
            except Exception as error:  # what a network raises depends on its library; a connection may break once
                reader.close()
                if attempt == 2:
                    raise Refused(f"{reader.name}: the shard is broken ({error})") from None
                reader = None
        assert reader is not None
        readers.append(reader)
        # The longest unused ones go. Validation is read in order, by one stream.
        while len(readers) > (self.streams if split == "train" else 2):
            readers.pop(0).close()
        return reader.held[position % self.block]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_readers": {"train": [], "validation": []}}  # files stay where they were opened


def _extension(setting: str) -> str:
    return "json" if setting.startswith("json:") else setting.lower().removeprefix(".")


def _text(member: Encoded, setting: str) -> str:
    """The text of a member, or of an entry of its JSON."""
    try:
        text = member.stream.read().decode("utf-8").strip()
        return str(parse_json(text)[setting.removeprefix("json:")]) if setting.startswith("json:") else text
    except (ValueError, KeyError, TypeError) as error:
        raise BadImage(f"{member.name}: no {setting} that can be read ({error})") from None


def _expand(patterns: str | Sequence[str], key: str) -> list[str]:
    """Addresses, with braces and wildcards resolved."""
    try:
        from braceexpand import braceexpand
    except ImportError:
        raise Refused(f"data.{key}: shards need two packages: pip install fsspec braceexpand") from None
    found: list[str] = []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        try:
            addresses = list(braceexpand(pattern))
        except ValueError:
            raise Refused(f"data.{key}: the braces of {pattern} do not match") from None
        for address in addresses:
            try:
                matching = _matching(address)
            except Exception as error:  # what a network raises depends on its library
                raise Refused(f"data.{key}: {address} cannot be reached ({error})") from None
            if not matching:
                raise Refused(f"data.{key}: there are no shards {address}")
            found += matching
    if not found:
        raise Refused(f"data.{key}: names no shards")
    return found


def _matching(address: str) -> list[str]:
    """The files of an address with wildcards, or itself; each has one spelling."""
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    files, path = fsspec.core.url_to_fs(address)
    is_local = isinstance(files, LocalFileSystem)
    # In an address of the web, a question mark begins a query.
    if any(sign in address for sign in ("*?[" if is_local else "*[")):
        return [name if is_local else files.unstrip_protocol(name) for name in sorted(files.glob(path))]
    return [path if is_local else address]


def _short_names(addresses: Sequence[str]) -> dict[str, str]:
    """What each shard is called: its file's name, or the whole address where two files have one name."""
    short = {address: address.partition("?")[0].rpartition("/")[2] for address in addresses}
    return short if len({*short.values()}) == len(short) else {address: address for address in addresses}
