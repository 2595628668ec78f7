"""Clips of bundled photographs under a window that moves, repaired frame by frame and as videos: a table, and a strip.

    python experiments/012-video/clips.py [--frames 16] [--size 160 208]

Prints the table of README.md and writes strip.jpg beside it.
"""

import argparse
import random
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import skimage.data
from PIL import Image

from inpaint import rng
from inpaint.fills import Harmonic
from inpaint.predict.predictor import Predictor
from inpaint.predict.video.figures import psnr, warping_errors
from inpaint.predict.video.filling import Filled, Frame, fill

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
# What moves: pixels a frame of the camera (drawn up to so many), of the hole, and the noise of the sensor in levels.
CLIPS = {
    "still camera, moving hole": (0, 9, 0),
    "still camera, moving hole, noise": (0, 9, 3),
    "pan, moving hole": (4, 9, 0),
    "pan, moving hole, noise": (4, 9, 3),
    "pan, hole stands": (4, 0, 0),
    "slow pan, hole stands": (0.5, 0, 0),
    "still camera, hole stands": (0, 0, 0),
}


def clip(photograph: str, kind: str, frames: int, size: tuple[int, int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Frames, uint8 ``(H, W, 3)``, and holes, bool ``(H, W)``; the same for the same names."""
    camera, hole_step, noise = CLIPS[kind]
    draw = random.Random(rng.key("012-video", photograph, kind))
    angle = draw.uniform(0, 2 * np.pi)
    step = camera * draw.uniform(0.6, 1) * np.array([np.cos(angle), np.sin(angle)])
    picture = getattr(skimage.data, photograph)().astype(np.float32)
    middle = (np.array(picture.shape[1::-1]) - size[::-1]) / 2
    grain = np.random.default_rng(abs(rng.key("012-video", "noise", photograph)))
    y, x = np.indices(size, dtype=np.float32)
    made = []
    for number in range(frames):
        left, top = middle + step * (number - frames / 2)
        frame = cv2.remap(picture, x + np.float32(left), y + np.float32(top), cv2.INTER_CUBIC)
        frame += grain.normal(0, noise, frame.shape) if noise else 0
        hole = np.zeros(size, bool)
        start = round(size[1] / 2 - 24 + hole_step * (number - frames / 2))
        hole[size[0] // 2 - 24 : size[0] // 2 + 24, max(0, start) : max(0, start + 48)] = True
        made.append((np.rint(frame).clip(0, 255).astype(np.uint8), hole))
    return made


def repaired(
    given: list[tuple[np.ndarray, np.ndarray]], predictor: Predictor
) -> Iterator[tuple[np.ndarray, np.ndarray, Filled]]:
    """Each frame by itself, and as one of a video; with where the pixels of the latter came from."""

    def paint(pixels: np.ndarray, hole: np.ndarray) -> np.ndarray:
        (painted,) = predictor.repair([pixels], [hole])
        return painted.pixels

    emptied = [(np.where(hole[..., None], np.uint8(255), frame), hole) for frame, hole in given]
    alone = [paint(frame, hole) for frame, hole in emptied]
    for one, (frame, filled) in zip(alone, fill((Frame(*pair) for pair in emptied), 10, paint), strict=True):
        yield one, frame.composite, filled


def main() -> None:
    """Print the table and draw the strip."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--size", type=int, nargs=2, default=(160, 208))
    asked = parser.parse_args()
    predictor = Predictor(Harmonic())
    print(
        "| clip | alone, dB | video, dB | exact | alone, warping | video, warping | truth, warping | known | carried |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for kind in CLIPS:
        ratios, errors, shares = [], [], []
        for photograph in PHOTOGRAPHS:
            given = clip(photograph, kind, asked.frames, tuple(asked.size))
            before = None
            for (truth, hole), (alone, video, filled) in zip(given, repaired(given, predictor), strict=True):
                ratios.append([psnr(truth, alone, hole), psnr(truth, video, hole)])
                if before is not None:
                    (own, one), (_, other) = (
                        warping_errors((before[0], before[which]), (truth, (truth, alone, video)[which]), hole)
                        for which in (1, 2)
                    )
                    errors.append([one, other, own])
                shares.append(filled)
                before = truth, alone, video
        ratio, error = np.array(ratios), np.nanmean(errors, axis=0)
        finite = [column[np.isfinite(column)] for column in ratio.T]
        means = [f"{column.mean():.1f}" if len(column) else "" for column in finite]
        counts = np.sum(shares, axis=0) / np.sum(shares)
        columns = [*means, f"{np.isposinf(ratio[:, 1]).mean():.0%}", *(f"{value:.2f}" for value in error)]
        print(f"| {kind} | {' | '.join(columns)} | {counts[0]:.0%} | {counts[1]:.0%} |", flush=True)
    rows: list[list[np.ndarray]] = [[], [], [], []]
    for photograph, kind in (("astronaut", "pan, moving hole"), ("coffee", "pan, hole stands")):
        given = clip(photograph, kind, asked.frames, tuple(asked.size))
        for number, ((truth, hole), (alone, video, _)) in enumerate(
            zip(given, repaired(given, predictor), strict=True)
        ):
            if number % (asked.frames // 3) == 1:
                seen = np.where(hole[..., None], np.uint8(255), truth)
                for row, picture in zip(rows, (seen, alone, video, truth), strict=True):
                    row.append(np.pad(picture, ((2, 2), (2, 2), (0, 0)), constant_values=255))
    sheet = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    Image.fromarray(sheet).save(Path(__file__).with_name("strip.jpg"), quality=88)


if __name__ == "__main__":
    main()
