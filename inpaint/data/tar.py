"""One tar shard, read forward, sample by sample.

The bytes come from fsspec and the members from the standard library's `tarfile`. WebDataset's own reader hands an
address to a shell (``pipe:``), reads every member to pass over it, and takes a broken header for the end of the file.
"""

import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from inpaint.settings import Refused

LARGEST_MEMBER = 1 << 28  # bytes; a header can claim any size
LONGEST_NAME = 1 << 20  # bytes of a header's extension, which tarfile reads whole
# Times its size that a packed shard may hold: pictures are packed already, captions pack to a tenth; and what any may.
PACKED, ANY = 50, 1 << 26
UNKNOWN = 1 << 38  # bytes that one may hold whose size a network does not say
BROKEN_HEADERS = (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError, tarfile.EmptyHeaderError)  # type: ignore[attr-defined]

EXTENSIONS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)


class Sample(NamedTuple):
    """A sample of a shard: what its members' names begin with, and their bytes by extension."""

    key: str
    members: dict[str, bytes]


class Reader:
    """The samples of one shard, a block at a time.

    Members of one name up to the first dot, one after another, are a sample if there is a picture among them.

    Args:
        address: a path or any address of fsspec.
        name: what messages call it.
        wanted: extensions that are read; other members are only counted, in `ignored`.
        images: extensions of pictures.

    Raises:
        Refused: it cannot be opened, or is no tar file.
    """

    def __init__(self, address: str, name: str, wanted: set[str], images: Sequence[str]) -> None:
        import fsspec

        self.address, self.name, self.wanted, self.images = address, name, wanted, images
        self.block = -1  # which one is held
        self.held: list[Sample] = []
        self.first = 1 << 62  # samples before it are passed over: their members stay empty
        self.ignored: Counter[str] = Counter()
        try:
            self.file = fsspec.open(address, "rb").open()
            # What can be skipped is not read where the file can seek.
            mode: Any = "r:*" if self.file.seekable() else "r|*"
            size = self.file.seek(0, 2) if self.file.seekable() else getattr(self.file, "size", None)
            if self.file.seekable():
                self.file.seek(0)
            self.most = max(PACKED * size, ANY) if size is not None else UNKNOWN
            self.tar = tarfile.open(fileobj=self.file, mode=mode, tarinfo=_Header)  # noqa: SIM115
        except Exception as error:  # what a network raises depends on its library
            raise Refused(f"{name}: the shard cannot be opened ({' '.join(str(error).split())})") from None
        self.samples = self._walk()

    def load(self, block: int, length: int, count: int) -> None:
        """Go on to a later block, of `length` samples each, and hold its samples.

        Raises:
            Refused: there are more or fewer than `count` in the shard.
            Exception: whatever a broken file or connection raises.
        """
        begin, end = block * length, min(block * length + length, count)
        done = (self.block + 1) * length
        self.first, self.held = begin, []
        self.held = list(islice(self.samples, begin - done, end - done))
        self.block = block
        fewer = len(self.held) < end - begin
        if fewer or (end == count and next(self.samples, None) is not None):
            raise Refused(
                f"data.counts: {self.name} has {'fewer' if fewer else 'more'} samples than the {count} that were "
                "counted; count its samples anew"
            )

    def _walk(self) -> Iterator[Sample]:
        key = ""
        members: dict[str, bytes] = {}
        number = 0
        while (entry := self.tar.next()) is not None:
            if self.tar.offset > self.most:  # where the next header would be
                raise Refused(f"{self.name}: the shard is packed and holds more than {self.most >> 20} MB; unpack it")
            self.tar.members = []  # type: ignore[attr-defined]  # or it remembers every member it has seen
            name, extension = _split(entry.name)
            if not entry.isreg() or extension not in self.wanted:
                self.ignored[extension] += 1
                continue
            if name != key:
                if not members.keys().isdisjoint(self.images):
                    yield Sample(key, members)
                    number += 1
                key, members = name, {}
            if extension in members:
                raise Refused(f"{self.name}: {entry.name} is there twice in a row")
            members[extension] = self._bytes(entry) if number >= self.first else b""
        if not members.keys().isdisjoint(self.images):
            yield Sample(key, members)

    def _bytes(self, entry: tarfile.TarInfo) -> bytes:
        if entry.size > LARGEST_MEMBER:
            return b""  # and thus refused as a picture
        stream = self.tar.extractfile(entry)
        assert stream is not None
        return stream.read()

    def close(self) -> None:
        """Give the file back."""
        self.tar.close()
        self.file.close()


class _Header(tarfile.TarInfo):
    """A member's header. A broken one in the middle, or none at the end, is an error and not the end of the file."""

    @classmethod
    def fromtarfile(cls, archive: Any) -> "_Header":
        """Reads the next header, as the standard library's `TarInfo` does.

        Raises:
            tarfile.ReadError: it is broken, or the file was cut off.
        """
        try:
            return super().fromtarfile(archive)
        except BROKEN_HEADERS as error:
            raise tarfile.ReadError(f"{error} at byte {archive.offset}") from None

    def _proc_member(self, archive: Any) -> Any:
        """As in the standard library, which has this to be overridden: long names and the like are read whole.

        Raises:
            tarfile.ReadError: one is longer than any name.
        """
        if self.type in EXTENSIONS and self.size > LONGEST_NAME:
            raise tarfile.ReadError(f"a name of {self.size} bytes at byte {archive.offset}")
        return super()._proc_member(archive)  # type: ignore[misc]


def _split(name: str) -> tuple[str, str]:
    """A member's name up to the first dot of its last part, and the extension behind it, in lower case."""
    folder, slash, file = name.rpartition("/")
    stem, _, extension = file.partition(".")
    return folder + slash + stem, extension.lower()
