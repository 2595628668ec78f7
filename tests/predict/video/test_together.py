"""Videos that a recurrent network restores: windows of frames, more pixels, resuming, and what is refused."""

import numpy as np
import pytest
import torch
from PIL import Image

from inpaint import predict
from inpaint.batch import from_uint8, to_uint8
from inpaint.files import checkpoint
from inpaint.networks.generators.basicvsr import BasicVSR
from inpaint.predict.predictor import Predictor
from inpaint.predict.video.filling import Frame
from inpaint.predict.video.together import Windows, restored
from tests.predict.video.clips import box, emptied, pan

COUNT = 11
FULL = {"_target_": "inpaint.masks.Full"}
BOXES = {"_target_": "inpaint.masks.Boxes"}
TEXTURE = ["refine=texture", "refine.weights=random"]
HALVED = {"_target_": "inpaint.degradations.Resize", "scale": 2}


def network(**settings):
    """Small, with layers that do something; always the same weights."""
    torch.manual_seed(0)
    made = BasicVSR(width=8, blocks=1, **settings)
    for weight in made.parameters():
        weight.data.add_(0.12 * torch.randn(weight.shape))
    return made.eval().requires_grad_(False)


def saved(path, masks, degradation, **settings):
    made = network(**settings)
    target = {"_target_": "inpaint.networks.generators.basicvsr.BasicVSR", "width": 8, "blocks": 1, **settings}
    config = {"name": path.stem, "generator": target, "masks": masks, "degradation": degradation}
    checkpoint.save_generator(path, made, config, 1)
    return made


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Eleven frames of a pan, with and without a hole, and a network of each kind."""
    monkeypatch.chdir(tmp_path)
    hole = box(20, 16, 12, 12, size=(48, 64))
    for folder in ("frames", "holed"):
        (tmp_path / folder).mkdir()
    for number, frame in enumerate(pan(COUNT, (2, 1), size=(48, 64)), start=1):
        Image.fromarray(frame).save(tmp_path / f"frames/f{number}.png")
        Image.fromarray(emptied(frame, hole)).save(tmp_path / f"holed/f{number}.png")
    Image.fromarray(hole).convert("L").save(tmp_path / "hole.png")
    saved(tmp_path / "larger.ckpt", FULL, HALVED, scale=2)
    saved(tmp_path / "filling.ckpt", BOXES, {}, start="harmonic")
    return tmp_path


def pixels(folder):
    return [np.asarray(Image.open(folder / f"f{number}.png")) for number in range(1, COUNT + 1)]


def as_batch(frames):
    return from_uint8(torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2))


def test_a_video_is_restored_by_all_frames_of_a_window(place, command):
    said = command(predict, "checkpoint=larger.ckpt", "video=frames", "output=out", "window=20")
    assert "holes: none; this model restores whole frames, 2 times as large" in said and "pixels of holes" not in said
    given = as_batch(pixels(place / "frames"))
    wanted = network(scale=2)(given, torch.ones(COUNT, 1, 96, 128), COUNT).output
    found = torch.from_numpy(np.stack(pixels(place / "out"))).permute(0, 3, 1, 2).int()
    assert (to_uint8(wanted).int() - found).abs().max() <= 1
    alone = network(scale=2)(given, torch.ones(COUNT, 1, 96, 128)).output
    assert (to_uint8(alone).int() - found).abs().max() > 20, "frame by frame it is another video"


def test_windows_have_margins_and_a_video_that_is_gone_on_with_is_the_same(place, command):
    command(predict, "checkpoint=larger.ckpt", "video=frames", "output=out", "window=4")
    once = pixels(place / "out")
    given = as_batch(pixels(place / "frames"))
    second = network(scale=2)(given[2:10], torch.ones(8, 1, 96, 128), 8).output[2:6]  # frames 5 to 8, and two around
    assert np.abs(to_uint8(second).permute(0, 2, 3, 1).int().numpy() - np.stack(once[4:8])).max() <= 1
    for name in ("f6.png", "f7.png", "f11.png"):
        (place / "out" / name).unlink()
    said = command(predict, "checkpoint=larger.ckpt", "video=frames", "output=out", "window=4")
    assert "8 frames were done before" in said
    assert all(np.array_equal(a, b) for a, b in zip(once, pixels(place / "out"), strict=True))
    Image.fromarray(255 - pixels(place / "frames")[9]).save(place / "frames/f10.png")  # frames 5 to 8 have seen it
    command(predict, "checkpoint=larger.ckpt", "video=frames", "output=out", "window=4")
    changed = [not np.array_equal(a, b) for a, b in zip(once, pixels(place / "out"), strict=True)]
    assert changed[:4] == [False] * 4 and changed[4:] == [True] * 7


def test_holes_are_filled_by_the_network_and_known_pixels_stay(place, command):
    said = command(
        predict, "checkpoint=filling.ckpt", "video=holed", "holes=hole.png", "output=out", "truth=frames", "window=20"
    )
    assert "100.0% painted" in said and "figures: PSNR in the hole" in said
    hole = np.asarray(Image.open(place / "hole.png")) > 127
    given, found = pixels(place / "holed"), pixels(place / "out")
    assert all(np.array_equal(a[~hole], b[~hole]) for a, b in zip(given, found, strict=True))
    mask = torch.from_numpy(hole).float().expand(COUNT, 1, -1, -1)
    wanted = to_uint8(network(start="harmonic")(as_batch(given), mask, COUNT).composite).permute(0, 2, 3, 1).numpy()
    assert np.abs(np.stack(found).astype(int) - wanted).max() <= 1


def test_tiles_are_at_one_place_in_all_frames(place):
    """In tiles it is what it is at once, but for what the network sees beyond a tile."""
    frames = pixels(place / "frames")
    everywhere = [np.ones((48, 64), bool)] * COUNT
    made = {}
    for name, clip, sizes in (("once", True, {}), ("tiles", True, {"tile": 36, "overlap": 12}), ("alone", False, {})):
        repaired = Predictor(network(scale=2, flow="none"), scale=2, **sizes).repair(frames, everywhere, clip=clip)
        assert ("tiles" in repaired[0].taken) == (name == "tiles")
        made[name] = np.stack([frame.pixels for frame in repaired]).astype(int)
    apart = {name: np.abs(made[name] - made["once"]).mean() for name in ("tiles", "alone")}
    assert apart["tiles"] < 0.25 * apart["alone"]


def test_a_file_of_video_comes_back_larger(place, command):
    pytest.importorskip("av")
    from tests.pictures.test_video import stills, write

    write(place / "clip.mkv", pixels(place / "frames"))
    command(predict, "checkpoint=larger.ckpt", "video=clip.mkv", "output=out", "window=20")
    found = stills(place / "out" / "clip.mkv")
    assert len(found) == COUNT and found[0].pixels.shape == (96, 128, 3)


def test_truths_of_larger_videos_are_larger(place, command):
    (place / "truth").mkdir()
    for number, frame in enumerate(pixels(place / "frames"), start=1):
        Image.fromarray(frame).resize((128, 96)).save(place / f"truth/f{number}.png")
    asked = ["checkpoint=larger.ckpt", "video=frames", "output=out", "window=20"]
    assert "the truth's own" in command(predict, *asked, "truth=truth")
    said = command(predict, *asked, "overwrite=false", "truth=frames", code=2)
    assert "truth: frames have 64 x 48 pixels, and the results 128 x 96" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["checkpoint=larger.ckpt", "video=frames", "holes=hole.png"], "holes: this model restores whole pictures"),
        (["checkpoint=filling.ckpt", "video=frames"], "holes: this model fills holes; say where they are"),
        (["checkpoint=larger.ckpt", "video=frames", "dilate=3"], "dilate: is for masks"),
        (
            ["checkpoint=filling.ckpt", "video=frames", "holes=hole.png", "refine=texture", "refine.weights=random"],
            "refine: is for",
        ),
    ],
)
def test_holes_are_for_those_that_fill_them(arguments, message, place, command):
    said = command(predict, *arguments, "output=out", code=2)
    assert message in said and said.count("\n") <= 2


def test_a_model_that_restores_single_pictures_restores_each_frame(place, command):
    command(predict, "generator=non_local_means", "video=frames", "output=out")
    command(predict, "generator=non_local_means", "images=frames", "output=each")
    assert all(np.array_equal(a, b) for a, b in zip(pixels(place / "out"), pixels(place / "each"), strict=True))


# ---- which frames are taken together --------------------------------------------------------------------------------


def numbered(start, stop, done=()):
    for number in range(start, stop):
        shade = np.full((2, 2, 3), number, np.uint8)
        yield Frame(shade, np.ones((2, 2), bool), composite=shade if number in done else None)


@pytest.mark.parametrize(("length", "margin"), [(1, 0), (3, 1), (4, 2), (20, 10)])
def test_every_frame_comes_once_with_its_margins(length, margin):
    seen = []

    def restore(pictures, holes):
        seen.append([int(picture[0, 0, 0]) for picture in pictures])
        return [picture + 100 for picture in pictures]

    made = list(restored(numbered(0, 10), 0, Windows(length, margin), restore))
    assert [frame.pixels[0, 0, 0] for frame, _ in made] == list(range(10))
    assert [frame.composite[0, 0, 0] for frame, _ in made] == list(range(100, 110))
    assert seen == [
        list(range(max(0, first - margin), min(10, first + length + margin))) for first in range(0, 10, length)
    ]


def test_windows_stay_where_they_are_when_the_work_begins_later():
    windows, seen = Windows(4, 2), []

    def restore(pictures, holes):
        seen.append([int(picture[0, 0, 0]) for picture in pictures])
        return [picture + 100 for picture in pictures]

    start, stop = windows.begin(5), windows.end(9) + 1
    assert (start, stop) == (2, 14)
    made = list(restored(numbered(start, stop, done={2, 3, 4, 6}), start, windows, restore))
    assert seen == [list(range(2, 10)), list(range(6, 14)), [10, 11, 12, 13]]
    assert [int(frame.composite[0, 0, 0]) for frame, _ in made] == [2, 3, 4, 105, 6, *range(107, 114)]
