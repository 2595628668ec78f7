"""Boxes around what is to be repaired, by the pictures' names: tables in CSV, and annotations in COCO's JSON."""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np

from inpaint.files.untrusted import TABLE, Unreadable, read_json, read_table
from inpaint.pictures.names import SUFFIXES, called, composed, suffix_of
from inpaint.settings import Refused, listed

TABLES = (".csv", ".json")
NAMES = ("picture", "image", "file", "filename", "file_name", "path", "name")  # headings of a CSV, whatever their case
CORNERS = (("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"), ("left", "top", "right", "bottom"))
SIDES = (("x", "y", "width", "height"), ("x", "y", "w", "h"))


class Box(NamedTuple):
    """A rectangle in pixels from the upper left corner of a picture, upright; its right and bottom are beyond it."""

    left: float
    top: float
    right: float
    bottom: float


class Boxed(NamedTuple):
    """The boxes of a picture.

    boxes: one or more.
    size: height and width that the picture has by the table; None where it says nothing.
    """

    boxes: list[Box]
    size: tuple[int, int] | None = None


def is_table(path: Path) -> bool:
    """Whether a file is a table of boxes by its name."""
    return suffix_of(path.name) in TABLES


def read_boxes(file: Path, setting: str) -> dict[str, Boxed]:
    """The boxes that a table has, by the pictures' names without suffix.

    Args:
        file: a CSV with headings, a line for a box: the picture (`NAMES`), and its corners (`CORNERS`) or its upper
            left corner and sides (`SIDES`); or COCO's JSON: ``images`` and ``annotations`` with ``bbox``.
        setting: that messages begin with.

    Raises:
        Refused: it cannot be read, has no boxes, or one that is none.
    """
    if not file.is_file():
        raise Refused(f"{setting}: {file} does not exist")
    try:
        found = _of_coco(file) if suffix_of(file.name) == ".json" else _of_csv(file)
        table: dict[str, Boxed] = {}
        for name, box, size in found:
            table.setdefault(name, Boxed([], size)).boxes.append(_checked(name, box))
    except (Unreadable, csv.Error) as error:
        raise Refused(f"{setting}: {file} is no table of boxes ({error})") from None
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise Refused(f"{setting}: {file} is no table of boxes ({type(error).__name__}: {str(error)[:100]})") from None
    if not table:
        raise Refused(f"{setting}: {file} has no boxes")
    return table


def painted(boxed: Boxed, size: tuple[int, int], name: str, setting: str) -> np.ndarray:
    """bool ``(H, W)``: the pixels of a picture of this size that a box touches.

    Raises:
        Refused: the table has another size, or a box lies outside the picture.
    """
    if boxed.size is not None and boxed.size != size:
        wrong = f"{boxed.size[1]} x {boxed.size[0]}"
        raise Refused(f"{setting}: {name} has {size[1]} x {size[0]} pixels, and {wrong} in the table of boxes")
    hole = np.zeros(size, dtype=bool)
    for box in boxed.boxes:
        left, top = max(0, math.floor(box.left)), max(0, math.floor(box.top))
        right, bottom = min(size[1], math.ceil(box.right)), min(size[0], math.ceil(box.bottom))
        if left >= right or top >= bottom:
            corners = ", ".join(f"{number:g}" for number in box)
            raise Refused(f"{setting}: a box of {name} ({corners}) lies outside its {size[1]} x {size[0]} pixels")
        hole[top:bottom, left:right] = True
    return hole


def _of_csv(file: Path) -> Iterator[tuple[str, Box, None]]:
    lines = read_table(file)
    headings = {heading.strip().lower(): heading for heading in (lines[0] if lines else {}) if heading is not None}
    name = next((headings[each] for each in NAMES if each in headings), None)
    corners, sides = _present(CORNERS, headings), _present(SIDES, headings)
    numbers = corners or sides
    if name is None or numbers is None:
        raise Unreadable(
            f"its headings are {listed([*headings])}; it needs {NAMES[0]}, and {', '.join(CORNERS[0])} or "
            f"{', '.join(SIDES[0])}"
        )
    for line in lines:
        first, second, third, fourth = (float(line[headings[number]]) for number in numbers)
        box = Box(first, second, third, fourth) if corners else Box(first, second, first + third, second + fourth)
        yield _called(line[name]), box, None


def _present(choices: Iterable[Sequence[str]], headings: Mapping[str, str]) -> Sequence[str] | None:
    return next((each for each in choices if all(heading in headings for heading in each)), None)


def _of_coco(file: Path) -> Iterator[tuple[str, Box, tuple[int, int] | None]]:
    content: Any = read_json(file, TABLE)
    images = {image["id"]: image for image in content["images"]}
    for annotation in content["annotations"]:
        image = images[annotation["image_id"]]
        left, top, width, height = (float(number) for number in annotation["bbox"])
        size = (int(image["height"]), int(image["width"])) if "height" in image and "width" in image else None
        yield _called(image["file_name"]), Box(left, top, left + width, top + height), size


def _called(file: str) -> str:
    """As `names.called`, of a name that may have no suffix."""
    path = PurePath(file.strip().replace("\\", "/"))
    return called(path) if suffix_of(path.name) in SUFFIXES else composed(path.as_posix())


def _checked(name: str, box: Box) -> Box:
    if not all(math.isfinite(number) for number in box) or box.left >= box.right or box.top >= box.bottom:
        raise Unreadable(f"a box of {name} is none: {', '.join(f'{number:g}' for number in box)}")
    return box
