"""How the frames of a clip follow each other, beside those of the truth: warping error and tOF."""

import math
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from inpaint.batch import Batch, finite, to_uint8
from inpaint.pictures.motion import Motion, View, motion, moved
from inpaint.pictures.writing import luminance

FIGURES = ("warping_error", "warping_error_of_truth", "tof")
# Of Farneback's flow, as the authors of tOF have it: scale, levels, window, iterations, neighbourhood, sigma, flags.
FARNEBACK = (0.5, 3, 15, 3, 5, 1.2, 0)


class Step(NamedTuple):
    """From one frame of a truth to the next.

    between: how it moves.
    hole: bool ``(H, W)``, of the next.
    error: the truth's own warping error.
    farneback: the flow that tOF compares with, float32 ``(H, W, 2)``.
    """

    between: Motion
    hole: np.ndarray
    error: float
    farneback: np.ndarray


class Steadiness:
    """The truth of a batch of clips, with which results are compared.

    Args:
        batch: with `frames` above 1.
    """

    def __init__(self, batch: Batch) -> None:
        truth, holes = _pixels(batch["image"]), batch["mask"][:, 0].cpu().numpy() > 0.5
        self.steps: dict[int, Step] = {}
        for number in (number for number in range(len(truth)) if number % batch["frames"]):
            before, after, hole = truth[number - 1], truth[number], holes[number]
            between = motion(*(View(frame, np.zeros_like(hole)) for frame in (before, after)))
            error = warping_error(before, after, between, hole)
            self.steps[number] = Step(between, hole, error, farneback(before, after))

    def __call__(self, painted: Tensor) -> dict[str, Tensor]:
        """`FIGURES` of pictures ``(N, 3, H, W)`` in [-1, 1], float64 ``(N,)``; NaN of a clip's first frame.

        They are as `metrics.columns` defines them, of pictures in 8 bits; NaN beside one that is not finite.
        """
        found = torch.full((len(FIGURES), len(painted)), math.nan, dtype=torch.float64)
        pictures, whole = _pixels(painted), finite(painted).tolist()
        for number, step in self.steps.items():
            if whole[number - 1] and whole[number]:
                before, after = pictures[number - 1], pictures[number]
                error = warping_error(before, after, step.between, step.hole)
                apart = np.linalg.norm(farneback(before, after) - step.farneback, axis=2).mean()
                found[:, number] = torch.tensor([error, step.error, float(apart)])
        return dict(zip(FIGURES, found, strict=True))


def warping_error(before: np.ndarray, after: np.ndarray, between: Motion, hole: np.ndarray) -> float:
    """Mean difference, in levels of 255, of a frame and of the one before as the truth's motion leads it there.

    Over the pixels of the hole that both frames show (Lai et al. 2018); NaN where there are none.

    Args:
        before, after: RGB ``(H, W, 3)``, uint8 or uint16.
        between: the truth's motion.
        hole: bool ``(H, W)``, of the frame after.
    """
    seen = hole & between.backward_holds
    if not seen.any():
        return math.nan
    old, new = (frame.astype(np.float32) / np.float32(np.iinfo(frame.dtype).max / 255) for frame in (before, after))
    return float(np.abs(new - moved(old, between.backward))[seen].mean())


def farneback(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Farneback's optical flow (2003) between pictures, RGB uint8 ``(H, W, 3)``: float32 ``(H, W, 2)``, in pixels."""
    return cv2.calcOpticalFlowFarneback(luminance(before), luminance(after), None, *FARNEBACK)  # type: ignore[call-overload]


def _pixels(pictures: Tensor) -> np.ndarray:
    return to_uint8(pictures).permute(0, 2, 3, 1).contiguous().cpu().numpy()
