"""Which files are pictures by their names, which are left alone, and what a picture is called."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import PurePath

# By the format that Pillow knows them by.
SUFFIXES_OF = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp",),
}
FORMATS = tuple(SUFFIXES_OF)
SUFFIXES = frozenset(suffix for suffixes in SUFFIXES_OF.values() for suffix in suffixes)
READ = "jpg, png, webp, tif, bmp"  # for people
LAYERED = "PSD"  # of Photoshop: masks alone are read of such files
MASK_SUFFIXES = SUFFIXES | {".psd"}
# Pictures too, but none that are read: of screens and phones, of cameras' sensors, of science and of print.
OTHER_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("gif", "heic", "heif", "avif", "jp2", "j2k", "jxl", "tga", "ico", "svg"),
        *("dng", "cr2", "cr3", "nef", "arw", "orf", "rw2", "raf", "pef", "srw", "raw"),
        *("ppm", "pgm", "pbm", "pnm", "exr", "hdr", "npy", "psd", "xcf", "eps"),
    )
)
# What `inpaint-predict` calls the table of its results, and the folders beside them for what it writes besides.
PREDICTIONS = "predictions.csv"
EXTRAS = ("side_by_side", "raw", "holes")
# Thumbnails and bins that network drives, Windows and archives of macOS put beside pictures; hidden files are others.
LITTER = frozenset({"@eadir", "#recycle", "$recycle.bin", "system volume information", "__macosx", "thumbs.db"})


def is_left_alone(name: str) -> bool:
    """Whether a file or folder is hidden or something's litter: ``.DS_Store``, ``._x.jpg``, ``@eaDir``, ``Thumbs.db``.

    Examples:
        >>> [is_left_alone(name) for name in ("._beach.jpg", "@eaDir", "beach.jpg")]
        [True, True, False]
    """
    return name.startswith(".") or name.lower() in LITTER


def suffix_of(name: str) -> str:
    """The suffix in small letters, with its dot."""
    return os.path.splitext(name)[1].lower()  # noqa: PTH122  a million of them


def other_types(names: Iterable[str]) -> str:
    """How many pictures of types that are not read there are among file names: ``2 .gif, 1 .heic``, or nothing."""
    counts = Counter(suffix for name in names if (suffix := suffix_of(name)) in OTHER_SUFFIXES)
    return ", ".join(f"{number} {suffix}" for suffix, number in counts.most_common())


NUMBER_BEHIND = re.compile(r"\s+-?\d+$")  # of a class, as the lists of Places and CelebA have it


def spellings(line: str) -> Iterator[str]:
    r"""The paths that a line of a list may mean: as it is, without the number of a class, and with slashes for ``\``.

    Examples:
        >>> list(spellings(r"a\b.jpg 0"))
        ['a\\b.jpg 0', 'a/b.jpg 0', 'a\\b.jpg', 'a/b.jpg']
    """
    for text in dict.fromkeys((line, NUMBER_BEHIND.sub("", line))):
        yield from dict.fromkeys((text, text.replace("\\", "/")))


def composed(name: str) -> str:
    """A name in Unicode's composed form (NFC): a Mac writes é as two characters where others write one."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def called(path: PurePath) -> str:
    """A picture's name, from its path relative to its folder: without the suffix, composed: ``a/b`` for ``a/b.png``."""
    return composed(path.with_suffix("").as_posix())


def natural(name: str) -> list[tuple[int, str]]:
    """What names of frames are sorted by: numbers in them count as such.

    Examples:
        >>> sorted(["f10", "f9", "f09b"], key=natural)
        ['f9', 'f09b', 'f10']
    """
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name) if part]
