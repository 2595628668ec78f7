"""Folders of pictures, masks and results: found, paired by their names, and what does not fit.

A picture's name is its path relative to its folder, without the suffix: ``a/b`` for ``a/b.png`` (`names.called`).
"""

import csv
import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path, PurePath
from typing import NamedTuple

from inpaint.files.folder import first_rank
from inpaint.files.untrusted import TABLE, Unreadable, read_text
from inpaint.files.writing import csv_rows, utf8
from inpaint.pictures.names import (
    EXTRAS,
    MASK_SUFFIXES,
    OTHER_SUFFIXES,
    PREDICTIONS,
    READ,
    SUFFIXES,
    called,
    is_left_alone,
    other_types,
    suffix_of,
)
from inpaint.settings import Refused, listed

log = logging.getLogger("inpaint.pictures")

MASK = re.compile(r"(.+)_mask\d*")  # NAME_mask, and NAME_mask001 of LaMa's evaluation sets


def find_images(root: Path, setting: str, suffixes: Set[str] = SUFFIXES) -> list[Path]:
    """All pictures below `root`, hidden ones and thumbnails left out, in the order of their names.

    Pictures of types that are not read are counted, and it is said.

    Args:
        root: the folder.
        setting: what names it.
        suffixes: of the types that are read.

    Raises:
        Refused: naming `setting`, if `root` is not a folder, holds none, or holds links that leave it or lead
            nowhere. Links to folders inside are not followed, as what they hold is found anyway.
    """
    if not root.is_dir():
        raise Refused(f"{setting}: {root} is not a folder")
    found, others, leaving, home = [], [], [], root.resolve()
    try:
        for entry in _entries(root):
            suffix = suffix_of(entry.name)
            is_image = suffix in suffixes
            if entry.is_symlink() and (is_image or Path(entry.path).is_dir()):
                target = os.path.realpath(entry.path)
                if not Path(target).is_relative_to(home) or not Path(target).exists():
                    leaving.append(entry.path)
                    continue
            if is_image and entry.is_file():
                found.append(entry.path)
            elif suffix in OTHER_SUFFIXES:
                others.append(entry.name)
    except OSError as error:
        raise Refused(f"{setting}: {error.filename} cannot be opened ({error.strerror})") from None
    if leaving:
        raise Refused(
            f"{setting}: {len(leaving)} links in {root} leave it or lead nowhere: {listed(sorted(leaving))}; "
            "copy the files into it, or give the folder that holds them"
        )
    if not found:
        instead = f"; there are {other_types(others)}, which are not read" if others else ""
        raise Refused(f"{setting}: no images ({READ}) in {root}{instead}")
    if others and first_rank():
        log.warning(f"{setting}: left out, of other types than {READ}: {other_types(others)}")
    return [Path(path) for path in sorted(found)]


def _entries(folder: Path | str) -> Iterator[os.DirEntry]:
    """What is below a folder at any depth, without hidden things and litter; links are named but not followed."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_left_alone(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(entry.path)
            else:
                yield entry


# ---- masks ----------------------------------------------------------------------------------------------------------


class Match(NamedTuple):
    """A picture and a mask of it.

    file: the picture's own relative path, or, where it has several masks, the mask's: results are called so.
    """

    picture: Path
    mask: Path
    file: Path

    @property
    def name(self) -> str:
        """What a result is called, without suffix."""
        return called(self.file)


def pair_masks(pictures: Sequence[Path], root: Path, masks: Path, setting: str) -> list[Match]:
    """The masks of each picture, as `match_masks` finds them.

    Raises:
        Refused: naming `setting`, if pictures have no mask (with counts and names), or as `match_masks`.
    """
    pairs, lacking = match_masks(pictures, root, masks, setting)
    if lacking:
        number = len(lacking) + len({pair.picture for pair in pairs})
        raise Refused(
            f"{setting}: {len(lacking)} of {number} pictures have no mask of their name in {masks}: {listed(lacking)}"
        )
    return pairs


def match_masks(pictures: Sequence[Path], root: Path, masks: Path, setting: str) -> tuple[list[Match], list[str]]:
    """The masks of pictures, by the names below `masks`: see `masks_of`.

    What is itself a mask is left out of the pictures: files below `masks`, where that is a folder inside `root`, and
    ``NAME_mask`` where both are one folder that holds a picture NAME.

    Returns:
        The pairs in the order of the pictures, and the names of the pictures that have no mask.

    Raises:
        Refused: naming `setting`, as `find_by_name` and `masks_of`.
    """
    is_one_folder = masks.resolve() == root.resolve()
    by_name = find_by_name(masks, setting, SUFFIXES if is_one_folder else MASK_SUFFIXES)
    if is_one_folder:
        beside = _masks_beside(by_name)
        pictures = [path for path in pictures if called(path.relative_to(root)) not in beside]
        by_name = {name: path for name, path in by_name.items() if name in beside}
    elif masks.resolve().is_relative_to(root.resolve()):
        inside = root / masks.resolve().relative_to(root.resolve())
        pictures = [path for path in pictures if not path.is_relative_to(inside)]

    names = {path: called(path.relative_to(root)) for path in pictures}
    paired = masks_of(names.values(), by_name, setting)
    pairs, lacking = [], []
    for path, name in names.items():
        own = paired[name]
        for mask in (by_name[name] for name in own):
            pairs.append(Match(path, mask, mask.relative_to(masks) if len(own) > 1 else path.relative_to(root)))
        if not own:
            lacking.append(name)
    return pairs, lacking


def masks_of(names: Iterable[str], masks: Mapping[str, Path], setting: str) -> dict[str, list[str]]:
    """The names of each picture's masks: its own name, or ``NAME_mask``, or several as ``NAME_mask001``.

    A mask that has the very name of a picture belongs to that one: ``carnival_mask`` to a picture of that name.

    Raises:
        Refused: naming `setting`, if a picture has a mask of its own name and another one.
    """
    paired: dict[str, list[str]] = {name: [name] if name in masks else [] for name in names}
    for mask in sorted(masks):
        base = match[1] if (match := MASK.fullmatch(mask)) else ""
        if mask in paired or base not in paired:
            continue
        if base in paired[base]:
            raise Refused(f"{setting}: {masks[base]} and {masks[mask]} are both masks of {base}; remove one")
        paired[base].append(mask)
    return paired


def _masks_beside(names: Iterable[str]) -> set[str]:
    """Which files of one folder are masks: ``NAME_mask`` where there is a picture NAME; others are photographs."""
    masks: set[str] = set()
    pictures: set[str] = set()
    for name in sorted(names, key=len):
        base = match[1] if (match := MASK.fullmatch(name)) else ""
        (masks if base in pictures else pictures).add(name)
    return masks


def find_by_name(root: Path, setting: str, suffixes: Set[str] = SUFFIXES) -> dict[str, Path]:
    """What `find_images` finds, by the names of the pictures.

    Raises:
        Refused: as there, or naming `setting`, if two files have one name.
    """
    by_name: dict[str, Path] = {}
    for path in find_images(root, setting, suffixes):
        name = called(path.relative_to(root))
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
    """What `find_by_name` finds in a tool's folder, and the pictures in there that are of a type that is not read.

    Notes, lists and logs that stand beside somebody's results do not concern anyone: they are counted, and it is said.
    So are the pictures that `inpaint-predict` wrote beside its own: figures and extras.
    """
    files = find_by_name(root, setting)
    beside_ours = _beside_predictions(root, files)
    files = {name: path for name, path in files.items() if name not in beside_ours}
    if beside_ours and first_rank():
        log.warning(f"{setting}: left alone, as {PREDICTIONS} names no such results: {listed(sorted(beside_ours))}")
    names = sorted(entry.name for entry in _entries(root) if entry.is_file())
    kinds = Counter(suffix_of(name) or name for name in names)
    beside = ", ".join(f"{number} {kind}" for kind, number in kinds.items() if kind not in SUFFIXES | OTHER_SUFFIXES)
    if beside and first_rank():
        log.warning(f"{setting}: left alone, as they are no pictures: {beside}")
    unread = [name for name in names if suffix_of(name) in OTHER_SUFFIXES]
    return files, [Problem(setting, f"of another type than {READ}", name) for name in unread]


def _beside_predictions(root: Path, names: Iterable[str]) -> set[str]:
    """Of the pictures in a folder of `inpaint-predict`, those that are no results; none of any other folder."""
    try:
        lines = csv_rows(read_text(root / PREDICTIONS, TABLE))
    except (OSError, Unreadable, csv.Error):
        return set()
    results = {called(PurePath(line["output"])) for line in lines if line.get("output")}

    def is_result(name: str) -> bool:
        folder, _, rest = name.partition("/")
        is_extra = folder in EXTRAS and not results.isdisjoint((rest, f"{rest}_1"))  # of several samples the first
        return name in results and not is_extra

    return {name for name in names if results and not is_result(utf8(name))}


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
