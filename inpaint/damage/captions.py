"""Captions, dates and watermarks: where text lies in a picture, and which pixels its letters are."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from inpaint.metrics.foreign import onnx_session
from inpaint.settings import Refused

PACKAGE = "rapidocr_onnxruntime"
# Without its dependencies: they would put opencv-python over opencv-python-headless.
INSTALL = "pip install onnxruntime && pip install --no-deps rapidocr-onnxruntime"
NETWORK = "models/ch_PP-OCRv4_det_infer.onnx"
SHORTEST, LONGEST = 736, 1600  # sides to which the network is shown a picture
MULTIPLE = 32  # of pixels, which the network's strides ask for
PROBABLE = 0.3  # from which a pixel belongs to a line of text, as the package has it
SCORE = 0.6  # mean probability from which a line is one
OBLONG = 2.5  # length over height of a line of text, at least
UNCLIP = 1.6  # the network marks lines that are shrunk; by this factor of area / perimeter they are grown again
THINNEST = 3  # height of what it marks, pixels
FAINTEST = 10  # contrast of a letter, levels
MARGIN = 2  # pixels by which letters are grown: they are antialiased


Box = tuple[Sequence[float], Sequence[float], float]  # centre, size and angle of a rotated rectangle, OpenCV's


class Line(NamedTuple):
    """A line of text: its rectangle, and the mean probability in it."""

    box: Box
    score: float


def load_network() -> Callable[[np.ndarray], np.ndarray]:
    """The detector of PP-OCR v4 (Liao et al. 2020, Apache-2.0) from the package rapidocr-onnxruntime.

    Returns:
        A function from ``(1, 3, H, W)``, float32 in [-1, 1], sides multiples of 32, to probabilities ``(H, W)``.

    Raises:
        Refused: the package, or ONNX Runtime, is not there.
    """
    found = find_spec(PACKAGE)  # the package itself is never imported: its file is all that is needed
    if found is None or not found.submodule_search_locations:
        raise Refused(f"auto.text: captions are looked for by rapidocr-onnxruntime; {INSTALL}")
    session = onnx_session(Path(found.submodule_search_locations[0]) / NETWORK, "auto.text")
    name = session.get_inputs()[0].name
    return lambda picture: session.run(None, {name: picture})[0][0, 0]


def find_lines(pixels: np.ndarray, network: Callable[[np.ndarray], np.ndarray]) -> list[Line]:
    """Lines of text.

    Args:
        pixels: RGB ``(H, W, 3)``, uint8.
        network: as `load_network` returns it.
    """
    height, width = pixels.shape[:2]
    scale = max(1.0, SHORTEST / min(height, width))
    scale = min(scale, LONGEST / max(height, width))
    sides = [max(MULTIPLE, round(side * scale / MULTIPLE) * MULTIPLE) for side in (width, height)]
    shown = cv2.resize(pixels[..., ::-1], sides, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    probability = network(np.ascontiguousarray(shown.transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1))
    marked = cv2.dilate((probability > PROBABLE).astype(np.uint8), np.ones((2, 2)))
    lines = []
    for contour in cv2.findContours(marked, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]:
        centre, (across, down), angle = cv2.minAreaRect(contour)
        if min(across, down) < THINNEST:
            continue
        marks = _filled((centre, (across, down), angle), probability.shape)
        score = float(probability[marks].mean()) if marks.any() else 0.0
        if score < SCORE:
            continue
        grow = UNCLIP * across * down / (across + down)  # twice the distance: on both sides
        corners = cv2.boxPoints((centre, (across + grow, down + grow), angle))
        corners = corners * np.array([width / sides[0], height / sides[1]], np.float32)
        lines.append(Line(cv2.minAreaRect(corners.astype(np.float32)), score))
    return lines


def letters(grey: np.ndarray, line: Line) -> np.ndarray:
    """The pixels of a line's letters, bool ``(H, W)``: what is lighter, or darker, than its surroundings in the box.

    Strokes are what a top-hat of a third of the line's height leaves above Otsu's threshold. Whether letters are the
    lighter or the darker strokes is decided by their levels: letters have one colour, what lies between them has not.
    """
    hole = np.zeros(grey.shape, bool)
    side = max(5, int(min(line.box[1]) / 3) | 1)
    x, y, width, height = cv2.boundingRect(cv2.boxPoints(line.box).astype(np.int32))
    left, top = max(0, x - side), max(0, y - side)
    part = grey[top : y + height + side, left : x + width + side].clip(0, 255).astype(np.uint8)
    box = _filled(line.box, grey.shape)[top : top + part.shape[0], left : left + part.shape[1]]
    if not box.any():
        return hole
    element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    candidates = []
    for kind in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):
        hat = cv2.morphologyEx(part, kind, element)
        threshold, _ = cv2.threshold(hat[box][None], 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
        marked = (hat > max(threshold, FAINTEST)) & box
        if marked.any():
            values = part[marked]
            candidates.append((float(np.mean(np.abs(values - np.median(values)))), marked))
    if not candidates:
        return hole
    strokes = min(candidates, key=lambda candidate: candidate[0])[1].astype(np.uint8)
    grown = cv2.dilate(strokes, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * MARGIN + 1, 2 * MARGIN + 1)))
    hole[top : top + part.shape[0], left : left + part.shape[1]] = grown > 0
    return hole


def extent(lines: Sequence[Line], size: tuple[int, ...]) -> float:
    """How long lines are together, in shorter sides of the picture; what is hardly longer than high is no line.

    Signs and fur look like a word or two to the detector, captions like lines.
    """
    sides = [sorted(line.box[1]) for line in lines]
    return sum(long for short, long in sides if long >= OBLONG * short) / min(size[:2])


def inside(line: Line, size: tuple[int, ...]) -> np.ndarray:
    """The pixels of a line's rectangle, bool ``(H, W)``."""
    return _filled(line.box, size)


def _filled(box: Box, size: tuple[int, ...]) -> np.ndarray:
    """The pixels of a rotated rectangle, bool ``(H, W)``."""
    canvas = np.zeros(size[:2], np.uint8)
    return cv2.fillConvexPoly(canvas, cv2.boxPoints(box).round().astype(np.int32), 1) > 0
