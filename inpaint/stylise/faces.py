"""A face in the place of another: patches of each of its parts from that part alone, between the pixels around it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from inpaint.fills.neighbours import blended
from inpaint.settings import Refused, number, whole
from inpaint.stylise.methods import Patches, View, stylise
from inpaint.stylise.pixels import as_pixels, as_tensor, shrunk
from inpaint.stylise.points import Landmarker, Points, corresponding, drawn, hull, moved, read_points, similarity

AROUND = 0.25  # of the face's size: what is seen around it
LEAST = 32  # pixels of a face
BEYOND = 0.05  # by what share the style's face is larger, so that places at the rim find their own patch there
RIM = 3  # pixels inside a face's edge where it is the style as it lies there


class Swapped(NamedTuple):
    """A picture with another face.

    pixels: as the content has them, which stays to the bit outside of the face.
    stopped: whether somebody stopped it.
    seam: how steep the face's rim is, as a multiple of what the content has there.
    """

    pixels: np.ndarray
    stopped: bool
    seam: float


class FaceSwap(Patches):
    """The face of the style in the place of the content's (the idea of Korshunova et al. 2017, by optimisation).

    The style is turned, scaled and shifted so that its key points lie on those of the content, and its colours are
    given the mean and spread of the content's skin (Reinhard et al. 2001, in Lab). So it begins, at one scale. From
    there on it is a `Patches` in which a patch of a part, such as an eye, becomes a patch of that part of the style
    alone, while the content pulls a little towards its own expression. What comes out is blended by Poisson's equation,
    so light and skin follow what is around. Departures from the paper: patches of one photograph in place of a network
    for one person and its sixty photographs, so an expression that the style lacks is missing; no term for light, which
    blending stands for.

    Args:
        points: a .json or .csv file with the key points of both, see `read_points`.
        landmarks: in its place an ONNX network that finds them, see `Landmarker`.
        landmarks_size: pixels of the square that it is given.
        grown: by what share the face is larger than the region of all points, or smaller if it is negative, as points
            of an outline lie where the skin ends.
        margin: by what share of the face's size its parts are larger than the regions of their points.
        backbone, weights, convention, style_layers, content_layers, style, content, smoothness: as of `Patches`.
        stride, rounds: likewise.
    """

    scales = 1  # as it begins nearly done

    def __init__(
        self,
        points: str | None = None,
        landmarks: str | None = None,
        landmarks_size: int = 112,
        grown: float = -0.1,
        margin: float = 0.04,
        backbone: str = "vgg19",
        weights: str | None = None,
        convention: str = "torchvision",
        style_layers: Sequence[str] | None = None,
        content_layers: Sequence[str] | None = None,
        style: float = 1.0,
        content: float = 0.02,
        smoothness: float = 0.0,
        stride: int = 1,
        rounds: int = 2,
    ) -> None:
        if (points is None) == (landmarks is None):
            raise Refused("method.points: give a file of key points, or method.landmarks=FILE.onnx, one of the two")
        self.points = points
        self.landmarker = None
        if landmarks is not None:
            self.landmarker = Landmarker(Path(landmarks), whole("method.landmarks_size", landmarks_size, 16))
        self.grown = number("method.grown", grown, -0.5, 2, "a share")
        self.margin = number("method.margin", margin, 0, 0.5, "a share of the face's size")
        super().__init__(
            backbone,
            weights,
            convention,
            style_layers,
            content_layers,
            style,
            content,
            smoothness,
            stride,
            rounds,
        )

    def swapped(
        self,
        content: np.ndarray,
        style: np.ndarray,
        files: Sequence[Path],
        size: int,
        device: str,
        strength: float = 1.0,
        scales: int = 1,
        steps: int = 100,
    ) -> Swapped:
        """The content with the style's face.

        Args:
            content: ``(H, W, 3)`` of 8 or 16 bits.
            style: likewise, of any size.
            files: of both, by whose names their points are found.
            size: pixels of the longer side of the part with the face, at most; a larger one is swapped shrunk.
            device: where it works.
            strength: as of `stylise`; so are `scales` and `steps`.
            scales: likewise.
            steps: likewise.

        Raises:
            Refused: there are no points that correspond, or the face has fewer than 32 pixels a side.
        """
        ours, theirs = self._faces(content, style, files)
        top, bottom, left, right = _box(ours, self.grown, content.shape)
        part = content[top:bottom, left:right]
        view = shrunk(part, size)
        factor = len(view) / len(part)
        onto = np.array([[factor, 0, (0.5 - left) * factor - 0.5], [0, factor, (0.5 - top) * factor - 0.5]])
        ours = {name: moved(points, onto) for name, points in ours.items()}
        aligned, visible, theirs = _aligned(style, theirs, ours, view.shape)

        height, width = view.shape[:2]
        margin = self.margin * max(np.ptp(np.concatenate([*ours.values()]), axis=0))
        our_parts, as_large, their_parts = (
            drawn(face, (height, width), self.grown + more, margin)
            for face, more in ((ours, 0), (theirs, 0), (theirs, BEYOND))
        )
        as_large[~visible] = their_parts[~visible] = -1
        if not (our_parts >= 0).any() or not (as_large >= 0).any():
            raise Refused("method.points: with these points no part of the style's face is in its picture")
        aligned = coloured_like(aligned, _skin(as_large), view, _skin(our_parts))
        seen = as_tensor(view)
        example = torch.where(torch.from_numpy(visible), as_tensor(aligned), seen)
        ours_view, theirs_view = (
            View(pixels.to(device), torch.from_numpy(parts)[None, None].to(device))
            for pixels, parts in ((seen, our_parts), (example, their_parts))
        )
        painted, stopped = stylise(self, ours_view, theirs_view, strength, scales, steps, start="style")
        # Of the outermost pixels a part of the patches is fixed, so what is painted there is rough.
        inner = cv2.erode((our_parts >= 0).astype(np.uint8), np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8)) > 0
        face = torch.where(torch.from_numpy(inner), painted.cpu(), example)
        return _pasted(face, our_parts >= 0, content, (top, bottom, left, right), stopped)

    def _faces(self, content: np.ndarray, style: np.ndarray, files: Sequence[Path]) -> tuple[Points, Points]:
        """The points of both in their pictures, parts in one order."""
        if self.landmarker is not None:
            ours, theirs = self.landmarker(content), self.landmarker(style)
        else:
            assert self.points is not None
            if files[0] != files[1] and files[0].name == files[1].name:
                raise Refused(f"method.points: two pictures are called {files[0].name}; give one another name")
            ours, theirs = read_points(Path(self.points), files, [content.shape[:2], style.shape[:2]])
        corresponding(ours, theirs)
        return ours, {part: theirs[part] for part in ours}


def _pasted(
    face: Tensor, inside: np.ndarray, content: np.ndarray, box: tuple[int, int, int, int], stopped: bool
) -> Swapped:
    """A face in its place in the whole picture, without a seam.

    face: the part of the picture with it, ``(1, 3, h, w)``, which is blended in where `inside` says, bool ``(h, w)``.
    box: that part's first and last rows and columns.
    """
    top, bottom, left, right = box
    part = content[top:bottom, left:right]
    height, width = part.shape[:2]
    pixels = face[0].permute(1, 2, 0).numpy()
    if pixels.shape[:2] != (height, width):
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_CUBIC).clip(-1, 1)
        inside = cv2.resize(inside.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
    source = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
    if not inside.all():
        source = blended(source, as_tensor(part)[0], torch.from_numpy(inside))
    result = content.copy()
    result[top:bottom, left:right] = np.where(inside[..., None], as_pixels(source[None], content), part)
    return Swapped(result, stopped, seam(result[top:bottom, left:right], part, inside))


def _skin(parts: np.ndarray) -> np.ndarray:
    """Where a face is but no part of it, bool ``(H, W)``; all of the face if that is nowhere."""
    skin = parts == 0
    return skin if skin.any() else parts >= 0


def _box(face: Points, grown: float, shape: Sequence[int]) -> tuple[int, int, int, int]:
    """First and last rows and columns of what a face and its surroundings take of a picture.

    Raises:
        Refused: the face is too small.
    """
    corners = hull(np.concatenate([*face.values()]), grown)
    least, most = corners.min(axis=0), corners.max(axis=0)
    if min(most - least) < LEAST:
        wide, high = most - least
        raise Refused(f"content: its face has {wide:.0f} x {high:.0f} pixels; {LEAST} a side are the least")
    if cv2.contourArea(corners.astype(np.float32)) < LEAST**2 / 4:
        raise Refused("method.points: the points of content lie on a line, and no face lies between them")
    around = AROUND * max(most - least)
    left, top = np.floor(least - around).astype(int).clip(min=0)
    right, bottom = np.ceil(most + around).astype(int) + 1
    bottom, right = min(bottom, shape[0]), min(right, shape[1])
    if min(bottom - top, right - left) < LEAST:
        raise Refused("content: its face lies outside of the picture")
    return int(top), int(bottom), int(left), int(right)


def _aligned(
    pixels: np.ndarray, face: Points, target: Points, shape: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, Points]:
    """A picture whose points lie on others, in the size of theirs; where it has pixels, ``(H, W)``; its points there.

    It is shrunk first where it is larger, so that nothing aliases.
    """
    matrix = similarity(*(np.concatenate([*points.values()]) for points in (face, target)))
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    small = shrunk(pixels, max(1, round(max(pixels.shape[:2]) * min(1.0, scale))))
    ratio = np.array([small.shape[1] / pixels.shape[1], small.shape[0] / pixels.shape[0]])
    smaller = {part: (points + 0.5) * ratio - 0.5 for part, points in face.items()}
    matrix = similarity(*(np.concatenate([*points.values()]) for points in (smaller, target)))
    size = (shape[1], shape[0])
    aligned = cv2.warpAffine(small, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    visible = cv2.warpAffine(np.ones(small.shape[:2], np.float32), matrix, size) > 0.999
    return aligned, visible, {part: moved(points, matrix) for part, points in smaller.items()}


def coloured_like(pixels: np.ndarray, where: np.ndarray, like: np.ndarray, like_where: np.ndarray) -> np.ndarray:
    """Pixels whose colours have the mean and spread of others (Reinhard et al. 2001, in Lab), spread at most doubled.

    Args:
        pixels: ``(H, W, 3)`` of 8 or 16 bits.
        where: bool ``(H, W)``, which of them are measured; all of them change.
        like: the others.
        like_where: which of those are measured.
    """
    labs = [cv2.cvtColor((x / np.iinfo(x.dtype).max).astype(np.float32), cv2.COLOR_RGB2LAB) for x in (pixels, like)]
    (mean, spread), (wanted, wide) = (
        (lab[chosen].mean(axis=0, dtype=np.float64), lab[chosen].std(axis=0, dtype=np.float64))
        for lab, chosen in zip(labs, (where, like_where), strict=True)
    )
    factor = np.clip(wide / np.maximum(spread, 1e-6), 0.5, 2)
    lab = ((labs[0] - mean) * factor + wanted).astype(np.float32)
    most = np.iinfo(pixels.dtype).max
    return (cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * most).round().clip(0, most).astype(pixels.dtype)


def seam(result: np.ndarray, content: np.ndarray, inside: np.ndarray) -> float:
    """How steep a result is across the rim of a region, as a multiple of the content there: 1 is as before.

    The mean difference of neighbours, and one of 255 levels besides, as plain pictures have no steps at all.

    result, content: ``(H, W, 3)`` of one type. inside: bool ``(H, W)``.
    """
    steep = []
    for picture in (result, content):
        levels = picture * (255 / np.iinfo(picture.dtype).max)
        across = [np.abs(np.diff(levels, axis=axis))[np.diff(inside, axis=axis)] for axis in (0, 1)]
        steep.append(1 + np.concatenate(across).sum() / max(1, 3 * sum(map(len, across))))
    return float(steep[0] / steep[1])
