"""What is to be repaired and where it goes, checked before any work; and what an earlier run has done of it."""

import csv
import glob
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from inpaint.files.folder import leads_out
from inpaint.files.untrusted import TABLE, Unreadable, read_text
from inpaint.files.writing import csv_rows, csv_text
from inpaint.pictures.boxes import is_table, read_boxes
from inpaint.pictures.names import PREDICTIONS, called, spellings
from inpaint.settings import Refused, listed

if TYPE_CHECKING:
    from inpaint.pictures.mask_files import MaskReader

LISTS = (".txt", ".lst", ".list")
COLUMNS = ("output", "picture", "mask", "hole", "taken", "key", "bytes", "modified")
SCRATCH = re.compile(r"\..+\.[0-9a-f]{16}\.\w+")  # what `folder.replacing` writes, left behind by a kill


class Job(NamedTuple):
    """A picture, its mask and where the results go.

    image, mask: the files; one and the same where the hole is in the picture itself, a table of boxes for several
        pictures, and no mask where none is a file.
    outputs: a file for each sample.
    name: the picture's relative path without suffix.
    format: in which it is written, as Pillow calls it.
    size: height and width, upright.
    extras: further files, by what they are.
    problem: why the picture cannot be read; nothing is written then.
    """

    image: Path
    mask: Path | None
    outputs: tuple[Path, ...]
    name: str = ""
    format: str = "PNG"
    size: tuple[int, int] = (0, 0)
    extras: Mapping[str, Path] = {}
    problem: str | None = None

    @property
    def output(self) -> Path:
        """The result, of several samples the first."""
        return self.outputs[0]

    @property
    def files(self) -> list[Path]:
        """All that is written."""
        return [*self.outputs, *self.extras.values()]


def find_pictures(images: str | Path) -> tuple[list[Path], Path]:
    """Pictures and the folder that their names are relative to.

    Args:
        images: a file; a folder, with all below it; a pattern, ``photos/**/*.jpg``, relative to what stands before its
            first sign; or a list (.txt, .lst), a path a line or ended by NULs, relative to the list's folder.

    Raises:
        Refused: there is nothing.
    """
    from inpaint.pictures.pairing import find_images

    path = Path(images)
    if path.is_dir():
        return find_images(path, "images"), path
    if path.is_file() and path.suffix.lower() in LISTS:
        return _listed(path)
    if path.is_file() or path.is_symlink():
        return [path], path.parent
    if not glob.has_magic(str(images)):
        raise Refused(f"images: {images} is no file, folder, pattern or list that is there")
    found = sorted(Path(name) for name in glob.glob(str(images), recursive=True) if Path(name).is_file())  # noqa: PTH207
    if not found:
        raise Refused(f"images: no file has a name like {images}")
    parts = []
    for part in path.parts[:-1]:
        if glob.has_magic(part):
            break
        parts.append(part)
    return found, Path(*parts)


def _listed(file: Path) -> tuple[list[Path], Path]:
    """The pictures that a list names, and the folder that holds all of them.

    A line is a path, from the list's folder on, in any of its `spellings`; one that begins with ``#`` is a comment,
    unless a picture is called so.
    """
    try:
        text = read_text(file, TABLE)
    except (OSError, Unreadable) as error:
        raise Refused(f"images: {file} is no list that can be read ({error})") from None
    lines = text.split("\0") if "\0" in text else [line.strip() for line in text.splitlines()]
    paths = []
    for line in filter(None, lines):
        meant = [Path(os.path.abspath(file.parent / spelt)) for spelt in spellings(line)]  # noqa: PTH100
        there = next((path for path in meant if path.is_file()), None)
        if there is not None or not line.startswith("#"):
            paths.append(there or meant[0])
    if lacking := [path for path in paths if not path.is_file()]:
        raise Refused(f"images: {len(lacking)} of {len(paths)} pictures in {file} are not there: {listed(lacking)}")
    if not paths:
        raise Refused(f"images: {file} names no pictures")
    return list(dict.fromkeys(paths)), Path(os.path.commonpath([path.parent for path in paths]))


@dataclass(frozen=True)
class MaskFiles:
    """The files that say where holes are.

    place: a folder of masks, one for all, or a table of boxes (`pictures.boxes`); None where no file says it.
    alpha: whether the hole of each picture is what is transparent in it.
    measured: whether it is measured in it, what is transparent among it.
    pattern: the name of a picture's mask below `place`, in the picture's folder there: ``{stem}_mask.png``.
    skip: whether pictures without a mask are left out, as a problem of their own.
    reader: how files of masks are read; None where no such file says it.
    """

    place: Path | None
    alpha: bool = False
    measured: bool = False
    pattern: str | None = None
    skip: bool = False
    reader: "MaskReader | None" = None

    @property
    def lacking(self) -> tuple[str, str]:
        """What is said of a picture whose hole is nowhere, and of several."""
        if self.alpha:
            return "is not transparent anywhere", "are not transparent anywhere"
        if self.place is not None and is_table(self.place):
            return f"has no boxes in {self.place}", f"have no boxes in {self.place}"
        return f"has no mask of its name in {self.place}", f"have no mask of their name in {self.place}"


@dataclass(frozen=True)
class Destination:
    """Where results go, and what they are.

    folder: pictures that lie below it are no inputs.
    format: of the results; None is each picture's own.
    samples: results for each picture.
    extras: of `names.EXTRAS`, what is written besides.
    overwrite: whether results may take the place of the pictures that they are made of.
    """

    folder: Path
    format: str | None = None
    samples: int = 1
    extras: Sequence[str] = ()
    overwrite: bool = False


def plan(images: str | Path, masks: MaskFiles, destination: Destination) -> list[Job]:
    """Pair pictures with masks by their names and check sizes by the headers.

    Args:
        images: as `find_pictures` takes them.
        masks: where the holes are.
        destination: of the results.

    Raises:
        Refused: nothing to do, pictures without a mask, a mask of another size, two pictures that would be written
            to one file, or a result that would overwrite an input; with names and counts.
    """
    output = destination.folder
    if output.exists() and not output.is_dir():
        raise Refused(f"output: {output} is a file; give a folder")
    found, root = find_pictures(images)
    if output.is_dir() and not output.resolve().samefile(root.resolve()):
        home = output.resolve()
        found = [path for path in found if not path.resolve().is_relative_to(home)] or found
    jobs, lacking = [], []
    of_one, of_several = masks.lacking
    for image, mask, file in _paired(found, root, masks):
        if mask is None and (masks.alpha or masks.place is not None):
            lacking.append(Job(image, None, (output / file,), called(file), problem=f"{image}: {of_one}"))
        else:
            jobs.append(_job(image, mask, file, masks.reader, destination))
    if lacking and not (masks.skip and jobs):
        names = listed([job.name for job in lacking])
        advice = "; missing=skip leaves them out" if jobs else ""
        raise Refused(f"holes: {len(lacking)} of {len(jobs) + len(lacking)} pictures {of_several}: {names}{advice}")

    pictures = {job.image.resolve() for job in jobs}
    files = {job.mask.resolve() for job in jobs if job.mask is not None and masks.place is not None}
    written: dict[Path, Path] = {}
    for job in jobs:
        for file in job.files:
            replaced = file.resolve() in pictures and not (destination.overwrite and job.image == file)
            if file.resolve() in files or replaced:
                advice = "" if file.resolve() in files else ", or overwrite=true to replace it"
                raise Refused(f"output: {file} is an input and would be overwritten; give another folder{advice}")
            if written.setdefault(file, job.image) != job.image:
                raise Refused(f"output: {written[file]} and {job.image} would both be written to {file}")
            if file.is_symlink() or leads_out(output, file.relative_to(output)):
                raise Refused(f"output: {file} is a link, or behind one that leads out of {output}; remove it")
    return jobs + lacking


def _paired(found: Sequence[Path], root: Path, masks: MaskFiles) -> Iterator[tuple[Path, Path | None, Path]]:
    """Pictures, their masks where they have one, and the relative paths that results are called by."""
    from inpaint.pictures.pairing import match_masks

    place = masks.place
    if masks.pattern is not None:
        yield from _by_pattern(found, root, place, masks.pattern)
    elif place is not None and is_table(place):
        boxes = read_boxes(place, "holes")
        for image in found:
            yield image, place if called(image.relative_to(root)) in boxes else None, image.relative_to(root)
    elif place is None or place.is_file():
        for image in found:
            in_picture = masks.alpha or masks.measured
            own = image if in_picture and _may_be_transparent(image) else None
            yield image, place or own, image.relative_to(root)
    else:
        pairs, lacking = match_masks(found, root, place, "holes")
        yield from pairs
        names = set(lacking)
        for image in found:
            if called(image.relative_to(root)) in names:
                yield image, None, image.relative_to(root)


def _by_pattern(
    found: Sequence[Path], root: Path, holes: Path | None, pattern: str
) -> Iterator[tuple[Path, Path | None, Path]]:
    """The same by a pattern of the masks' names; pictures that are masks of others are left out."""
    if "{stem}" not in pattern:
        raise Refused(f"mask_pattern: give the name of a mask with {{stem}} in it, {{stem}}_mask.png; got {pattern}")
    if holes is None or not holes.is_dir():
        raise Refused("mask_pattern: names masks in a folder; give holes=FOLDER, or leave mask_pattern out")
    masks = {image: holes / image.relative_to(root).parent / pattern.replace("{stem}", image.stem) for image in found}
    others = {mask.resolve() for image, mask in masks.items() if mask != image}
    for image, mask in masks.items():
        if image.resolve() not in others:
            yield image, mask if mask.is_file() else None, image.relative_to(root)


def _may_be_transparent(image: Path) -> bool:
    """By its header; a file that cannot be read may be anything."""
    from inpaint.pictures.reading import BadImage
    from inpaint.pictures.writing import read_header

    try:
        return read_header(image).transparent
    except BadImage:
        return True


def _job(image: Path, mask: Path | None, file: Path, reader: "MaskReader | None", destination: Destination) -> Job:
    """A picture with its mask, whose sizes agree; or with what is wrong with it."""
    from inpaint.pictures.reading import BadImage
    from inpaint.pictures.writing import named, read_header, written_format

    output, samples = destination.folder, destination.samples
    mask_size = None if mask is None or reader is None else reader.size(mask)
    own_name = file.with_suffix(image.suffix)
    try:
        header = read_header(image)
    except BadImage as error:
        return Job(image, mask, (output / own_name,), called(file), problem=str(error))
    wanted = written_format(header, destination.format)
    if mask_size is not None and header.size != mask_size:
        size = f"{header.size[1]} x {header.size[0]}"
        raise BadImage(f"{mask}: the mask has {mask_size[1]} x {mask_size[0]} pixels, its picture {image} has {size}")
    path = named(output / own_name, wanted)
    several = [path.with_stem(f"{path.stem}_{sample}") for sample in range(1, samples + 1)]
    beside = {what: output / what / file.with_suffix(".png") for what in destination.extras}
    return Job(image, mask, tuple(several if samples > 1 else [path]), called(file), wanted, header.size, beside)


# ---- what was done before -------------------------------------------------------------------------------------------


class Records:
    """A line for each result in the output folder, written when the result is whole.

    A result is done if its line has the same key (settings, picture and mask) and the file is as it was written.

    Args:
        output: the folder; made if it is not there.
        settings: all that decides what a result looks like.

    Raises:
        OSError: the folder cannot be written.
        Refused: something else has the table's name.
    """

    def __init__(self, output: Path, settings: Any) -> None:
        self.file, self.settings = output / PREDICTIONS, settings
        self.lines: dict[str, dict[str, str]] = {}
        self.torn = False
        output.mkdir(parents=True, exist_ok=True)
        if self.file.exists() and not self.file.is_file():
            raise Refused(f"output: {self.file} is no file; give another folder, or take it away")
        with suppress(OSError, Unreadable, csv.Error):
            text = "" if self.file.is_symlink() else read_text(self.file, TABLE)
            self.torn = bool(text) and not text.endswith("\n")
            lines = csv_rows(text)
            if text and tuple(text.partition("\n")[0].split(",")) != COLUMNS:
                raise Refused(f"output: {self.file} is the table of something else; give another folder, or rename it")
            for line in lines:
                if None not in line.values() and None not in line:  # a line that a kill has torn
                    self.lines[line["output"]] = line
        self.append([])

    def is_ours(self, path: Path) -> bool:
        """Whether a file is a result of an earlier run, as that wrote it."""
        line = self.lines.get(self._named(path))
        return line is not None and (line.get("bytes"), line.get("modified")) == _state(path)

    def is_done(self, job: Job) -> bool:
        """Whether all results of a job are there, made by these settings from this picture and mask."""
        keys = {self.lines.get(self._named(path), {}).get("key") for path in job.files}
        return keys == {self.key(job)} and all(self.is_ours(path) for path in job.files)

    def refuse_others(self, jobs: Sequence[Job], overwrite: bool) -> None:
        """Files that are no results of ours are replaced only if `overwrite`, and folders never.

        Raises:
            Refused: with names and counts.
        """
        if folders := [path for job in jobs for path in job.files if path.is_dir()]:
            raise Refused(f"output: {len(folders)} folders have the names of results: {listed(folders)}; rename them")
        if overwrite:
            return
        theirs = [path for job in jobs for path in job.files if path.exists() and not self.is_ours(path)]
        if theirs:
            raise Refused(
                f"output: {len(theirs)} files are there that are no results of an earlier run: {listed(theirs)}; give "
                "another folder, or overwrite=true to replace them"
            )

    def key(self, job: Job) -> str:
        """What decides the results of a job, to be asked for before they are written: one may be the picture."""
        files = [job.image, *([] if job.mask is None else [job.mask])]
        return digest([self.settings, str(job.image), str(job.mask), *map(_state, files), job.format])

    def add(self, job: Job, key: str, hole: float, taken: str) -> None:
        """A job is done."""
        lines = []
        for path in job.files:
            size, modified = _state(path)
            key_now = self.key(job) if job.image in job.files else key  # of a picture that was replaced
            picture, mask = str(job.image), str(job.mask or "")
            lines.append([self._named(path), picture, mask, f"{hole:.6f}", taken, key_now, size, modified])
        self.append(lines)

    def append(self, lines: Sequence[Sequence[Any]]) -> None:
        """Write lines behind the others, at once."""
        descriptor = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o666)
        with os.fdopen(descriptor, "a", newline="", encoding="utf-8", errors="backslashreplace") as file:
            if self.torn:
                file.write("\n")  # what a kill has torn ends here
            rows = [dict(zip(COLUMNS, line, strict=True)) for line in lines]
            file.write(csv_text(COLUMNS, rows, header=file.tell() == 0))
            self.torn = False

    def _named(self, path: Path) -> str:
        return path.relative_to(self.file.parent).as_posix().encode(errors="backslashreplace").decode()


def digest(about: Sequence[Any]) -> str:
    """A short name of values, equal for equal ones."""
    return hashlib.sha256(json.dumps(about, default=str, sort_keys=True).encode()).hexdigest()[:16]


def sweep(jobs: Sequence[Job]) -> None:
    """Remove what a killed run has left half-written beside its results."""
    for folder in {path.parent for job in jobs for path in job.files}:
        if folder.is_dir():
            for path in folder.iterdir():
                if SCRATCH.fullmatch(path.name):
                    path.unlink(missing_ok=True)


def _state(path: Path) -> tuple[str, str]:
    """Bytes of a file and when it was changed; nothing of one that is not there."""
    with suppress(OSError):
        status = path.stat()
        return str(status.st_size), str(status.st_mtime_ns)
    return "", ""
