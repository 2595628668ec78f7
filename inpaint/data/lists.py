"""Lists of pictures, as collections come with them: which pictures of a folder the lines of a file name."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from inpaint.files.untrusted import TABLE, read_text
from inpaint.pictures.names import composed, spellings
from inpaint.settings import Refused, listed


def read_list(file: Path, pictures: Sequence[str], root: Path, setting: str) -> list[str]:
    r"""The pictures that a list names, in its order.

    A line is a path relative to `root`. These are taken too: a number of a class behind it (``name.jpg 0``, CelebA), a
    slash before it (``/a/airfield/00000001.jpg``, Places), an absolute path inside `root`, ``a\b.jpg``, and accents
    spelt as another system does. Empty lines are passed over, and those that begin with ``#`` and name no picture.

    Args:
        file: a line for each picture, UTF-8.
        pictures: relative paths of all pictures below `root`, with forward slashes.
        root: their folder.
        setting: what messages call the list.

    Raises:
        Refused: it cannot be read, names nothing, or has lines that lead out of the folder, name no picture there or
            name one that another line has named; with counts and the first lines.
    """
    try:
        lines = [line.strip() for line in read_text(file, TABLE).splitlines()]
    except (OSError, Refused) as error:
        raise Refused(f"{setting}: {file} is no list that can be read ({error})") from None
    known = {composed(picture): picture for picture in pictures}
    homes = [f"{root.absolute().as_posix()}/", f"{root.resolve().as_posix()}/", "/"]
    names: list[str] = []
    unknown: list[str] = []
    outside: list[str] = []
    for line in filter(None, lines):
        picture = _picture(line, known, homes)
        if picture is not None:
            names.append(picture)
        elif not line.startswith("#"):
            is_outside = ".." in PurePosixPath(line).parts or line.startswith("/") or re.match(r"\w:[\\/]", line)
            (outside if is_outside else unknown).append(line)
    problems = {
        "lead out of the folder": outside,
        "name no picture there": unknown,
        "stand there twice": [name for name, times in Counter(names).items() if times > 1],
    }
    if any(problems.values()):
        what = "; ".join(f"{len(wrong)} {text} ({listed(wrong)})" for text, wrong in problems.items() if wrong)
        number = len(names) + len(unknown) + len(outside)
        raise Refused(f"{setting}: of {number} lines in {file}, paths relative to {root}: {what}")
    if not names:
        raise Refused(f"{setting}: {file} names no pictures")
    return names


def _picture(line: str, known: Mapping[str, str], homes: Sequence[str]) -> str | None:
    """The picture that a line names in one of the ways that are taken."""
    for spelt in spellings(line):
        for path in (spelt, *(spelt.removeprefix(home) for home in homes)):
            if (picture := known.get(composed(str(PurePosixPath(path))))) is not None:
                return picture
    return None
