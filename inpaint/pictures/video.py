"""Video files, read and written a frame at a time through PyAV (FFmpeg's libraries), which the extra `video` brings.

A file may name others (a list of parts, a stream of the net): only containers that hold their own data are opened.
"""

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from inpaint.files.folder import replacing
from inpaint.pictures.reading import LARGEST, BadImage
from inpaint.settings import Refused

if TYPE_CHECKING:
    import av

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
READ = "mp4, mov, mkv, webm, avi"  # for people
CONTAINERS = "mov,mp4,matroska,webm,avi"  # by the names of FFmpeg's demuxers
ALONE = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
# How well encoders keep what they are given; those of other codecs get twice the bits of the file that was read.
QUALITY = {
    "libx264": {"crf": "14", "preset": "medium"},
    "libx265": {"crf": "16", "preset": "medium", "x265-params": "log-level=error"},
    "libvpx-vp9": {"crf": "18", "b:v": "0"},
    "libsvtav1": {"crf": "20"},
}
SPARE = 0.1  # seconds, and share of its length, that a file may be shorter than it says
USUAL = "libx264"  # where the codec of a file has no encoder here


class VideoHeader(NamedTuple):
    """What a video file says of itself.

    path: the file.
    size: height and width, upright.
    frames: how many there are, counted.
    rate: frames a second, on average.
    deep: whether it has more than 8 bits a channel.
    turn: quarters of a turn, counterclockwise, that make its frames upright.
    codec, pixels: what FFmpeg calls its codec and its pixel format.
    times: when each frame is shown, in the stream's unit and in order; empty where the file does not say it of all.
    """

    path: Path
    size: tuple[int, int]
    frames: int
    rate: Fraction
    deep: bool
    turn: int
    codec: str
    pixels: str
    times: "array[int]" = array("q")


class Still(NamedTuple):
    """A frame of a video file.

    pixels: RGB ``(H, W, 3)``, upright, uint8, or uint16 of a deep file.
    time: when it is shown, in the time base of the file's stream.
    """

    pixels: np.ndarray
    time: int


def is_video(path: Path) -> bool:
    """By its name."""
    return path.suffix.lower() in SUFFIXES


def library() -> Any:
    """PyAV.

    Raises:
        Refused: it is not installed.
    """
    try:
        import av
    except ImportError:
        raise Refused("video: files of video are read with PyAV; pip install av, or give a folder of frames") from None
    return av


def read_video_header(path: Path) -> VideoHeader:
    """Look at a file, and count its frames without decoding them.

    Raises:
        BadImage: it is no video of the containers that are read, is broken, or is too large.
        Refused: PyAV is missing.
    """
    av = library()
    with _opened(path) as container, _broken_is_refused(path):
        stream = container.streams.video[0]
        context = stream.codec_context
        if context.width * context.height > LARGEST:
            large = f"{context.width} x {context.height} pixels, more than {LARGEST // 10**6} million"
            raise BadImage(f"{path}: frames of {large}")
        first = next(container.decode(stream), None)
        if first is None:
            raise BadImage(f"{path}: has no frame that can be decoded")
        deep = max(component.bits for component in first.format.components) > 8
        turn = round(first.rotation / 90) % 4
        size = (first.width, first.height) if turn % 2 else (first.height, first.width)
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        codec, pixels = context.codec.canonical_name, first.format.name
    with _opened(path) as container, _broken_is_refused(path):
        frames, end, times = 0, Fraction(0), array("q")
        for packet in container.demux():
            if packet.size > 0 and packet.stream is container.streams.video[0]:
                frames += 1
                if packet.pts is not None:
                    times.append(packet.pts)
            if packet.pts is not None:
                end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
        seconds = (container.duration or 0) / av.time_base
        if end - (container.start_time or 0) / av.time_base < seconds * (1 - SPARE) - SPARE:
            raise BadImage(f"{path}: broken video, it ends after {float(end):.1f} of {seconds:.1f} seconds")
    times = array("q", sorted({*times}))
    return VideoHeader(
        path, size, frames, rate, deep, turn, codec, pixels, times if len(times) == frames else array("q")
    )


def read_frames(header: VideoHeader, first: int = 0) -> Iterator[Still]:
    """The frames of a file, one after another, from a number on.

    Frames before it are decoded only as far as it depends on them, if the file says when each is shown.

    Raises:
        BadImage: its data is broken, or frames change their size.
    """
    kind = "rgb48le" if header.deep else "rgb24"
    with _opened(header.path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        number = 0
        with _broken_is_refused(header.path):
            begin = header.times[first] if first and header.times else None
            if begin is not None:  # a jump to the last frame before it that depends on no other
                container.seek(begin, stream=stream)
            for frame in container.decode(stream):
                if begin is not None:
                    if frame.pts is not None and frame.pts < begin:
                        continue
                    number, begin = first, None
                number += 1
                if number <= first:
                    continue
                pixels = np.rot90(frame.to_ndarray(format=kind), header.turn)
                if pixels.shape[:2] != header.size:
                    raise BadImage(f"{header.path}: frame {number} has another size than the first")
                yield Still(np.ascontiguousarray(pixels), number - 1 if frame.pts is None else frame.pts)
        if number < header.frames:
            raise BadImage(f"{header.path}: broken video, {number} of {header.frames} frames can be decoded")


@contextmanager
def video_like(path: Path, header: VideoHeader) -> "Iterator[VideoWriter]":
    """Write a file like another one: its container, codec, pixel format, times and colours, with its sound.

    The file is there, whole, after the block; where anything fails inside, it is not. Frames are upright, so no player
    has to turn them.

    Args:
        path: the file; its folder is made.
        header: of the other one.

    Raises:
        BadImage: frames of this size or kind cannot be encoded.
        OSError: the disk refuses it.
    """
    av = library()
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        replacing(path) as scratch,
        _opened(header.path) as source,
        _broken_is_refused(path, "cannot be written; format=png writes frames"),
        av.open(str(scratch.resolve()), "w") as container,
    ):
        writer = VideoWriter(header, source, container)
        yield writer
        writer.finish()


class VideoWriter:
    """Frames to a file, as `video_like` opens it.

    Args:
        header: of the file that this one is to be like.
        source: that file.
        container: the new one.

    Attributes:
        remarks: what of the other file is not kept.
    """

    def __init__(
        self, header: VideoHeader, source: "av.container.InputContainer", container: "av.container.OutputContainer"
    ) -> None:
        self.header, self.source, self.container = header, source, container
        self.remarks: list[str] = []
        self.like = source.streams.video[0]
        self.stream = self._add_video()
        self.sounds = self._add_sounds()
        if others := {each.type for each in source.streams} - {"audio", "video"}:
            self.remarks.append(f"left out: {', '.join(sorted(others))}")
        self._sound = (packet for packet in source.demux(*self.sounds) if packet.dts is not None)
        self._waiting = next(self._sound, None) if self.sounds else None

    def _add_video(self) -> Any:
        av = library()
        try:
            encoder = av.codec.Codec(self.header.codec, "w")
        except (ValueError, av.error.FFmpegError):
            encoder = av.codec.Codec(USUAL, "w")
            self.remarks.append(f"{self.header.codec} has no encoder here; {encoder.name} is written")
        pixels = self.header.pixels
        accepted = [each.name for each in encoder.video_formats or []]
        if accepted and pixels not in accepted:
            pixels = "yuv420p" if "yuv420p" in accepted else accepted[0]
            self.remarks.append(f"pixels are written as {pixels}, which were {self.header.pixels}")
        stream: Any = self.container.add_stream(encoder.name, rate=self.header.rate)
        stream.height, stream.width = self.header.size
        stream.pix_fmt = pixels
        before, context = self.like.codec_context, stream.codec_context
        context.time_base = self.like.time_base
        for what in ("color_range", "colorspace", "color_primaries", "color_trc"):
            setattr(context, what, getattr(before, what))
        if encoder.name in QUALITY:
            stream.options = dict(QUALITY[encoder.name])
        elif before.bit_rate:
            stream.bit_rate = 2 * before.bit_rate
        self.container.metadata.update(self.source.metadata)
        return stream

    def _add_sounds(self) -> dict[Any, Any]:
        """The sound of the other file and of this one."""
        av = library()
        sounds = {}
        for sound in self.source.streams.audio:
            try:
                sounds[sound] = self.container.add_stream_from_template(sound)
            except (ValueError, av.error.FFmpegError):
                self.remarks.append(f"left out: sound ({sound.codec_context.name})")
        return sounds

    def write(self, still: Still) -> None:
        """The next frame."""
        kind = "rgb48le" if still.pixels.dtype == np.uint16 else "rgb24"
        frame = library().VideoFrame.from_ndarray(np.ascontiguousarray(still.pixels), format=kind)
        context = self.like.codec_context
        colours = {"dst_colorspace": context.colorspace or None, "dst_color_range": context.color_range or None}
        frame = frame.reformat(format=self.stream.pix_fmt, **colours)
        frame.pts, frame.time_base = still.time, self.like.time_base
        self._mux_sound(still.time * frame.time_base)
        for packet in self.stream.encode(frame):
            self.container.mux(packet)

    def finish(self) -> None:
        """What the encoder still holds, and the rest of the sound."""
        for packet in self.stream.encode(None):
            self.container.mux(packet)
        self._mux_sound()

    def _mux_sound(self, until: Fraction | None = None) -> None:
        """What is heard up to a time, in seconds; None: all that is left."""
        while (packet := self._waiting) is not None:
            if until is not None and packet.dts * packet.time_base > until:
                return
            packet.stream = self.sounds[packet.stream]
            self.container.mux(packet)
            self._waiting = next(self._sound, None)


@contextmanager
def _opened(path: Path) -> "Iterator[av.container.InputContainer]":
    av = library()
    with _broken_is_refused(path):
        if not path.is_file():
            raise BadImage(f"{path}: is no file that is there")
        container = av.open(str(path.resolve()), options=dict(ALONE), metadata_errors="replace")
    with container:
        if not container.streams.video:
            raise BadImage(f"{path}: has no stream of video")
        yield container


@contextmanager
def _broken_is_refused(path: Path, what: str = f"not a readable video ({READ})") -> Iterator[None]:
    """FFmpeg's errors, as BadImage."""
    av = library()
    try:
        yield
    except av.error.FFmpegError as error:
        raise BadImage(f"{path}: {what} ({error.strerror})") from None
