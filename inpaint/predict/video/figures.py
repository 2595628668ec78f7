"""How far a repaired video is from the truth, frame by frame, and how much it flickers beside the truth's own.

The warping error of a frame is the mean absolute difference, in levels of 255, over the pixels of its hole, between
the frame and the frame before as the truth's motion leads it there; pixels that one of the two hides do not count (Lai
et al. 2018). The truth has one too, of noise, light and the flow's own errors: a video is steady if it has no more.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from inpaint.files.writing import write_table
from inpaint.metrics.video import warping_error
from inpaint.pictures.motion import View, motion
from inpaint.pictures.names import natural
from inpaint.pictures.pairing import find_images
from inpaint.pictures.reading import image_size
from inpaint.pictures.video import is_video, read_frames, read_video_header
from inpaint.pictures.writing import read_photograph
from inpaint.predict.holes import Holes
from inpaint.predict.pixels import enlarged
from inpaint.predict.video.clips import Clip
from inpaint.progress import track
from inpaint.settings import Refused, listed

COLUMNS = ("frame", "hole", "hole_psnr", "warping_error", "warping_error_of_truth")


class Truth(NamedTuple):
    """The frames as they should be: a file, or the frames of a folder in their order."""

    path: Path
    frames: list[Path]

    def read(self) -> Iterator[np.ndarray]:
        """RGB ``(H, W, 3)`` of each."""
        yield from _pixels(self.path, self.frames)


def find_truth(path: Path, clip: Clip, factor: int = 1) -> Truth:
    """A frame for each of the clip, with `factor` times more pixels a side.

    Raises:
        Refused: there are more or fewer, they have another size, or they cannot be read.
    """
    if path.is_file() and is_video(path):
        header = read_video_header(path)
        count, sizes, frames = header.frames, {header.size}, []
    else:
        frames = sorted(find_images(path, "truth"), key=lambda frame: natural(frame.name))
        count, sizes = len(frames), {image_size(frame) for frame in frames}
    if count != len(clip.frames):
        raise Refused(f"truth: {path} has {count} frames, and {clip.path} has {len(clip.frames)}")
    size = (factor * clip.size[0], factor * clip.size[1])
    if sizes != {size}:
        found = listed([f"{width} x {height}" for height, width in sorted(sizes)])
        raise Refused(f"truth: frames have {found} pixels, and the results {size[1]} x {size[0]}")
    return Truth(path, frames)


def publish_figures(folder: Path, clip: Clip, truth: Truth, holes: Holes, factor: int = 1) -> str:
    """Measure what was written, write ``frames.csv``, and say the means in a line.

    Args:
        folder: made if it is not there.
        clip: the video, repaired.
        truth: its truth.
        holes: its holes.
        factor: how many times more pixels a side it has now.
    """
    results = _pixels(clip.file or Path(), [] if clip.file else [job.output for job in clip.frames])
    rows: list[dict[str, float | str]] = []
    before: tuple[np.ndarray, np.ndarray] | None = None
    pairs = zip(clip.frames, truth.read(), results, strict=True)
    for job, true, result in track(pairs, "measuring", "frames"):
        hole = enlarged(holes(job)[0].numpy() > 0.5, factor)
        errors = warping_errors(before, (true, result), hole) if before is not None else (math.nan, math.nan)
        row: dict[str, float | str] = {
            "frame": job.name,
            "hole": float(hole.mean()),
            "hole_psnr": psnr(true, result, hole),
        }
        rows.append(row | {"warping_error": errors[1], "warping_error_of_truth": errors[0]})
        before = true, result
    folder.mkdir(parents=True, exist_ok=True)
    shown = [{name: "" if value != value else value for name, value in row.items()} for row in rows]
    write_table(folder / "frames.csv", COLUMNS, shown)
    return f"figures: {_line(rows)}; {folder / 'frames.csv'}"


def _line(rows: list[dict[str, float | str]]) -> str:
    values = {name: np.array([row[name] for row in rows], float) for name in COLUMNS[2:]}
    perfect = np.isposinf(values["hole_psnr"])
    others = values["hole_psnr"][np.isfinite(values["hole_psnr"])]
    exact = f"{perfect.sum()} of {len(rows)} frames exact" if perfect.any() else ""
    mean = f"PSNR in the hole {others.mean():.2f} dB" + (" on the others" if exact else "") if len(others) else ""
    errors = [values[name][np.isfinite(values[name])] for name in COLUMNS[3:]]
    if not len(errors[0]):
        return ", ".join(filter(None, [exact, mean]))
    found, own = (error.mean() for error in errors)
    return ", ".join(filter(None, [exact, mean, f"warping error {found:.2f} levels, the truth's own {own:.2f}"]))


def psnr(true: np.ndarray, result: np.ndarray, hole: np.ndarray) -> float:
    """Over the pixels of the hole, in dB of 8 bits; NaN without a hole, infinite where nothing differs."""
    if not hole.any():
        return math.nan
    squared = ((_levels(true)[hole] - _levels(result)[hole]) ** 2).mean()
    return 10 * math.log10(255**2 / squared) if squared else math.inf


def warping_errors(
    before: tuple[np.ndarray, np.ndarray], after: tuple[np.ndarray, np.ndarray], hole: np.ndarray
) -> tuple[float, float]:
    """Of the truth and of a result, as `metrics.video.warping_error`.

    Args:
        before, after: the truth and the result, RGB ``(H, W, 3)``, of one frame and of the next.
        hole: bool ``(H, W)``, of the next.
    """
    nothing = np.zeros_like(hole)
    between = motion(View(before[0], nothing), View(after[0], nothing))
    true, result = (warping_error(old, new, between, hole) for old, new in zip(before, after, strict=True))
    return true, result


def _levels(pixels: np.ndarray) -> np.ndarray:
    """0..255 as float32."""
    return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max / 255)


def _pixels(file: Path, frames: list[Path]) -> Iterator[np.ndarray]:
    if not frames:
        for still in read_frames(read_video_header(file)):
            yield still.pixels
    for frame in frames:
        yield read_photograph(frame).pixels
