"""Holes in the shape of objects."""

import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from inpaint.files.untrusted import read_text
from inpaint.masks.kind import EVERY_AREA, Masks, between, span, whole
from inpaint.masks.pool import Pool, Resident, from_centre, grown, reduced
from inpaint.masks.shapes import Size
from inpaint.pictures.pairing import find_images
from inpaint.pictures.reading import LARGEST, decode, open_image
from inpaint.progress import track
from inpaint.settings import Refused

log = logging.getLogger(__name__)

ANNOTATIONS = 1 << 30  # bytes of a COCO-format file; that of COCO's training pictures has 450 MB
# Pixels along all outlines of an object, which pycocotools lays out five to a pixel and sorts; a thousand times more
# than a picture's border, and far fewer than its 32-bit numbers can count.
PERIMETER = 1_000_000
VOID = 255  # of a palette picture: the border between objects in PASCAL VOC


class Objects(Masks):
    """Silhouettes of objects from segmentation, moved, scaled and flipped.

    After the segmentation masks of LaMa (Suvorov et al. 2022), which scales objects by 0.75..1.25 and flips and moves
    them. An object is as large beside the picture's shorter side as it was beside its own picture's, times `scale`. The
    centre of its bounding box lies anywhere in the picture, so at most half of its width and height are cut off.

    Args:
        annotations: a COCO-format JSON file (outlines as polygons or as run lengths; crowds are left out; needs the
            extra `data`), or a folder of PNG pictures with one channel, 0 = background and every other value an object
            (255 of a palette picture excepted, the void of PASCAL VOC).
        count: fewest and most objects, whole numbers.
        scale: smallest and largest size relative to the object's own, 0.01..100.
        flip: mirror half of the objects left to right.
        dilate: least and most growth in all directions, a fraction of the picture's shorter side, 0..0.25.
        min_area: objects that cover less of their picture are left out, 0..1.
        most: of more annotations or files than this, as many evenly spaced ones are read.
        side: silhouettes with a longer side of more pixels are reduced to it.
        area: least and greatest share of the picture that a hole may cover, see `Masks`.

    Raises:
        Refused: the annotations are missing, something else, or without any object that is large enough; single ones
            that are broken are left out and counted.
    """

    def __init__(
        self,
        annotations: str,
        count: Sequence[int] = (1, 3),
        scale: Sequence[float] = (0.75, 1.25),
        flip: bool = True,
        dilate: Sequence[float] = (0.0, 0.0),
        min_area: float = 0.01,
        most: int = 10_000,
        side: int = 128,
        area: Sequence[float] = EVERY_AREA,
    ) -> None:
        super().__init__(area)
        self.count = span("count", count, 1, 100, "two whole numbers", whole=True)
        self.scale = span("scale", scale, 0.01, 100, "two factors of an object's own size")
        self.dilate = span("dilate", dilate, 0, 0.25, "two fractions of the shorter side")
        self.flip = flip
        for name, number in (("most", most), ("side", side)):
            if not (isinstance(number, int) and number >= 1):
                raise Refused(f"masks.{name}: give a whole number from 1 up; got {number!r}")
        if not (isinstance(min_area, int | float) and 0 <= min_area <= 1):
            raise Refused(f"masks.min_area: give a share of an object's picture, 0..1; got {min_area!r}")
        self.pool, density = _read(Path(annotations), min_area, most, side)
        self._density = Resident(density)

    def make(self, keys: Tensor, size: Size) -> Tensor:
        """Objects one after another, each looked up for every pixel of the picture."""
        number, (height, width), device = self.count[1], size, keys.device
        (density,) = self._density(device)
        which = whole(keys, "object", number, (0, len(self.pool) - 1)).long()
        length = between(keys, "scale", number, self.scale) * min(size)
        centre_x = between(keys, "x", number, (-0.5, 0.5)) * width
        centre_y = between(keys, "y", number, (-0.5, 0.5)) * height
        mirror = whole(keys, "flip", number, (0, 1)) * 2 - 1 if self.flip else torch.ones_like(length)
        on = torch.arange(number, device=device) < whole(keys, "count", 1, self.count)
        pace = density[which] / length  # the silhouette's pixels in one of the picture's
        x, y = from_centre(size, device)
        hole = torch.zeros(len(keys), height, width, dtype=torch.bool, device=device)
        for here in range(number):
            own_pace, off = pace[:, here, None, None], ~on[:, here, None, None]
            own_x = (x - centre_x[:, here, None, None]) * (own_pace * mirror[:, here, None, None])
            own_y = (y - centre_y[:, here, None, None]) * own_pace
            hole |= self.pool.look(which[:, here], own_x.masked_fill_(off, -(2.0**30)), own_y)
        return grown(hole, keys, self.dilate)


def _read(path: Path, min_area: float, most: int, side: int) -> tuple[Pool, Tensor]:
    """Silhouettes, and for each how many of its pixels go to the shorter side of its own picture: float32 ``(N,)``."""
    if not path.exists():
        raise Refused(f"masks.annotations: {path} does not exist; give a COCO-format JSON file or a folder of PNGs")
    left_out: Counter[str] = Counter()
    densities: list[float] = []

    def silhouettes() -> Iterator[np.ndarray]:
        for instance in (_from_folder if path.is_dir() else _from_coco)(path, most, left_out):
            share = instance.mean()
            if share == 0 or share < min_area:
                left_out[f"below {100 * min_area:g} % of their picture"] += 1
                continue
            rows, columns = np.flatnonzero(instance.any(1)), np.flatnonzero(instance.any(0))
            silhouette = instance[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            factor = min(1, side / max(silhouette.shape))
            height, width = (max(1, round(extent * factor)) for extent in silhouette.shape)
            densities.append(min(instance.shape) * max(height, width) / max(silhouette.shape))
            yield reduced(silhouette, (height, width))

    pool = Pool(silhouettes())
    notes = ", ".join(f"{number} {reason}" for reason, number in left_out.items() if number)
    notes = f" (left out: {notes})" if notes else ""
    if not len(pool):
        advice = "lower masks.min_area or give" if any(reason.startswith("below") for reason in left_out) else "give"
        raise Refused(f"masks.annotations: no objects in {path}{notes}; {advice} another file")
    log.info(f"masks: {len(pool)} objects from {path}{notes}")
    return pool, torch.tensor(densities)


def _spaced(items: list[Any], most: int, left_out: Counter[str], what: str) -> list[Any]:
    """At most `most` of the items, evenly spaced."""
    if len(items) <= most:
        return items
    left_out[f"{what} beyond masks.most"] += len(items) - most
    return [items[place * len(items) // most] for place in range(most)]


def _from_folder(root: Path, most: int, left_out: Counter[str]) -> Iterator[np.ndarray]:
    """Every object in the PNG pictures below `root`: bool ``(H, W)`` of the whole picture."""
    paths = [path for path in find_images(root, "masks.annotations") if path.suffix.lower() == ".png"]
    if not paths:
        raise Refused(f"masks.annotations: {root} holds pictures, but none is PNG, as a picture of objects must be")
    for path in track(_spaced(paths, most, left_out, "files"), "reading objects", "files"):
        try:
            with open_image(path) as picture:
                mode = picture.mode
                if mode not in ("1", "L", "P"):
                    raise Refused(f"{path}: {mode} pixels; a picture of objects has one channel, each value an object")
                values = decode(picture, mode)
        except Refused as error:
            raise Refused(f"masks.annotations: {error}") from None
        for value in np.unique(values):
            if value != 0 and not (mode == "P" and value == VOID):
                yield values == value


def _from_coco(path: Path, most: int, left_out: Counter[str]) -> Iterator[np.ndarray]:
    """Every object of a COCO-format file: bool ``(H, W)`` of the whole picture."""
    try:
        from pycocotools import mask as coco
    except ImportError:
        raise Refused("masks.annotations: a COCO file needs pycocotools; pip install pycocotools") from None
    try:
        content = json.loads(read_text(path, ANNOTATIONS))
        sizes = {image["id"]: (int(image["height"]), int(image["width"])) for image in content["images"]}
        annotations = list(content["annotations"])
        outlined = [note for note in annotations if note.get("segmentation") and not note.get("iscrowd")]
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise Refused(
            f"masks.annotations: {path} is no COCO-format JSON, with images and annotations "
            f"({type(error).__name__}: {error})"
        ) from None
    crowds = sum(bool(note.get("iscrowd")) for note in annotations)
    if crowds and crowds == len(annotations):
        raise Refused(
            f"masks.annotations: all {crowds} annotations in {path} are crowds (iscrowd: 1), outlines of many things "
            "at once; give a file that outlines single objects"
        )
    left_out.update({"crowds": crowds, "without an outline": len(annotations) - crowds - len(outlined)})
    broken: list[str] = []
    for note in track(_spaced(outlined, most, left_out, "annotations"), "reading objects", "objects"):
        try:
            silhouette = coco.decode(_runs_of(note, sizes, coco)).astype(bool)
        except Exception as error:  # pycocotools raises whatever is at hand
            broken.append(f"annotation {note.get('id', '?')}: no valid outline ({error})")
            continue
        yield silhouette
    if broken:
        if len(broken) == len(outlined):
            raise Refused(f"masks.annotations: {path}, {broken[0]}")
        left_out["without a valid outline"] += len(broken)
        log.warning(f"masks.annotations: {path}, {broken[0]}; {len(broken)} such are left out")


def _runs_of(note: dict[str, Any], sizes: dict[Any, tuple[int, int]], coco: Any) -> dict[str, Any]:
    """The outline of an annotation as what `coco.decode` takes.

    Raises:
        ValueError, and whatever pycocotools raises: it has none.
    """
    image = note.get("image_id")
    if not isinstance(image, int | str) or image not in sizes:
        raise ValueError(f"there is no image {repr(image)[:40]}")
    height, width = sizes[image]
    if not 0 < height * width <= LARGEST:
        raise ValueError(f"its image has {width} x {height} pixels")
    return _run_lengths(note["segmentation"], height, width, coco)


def _run_lengths(outline: Any, height: int, width: int, coco: Any) -> dict[str, Any]:
    """An outline as what `coco.decode` takes, checked: pycocotools trusts its input and would read past the end."""
    if isinstance(outline, dict):
        counts = outline["counts"] if isinstance(outline["counts"], list) else _uncompressed(outline["counts"])
        if list(outline["size"]) != [height, width]:
            raise ValueError(f"size {outline['size']}, but its image has {[height, width]}")
        if sum(counts) != height * width or min(counts) < 0:
            raise ValueError(f"run lengths of {sum(counts)} pixels, but its image has {height * width}")
        return coco.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    if not isinstance(outline, list):
        raise ValueError(f"{repr(outline)[:40]} is neither polygons nor run lengths")
    if not any(isinstance(polygon, list) for polygon in outline):
        outline = [outline]  # a polygon that stands alone, without the list around it
    perimeter = 0.0
    for polygon in outline:
        try:
            points = np.asarray(polygon, dtype=float).reshape(-1, 2)
        except (TypeError, ValueError):
            raise ValueError("a polygon is a list of numbers, x and y in turn") from None
        if len(points) < 3 or not (np.abs(points) <= 2 * max(height, width)).all():
            raise ValueError("a polygon needs three points or more, in its image")
        perimeter += np.abs(points - np.roll(points, 1, axis=0)).max(axis=1).sum() + len(points)
        if perimeter > PERIMETER:
            raise ValueError(f"outlines of more than {PERIMETER} pixels")
    return coco.merge(coco.frPyObjects(outline, height, width))


def _uncompressed(text: str) -> list[int]:
    """Run lengths from COCO's text: five bits a letter, the sixth if more follow; from the fourth on, differences."""
    lengths: list[int] = []
    value = shift = 0
    for letter in text.encode():
        code = letter - 48
        value |= (code & 31) << shift
        shift += 5
        if shift > 60:
            raise ValueError("a run length of more than 60 bits")
        if not code & 32:
            if code & 16:  # the sign
                value -= 1 << shift
            lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
            value = shift = 0
    return lengths
