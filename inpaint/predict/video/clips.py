"""The frames of a video as jobs: a folder of pictures or a file, looked at before any work."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from inpaint.pictures.names import called, natural
from inpaint.pictures.pairing import find_images
from inpaint.pictures.reading import BadImage
from inpaint.pictures.video import READ, VideoHeader, is_video, read_frames, read_video_header
from inpaint.pictures.writing import Header, Photograph, named, read_photograph, written_format
from inpaint.predict.holes import ALPHA
from inpaint.predict.jobs import Destination, Job, MaskFiles, Records, digest, plan
from inpaint.settings import Refused, listed

LIKE = "video"  # the format of frames that go into one file, like the one that was read


class Clip(NamedTuple):
    """The frames of a video.

    path: a folder of frames, or a file.
    frames: a job for each; all have one and the same output where a file is written.
    header: of the file, if it is one.
    """

    path: Path
    frames: list[Job]
    header: VideoHeader | None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of each frame."""
        return self.frames[0].size

    @property
    def file(self) -> Path | None:
        """The one file that is written; None where each frame is one."""
        return self.frames[0].output if self.frames[0].format == LIKE else None

    def __str__(self) -> str:
        rate = "" if self.header is None else f", {float(self.header.rate):.4g} a second"
        return f"{self.path}, {len(self.frames)} frames of {self.size[1]} x {self.size[0]} pixels{rate}"

    def read(self, first: int = 0) -> Iterator[tuple[Photograph, int]]:
        """The frames from a number on, and when each is shown (`Still.time`).

        Raises:
            BadImage: a frame cannot be read, or is of another kind or size than the first.
        """
        if self.header is not None:
            for still in read_frames(self.header, first):
                yield Photograph(still.pixels), still.time
            return
        for number, job in enumerate(self.frames[first:], start=first):
            photograph = read_photograph(job.image)
            if photograph.pixels.shape[:2] != self.size:
                raise BadImage(f"{job.image}: was changed since it was looked at")
            yield photograph, number


def find_clip(video: str | Path, masks: MaskFiles, destination: Destination) -> Clip:
    """The frames of a video, with their masks.

    Args:
        video: a folder of frames, in the order of their numbers, or a file.
        masks: where the holes are: a mask for all frames, or a folder with a mask for each.
        destination: of the results; without a format, frames have their own, and a file is like the one that was read.

    Raises:
        Refused: there are no frames, or they are of several sizes; a frame or mask is missing, cannot be read or has
            another size; or a result would overwrite an input.
    """
    path = Path(video)
    if path.is_dir():
        return _of_folder(path, masks, destination)
    if not path.is_file() or not is_video(path):
        raise Refused(f"video: {path} is no folder of frames and no file that is there ({READ})")
    if masks.alpha:
        raise Refused(f"holes: {ALPHA} is what is transparent in pictures, and a file of video is nowhere; give masks")
    if masks.pattern is not None:
        raise Refused("mask_pattern: is for frames that have names; the masks of a file are taken by their numbers")
    header = read_video_header(path)
    output, format = destination.folder, destination.format
    files = _masks_of_file(header, masks)
    if format is None:
        outputs, kind = [output / path.name] * header.frames, LIKE
        if outputs[0].resolve() == path.resolve():
            raise Refused(f"output: {path} is an input and would be overwritten; give another folder")
    else:
        kind = written_format(Header("PNG", header.size, header.deep, False), format)
        digits = max(5, len(str(header.frames)))
        numbers = (f"{number:0{digits}d}.png" for number in range(1, header.frames + 1))
        outputs = [named(output / path.stem / name, kind) for name in numbers]
    if inputs := {mask.resolve() for mask in files if mask} & {file.resolve() for file in outputs}:
        raise Refused(f"output: {listed(sorted(inputs))} is an input and would be overwritten; give another folder")
    names = (f"{path.stem}/{number}" for number in range(1, header.frames + 1))
    jobs = [
        Job(path, mask, (file,), name, kind, header.size)
        for mask, file, name in zip(files, outputs, names, strict=True)
    ]
    return Clip(path, jobs, header)


def _of_folder(root: Path, masks: MaskFiles, destination: Destination) -> Clip:
    folders = (masks.place, destination.folder)
    apart = [folder.resolve() for folder in folders if folder is not None and folder.is_dir()]
    apart = [folder for folder in apart if folder != root.resolve()]
    frames = [
        path
        for path in find_images(root, "video")
        if not any(path.resolve().is_relative_to(folder) for folder in apart)
    ]
    if len(places := {path.parent for path in frames}) > 1:
        raise Refused(f"video: frames lie in {len(places)} folders: {listed(sorted(places))}; give one of them")
    jobs = plan(root, masks, destination)
    jobs.sort(key=lambda job: natural(job.image.name))
    if broken := [job.problem for job in jobs if job.problem is not None]:
        raise Refused(f"video: {len(broken)} of {len(jobs)} frames cannot be read: {broken[0]}")
    names = Counter(job.image.stem for job in jobs)
    if several := [name for name, number in names.items() if number > 1]:
        raise Refused(f"video: {len(several)} frames have several masks or files, and one is wanted: {listed(several)}")
    usual = Counter(job.size for job in jobs).most_common(1)[0][0]
    if other := [job.image.name for job in jobs if job.size != usual]:
        size = f"{usual[1]} x {usual[0]}"
        raise Refused(f"video: {len(other)} of {len(jobs)} frames have another size than {size}: {listed(other)}")
    return Clip(root, jobs, None)


def _masks_of_file(header: VideoHeader, masks: MaskFiles) -> list[Path | None]:
    """The mask of each frame of a file."""
    holes = masks.place
    if holes is None:
        return [None] * header.frames
    files = sorted(find_images(holes, "holes"), key=lambda path: natural(called(path))) if holes.is_dir() else [holes]
    if holes.is_dir() and len(files) != header.frames:
        raise Refused(
            f"holes: {holes} has {len(files)} masks, and {header.path} has {header.frames} frames; give a mask for "
            "each, or one file for all"
        )
    assert masks.reader is not None
    for mask in files:
        if (size := masks.reader.size(mask)) != header.size:
            raise BadImage(
                f"{mask}: the mask has {size[1]} x {size[0]} pixels, the frames of {header.path} have "
                f"{header.size[1]} x {header.size[0]}"
            )
    return list(files) if holes.is_dir() else [holes] * header.frames


class ClipRecords(Records):
    """What is done of a video: a frame also depends on the frames of its window, and on how those before came out.

    Args:
        output, settings: as in `jobs.Records`.
        clip: the video.
        window: frames before and after that a frame depends on.
    """

    def __init__(self, output: Path, settings: Any, clip: Clip, window: int) -> None:
        super().__init__(output, settings)
        own = [super(ClipRecords, self).key(job) for job in clip.frames]
        self.keys: dict[Path, str] = {}
        before = ""
        for number, job in enumerate(clip.frames):
            around = own if clip.file else own[max(0, number - window) : number + window + 1]
            before = self.keys[job.output] = digest([before, *around])
            if clip.file:
                break

    def key(self, job: Job) -> str:
        """What decides a frame."""
        return self.keys[job.output]
