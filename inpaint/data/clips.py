"""Clips: some successive frames of a video, or windows that move over a photograph.

A source of clips (`sources.Source` with `frames` above 1) reads one as a picture of ``3 * frames`` channels, so that
whatever cuts, moves or mirrors it does so to all frames alike; `unfolded` makes a batch of frames of it. A clip has one
row, hence one key: it is cropped, degraded and masked by what is drawn once, and all of it is on one side of a split.
"""

import math
from collections.abc import Mapping
from itertools import islice
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from inpaint import rng
from inpaint.batch import Batch
from inpaint.data.sources import Picture, Source, say
from inpaint.data.splits import Split, by_share
from inpaint.pictures.mask_files import MaskReader
from inpaint.pictures.names import SUFFIXES, natural
from inpaint.pictures.pairing import find_images
from inpaint.pictures.reading import LARGEST, BadImage, fit, image_size, read_image
from inpaint.pictures.video import SUFFIXES as VIDEOS
from inpaint.pictures.video import VideoHeader, is_video, read_frames, read_video_header
from inpaint.settings import Refused, interval, listed, number, whole

MOST = 64  # frames of a clip, which are in memory together
FINER = 2  # points a pixel and side of a window, which are averaged; a window of this zoom has a point a pixel


def unfolded(batch: Batch, frames: int, speed: float, keys: Tensor) -> Batch:
    """A batch of clips as one of frames, those of a clip one after another.

    Args:
        batch: clips, ``(B, 3 * frames, H, W)``, a mask for each, and their rows.
        frames: of each.
        speed: pixels a frame by which the mask of a clip moves at most, in a direction of its own; what leaves at one
            edge comes in at the other, so that it stays as large. 0 lets it stand.
        keys: of that motion, int64 ``(B,)``.

    Returns:
        Pictures ``(B * frames, 3, H, W)`` with their masks, and `index`, by which frame ``i`` of row ``r`` is picture
        ``r * frames + i``.
    """
    image, mask, index = batch["image"], batch["mask"].repeat_interleave(frames, dim=0), batch["index"]
    time = torch.arange(frames, device=index.device)
    if speed:
        length, angle = rng.uniform(keys, 2).T
        steps = speed * length * torch.stack([(2 * math.pi * angle).sin(), (2 * math.pi * angle).cos()])
        down, across = (steps[:, :, None] * time).round().long().flatten(1)
        height, width = mask.shape[2:]
        rows = (torch.arange(height, device=mask.device) - down[:, None]) % height
        columns = (torch.arange(width, device=mask.device) - across[:, None]) % width
        mask = mask.gather(2, rows[:, None, :, None].expand_as(mask))
        mask = mask.gather(3, columns[:, None, None, :].expand_as(mask))
    return Batch(
        image=image.reshape(-1, 3, *image.shape[2:]),
        mask=mask,
        index=(index[:, None] * frames + time).flatten(),
        frames=frames,
    )


# ---- videos ---------------------------------------------------------------------------------------------------------


class Videos:
    """The videos below a folder: each folder with pictures is one, its frames in the order of their numbers, and each
    file is one. A clip is so many successive frames; clips do not overlap, and what is left at the end is left out.

    Args:
        root: the folder.
        train: a sub-folder with the videos that train; None takes all.
        validation: a share of the videos, by a hash of their names, or a sub-folder.
        frames: of a clip, 2 to 64.
        resize: the shorter side is shrunk to this many pixels on reading; None reads frames as they are.

    Raises:
        Refused: there are no videos, one cannot be read, one side of the split is empty, a video is on both sides, or
            none is as long as a clip.
    """

    masked = False
    mask_reader = MaskReader()

    def __init__(self, root: str, train: str | None, validation: float | str, frames: int, resize: int | None) -> None:
        self.root, self.frames = Path(root), clip_length(frames)
        self.resize = None if resize is None else whole("data.resize", resize, 1)
        folders: dict[str, list[Path]] = {}
        files: list[str] = []
        for path in find_images(self.root, "data.root", SUFFIXES | {*VIDEOS}):
            inside = path.relative_to(self.root)
            if is_video(path):
                files.append(inside.as_posix())
            else:
                folders.setdefault(inside.parent.as_posix(), []).append(path)
        self.stills = {name: sorted(paths, key=lambda path: natural(path.name)) for name, paths in folders.items()}
        self.headers = {name: self._header(self.root / name) for name in files}
        names = sorted([*self.stills, *self.headers])
        videos = _sides(names, train, validation, root)
        self.clips: dict[Split, list[tuple[str, int]]] = {
            split: [(name, first) for name in chosen for first in range(0, self._whole_clips(name), self.frames)]
            for split, chosen in videos.items()
        }
        for split, clips in self.clips.items():
            if not clips:
                raise Refused(
                    f"data.frames: none of the {len(videos[split])} videos for {split} has {self.frames} frames: "
                    f"{listed(videos[split])}"
                )
        count = {split: len(clips) for split, clips in self.clips.items()}
        say(
            f"data: {len(names)} videos in {root}; clips of {self.frames} frames: {count['train']} train, "
            f"{count['validation']} validate"
        )

    def _header(self, path: Path) -> VideoHeader:
        try:
            return read_video_header(path)
        except BadImage as error:
            raise Refused(f"data.root: {error}") from None

    def _whole_clips(self, name: str) -> int:
        """How many of a video's frames are in clips."""
        frames = self.headers[name].frames if name in self.headers else len(self.stills[name])
        return frames // self.frames * self.frames

    def count(self, split: Split) -> int:
        """How many clips a split has."""
        return len(self.clips[split])

    def name(self, split: Split, row: int) -> str:
        """The video that a clip is of, by its path relative to the root."""
        return self.clips[split][row][0]

    def size(self, split: Split, row: int) -> tuple[int, int]:
        """Height and width, from the header of the file or of the first frame.

        Raises:
            BadImage: it is refused, or its frames are too large to be in memory together.
        """
        name, first = self.clips[split][row]
        if name in self.headers:
            height, width = fit(self.headers[name].size, self.resize)
        else:
            height, width = image_size(self.stills[name][first], self.resize)
        if self.frames * height * width > LARGEST:
            raise BadImage(
                f"{name}: {self.frames} frames of {width} x {height} pixels are more than {LARGEST // 10**6} million; "
                "give a smaller data.resize, or fewer data.frames"
            )
        return height, width

    def read(self, split: Split, row: int) -> Picture:
        """The frames of a clip, one behind the other: uint8 ``(3 * frames, H, W)``.

        Raises:
            BadImage: one cannot be read, or has another size than the first.
        """
        name, first = self.clips[split][row]
        if name in self.headers:
            stills = islice(read_frames(self.headers[name], first), self.frames)
            return Picture(image=torch.cat([_shrunk(still.pixels, self.resize) for still in stills]))
        paths = self.stills[name][first : first + self.frames]
        frames = [read_image(path, self.resize) for path in paths]
        for path, frame in zip(paths, frames, strict=True):
            if frame.shape != frames[0].shape:
                raise BadImage(f"{path}: has another size than {paths[0].name}")
        return Picture(image=torch.cat(frames))

    def shards(self, split: Split) -> None:
        """Any order."""
        return None


def clip_length(frames: int) -> int:
    """So many frames, if clips can have them.

    Raises:
        Refused: they cannot.
    """
    if not 2 <= whole("data.frames", frames, 2) <= MOST:
        raise Refused(
            f"data.frames: a clip of {frames} frames is too long to be in memory at once; give at most {MOST}"
        )
    return frames


def _sides(names: list[str], train: str | None, validation: float | str, root: str) -> Mapping[Split, list[str]]:
    """The names of the videos of each side; copies of one, by other suffixes or as frames, are on one."""

    def below(setting: str, folder: str) -> list[str]:
        folder = PurePosixPath(folder).as_posix()
        if found := [name for name in names if folder in (".", name) or name.startswith(f"{folder}/")]:
            return found
        raise Refused(f"data.{setting}: no videos in {Path(root) / folder}")

    chosen = names if train is None else below("train", train)
    if not isinstance(validation, str):
        sides = by_share([_stem(name) for name in chosen], validation, root)
        return {split: [chosen[row] for row in rows] for split, rows in sides.items()}
    if train is None:
        raise Refused(f"data.train: {validation} validates; name a sub-folder of those that train, too")
    named: dict[Split, list[str]] = {"train": chosen, "validation": below("validation", validation)}
    stems = {_stem(name) for name in chosen}
    if both := [name for name in named["validation"] if _stem(name) in stems]:
        raise Refused(f"data.validation: {len(both)} videos train as well: {listed(both)}")
    return named


def _stem(name: str) -> str:
    """A video's name without the suffix of a file."""
    return name.rpartition(".")[0] if is_video(Path(name)) else name


def _shrunk(pixels: np.ndarray, resize: int | None) -> Tensor:
    """A frame of a file, ``(H, W, 3)`` of 8 or 16 bits: uint8 ``(3, H, W)``."""
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    size = fit(pixels.shape[:2], resize)
    if size != pixels.shape[:2]:
        pixels = np.array(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.LANCZOS))
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


# ---- windows that move over photographs -----------------------------------------------------------------------------


class Track(NamedTuple):
    """How a window moves over a photograph: frame t shows at x what the photograph shows at ``c_t + s_t (x - m)``.

    middle: m, the middle of the window in its own pixels: column and row alike.
    centres: c, float64 ``(frames, 2)``, columns and rows of the photograph.
    scales: s, float64 ``(frames,)``, pixels of the photograph for each of the window.
    """

    middle: float
    centres: Tensor
    scales: Tensor

    def flow(self, first: int, second: int, side: int) -> Tensor:
        """By how many pixels to the right and down what is seen in one frame has moved in another, exactly.

        Returns:
            float64 ``(2, side, side)``; it may lead out of the window.
        """
        place = torch.arange(side, dtype=torch.float64) - self.middle
        here = torch.stack([place.expand(side, side), place[:, None].expand(side, side)])
        apart = (self.centres[first] - self.centres[second]).view(2, 1, 1)
        return (apart + self.scales[first] * here) / self.scales[second] - here


class MovingWindows:
    """Clips of a window that pans and zooms over a photograph at a constant rate.

    Where it begins, in which direction, how fast, and how it zooms is keyed by the clip (and by the seed for those that
    train), and the flow between any two frames is known exactly (`track`). What moves is the camera alone. Where a
    photograph has no room for all of it, the window sees and moves less.

    Args:
        photographs: what the windows move over.
        frames: of a clip.
        side: of a window in pixels.
        clips: of each photograph.
        speed: pixels of the window from frame to frame at most.
        zoom: pixels of the photograph for each of the window, [least, most] in all frames, 1 to 2.
        zoom_speed: by what share that grows or shrinks from frame to frame at most, within these ends.
        seed: see above.

    Raises:
        Refused: a number that means nothing.
    """

    masked = False
    mask_reader = MaskReader()

    def __init__(
        self,
        photographs: Source,
        frames: int,
        side: int,
        clips: int,
        speed: float,
        zoom: tuple[float, float],
        zoom_speed: float,
        seed: int,
    ) -> None:
        self.photographs, self.frames = photographs, clip_length(frames)
        self.side, self.clips = whole("data.side", side, 16), whole("data.clips", clips, 1)
        self.speed = number("data.speed", speed, 0, self.side / 4, "pixels a frame")
        self.zoom = interval("data.zoom", zoom, 1, 2, "pixels of the photograph for one of the window")
        self.zoom_speed = number("data.zoom_speed", zoom_speed, 0, 0.1, "a share")
        self.seed = seed
        self._last: dict[tuple[Split, int], Tensor] = {}

    def count(self, split: Split) -> int:
        """So many of each photograph."""
        return self.clips * self.photographs.count(split)

    def name(self, split: Split, row: int) -> str:
        """The photograph's."""
        return self.photographs.name(split, row // self.clips)

    def size(self, split: Split, row: int) -> tuple[int, int]:
        """All are square.

        Raises:
            BadImage: the photograph is too small for a window to move over it.
        """
        self._room(split, row // self.clips)
        return self.side, self.side

    def _room(self, split: Split, photograph: int) -> tuple[int, int]:
        size = self.photographs.size(split, photograph)
        if size is None or min(size) < self.zoom[0] * self.side:
            name = self.photographs.name(split, photograph)
            raise BadImage(f"{name} has no room for a window of {self.side} px; lower data.side, or data.crop")
        return size

    def track(self, split: Split, row: int) -> Track:
        """How the window of a clip moves."""
        height, width = self._room(split, row // self.clips)
        of = (self.seed, "train") if split == "train" else ("validation",)
        place, drawn = rng.uniform(torch.tensor([rng.key("moving window", *of, row)]), 6)[0].double().split([2, 4])
        angle, speed, zoom, growth = drawn.tolist()
        time = torch.arange(self.frames, dtype=torch.float64)

        widest = min(height, width) / self.side
        begin = self.zoom[0] + zoom * (min(self.zoom[1], widest) - self.zoom[0])
        ends = [end / begin for end in (self.zoom[0], min(self.zoom[1], widest))]
        least, most = (end ** (1 / (self.frames - 1)) for end in ends)
        rate = min(max(1 + self.zoom_speed * (2 * growth - 1), least), most)
        scales = begin * rate**time
        size, angle = torch.tensor([width, height], dtype=torch.float64), 2 * math.pi * angle
        steps = self.speed * speed * begin * torch.tensor([math.cos(angle), math.sin(angle)], dtype=torch.float64)
        room = (size - self.side * scales.max()).clamp(min=0)
        moved = time[:, None] * steps * (room / (steps * time[-1]).abs().clamp(min=1e-9)).clamp(max=1).amin()

        # The least and the greatest centre of the first window for which all windows lie in the photograph.
        half = scales[:, None] * self.side / 2
        low, high = (half - moved).amax(dim=0), (size - half - moved).amin(dim=0)
        centre = low + place * (high - low) - 0.5  # pixels have their middles at whole numbers
        return Track((self.side - 1) / 2, centre + moved, scales)

    def read(self, split: Split, row: int) -> Picture:
        """The frames, one behind the other: uint8 ``(3 * frames, side, side)``.

        Raises:
            BadImage: the photograph cannot be read.
        """
        track = self.track(split, row)
        return Picture(image=_seen(self._photograph(split, row // self.clips), track, self.side))

    def _photograph(self, split: Split, row: int) -> Tensor:
        """One of them, uint8 ``(3, H, W)``; the last is kept, as clips of one are asked for one after another."""
        with _READING:
            if (split, row) not in self._last:
                self._last = {(split, row): self.photographs.read(split, row)["image"]}
            return self._last[split, row]

    def shards(self, split: Split) -> None:
        """Any order."""
        return None


_READING = Lock()


def _seen(photograph: Tensor, track: Track, side: int) -> Tensor:
    """What each window shows: uint8 ``(3 * frames, side, side)``; each pixel is the mean of several points in it."""
    points = (torch.arange(side * FINER, dtype=torch.float64) + 0.5) / FINER - 0.5 - track.middle
    places = track.centres[:, :, None] + track.scales[:, None, None] * points  # (frames, 2, points)
    # The part that is looked at, so that float32 tells its places apart.
    (left, top), (right, bottom) = places.amin(dim=(0, 2)).floor().long(), places.amax(dim=(0, 2)).ceil().long()
    left, top = left.clamp(min=0), top.clamp(min=0)
    part = photograph[:, top : bottom + 1, left : right + 1].float()
    size = torch.tensor([part.shape[2], part.shape[1]], dtype=torch.float64).view(1, 2, 1)
    corner = torch.stack([left, top]).view(1, 2, 1)
    columns, rows = ((2 * (places - corner) + 1) / size - 1).float().unbind(dim=1)
    count = side * FINER
    grid = torch.stack([columns[:, None].expand(-1, count, count), rows[:, :, None].expand(-1, count, count)], dim=-1)
    seen = F.grid_sample(
        part.expand(len(grid), -1, -1, -1), grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return F.avg_pool2d(seen, FINER).round().to(torch.uint8).flatten(0, 1)
