"""`inpaint-predict video=...` on folders of frames: order, figures, what is done again, and bad input."""

import csv
import math
import os
import sys

import numpy as np
import pytest
from PIL import Image

from inpaint import predict
from inpaint.predict.video.figures import psnr, warping_errors
from tests.predict.networks import Level
from tests.predict.video.clips import box, emptied, pan

COUNT = 12


@pytest.fixture
def clip(tmp_path, monkeypatch):
    """Twelve frames f1.png .. f12.png of a pan by whole pixels, their truth, and masks that stand still."""
    monkeypatch.chdir(tmp_path)
    for folder in ("frames", "truth", "masks"):
        (tmp_path / folder).mkdir()
    for number, frame in enumerate(pan(COUNT, (6, 0)), start=1):
        hole = box(40, 36)
        Image.fromarray(emptied(frame, hole)).save(tmp_path / f"frames/f{number}.png")
        Image.fromarray(frame).save(tmp_path / f"truth/f{number}.png")
        Image.fromarray(hole).convert("L").save(tmp_path / f"masks/f{number}.png")
    return tmp_path


@pytest.fixture
def repair(command):
    def run(*arguments, code=0):
        given = ["generator=mean", "video=frames", "holes=masks", "output=out", "window=5"]
        keys = {argument.split("=")[0] for argument in arguments}
        return command(predict, *(word for word in given if word.split("=")[0] not in keys), *arguments, code=code)

    return run


def pixels(path):
    return np.asarray(Image.open(path))


def states(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.suffix in (".png", ".jpg")}


def test_frames_are_taken_in_the_order_of_their_numbers_and_come_out_exact(clip, repair):
    said = repair("truth=truth").splitlines()
    assert said[0] == "video: frames, 12 frames of 128 x 96 pixels"
    assert "pixels of holes: 100.0% known in other frames, 0.0% as in the frame before, 0.0% painted" in said
    assert "12 frames repaired, in out" in said
    assert any(line.startswith("figures: 12 of 12 frames exact, warping error 0.00 levels") for line in said)
    for number in range(1, COUNT + 1):
        assert np.array_equal(pixels(clip / f"out/f{number}.png"), pixels(clip / f"truth/f{number}.png"))


def test_one_mask_serves_all_frames_and_masks_can_be_drawn(clip, repair):
    repair("holes=masks/f1.png", "output=one")
    repair()
    assert all(np.array_equal(pixels(path), pixels(clip / "out" / path.name)) for path in (clip / "one").glob("*.png"))
    assert "masks are generated, seed=0" in repair("holes=null", "masks=strokes", "output=drawn")


def test_figures_are_those_of_the_files(clip, repair):
    said = repair("truth=truth", "holes=masks/f1.png", "window=1", "generator=mean")
    with (clip / "out/figures/frames.csv").open() as file:
        lines = list(csv.DictReader(file))
    hole = pixels(clip / "masks/f1.png") > 0
    before = None
    for number, line in enumerate(lines, start=1):
        true, result = pixels(clip / f"truth/f{number}.png"), pixels(clip / f"out/f{number}.png")
        squared = np.square(true[hole].astype(float) - result[hole]).mean()
        expected = 10 * math.log10(255**2 / squared) if squared else math.inf
        assert line["frame"] == f"f{number}" and float(line["hole_psnr"]) == pytest.approx(expected, rel=1e-4)
        if before is not None:  # the flow is known: what was at x + 6 is at x now
            truths, results = (
                np.abs(new[:, :-6].astype(float) - old[:, 6:]) for old, new in zip(before, (true, result), strict=True)
            )
            inside = hole[:, :-6]
            assert float(line["warping_error"]) == pytest.approx(results[inside].mean(), abs=0.2)
            assert float(line["warping_error_of_truth"]) == pytest.approx(truths[inside].mean(), abs=0.2)
        before = true, result
    finite = [value for line in lines if math.isfinite(value := float(line["hole_psnr"]))]
    exact = f"{COUNT - len(finite)} of {COUNT} frames exact, PSNR in the hole {np.mean(finite):.2f} dB on the others"
    assert 0 < len(finite) < COUNT and f"figures: {exact}, warping error" in said and "the truth's own 0.0" in said


def test_a_result_that_flickers_has_a_large_warping_error():
    still, nothing = pan(1, (0, 0))[0], np.ones((96, 128), bool)
    other = pan(1, (0, 0), seed=5)[0]
    assert all(math.isnan(error) for error in warping_errors((still, still), (other, other), nothing)), "a cut"
    own, error = warping_errors((still, still), (still, np.clip(still + 10.0, 0, 255).astype(np.uint8)), nothing)
    assert own == 0 and 9 < error <= 10
    assert math.isnan(psnr(still, still, ~nothing)) and psnr(still, still, nothing) == math.inf


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_kill_loses_nothing_and_changes_nothing(suffix, clip, repair, monkeypatch):
    """Also where frames go on from ones that were coded again."""
    for number, frame in enumerate(pan(COUNT, (0.7, 0)), start=1):
        (clip / f"frames/f{number}.png").unlink()
        Image.fromarray(emptied(frame, box(40, 36))).save(clip / f"frames/f{number}.{suffix}", quality=60)
    settings = ("holes=masks/f1.png", "window=2", "generator=harmonic")
    repair(*settings, "output=whole")
    from inpaint.predict.video import command

    write, written = command.write_photograph, []

    def killed(path, *rest):
        written.append(path)
        if len(written) == 6:
            raise KeyboardInterrupt
        write(path, *rest)

    monkeypatch.setattr(command, "write_photograph", killed)
    with pytest.raises(BaseException):  # noqa: B017  however a command ends then
        repair(*settings, code=None)
    monkeypatch.setattr(command, "write_photograph", write)
    first = states(clip / "out")
    assert len(first) == 5
    assert "5 frames were done before, with the same settings from the same files" in repair(*settings)
    assert {name: state for name, state in states(clip / "out").items() if name in first} == first
    for path in (clip / "whole").glob(f"*.{suffix}"):
        assert (clip / "out" / path.name).read_bytes() == path.read_bytes()


def test_what_a_change_may_change_is_done_again(clip, repair):
    repair("window=2")
    before = states(clip / "out")
    assert "12 frames were done before" in repair("window=2") and states(clip / "out") == before
    (clip / "out/f4.png").unlink()
    assert "11 frames were done before" in repair("window=2")
    again = states(clip / "out")
    assert {name for name in before if before[name] != again[name]} == {"f4.png"}
    os.utime(clip / "frames/f6.png", ns=(1, 1))
    assert "3 frames were done before" in repair("window=2"), "frame 4 looks two ahead, and all go on from it"


def test_formats_transparency_and_feather(clip, repair):
    hole = pixels(clip / "masks/f1.png") > 0
    for path in [*(clip / "frames").iterdir()]:
        Image.fromarray(np.dstack([pixels(path), np.where(hole, 0, 255).astype(np.uint8)])).save(path)
    repair("holes=alpha", "format=tiff")
    for number in (1, 12):
        after = pixels(clip / f"out/f{number}.tif")
        assert np.array_equal(after[..., :3], pixels(clip / f"truth/f{number}.png")) and (after[..., 3] == 255).all()
    repair("holes=masks", "feather=4", "window=1", "output=faded")
    before, after = (pixels(clip / f"{folder}/f1.png")[..., :3] for folder in ("frames", "faded"))
    changed = (before != after).any(axis=2)
    ring = box(36, 32, 32, 32) & ~hole
    assert changed[ring].any() and not changed[~ring & ~hole].any()


def test_what_is_no_picture_ends_it_and_leaves_the_frames_before(clip, repair, monkeypatch):
    monkeypatch.setattr(predict.command, "build_fill", lambda node: Level(float("nan")))
    said = repair("window=1", code=1)
    assert said == (
        "inpaint-predict: f1: pixels of its hole came out NaN or infinite; the video is not repaired beyond it\n"
    )


def remove(name):
    return lambda root: (root / name).unlink()


def resize(name):
    return lambda root: Image.new("L", (60, 40)).save(root / name)


def cut(name):
    return lambda root: (root / name).write_bytes((root / name).read_bytes()[:-2000])


def beside(root):
    (root / "frames/more").mkdir()
    Image.new("RGB", (128, 96)).save(root / "frames/more/f13.png")


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (None, ["video=nowhere"], "video: nowhere is no folder of frames and no file that is there (mp4, mov, mkv"),
        (None, ["video=masks/f1.png"], "video: masks/f1.png is no folder of frames and no file that is there"),
        (None, ["video=."], "video: frames lie in 2 folders: frames, truth; give one of them"),
        (beside, ["holes=masks/f1.png"], "video: frames lie in 2 folders"),
        (
            lambda root: (root / "empty").mkdir(),
            ["video=empty"],
            "video: no images (jpg, png, webp, tif, bmp) in empty",
        ),
        (remove("masks/f7.png"), [], "holes: 1 of 12 pictures have no mask of their name in masks: f7"),
        (
            resize("masks/f7.png"),
            [],
            "masks/f7.png: the mask has 60 x 40 pixels, its picture frames/f7.png has 128 x 96",
        ),
        (
            resize("frames/f7.png"),
            ["masks=strokes", "holes=null"],
            "1 of 12 frames have another size than 128 x 96: f7",
        ),
        (
            lambda root: (root / "frames/f3.png").write_text("x"),
            [],
            "video: 1 of 12 frames cannot be read: frames/f3.png",
        ),
        (cut("frames/f3.png"), [], "frames/f3.png: broken picture"),
        (None, ["holes=auto"], "holes: auto measures pictures, each by itself; with video=... give masks"),
        (None, ["window=0"], "window: 0 is no whole number from 1 up"),
        (None, ["samples=2"], "samples: is for pictures; leave it out with video=..."),
        (None, ["missing=skip"], "missing: is for pictures"),
        (None, ["output=frames"], "is an input and would be overwritten"),
        (
            None,
            ["images=frames"],
            "images: give pictures, images=..., or the frames of a video, video=..., one of the two",
        ),
        (
            None,
            ["video=null"],
            "images: give pictures, images=..., or the frames of a video, video=..., one of the two",
        ),
        (remove("truth/f9.png"), ["truth=truth"], "truth: truth has 11 frames, and frames has 12"),
        (
            resize("truth/f9.png"),
            ["truth=truth"],
            "truth: frames have 60 x 40, 128 x 96 pixels, and the results 128 x 96",
        ),
    ],
)
def test_bad_input_is_one_line(change, arguments, message, clip, repair):
    if change is not None:
        change(clip)
    said = repair(*arguments, code=2)
    assert message in said and said.count("\n") == 1


def test_without_pyav_it_is_said_what_to_install(clip, repair, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    (clip / "clip.mp4").write_bytes(b"")
    said = repair("video=clip.mp4", "holes=masks/f1.png", code=2)
    assert said == (
        "inpaint-predict: video: files of video are read with PyAV; pip install av, or give a folder of frames\n"
    )
