"""Video files: read and written frame by frame, like the file that they come from; and what is refused."""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from inpaint import predict
from inpaint.pictures.reading import BadImage
from inpaint.pictures.video import Still, read_frames, read_video_header, video_like
from tests.predict.video.clips import box, emptied, pan

av = pytest.importorskip("av")
RATE = Fraction(30000, 1001)


def write(path, frames, codec="ffv1", pixels="bgr0", sound=None, turn=0, late=0, colours=None):
    """A file as other programs write it. late: ticks by which every second frame comes later."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], pixels
        stream.codec_context.time_base = Fraction(1, 30000)
        if turn:
            stream.set_display_rotation(turn)
        if colours:
            stream.codec_context.colorspace = colours
        tone = container.add_stream(sound, rate=48000, layout="mono") if sound else None
        for number, frame in enumerate(frames):
            kind = "rgb48le" if frame.dtype == np.uint16 else "rgb24"
            shown = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=kind)
            shown = shown.reformat(format=pixels, dst_colorspace=colours)
            shown.pts, shown.time_base = 1001 * number + late * (number % 2), Fraction(1, 30000)
            container.mux(stream.encode(shown))
        container.mux(stream.encode(None))
        for number in range(16 if tone else 0):
            wave = np.sin(np.arange(1024) / 20 + number).astype(np.float32)[None] / 10
            heard = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            heard.sample_rate, heard.pts = 48000, 1024 * number
            container.mux(tone.encode(heard))
        if tone:
            container.mux(tone.encode(None))
    return path


def copied(path, output):
    header = read_video_header(path)
    with video_like(output, header) as writer:
        for still in read_frames(header):
            writer.write(still)
    return header, writer.remarks


def stills(path):
    return list(read_frames(read_video_header(path)))


def sounds(path):
    with av.open(str(path)) as container:
        packets = container.demux(audio=0) if container.streams.audio else []
        return [(packet.pts, bytes(packet)) for packet in packets if packet.size]


def test_a_file_without_loss_comes_back_to_the_bit(tmp_path):
    frames = pan(5, (2, 1))
    header, remarks = copied(write(tmp_path / "a.mkv", frames, late=200, sound="flac"), tmp_path / "b.mkv")
    assert (header.size, header.frames, header.deep, header.codec) == ((96, 128), 5, False, "ffv1") and not remarks
    before, after = stills(tmp_path / "a.mkv"), stills(tmp_path / "b.mkv")
    assert all(np.array_equal(still.pixels, frame) for still, frame in zip(after, frames, strict=True))
    assert [still.time for still in after] == [still.time for still in before] == [0, 40, 67, 107, 133]
    assert sounds(tmp_path / "a.mkv") == sounds(tmp_path / "b.mkv") != []


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "sound"),
    [
        ("a.mp4", "libx264", "yuv420p", "aac"),
        ("a.webm", "libvpx-vp9", "yuv420p", None),
        ("a.avi", "mpeg4", "yuv420p", None),
    ],
)
def test_codec_times_and_sound_are_kept(name, codec, pixels, sound, tmp_path):
    frames = pan(6, (2, 1))
    write(tmp_path / name, frames, codec, pixels, sound)
    header, remarks = copied(tmp_path / name, tmp_path / f"again.{name}")
    again, before, after = (
        read_video_header(tmp_path / f"again.{name}"),
        stills(tmp_path / name),
        stills(tmp_path / f"again.{name}"),
    )
    assert again[1:] == header[1:] and not remarks
    assert [still.time for still in after] == [still.time for still in before]
    assert np.abs(after[3].pixels.astype(float) - before[3].pixels).mean() < 5, (
        "noise in colour, which has half the pixels"
    )
    assert sounds(tmp_path / name) == sounds(tmp_path / f"again.{name}") and bool(sounds(tmp_path / name)) == bool(
        sound
    )


@pytest.mark.parametrize("colours", [1, 5])
def test_colours_keep_their_matrix(colours, tmp_path):
    """BT.709 and BT.601: saturated colours would move by tens of levels under the wrong one."""
    flat = np.full((96, 128, 3), (220, 40, 90), np.uint8)
    copied(write(tmp_path / "a.mkv", [flat] * 2, "ffv1", "yuv444p", colours=colours), tmp_path / "b.mkv")
    for name in ("a.mkv", "b.mkv"):
        assert np.abs(stills(tmp_path / name)[0].pixels.astype(int) - flat).max() <= 2


def test_frames_are_upright_and_deep_ones_stay_deep(tmp_path):
    frames = pan(3, (2, 0))
    header, _ = copied(write(tmp_path / "a.mp4", frames, "libx264", "yuv444p", turn=90), tmp_path / "b.mp4")
    assert (header.size, header.turn) == ((128, 96), 1) and read_video_header(tmp_path / "b.mp4").turn == 0
    for name in ("a.mp4", "b.mp4"):
        assert np.abs(stills(tmp_path / name)[0].pixels.astype(float) - np.rot90(frames[0])).mean() < 10
    deep = [frame.astype(np.uint16) * 257 for frame in frames]
    header, _ = copied(write(tmp_path / "d.mkv", deep, "ffv1", "gbrp10le"), tmp_path / "e.mkv")
    first, again = stills(tmp_path / "d.mkv")[0].pixels, stills(tmp_path / "e.mkv")[0].pixels
    assert header.deep and first.dtype == np.uint16 and np.array_equal(first, again)
    assert np.abs(first.astype(int) - deep[0]).max() <= 64


def test_nothing_is_there_where_writing_fails(tmp_path):
    header = read_video_header(write(tmp_path / "a.mkv", pan(3, (2, 0))))
    with pytest.raises(RuntimeError), video_like(tmp_path / "b.mkv", header) as writer:
        writer.write(Still(pan(1, (0, 0))[0], 0))
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["a.mkv"]


def playlist(path):
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")


def list_of_parts(path):
    path.write_text(f"ffconcat version 1.0\nfile {path.with_name('whole.mkv')}\n")


def cut(path):
    path.write_bytes(path.with_name("whole.mkv").read_bytes()[:90_000])


def no_video(path):
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("flac", rate=48000, layout="mono")
        heard = av.AudioFrame.from_ndarray(np.zeros((1, 4608), np.int16), "s16", "mono")
        heard.sample_rate = 48000
        container.mux(stream.encode(heard))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b""), "not a readable video"),
        (lambda path: path.write_bytes(bytes(5000)), "not a readable video"),
        (lambda path: Image.new("RGB", (64, 64)).save(path, format="PNG"), "not a readable video"),
        (playlist, "not a readable video"),
        (list_of_parts, "not a readable video"),
        (no_video, "has no stream of video"),
        (lambda path: None, "is no file that is there"),
    ],
)
def test_what_is_no_video_is_refused(make, message, tmp_path):
    write(tmp_path / "whole.mkv", pan(6, (2, 1)))
    make(tmp_path / "bad.mkv")
    with pytest.raises(BadImage, match=message):
        stills(tmp_path / "bad.mkv")


# ---- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def clip(tmp_path):
    """A file without loss of twelve frames with sound, its truth, and masks for each."""
    frames, hole = pan(12, (6, 0)), box(40, 36)
    write(tmp_path / "clip.mkv", [emptied(frame, hole) for frame in frames], sound="flac")
    write(tmp_path / "truth.mkv", frames)
    (tmp_path / "masks").mkdir()
    for number in range(12):
        Image.fromarray(hole).convert("L").save(tmp_path / f"masks/{number + 1}.png")
    return tmp_path


def test_a_file_becomes_a_file_of_its_kind(clip, command):
    arguments = ["generator=mean", "video=clip.mkv", "holes=masks", "output=out", "truth=truth.mkv", "window=5"]
    said = command(predict, *arguments)
    assert "video: clip.mkv, 12 frames of 128 x 96 pixels, 29.97 a second" in said
    assert "12 frames repaired, in out/clip.mkv" in said and "figures: 12 of 12 frames exact" in said
    assert sounds(clip / "out/clip.mkv") == sounds(clip / "clip.mkv") != []
    state = (clip / "out/clip.mkv").stat()
    again = command(predict, *arguments)
    assert "12 frames were done before" in again and (clip / "out/clip.mkv").stat() == state
    (clip / "masks/3.png").touch()
    assert "were done before" not in command(predict, *arguments[:4], "window=5")


def test_a_file_becomes_frames(clip, command):
    arguments = ["generator=mean", "video=clip.mkv", "holes=masks/1.png", "output=out", "truth=truth.mkv", "format=png"]
    assert "figures: 12 of 12 frames exact" in command(predict, *arguments)
    assert len([*(clip / "out/clip").glob("*.png")]) == 12
    (clip / "out/clip/00007.png").unlink()
    assert "11 frames were done before" in command(predict, *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["holes=masks/1.png", "output=."], "output: clip.mkv is an input and would be overwritten"),
        (["holes=alpha"], "holes: alpha is what is transparent in pictures"),
        (["holes=masks", "mask_pattern={stem}.png"], "mask_pattern: is for frames that have names"),
        (
            ["holes=few"],
            "holes: few has 1 masks, and clip.mkv has 12 frames; give a mask for each, or one file for all",
        ),
        (["holes=few/1.png"], "few/1.png: the mask has 30 x 20 pixels, the frames of clip.mkv have 128 x 96"),
        (["holes=masks", "video=cut.mkv"], "cut.mkv: broken video, it ends after 0.2 of 0.4 seconds"),
        (["holes=masks", "truth=cut.mkv"], "cut.mkv: broken video"),
        (["holes=masks", "format=mp4"], "format: give one of jpeg, png"),
    ],
)
def test_bad_input_is_one_line(arguments, message, clip, command):
    (clip / "few").mkdir()
    Image.new("L", (30, 20)).save(clip / "few/1.png")
    (clip / "cut.mkv").write_bytes((clip / "clip.mkv").read_bytes()[:-150_000])
    keys = {argument.split("=")[0] for argument in arguments}
    given = [word for word in ("video=clip.mkv", "output=out", "generator=mean") if word.split("=")[0] not in keys]
    said = command(predict, *given, *arguments, code=2)
    assert message in said and said.count("\n") == 1 and not list((clip / "out").glob("*.mkv"))


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("libx264", "mp4"), ("libx264", "mkv"), ("libvpx-vp9", "webm"), ("ffv1", "mkv"), ("mpeg4", "avi")],
)
def test_frames_from_a_number_on_are_those_of_the_whole(tmp_path, codec, suffix):
    """With frames that depend on later ones, and a first one that is far back or near."""
    path = write(
        tmp_path / f"clip.{suffix}", pan(14, (1.5, 0.5), (48, 64)), codec, "bgr0" if codec == "ffv1" else "yuv420p"
    )
    header, every = read_video_header(path), stills(path)
    for first in (1, 5, 12, 13):
        found = list(read_frames(header, first))
        assert [still.time for still in found] == [still.time for still in every[first:]]
        assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(found, every[first:], strict=True))
