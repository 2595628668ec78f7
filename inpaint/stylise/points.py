"""Key points of faces: from a JSON or CSV file, or by a network in an ONNX file; and what they say of parts."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from inpaint.files.untrusted import Unreadable, read_json, read_table
from inpaint.metrics.foreign import Foreign
from inpaint.pictures.names import suffix_of
from inpaint.settings import Refused, listed
from inpaint.stylise.pixels import as_tensor, shrunk

Points = dict[str, np.ndarray]  # by part: ``(N, 2)``, x and y in pixels of the upright picture

MOST = 10_000  # points of a picture
COLUMNS = ("picture", "part", "x", "y")
LOOKED_AT = 1024  # pixels of the longer side of what a network looks for points in
# The parts of what landmark networks give: iBUG's 68 points (300-W), and five.
PARTS_OF: dict[int, dict[str, tuple[int, int]]] = {
    68: {
        "outline": (0, 27),
        "nose": (27, 36),
        "right_eye": (36, 42),
        "left_eye": (42, 48),
        "mouth": (48, 68),
    },
    5: {"right_eye": (0, 1), "left_eye": (1, 2), "nose": (2, 3), "mouth": (3, 5)},
}


def read_points(file: Path, pictures: Sequence[Path], sizes: Sequence[tuple[int, ...]]) -> list[Points]:
    """The points of some pictures, by the names of their files.

    JSON is ``{"a.jpg": {"left_eye": [[x, y], ...], ...}, ...}``, CSV has the columns picture, part, x and y. Parts have
    any names.

    Args:
        file: of the points.
        pictures: whose.
        sizes: height and width of each.

    Raises:
        Refused: it cannot be read, lacks a picture, or has points that are none or lie outside.
    """
    key = f"method.points: {file}"
    try:
        if suffix_of(file.name) == ".json":
            found = _of_json(read_json(file))
        elif suffix_of(file.name) == ".csv":
            found = _of_csv(read_table(file))
        else:
            raise Refused(f"{key}: give a .json or .csv file")
    except (Unreadable, csv.Error) as error:
        raise Refused(f"{key}: {error}") from None
    except OSError as error:
        raise Refused(f"{key}: cannot be opened ({error.strerror})") from None
    of_picture: dict[str, Points] = {}
    for name, part, pairs in found:
        try:
            points = np.array(pairs, dtype=np.float64)
        except (TypeError, ValueError):
            points = np.zeros(0)
        if not (points.ndim == 2 and points.shape[1] == 2 and len(points) <= MOST and np.isfinite(points).all()):
            raise Refused(f"{key}: {part} of {name} should be a list of [x, y], numbers in pixels")
        of_picture.setdefault(name, {})[part] = points
    if lacking := [picture.name for picture in pictures if picture.name not in of_picture]:
        raise Refused(f"{key}: has no points of {listed(lacking)}; it has some of {listed(list(of_picture))}")
    chosen = [of_picture[picture.name] for picture in pictures]
    for picture, points_of, (height, width) in zip(pictures, chosen, sizes, strict=True):
        if not _inside(np.concatenate([*points_of.values()]), height, width):
            raise Refused(f"{key}: points of {picture.name} lie outside of its {width} x {height} pixels")
    return chosen


def _inside(points: np.ndarray, height: int, width: int) -> bool:
    return bool((points >= -0.5).all() and (points <= [width - 0.5, height - 0.5]).all())


def _of_json(content: Any) -> Iterator[tuple[str, str, Any]]:
    if not isinstance(content, dict) or not all(isinstance(parts, dict) for parts in content.values()):
        raise Unreadable('it should be {"a.jpg": {"left_eye": [[x, y], ...], ...}, ...}')
    for name, parts in content.items():
        yield from ((name, part, pairs) for part, pairs in parts.items())


def _of_csv(lines: Sequence[Mapping[str, str]]) -> Iterator[tuple[str, str, Any]]:
    pairs: dict[tuple[str, str], list[list[str]]] = {}
    for line in lines:
        if any(line.get(column) is None for column in COLUMNS):
            raise Unreadable(f"it should have the columns {', '.join(COLUMNS)}")
        pairs.setdefault((line["picture"], line["part"]), []).append([line["x"], line["y"]])
    yield from ((name, part, found) for (name, part), found in pairs.items())


class Landmarker:
    """A network that finds the points of the one face in a picture.

    It is given the picture as RGB in [0, 1], resized to a square, and says ``(1, 2 N)``: x and y of N points in turn,
    as shares of the sides, or in pixels of the square where one is above 2. N is 68 (as 300-W has them) or 5 (eyes,
    nose, corners of the mouth).

    Args:
        file: ONNX.
        size: pixels of the square's side.

    Raises:
        Refused: it is another file, or makes something else.
    """

    def __init__(self, file: Path, size: int) -> None:
        if suffix_of(file.name) != ".onnx":
            raise Refused(f"method.landmarks: {file} should be an .onnx file")
        self.network = Foreign(file, "method.landmarks", size, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        if self.network.width // 2 not in PARTS_OF or self.network.width % 2:
            raise Refused(f"method.landmarks: {file} says {self.network.width} numbers; 136 or 10 are wanted")

    def __call__(self, pixels: np.ndarray) -> Points:
        """The points in a picture ``(H, W, 3)``."""
        said = self.network(as_tensor(shrunk(pixels, LOOKED_AT)))[0].double().numpy().reshape(-1, 2)
        if not np.isfinite(said).all():
            raise Refused("method.landmarks: the network says numbers that are not finite")
        shares = said / self.network.size if said.max() > 2 else said
        height, width = pixels.shape[:2]
        points = shares * [width, height] - 0.5
        if not _inside(points, height, width):
            raise Refused(
                f"method.landmarks: the network finds points outside of the picture's {width} x {height} pixels"
            )
        return {part: points[first:last] for part, (first, last) in PARTS_OF[len(points)].items()}


def corresponding(ours: Points, theirs: Points) -> tuple[np.ndarray, np.ndarray]:
    """The points of two faces in one order, ``(N, 2)`` each.

    Raises:
        Refused: one has other parts than the other, or other numbers of points, or fewer than three.
    """
    counts = [{part: len(points) for part, points in face.items()} for face in (ours, theirs)]
    if counts[0] != counts[1]:
        odd = sorted({*counts[0].items()} ^ {*counts[1].items()})[0][0]
        raise Refused(
            f"method.points: both pictures should have the same points; "
            f"{odd} has {counts[0].get(odd, 0)} in content and {counts[1].get(odd, 0)} in style"
        )
    if sum(counts[0].values()) < 3:
        raise Refused("method.points: at least three points of a face say where it is")
    return np.concatenate([*ours.values()]), np.concatenate([theirs[part] for part in ours])


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Turn, scale and shift, ``(2, 3)``, that take points ``(N, 2)`` nearest to others: least squares (Umeyama 1991).

    Raises:
        Refused: all points of one are in one place.
    """
    middles = source.mean(axis=0), target.mean(axis=0)
    source, target = source - middles[0], target - middles[1]
    if min((source**2).sum(), (target**2).sum()) < 1e-6:
        raise Refused("method.points: all points of a picture are in one place")
    left, strengths, right = np.linalg.svd(target.T @ source)
    signs = np.array([1.0, np.sign(np.linalg.det(left @ right)) or 1.0])
    turn = (left * signs) @ right * ((strengths * signs).sum() / (source**2).sum())
    return np.concatenate([turn, (middles[1] - turn @ middles[0])[:, None]], axis=1)


def moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Points ``(N, 2)`` where a matrix ``(2, 3)`` takes them."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def hull(points: np.ndarray, grown: float) -> np.ndarray:
    """The corners of the smallest convex region around points, enlarged from its middle by a share: ``(K, 2)``."""
    corners = cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64)
    middle = (corners.min(axis=0) + corners.max(axis=0)) / 2
    return middle + (corners - middle) * (1 + grown)


def drawn(face: Points, size: tuple[int, int], grown: float, margin: float) -> np.ndarray:
    """Which part of a face each pixel of a picture belongs to: int64 ``(H, W)``.

    Args:
        face: its points.
        size: H and W.
        grown: by what share the face is larger than the region of all points.
        margin: by how many pixels a part is larger than the region of its points.

    Returns:
        -1 outside of the face, 0 in it, and 1, 2, ... in its parts in their order, but for ``outline``, which is none.
    """
    parts = np.full(size, -1, dtype=np.int32)
    cv2.fillConvexPoly(parts, hull(np.concatenate([*face.values()]), grown).round().astype(np.int32), 0)
    width = 2 * max(1, round(margin)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    for number, points in enumerate(face[part] for part in face if part != "outline"):
        region = np.zeros(size, dtype=np.uint8)
        cv2.fillConvexPoly(region, hull(points, 0).round().astype(np.int32), 1)
        parts[(cv2.dilate(region, disc) > 0) & (parts >= 0)] = number + 1
    return parts.astype(np.int64)
