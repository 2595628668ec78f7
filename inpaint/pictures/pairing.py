"""Folders of pictures, masks and results: found, paired by their names, and what does not fit.

A picture's name is its path relative to its folder, without the suffix: ``a/b`` for ``a/b.png``.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from inpaint.settings import Refused, listed

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


def find_images(root: Path, setting: str) -> list[Path]:
    """All jpg, png and webp files below `root`, hidden ones left out, in the order of their names.

    Raises:
        Refused: naming `setting`, if `root` is not a folder, holds none, or holds links that leave it or lead
            nowhere. Links to folders inside are not followed, as what they hold is found anyway.
    """
    if not root.is_dir():
        raise Refused(f"{setting}: {root} is not a folder")
    found, leaving, home = [], [], root.resolve()
    try:
        for entry in _entries(root):
            is_image = os.path.splitext(entry.name)[1].lower() in SUFFIXES  # noqa: PTH122  a million of them
            if entry.is_symlink() and (is_image or Path(entry.path).is_dir()):
                target = os.path.realpath(entry.path)
                if not Path(target).is_relative_to(home) or not Path(target).exists():
                    leaving.append(entry.path)
                    continue
            if is_image and entry.is_file():
                found.append(entry.path)
    except OSError as error:
        raise Refused(f"{setting}: {error.filename} cannot be opened ({error.strerror})") from None
    if leaving:
        raise Refused(
            f"{setting}: {len(leaving)} links in {root} leave it or lead nowhere: {listed(sorted(leaving))}; "
            "copy the files into it, or give the folder that holds them"
        )
    if not found:
        raise Refused(f"{setting}: no images ({', '.join(sorted(SUFFIXES))}) in {root}")
    return [Path(path) for path in sorted(found)]


def _entries(folder: Path | str) -> Iterator[os.DirEntry]:
    """What is below a folder at any depth, without hidden things; links are named but not followed."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(entry.path)
            else:
                yield entry


def pair_masks(pictures: Sequence[Path], root: Path, masks: Path, setting: str) -> dict[Path, Path]:
    """The mask of each picture, as `match_masks` finds them.

    Raises:
        Refused: naming `setting`, if pictures have no mask (with counts and names) or a mask is there twice.
    """
    pairs, lacking = match_masks(pictures, root, masks, setting)
    if lacking:
        raise Refused(
            f"{setting}: {len(lacking)} of {len(lacking) + len(pairs)} pictures have no mask of their name in {masks}: "
            f"{listed(lacking)}"
        )
    return pairs


def match_masks(pictures: Sequence[Path], root: Path, masks: Path, setting: str) -> tuple[dict[Path, Path], list[str]]:
    """Masks by picture: the file of its relative name below `masks`, with any suffix or with `_mask` before it.

    What is itself a mask is left out of the pictures: files below `masks`, where that is a folder inside `root`, and
    ``NAME_mask`` where both are one folder.

    Returns:
        The pairs, and the names of the pictures that have none.

    Raises:
        Refused: naming `setting`, if a mask is there twice.
    """
    by_name = find_by_name(masks, setting)
    if masks.resolve() == root.resolve():
        pictures = [path for path in pictures if not path.stem.endswith("_mask")]
        by_name = {name: path for name, path in by_name.items() if name.endswith("_mask")}
    elif masks.resolve().is_relative_to(root.resolve()):
        inside = root / masks.resolve().relative_to(root.resolve())
        pictures = [path for path in pictures if not path.is_relative_to(inside)]

    pairs, lacking = {}, []
    for path in pictures:
        name = path.relative_to(root).with_suffix("").as_posix()
        mask = mask_of(name, by_name)
        if mask is None:
            lacking.append(name)
        else:
            pairs[path] = mask
    return pairs, lacking


def mask_of(name: str, by_name: Mapping[str, Path]) -> Path | None:
    """The mask of a picture among those that `find_by_name` found: of its name, or with `_mask` behind."""
    return by_name.get(name, by_name.get(f"{name}_mask"))


def find_by_name(root: Path, setting: str) -> dict[str, Path]:
    """What `find_images` finds, by the relative name without suffix.

    Raises:
        Refused: as there, or naming `setting`, if two files have one name.
    """
    by_name: dict[str, Path] = {}
    for path in find_images(root, setting):
        name = path.relative_to(root).with_suffix("").as_posix()
        if by_name.setdefault(name, path) != path:
            raise Refused(f"{setting}: {by_name[name]} and {path} are both called {name}; remove one")
    return by_name


# ---- what does not fit ----------------------------------------------------------------------------------------------


class Problem(NamedTuple):
    """A file that does not fit: whose (a setting), what is wrong, the picture or file, and why."""

    setting: str
    kind: str
    name: str
    reason: str = ""


def find_results(root: Path, setting: str) -> tuple[dict[str, Path], list[Problem]]:
    """What `find_by_name` finds in a tool's folder, and the files in there that are no pictures by their suffix."""
    files = find_by_name(root, setting)
    others = [Path(entry.path) for entry in _entries(root) if entry.is_file()]
    kind = "of another type than jpg, png, webp"
    return files, [Problem(setting, kind, path.name) for path in sorted(others) if path.suffix.lower() not in SUFFIXES]


def unmatched(files: Iterable[str], names: Iterable[str], setting: str) -> list[Problem]:
    """Pictures, by their names, that are missing among the files of a tool, and files that belong to none."""
    files, names = dict.fromkeys(files), dict.fromkeys(names)  # in their order, and quickly looked up
    missing = [Problem(setting, "missing", name) for name in names if name not in files]
    return missing + [Problem(setting, "extra, no picture is called so", name) for name in files if name not in names]


def grouped(problems: Iterable[Problem]) -> list[str]:
    """A line for each setting and kind, with the number, the first names and the first reason."""
    groups: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        groups.setdefault((problem.setting, problem.kind), []).append(problem)
    return [
        f"{setting}: {len(same)} {kind}: {listed([problem.name for problem in same])}"
        + (f" ({same[0].reason})" if same[0].reason else "")
        for (setting, kind), same in groups.items()
    ]


def refusal(problems: Iterable[Problem], advice: str) -> Refused:
    """The error that names all problems, and then says what can be done."""
    return Refused("\n".join([*grouped(problems), advice]))
