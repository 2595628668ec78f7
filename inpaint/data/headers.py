"""The sizes of photographs, remembered from one start to the next, so that 100 000 headers are read once.

A file below the user's cache folder, one for each collection, has a row of five numbers for each photograph: the hash
of its path, its bytes, the time of its last change in ns, height and width. Nothing else is taken from it, and a
photograph is still checked when it is read.
"""

import hashlib
import logging
import os
import time
from pathlib import Path
from threading import Lock

import numpy as np

from inpaint.files.folder import expanded, replacing
from inpaint.files.untrusted import read_bytes
from inpaint.pictures.reading import LARGEST, SizeOf, image_size
from inpaint.settings import Refused

log = logging.getLogger("inpaint.data")

MARK = b"inpaint headers 1\n"
DIGEST = 32  # bytes behind the mark, blake2b of all that follows
MOST = 1 << 30  # bytes of such a file
FRESH = 2 * 10**9  # ns; what changed so lately may change again within a tick of the clock, and is not remembered
Known = tuple[int, int, int, int]  # bytes, time of the last change, height, width


def cache_folder() -> Path:
    """Where what can be made anew is kept for this user (XDG Base Directory Specification)."""
    return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "inpaint"


class Headers:
    """Sizes of the pictures of one collection.

    Args:
        root: of the collection.
        folder: where the file is; None is `cache_folder`.
    """

    def __init__(self, root: Path, folder: Path | None = None) -> None:
        name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:32]
        self.file = (folder or cache_folder()) / f"headers-{name}"
        self.stored: np.ndarray | None = None  # int64 (N, 5), sorted by its first column; read when it is asked for
        self.new: dict[int, Known] = {}
        self.lock = Lock()

    def size(self, path: Path, read: SizeOf | None = None) -> tuple[int, int]:
        """Height and width of a picture, upright, from what is remembered or from its header.

        Args:
            path: of the picture.
            read: takes it from the header; None is `image_size`.

        Raises:
            BadImage: as `read`; no such picture is remembered.
        """
        read = read or image_size
        try:
            status = path.stat()
        except OSError:
            return read(path)  # which says it as of every other file
        key = int.from_bytes(hashlib.blake2b(os.fsencode(path), digest_size=8).digest(), "little", signed=True)
        stamp = (status.st_size, status.st_mtime_ns)
        if (known := self._known(key)) is not None and known[:2] == stamp:
            return known[2:]
        height, width = read(path)
        if time.time_ns() - status.st_mtime_ns > FRESH:
            self.new[key] = (*stamp, height, width)
        return height, width

    def _known(self, key: int) -> Known | None:
        if (known := self.new.get(key)) is not None:
            return known
        if self.stored is None:
            with self.lock:
                if self.stored is None:
                    self.stored = self._load()
        row = int(np.searchsorted(self.stored[:, 0], key))
        if row == len(self.stored) or self.stored[row, 0] != key:
            return None
        length, changed, height, width = self.stored[row, 1:].tolist()
        return length, changed, height, width

    def _load(self) -> np.ndarray:
        """What an earlier start has written; nothing, and a line, where that is not what one would write."""
        nothing = np.empty((0, 5), np.int64)
        try:
            data = read_bytes(self.file, MOST)
        except FileNotFoundError:
            return nothing
        except (OSError, Refused) as error:
            log.warning(f"{self.file}: cannot be read ({error}); headers are read anew")
            return nothing
        body = data[len(MARK) + DIGEST :]
        if not data.startswith(MARK + hashlib.blake2b(body, digest_size=DIGEST).digest()) or len(body) % 40:
            log.warning(f"{self.file}: damaged, or of another version; headers are read anew")
            return nothing
        rows = np.frombuffer(body, "<i8").reshape(-1, 5)
        heights, widths = rows[:, 3], rows[:, 4]
        possible = (heights > 0) & (widths > 0) & (heights <= LARGEST) & (widths <= LARGEST)
        rows = rows[possible & (heights * widths <= LARGEST)]
        return rows[np.argsort(rows[:, 0], kind="stable")]

    def save(self) -> None:
        """Write down what is new. Where that cannot be written, the next start takes longer, and nothing else."""
        if not self.new:
            return
        rows = np.array([(key, *known) for key, known in self.new.items()], np.int64)
        if self.stored is not None:
            rows = np.concatenate([rows, self.stored[~np.isin(self.stored[:, 0], rows[:, 0])]])
        self.stored, self.new = rows[np.argsort(rows[:, 0], kind="stable")], {}
        body = self.stored.astype("<i8").tobytes()
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.file) as scratch:
                scratch.write_bytes(MARK + hashlib.blake2b(body, digest_size=DIGEST).digest() + body)
        except OSError as error:
            log.info(f"{self.file}: cannot be written ({error.strerror}); headers are read anew at the next start")
