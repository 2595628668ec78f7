"""How the pictures of a video move from one to the next: dense flow that goes on inside holes.

A flow is float32 ``(H, W, 2)``: pixels to the right and down by which what is seen at a pixel has moved in the other
frame. OpenCV's DIS (Kroeger et al. 2016) finds it on frames whose holes are filled smoothly. What it says in and near a
hole is of the fill, so flow is continued into there from farther away, by Laplace's equation.
"""

from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
import torch

from inpaint.fills import harmonic
from inpaint.pictures.writing import luminance

SMALLEST = 16  # pixels of the shorter side, below which DIS does not work and nothing counts as moving
MARGIN = 16  # pixels, two of DIS's patches; nearer to a hole, flow is of the fill, and nearer to flat places, a guess
WINDOW = 9  # pixels of a side of the square in which two motions are compared
FLAT = 1.0  # levels a pixel; where grey changes by less, nothing tells how it moves
MOSTLY = 0.9  # share of pixels, above which there is too little to go by to leave out what is near flat places
SHOT = 0.4  # share of pixels whose flow has a way back; with fewer, the two frames show different things


class View:
    """A frame as motion is looked for in it.

    Args:
        pixels: ``(H, W, 3)``, uint8 or uint16.
        hole: bool ``(H, W)``.
    """

    def __init__(self, pixels: np.ndarray, hole: np.ndarray) -> None:
        self.hole = hole
        grey = luminance(pixels)
        self._grey = (grey >> 8).astype(np.uint8) if grey.dtype == np.uint16 else grey

    @cached_property
    def grey(self) -> np.ndarray:
        """uint8 ``(H, W)``, with its hole filled smoothly."""
        if not self.hole.any():
            return self._grey
        return (
            np.rint(_continued(self._grey[..., None].astype(np.float32), self.hole)[..., 0]).clip(0, 255).astype("u1")
        )


class Motion(NamedTuple):
    """Between two frames.

    forward, backward: flow from the first to the second, and from the second to the first.
    forward_holds, backward_holds: bool ``(H, W)``: where there is a way back to the same place. Elsewhere one frame
        hides what the other shows, or the flow is wrong.
    """

    forward: np.ndarray
    backward: np.ndarray
    forward_holds: np.ndarray
    backward_holds: np.ndarray


def motion(first: View, second: View) -> Motion:
    """The flow between two frames of one size, both ways; it holds nowhere across a cut."""
    there, back = dense(first.grey, second.grey), dense(second.grey, first.grey)
    forward, backward = _settled(first, second, there, back), _settled(second, first, back, there)
    forward_holds, backward_holds = returns(forward, backward), returns(backward, forward)
    if min(forward_holds.mean(), backward_holds.mean()) < SHOT:
        forward_holds, backward_holds = np.zeros_like(forward_holds), np.zeros_like(backward_holds)
    return Motion(forward, backward, forward_holds, backward_holds)


def returns(flow: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Where a flow ends inside the frame and the flow back leads to the same place, bool ``(H, W)``.

    ``|f + b|^2 < 0.01 (|f|^2 + |b|^2) + 0.5``, b read where f leads (Sundaram et al. 2010).
    """
    height, width = flow.shape[:2]
    x, y = _targets(flow)
    inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    other = moved(back, flow)
    apart = ((flow + other) ** 2).sum(axis=2)
    return inside & (apart < 0.01 * ((flow**2).sum(axis=2) + (other**2).sum(axis=2)) + 0.5)


def moved(values: np.ndarray, flow: np.ndarray, outside: float | None = None) -> np.ndarray:
    """Values of another frame where a flow leads, ``(H, W)`` or ``(H, W, C)``; bilinear.

    Beyond the border they are `outside`, or those of the nearest pixel.
    """
    border = cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT
    x, y = _targets(flow)
    return cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=border, borderValue=(outside or 0,) * 4)


def _targets(flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a flow leads: float32 ``(H, W)`` columns and rows."""
    height, width = flow.shape[:2]
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    return x, y


def dense(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """DIS from one picture to another, grey, uint8 ``(H, W)``: half the pixels are found within 0.01 pixels.

    Up to the finest scale. Of pictures too small for the search nothing moves.
    """
    if min(first.shape) < SMALLEST:
        return np.zeros((*first.shape, 2), np.float32)
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # type: ignore[attr-defined]
    search.setFinestScale(0)
    return search.calc(first, second, None)


def _settled(first: View, second: View, flow: np.ndarray, back: np.ndarray) -> np.ndarray:
    """The flow from the first frame to the second, continued into places where the search cannot know it.

    Where no motion explains the surroundings as well as what was found, there is none: of a camera that stands still
    the flow is 0 to the bit, in flat places as well.
    """
    hole_there = moved(second.hole.astype(np.float32), flow, outside=1) > 0
    grey, other = first.grey.astype(np.float32), second.grey.astype(np.float32)
    seen = ~(first.hole | second.hole | hole_there)
    still = _around(np.abs(grey - other) * seen) <= _around(np.abs(grey - moved(other, flow)) * seen)
    change = np.abs(cv2.Sobel(grey, cv2.CV_32F, 1, 0)) + np.abs(cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    flat, hole = _around(change / 8) < FLAT, first.hole | hole_there
    lost = ~returns(flow, back) & ~still
    unknown = _near(hole | flat) | lost
    if unknown.mean() > MOSTLY:
        unknown = _near(hole) | flat | lost
    return _continued(np.where(still[..., None], 0, flow), unknown)


def _near(places: np.ndarray) -> np.ndarray:
    """Places, bool ``(H, W)``, with all that a patch of the search may share with them."""
    return cv2.dilate(places.astype(np.uint8), np.ones((2 * MARGIN + 1,) * 2, np.uint8)) > 0


def _around(values: np.ndarray) -> np.ndarray:
    """The mean over a square around each pixel."""
    return cv2.boxFilter(values, cv2.CV_32F, (WINDOW, WINDOW), borderType=cv2.BORDER_REFLECT)


def _continued(values: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Values ``(H, W, C)`` with the unknown ones by Laplace's equation; those of everywhere unknown ones are 0."""
    if not unknown.any():
        return values
    if unknown.all():
        return np.zeros_like(values)
    image = torch.from_numpy(values).permute(2, 0, 1)[None]
    filled = harmonic(image, torch.from_numpy(unknown).float()[None, None], cycles=4)[0].permute(1, 2, 0).numpy()
    return np.where(unknown[..., None], filled, values)
