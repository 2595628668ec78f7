"""`inpaint-predict video=...`: what it does, in the order in which it does it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig

from inpaint.files.folder import only_one
from inpaint.masks import Masks
from inpaint.pictures.reading import BadImage
from inpaint.pictures.video import Still, VideoWriter, video_like
from inpaint.pictures.writing import read_photograph, write_photograph
from inpaint.predict.adaptive import AUTO
from inpaint.predict.growth import faded, grown
from inpaint.predict.holes import Holes, look, mask_files, whole_pictures
from inpaint.predict.jobs import Destination, sweep
from inpaint.predict.predictor import NotFinite, Predictor
from inpaint.predict.video.clips import Clip, ClipRecords, find_clip
from inpaint.predict.video.figures import find_truth, publish_figures
from inpaint.predict.video.filling import Filled, Frame, fill
from inpaint.predict.video.together import Windows, restored
from inpaint.progress import Reporter
from inpaint.settings import Refused, whole

if TYPE_CHECKING:
    from inpaint.predict.refine import Refinement

SetUp = Callable[[DictConfig], "tuple[Predictor, Refinement | None, list[Any]]"]
LOSSY = ("JPEG", "WEBP")  # formats that may not give back what was written


def repair_video(cfg: DictConfig, masks: Masks | None, set_up: SetUp) -> None:
    """Check everything, then repair frame after frame.

    Args:
        cfg: of the command.
        masks: a generator of masks, in place of files.
        set_up: what repairs, what makes that better, and all settings that decide the results.

    Raises:
        Refused: bad input.
    """
    for name, usual in {"samples": 1, "extras": [], "missing": "error", "overwrite": False}.items():
        if cfg[name] != usual:
            raise Refused(f"{name}: is for pictures; leave it out with video=...")
    if cfg.holes == AUTO:
        raise Refused(f"holes: {AUTO} measures pictures, each by itself; with video=... give masks")
    window, output = whole("window", cfg.window, 1), Path(cfg.output)
    clip = find_clip(cfg.video, mask_files(cfg), Destination(output, cfg.format))
    print(f"video: {clip}")
    predictor, refine, settings = set_up(cfg)
    if refine is not None and predictor.is_recurrent:
        raise Refused("refine: is for pictures, and this model sees the frames of a video together; leave it out")
    predictor.check_holes("holes" if masks is None else "masks", cfg.holes is not None or masks is not None)
    if predictor.scale is None:
        holes, line = look(clip.frames, cfg, masks)
    else:
        size = f", {predictor.scale} times as large" if predictor.scale > 1 else ""
        holes, line = whole_pictures(cfg), f"holes: none; this model restores whole frames{size}"
    print(line)
    truth = find_truth(Path(cfg.truth), clip, predictor.factor) if cfg.truth else None

    fresh = not output.exists()
    with only_one(output / ".inpaint-predict.lock", "output: a prediction"):
        reach = 2 * window if predictor.is_recurrent else window  # a frame's window and its margin
        records = ClipRecords(output, [*settings, holes.taken], clip, reach)
        results = clip.frames[:1] if clip.file else clip.frames
        if not fresh:
            records.refuse_others(results, cfg.overwrite)
        sweep(results)
        try:
            _work(clip, window, predictor, records, holes)
        except NotFinite as error:
            print(f"inpaint-predict: {error}; the video is not repaired beyond it", file=sys.stderr)
            sys.exit(1)
    print(f"{len(clip.frames)} frames repaired, in {clip.file or clip.frames[0].output.parent}")
    if refine is not None and refine.done:
        print(f"windows refined: {', '.join(f'{end} ({number})' for end, number in refine.done.most_common())}")
    if truth is not None:
        print(publish_figures(output / "figures", clip, truth, holes, predictor.factor))


def _work(clip: Clip, window: int, predictor: Predictor, records: ClipRecords, holes: Holes) -> None:
    """Repair what is not done, and say where the pixels came from."""
    is_done = [records.is_done(job) for job in (clip.frames[:1] * len(clip.frames) if clip.file else clip.frames)]
    if any(is_done):
        print(f"{sum(is_done)} frames were done before, with the same settings from the same files")
    if all(is_done):
        return
    first, last = is_done.index(False), len(is_done) - 1 - is_done[::-1].index(False)
    feather, predictor.feather = predictor.feather, 0  # around the whole hole, not around what is painted of it
    if predictor.is_recurrent or predictor.scale is not None:
        windows = Windows(window, -(-window // 2)) if predictor.is_recurrent else Windows(1, 0)
        start, end = windows.begin(first), windows.end(last)
        frames = _frames(clip, start, end, is_done, holes, feather)
        filled_frames = restored(frames, start, windows, partial(_restored, predictor))
    else:
        start = max(0, first - window)
        frames = _frames(clip, start, last + window, is_done, holes, feather)
        filled_frames = fill(frames, window, partial(_painted, predictor))
    total, number = Filled(), start - 1
    reporter = Reporter("repairing", "frames", len(is_done), first, transient=True)
    try:
        with _file(clip, predictor.factor) as writer:
            for frame, filled in filled_frames:
                number += 1
                if is_done[number]:
                    continue
                job, photograph, asked, time = frame.content
                assert frame.composite is not None
                frame.composite = faded(frame.pixels, frame.composite, asked, feather)
                if writer is not None:
                    writer.write(Still(frame.composite, time))
                else:
                    opaque = asked if job.mask == job.image else None  # what was transparent and is painted shows now
                    write_photograph(job.output, photograph.painted(frame.composite, opaque), job.format)
                    if job.format in LOSSY:  # the next frames go on from what a later run will find
                        frame.composite = read_photograph(job.output).pixels
                    records.add(job, records.key(job), float(asked.mean()), _shares(filled))
                total = Filled(*(sum(pair) for pair in zip(total, filled, strict=True)))
                if reporter.due:
                    reporter.show(number + 1)
    except NotFinite:
        raise NotFinite(f"{clip.frames[number + 1].name}: pixels of its hole came out NaN or infinite") from None
    finally:
        reporter.close()
    if clip.file:
        hole = sum(total) / (len(clip.frames) * clip.size[0] * clip.size[1])
        records.add(clip.frames[0], records.key(clip.frames[0]), hole, _shares(total))
        print("a file of video is coded again, which changes known pixels a little; format=png keeps them to the bit")
    elif any(job.format == "JPEG" for job in clip.frames):
        print("JPEG files are coded again, which changes known pixels a little; format=png keeps them to the bit")
    if predictor.scale is None:
        print(f"pixels of holes: {_shares(total)}")


def _frames(clip: Clip, first: int, last: int, is_done: list[bool], holes: Holes, feather: int) -> Iterator[Frame]:
    """Frames from one number to another, read as they are asked for; those that are done as they came out."""
    kind = None
    for number, (photograph, time) in enumerate(clip.read(first), start=first):
        job = clip.frames[number]
        hole = holes(job)[0].numpy() > 0.5
        if hole.shape != photograph.pixels.shape[:2]:
            raise BadImage(f"{job.mask}: was changed since it was looked at")
        kind = kind or photograph.pixels.dtype
        if photograph.pixels.dtype != kind:
            raise BadImage(
                f"{job.image}: has {8 * photograph.pixels.itemsize} bits a channel, and other frames have not"
            )
        composite = read_photograph(job.output).pixels if is_done[number] else None
        yield Frame(photograph.pixels, grown(hole, feather), (job, photograph, hole, time), composite)
        if number == last:
            return


def _restored(predictor: Predictor, pictures: list[np.ndarray], holes: list[np.ndarray]) -> list[np.ndarray]:
    found = [repaired.pixels for repaired in predictor.repair(pictures, holes, clip=predictor.is_recurrent)]
    whole_ones = [pixels for pixels in found if pixels is not None]
    if len(whole_ones) < len(found):
        raise NotFinite
    return whole_ones


def _painted(predictor: Predictor, pixels: np.ndarray, hole: np.ndarray) -> np.ndarray:
    (repaired,) = predictor.repair([pixels], [hole])
    if repaired.pixels is None:
        raise NotFinite
    return repaired.pixels


@contextmanager
def _file(clip: Clip, factor: int) -> Iterator[VideoWriter | None]:
    """What writes the one file of a clip, if it has one, with so many times more pixels a side."""
    if clip.file is None or clip.header is None:
        yield None
        return
    height, width = clip.header.size
    with video_like(clip.file, clip.header._replace(size=(factor * height, factor * width))) as writer:
        for remark in writer.remarks:
            print(f"{clip.file}: {remark}")
        yield writer


def _shares(filled: Filled) -> str:
    """Where pixels came from."""
    count = max(1, sum(filled))
    known, carried, painted = [f"{number / count:.1%}" for number in filled]
    return f"{known} known in other frames, {carried} as in the frame before, {painted} painted"
