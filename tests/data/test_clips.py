"""Clips: whole through crops, masks and degradations, keyed by the clip, and of an exact flow where they are made."""

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from inpaint.data.augmentation import Augmentation
from inpaint.data.clips import MovingWindows, Track, Videos, unfolded
from inpaint.data.packing import write_shards
from inpaint.data.sources import Photos
from inpaint.data.video import FramesData, PanAndZoomData
from inpaint.degradations import BSRGAN, GaussianBlur, GaussianNoise, Sequence
from inpaint.degradations.synthetic import Draw
from inpaint.evaluation.measuring import validation_crops
from inpaint.masks import Boxes, Full
from inpaint.pictures.reading import BadImage
from inpaint.settings import Refused
from tests.data.test_datamodule import Ramp

FRAMES = 3
SETTINGS = {"frames": FRAMES, "side": 40, "clips": 2, "crop": 32, "crops_per_image": 1, "validation_crops": 1}


def clips(masks=None, **settings):
    return PanAndZoomData(masks or Boxes(), **{**SETTINGS, "batch_size": 4, **settings})


def first_batch(data, split="train"):
    loader = data.train_dataloader() if split == "train" else data.val_dataloader()
    return data.to_batch(next(iter(loader)), "cpu")


def by_clip(data):
    """Each clip's frames, masks and what is given, of a whole epoch."""
    found = {}
    for raw in data.train_dataloader():
        batch = data.to_batch(raw, "cpu")
        for first in range(0, len(batch["index"]), FRAMES):
            rows = slice(first, first + FRAMES)
            found[batch["index"][first].item() // FRAMES] = tuple(
                batch[name][rows] for name in ("image", "mask", "given")
            )
    return found


def warped(frame, flow):
    """A frame ``(C, H, W)`` where a flow leads, and where that is inside."""
    side = frame.shape[-1]
    place = torch.arange(side, dtype=torch.float64)
    target = torch.stack([place.expand(side, side), place[:, None].expand(side, side)]) + flow
    moved = cv2.remap(frame.permute(1, 2, 0).float().numpy(), *target.float().numpy(), cv2.INTER_LINEAR)
    return torch.from_numpy(moved).permute(2, 0, 1), ((target >= 0) & (target <= side - 1)).all(0)


def windows(photographs, **settings):
    numbers = {"frames": 5, "side": 48, "clips": 4, "speed": 3.0, "zoom": (1.0, 2.0), "zoom_speed": 0.03, "seed": 0}
    return MovingWindows(photographs, **numbers | settings)


# ---- windows that move over photographs -----------------------------------------------------------------------------


def test_the_flow_of_moving_windows_is_exact():
    """On a picture that is linear in x and y nothing is lost between pixels: only the rounding of both frames is."""
    source = windows(Ramp(250, 255), clips=8)
    for row in range(source.count("train")):
        frames = source.read("train", row)["image"].view(5, 3, 48, 48).float()
        track, lengths = source.track("train", row), []
        for a, b in ((0, 1), (3, 2), (0, 4)):
            flow = track.flow(a, b, 48)
            moved, inside = warped(frames[b], flow)
            assert inside.float().mean() > 0.4 and (moved - frames[a]).abs()[:, inside].max() <= 1.01, (row, a, b)
            lengths.append(flow.abs().max())
        assert max(lengths) > 0.5
        wrong, inside = warped(frames[4], track.flow(4, 0, 48))
        assert (wrong - frames[0]).abs()[:, inside].max() > 2, "the way back is another"


def test_a_flow_there_and_back_leads_home():
    track = windows(Photos()).track("train", 3)
    x = torch.tensor([5.0, 31.0], dtype=torch.float64)
    there = track.flow(0, 4, 48)[:, 31, 5] + x
    scale, centre = track.scales, track.centres
    assert torch.allclose(centre[4] + scale[4] * (there - 23.5), centre[0] + scale[0] * (x - 23.5))


def test_windows_at_whole_pixels_are_shifted_copies():
    source = windows(Photos(), zoom=(1.0, 1.0), zoom_speed=0.0)
    centres = torch.tensor([[100.5, 90.5], [103.5, 89.5], [106.5, 88.5], [109.5, 87.5], [112.5, 86.5]]).double()
    source.track = lambda split, row: Track(23.5, centres, torch.ones(5).double())
    frames = source.read("train", 0)["image"].view(5, 3, 48, 48).int()
    for before, after in pairwise(frames):
        assert (before[:, :-1, 3:] - after[:, 1:, :-3]).abs().max() <= 1


def test_optical_flow_of_moving_windows_is_found():
    """End-point error of DIS beside the exact flow, of one clip of each photograph."""
    source = windows(Photos(), side=64, clips=1, speed=2.0, zoom_speed=0.01)
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)
    for row in range(source.count("train")):
        frames = source.read("train", row)["image"].view(5, 3, 64, 64).permute(0, 2, 3, 1).numpy()
        first, second = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames[:2])
        found = torch.from_numpy(search.calc(first, second, None)).permute(2, 0, 1)
        error = (found - source.track("train", row).flow(0, 1, 64)).square().sum(0).sqrt()
        assert error[8:-8, 8:-8].mean() < 0.15, source.name("train", row)


def test_windows_of_long_clips_zoom_within_their_ends():
    source = windows(Photos(), frames=64, zoom=(1.2, 1.8), zoom_speed=0.1)
    scales = torch.stack([source.track("train", row).scales for row in range(source.count("train"))])
    assert (scales >= 1.2 - 1e-9).all() and (scales <= 1.8 + 1e-9).all()
    assert (scales.diff(dim=1).abs().amax(dim=1) > 1e-4).float().mean() > 0.5


def test_windows_stay_in_their_photograph_and_are_keyed():
    source = windows(Photos(), clips=3)
    for tried in (source, windows(Photos(), clips=3, side=290, speed=30.0)):  # the least photograph has 300 px a side
        rows = {split: range(tried.count(split)) for split in ("train", "validation")}
        for side, row in ((side, number) for side, numbers in rows.items() for number in numbers):
            track, (height, width) = tried.track(side, row), tried.photographs.size(side, row // 3)
            half = track.scales[:, None] * tried.side / 2
            ends = torch.cat([track.centres - half, track.centres + half])
            assert (ends >= -0.5 - 1e-6).all() and (ends <= torch.tensor([width, height]).double() - 0.5 + 1e-6).all()
    other = windows(Photos(), clips=3, seed=1)
    assert not torch.equal(source.track("train", 1).centres, other.track("train", 1).centres)
    assert torch.equal(source.track("validation", 1).centres, other.track("validation", 1).centres)
    assert not torch.equal(source.track("train", 1).centres, source.track("train", 2).centres)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"frames": 1}, "data.frames"),
        ({"frames": 65}, "data.frames: a clip of 65 frames"),
        ({"speed": 40.0}, "data.speed"),
        ({"zoom": [0.5, 1.0]}, "data.zoom"),
        ({"zoom_speed": 0.5}, "data.zoom_speed"),
        ({"mask_speed": -1.0}, "data.mask_speed"),
        ({"side": None, "crop": "auto"}, "data.side: follows data.crop"),
        ({"validation": 0.5}, "data.validation: is of a folder"),
        ({"side": 301, "crop": 64}, "no room for a window of 301 px"),
        ({"side": 20, "crop": 32}, "smaller than data.crop=32"),
    ],
)
def test_impossible_clips_are_refused(settings, said):
    with pytest.raises(Refused, match=said):
        clips(**settings).setup("fit")


# ---- from clips to batches ------------------------------------------------------------------------------------------


def test_a_batch_of_clips_is_one_of_frames_in_their_order():
    data = clips(augmentation=Augmentation(zoom=(1, 1), flip=False), crop=40)
    batch = first_batch(data)
    assert (
        batch["frames"] == FRAMES and batch["image"].shape == (12, 3, 40, 40) and batch["mask"].shape == (12, 1, 40, 40)
    )
    assert batch["index"].view(4, 3).diff().eq(1).all() and (batch["index"][::3] % 3 == 0).all()
    for first in range(0, 12, FRAMES):
        row = batch["index"][first].item() // FRAMES
        wanted = data.source.read("train", row)["image"].view(FRAMES, 3, 40, 40)
        assert torch.allclose((batch["image"][first : first + FRAMES] + 1) * 127.5, wanted.float(), atol=1e-3)
        assert {data.tiles["train"].name(index) for index in batch["index"][first : first + 3].tolist()} == {
            data.source.name("train", row)
        }


def test_clips_are_pure_functions_of_their_key():
    kinds = {"blur": GaussianBlur(sigma=(0.5, 2.0)), "noise": GaussianNoise(sigma=(5.0, 50.0))}
    settings = {"degradation": Sequence(kinds, {"noise": 0.5}), "mask_speed": 3.0, "masks": Full()}
    reference = by_clip(clips(batch_size=1, **settings))
    for batch_size in (2, 11):
        other = by_clip(clips(batch_size=batch_size, **settings))
        assert len(other) == 22 and all(
            torch.allclose(a, b, atol=1e-4) for clip in other for a, b in zip(reference[clip], other[clip], strict=True)
        )


def test_a_clip_is_degraded_by_one_draw_and_has_other_noise_in_each_frame():
    still = clips(speed=0.0, zoom_speed=0.0, masks=Full(), degradation=GaussianNoise(sigma=(5.0, 60.0)), batch_size=8)
    batch = first_batch(still)
    noise = (batch["given"] - batch["image"]).view(8, FRAMES, -1)
    levels = noise.std(dim=2)
    assert torch.allclose(levels, levels[:, :1].expand_as(levels), rtol=0.06), "one strength"
    assert levels[:, 0].max() > 2 * levels[:, 0].min(), "another in each clip"
    assert torch.corrcoef(noise[0])[0, 1].abs() < 0.06, "no noise twice"
    assert torch.corrcoef(noise[0])[1, 2].abs() < 0.06
    blur = clips(speed=0.0, zoom_speed=0.0, masks=Full(), degradation=GaussianBlur(sigma=(0.5, 3.0)))
    blurred = first_batch(blur)["given"].unflatten(0, (-1, FRAMES))
    assert torch.equal(blurred[:, 0], blurred[:, 1]) and torch.equal(blurred[:, 0], blurred[:, 2])


def test_a_chain_draws_once_a_clip(monkeypatch):
    """Frames of a camera that stands still differ by noise alone, whatever order, kernels and sizes are drawn."""
    data = clips(speed=0.0, zoom_speed=0.0, masks=Full(), degradation=BSRGAN(scale=2), batch_size=8)
    given = first_batch(data)["given"].unflatten(0, (-1, FRAMES))
    assert given.shape == (8, FRAMES, 3, 16, 16)
    assert all(not torch.equal(given[:, 0], given[:, frame]) for frame in (1, 2))
    monkeypatch.setattr(Draw, "normal", lambda self, name, count: torch.zeros(count))
    given = first_batch(data)["given"].unflatten(0, (-1, FRAMES))
    assert torch.equal(given[:, 0], given[:, 1]) and torch.equal(given[:, 0], given[:, 2])


def test_masks_stand_still_or_move_and_stay_as_large():
    still = first_batch(clips())["mask"].unflatten(0, (-1, FRAMES))
    assert torch.equal(still[:, 0], still[:, 2]) and not torch.equal(still[0, 0], still[1, 0])
    moving = first_batch(clips(mask_speed=6.0))["mask"].unflatten(0, (-1, FRAMES))
    assert torch.equal(moving[:, 0], still[:, 0]) and {*moving.unique().tolist()} == {0.0, 1.0}
    assert torch.equal(moving.sum((2, 3, 4)), moving[:, :1].sum((2, 3, 4)).expand(-1, FRAMES))
    assert (moving[:, 1] != moving[:, 0]).flatten(1).any(1).float().mean() > 0.5


def test_a_hole_moves_at_its_speed():
    mask = torch.zeros(64, 1, 32, 32)
    mask[:, :, 10, 12] = 1
    batch = {"image": torch.zeros(64, 12, 32, 32), "mask": mask, "index": torch.arange(64)}
    moved = unfolded(batch, 4, 5.0, torch.arange(64) * 977)["mask"].view(64, 4, 32, 32)
    places = moved.flatten(2).argmax(2)
    down, across = (places // 32 - 10 + 16) % 32 - 16, (places % 32 - 12 + 16) % 32 - 16
    length = torch.stack([down, across]).float().square().sum(0).sqrt()
    assert (length[:, 0] == 0).all() and length[:, 1].max() <= 5.8 and length[:, 3].max() > 10
    assert (down[:, 3] > 0).any() and (down[:, 3] < 0).any() and (across[:, 3] > 0).any() and (across[:, 3] < 0).any()
    assert ((down[:, 3] - 3 * down[:, 1]).abs() <= 2).all(), "at a constant speed"


def test_all_frames_of_a_clip_are_recoloured_alike():
    colours = Augmentation(brightness=0.5, contrast=0.5, saturation=0.5, hue=0.3)
    frames = first_batch(clips(speed=0.0, zoom_speed=0.0, augmentation=colours))["image"].unflatten(0, (-1, FRAMES))
    assert torch.allclose(frames[:, 0], frames[:, 2], atol=1e-5)
    plain = first_batch(clips(speed=0.0, zoom_speed=0.0))["image"].unflatten(0, (-1, FRAMES))
    assert (frames - plain).abs().flatten(1).mean(1).gt(0.02).any()


def test_a_batch_to_look_at_has_whole_clips():
    data = clips()
    data.setup("validate")
    batch = data.validation_batch(4, torch.device("cpu"))
    assert len(batch["index"]) == 6 and batch["frames"] == FRAMES


def test_what_holds_pictures_alone_refuses_clips(tmp_path):
    data = clips()
    data.setup("fit")
    with pytest.raises(Refused, match="shards: hold no clips"):
        write_shards(tmp_path / "shards", [data.tiles["train"]])
    with pytest.raises(Refused, match="freeze: a frozen set holds pictures"):
        next(validation_crops(data))


# ---- videos ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Six videos of 7 to 9 frames, in folders; frame t of video v has one colour, (20 v, t, 0)."""
    root = tmp_path_factory.mktemp("videos")
    for video in range(6):
        folder = root / ("a" if video < 4 else "b") / f"v{video}"
        folder.mkdir(parents=True)
        for frame in range(7 + video % 3):
            pixels = np.zeros((40, 50, 3), np.uint8)
            pixels[:] = (20 * video, frame, 0)
            Image.fromarray(pixels).save(folder / f"{frame + 5}.png")  # 10 follows 9 by number, not by name
    return root


def test_clips_are_successive_frames_in_the_order_of_their_numbers(videos):
    source = Videos(str(videos), "a", "b", frames=3, resize=None)
    assert source.count("train") == 2 + 2 + 3 + 2 and source.count("validation") == 2 + 3
    for split in ("train", "validation"):
        for row in range(source.count(split)):
            frames = source.read(split, row)["image"].view(3, 3, 40, 50)
            name, number = source.name(split, row), frames[:, 1, 0, 0].int()
            assert source.size(split, row) == (40, 50) and (frames[:, 0] == 20 * int(name[-1])).all()
            assert number.diff().tolist() == [1, 1] and number[0] % 3 == 0


def test_a_video_is_on_one_side(videos):
    source = Videos(str(videos), None, 0.4, frames=2, resize=None)
    sides = [{source.name(split, row) for row in range(source.count(split))} for split in ("train", "validation")]
    assert not sides[0] & sides[1] and len(sides[0] | sides[1]) == 6


def test_videos_train(videos):
    data = FramesData(Boxes(), str(videos), "a", "b", frames=3, resize=32, crop=32, batch_size=2, crops_per_image=2)
    data.setup("fit")
    batch = first_batch(data)
    assert batch["image"].shape == (6, 3, 32, 32)
    level = ((batch["image"][:, 1].mean((1, 2)) + 1) * 127.5).view(2, 3)
    assert torch.allclose(level.diff(), torch.ones(2, 2), atol=0.01)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("a", "b", 10), "data.frames: none of the 4 videos for train has 10 frames"),
        (("c", "b", 3), "data.train: no videos in"),
        ((None, "b", 3), "data.train: b validates"),
        (("a", "a/v1", 3), "data.validation: 1 videos train as well"),
        ((None, 0.001, 3), "data.validation"),
    ],
)
def test_videos_that_cannot_be_split_are_refused(videos, settings, said):
    with pytest.raises(Refused, match=said):
        Videos(str(videos), *settings, None)


def test_a_frame_of_another_size_is_named(videos, tmp_path):
    for number, side in enumerate((40, 40, 44)):
        for name in ("x", "y", "z"):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.new("RGB", (side, side)).save(tmp_path / name / f"{number}.png")
    data = FramesData(Boxes(), str(tmp_path), validation=0.5, frames=3, crop=32, batch_size=1)
    with pytest.raises(Refused, match=r"2\.png: has another size than 0\.png"):
        data.setup("fit")


@pytest.mark.parametrize("spelt", ["./a", "a/", "a/."])
def test_a_folder_may_be_spelt_in_several_ways(videos, spelt):
    assert Videos(str(videos), spelt, "b", frames=3, resize=None).count("train") == 9


def test_copies_of_a_video_are_on_one_side(tmp_path):
    pytest.importorskip("av")
    from tests.pictures.test_video import write

    frames = [np.full((32, 48, 3), 10 * number, np.uint8) for number in range(3)]
    for number in range(8):
        write(tmp_path / f"{number}.mkv", frames)
        (tmp_path / f"{number}").mkdir()
        for place, frame in enumerate(frames):
            Image.fromarray(frame).save(tmp_path / f"{number}" / f"{place}.png")
    source = Videos(str(tmp_path), None, 0.5, frames=3, resize=None)
    names = {split: [source.name(split, row) for row in range(source.count(split))] for split in source.clips}
    assert len(names["train"]) + len(names["validation"]) == 16
    assert not {Path(name).stem for name in names["train"]} & {Path(name).stem for name in names["validation"]}
    with pytest.raises(Refused, match=r"data\.validation: 1 videos train as well: 0\.mkv"):
        Videos(str(tmp_path), "0", "0.mkv", frames=3, resize=None)


def test_files_of_video_are_clips_as_well(tmp_path, monkeypatch):
    pytest.importorskip("av")
    from tests.pictures.test_video import write

    frames = [np.full((32, 48, 3), 10 * number, np.uint8) for number in range(7)]
    for name in ("a", "b", "c", "d"):
        write(tmp_path / f"{name}.mkv", frames)
    source = Videos(str(tmp_path), None, 0.5, frames=3, resize=16)
    assert source.count("train") + source.count("validation") == 8 and source.size("train", 1) == (16, 24)
    assert source.read("train", 1)["image"].view(3, 3, 16, 24)[:, 0, 0, 0].tolist() == [30, 40, 50]
    name, first = source.clips["train"][1]
    header = source.headers[name]
    assert first == 3 and len(header.times) == header.frames == 7  # which say where a clip begins
    with monkeypatch.context() as patch:
        patch.setattr("inpaint.data.clips.LARGEST", 3 * 16 * 24 - 1)
        with pytest.raises(BadImage, match=r"3 frames of 24 x 16 pixels .* data\.resize"):
            source.size("train", 1)
    (tmp_path / "e.mkv").write_bytes(b"no video")
    with pytest.raises(Refused, match=r"data\.root: .*e\.mkv"):
        Videos(str(tmp_path), None, 0.5, frames=3, resize=None)
