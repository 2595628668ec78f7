"""Masks from files: where each pixel comes from, what is said, what is refused."""

import hashlib
import logging
import math

import numpy as np
import pytest
import torch
import torch._dynamo  # meta tensors import it at their first use, and it sets an environment variable, as no test may
from PIL import Image

from inpaint import masks, rng
from inpaint.masks import Files

# Everything at once.
FREE = {"flip": True, "rotate": (-60, 60), "scale": (0.5, 1.5), "dilate": (0, 0.1)}


def keys(count):
    return torch.tensor([rng.key(0, "mask", index) for index in range(count)])


def blobs(count, height, width):
    """Holes without any symmetry, a fifth of the area: bool ``(count, height, width)``."""
    holes = np.zeros((count, height, width), bool)
    for number, hole in enumerate(holes):
        top, left = 5 * number % (height // 2), 7 * number % (width // 2)
        hole[top : top + height // 3, left : left + width // 2] = True
        hole[top : top + height // 2, left : left + 3] = True
    return holes


def write(root, holes, black=False):
    root.mkdir(parents=True, exist_ok=True)
    for number, hole in enumerate(holes):
        Image.fromarray(np.where(hole ^ black, 255, 0).astype(np.uint8)).save(root / f"{number:03d}.png")
    return str(root)


@pytest.fixture
def root(tmp_path):
    return write(tmp_path / "many", blobs(5, 40, 40))


# ------------------------------------------------------------------------------------------------ form and purity


@pytest.mark.parametrize("settings", [{}, FREE, {"area": (0.1, 0.2), "flip": True}])
@pytest.mark.parametrize("size", [(40, 40), (48, 80), (37, 5), (1, 1)])
def test_form(root, settings, size):
    mask = Files(root, **settings)(keys(40), size)
    assert mask.shape == (40, 1, *size) and mask.dtype == torch.float32 and mask.is_contiguous()
    assert ((mask == 0) | (mask == 1)).all() and not mask.requires_grad


@pytest.mark.parametrize("settings", [{}, FREE, FREE | {"area": (0.1, 0.2)}])
def test_a_mask_depends_on_its_key_alone(root, settings, monkeypatch):
    kind, size, each = Files(root, **settings), (48, 64), keys(40)
    whole = kind(each, size)
    assert torch.equal(whole, torch.cat([kind(part, size) for part in each.split(7)]))
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    assert torch.equal(whole[order], kind(each[order], size))
    assert torch.equal(whole, Files(root, **settings)(each, size))
    assert len({sample.numpy().tobytes() for sample in whole}) > (4 if settings == {} else 39)
    monkeypatch.setattr(masks.shapes, "HOST", "no device")  # the way of a GPU
    assert torch.equal(whole, kind(each, size))


@pytest.mark.parametrize("settings", [{}, FREE, {"area": (0.1, 0.2)}])
def test_other_devices_never_wait(root, settings):
    """Meta tensors have no numbers: whatever needs one (.item, nonzero, boolean indexing) raises on them."""
    mask = Files(root, **settings)(keys(7).to("meta"), (32, 40))
    assert mask.device.type == "meta" and mask.shape == (7, 1, 32, 40)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_makes_the_same_bits_without_waiting(root):
    kind, device_keys = Files(root, **FREE), keys(64).cuda()
    kind(device_keys, (64, 96))  # the pool goes to the device once
    torch.cuda.set_sync_debug_mode("error")
    try:
        mask = kind(device_keys, (64, 96))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(mask.cpu(), kind(keys(64), (64, 96)))


def test_masks_are_the_same_on_every_machine(root):
    """Pinned pixels: if this fails, masks of finished experiments cannot be drawn again. Change it knowingly."""
    mask = Files(root, **FREE)(keys(64), (48, 64))
    assert hashlib.sha256(mask.to(torch.uint8).numpy().tobytes()).hexdigest()[:16] == "8c03d35bf11ac1c0"


# ----------------------------------------------------------------------------------------- where pixels come from


def taken(mask, holes):
    """Which of `holes` each mask is, -1 for none."""
    same = (mask[:, 0] > 0.5).numpy()[:, None] == holes[None]
    same = same.all((2, 3))
    return np.where(same.any(1), same.argmax(1), -1)


def test_by_default_a_file_of_the_pictures_size_is_taken_pixel_by_pixel(root):
    which = taken(Files(root)(keys(1000), (40, 40)), blobs(5, 40, 40))
    counts = np.bincount(which, minlength=5)  # a file that is not found is -1, which bincount refuses
    assert counts.min() > 160 and counts.max() < 240


def test_a_file_of_twice_the_size_gives_every_second_pixel(root):
    assert (taken(Files(root)(keys(50), (20, 20)), blobs(5, 40, 40)[:, 1::2, 1::2]) >= 0).all()


def test_flips_are_four_and_equally_frequent(root):
    holes = blobs(5, 40, 40)
    turned = np.concatenate([holes, holes[:, :, ::-1], holes[:, ::-1], holes[:, ::-1, ::-1]])
    counts = np.bincount(taken(Files(root, flip=True)(keys(1000), (40, 40)), turned) // 5, minlength=4)
    assert counts.min() > 200 and counts.max() < 300


@pytest.mark.parametrize(("degrees", "quarters"), [(90, 1), (180, 2), (-90, 3), (360, 0)])
def test_quarter_turns_are_exact_and_counter_clockwise(root, degrees, quarters):
    turned = np.rot90(blobs(5, 40, 40), quarters, axes=(1, 2))
    assert (taken(Files(root, rotate=(degrees, degrees))(keys(50), (40, 40)), turned) >= 0).all()


def test_any_turn_and_size_is_that_of_the_plane(tmp_path):
    """Against the same map in float64 with library sines; only pixels at an edge may differ."""
    hole = blobs(1, 60, 60)[0]
    kind = Files(write(tmp_path, [hole]), rotate=(25, 25), scale=(0.8, 0.8))
    own = keys(20)
    place = rng.uniform(rng.fold(own, "place"), 2).double().numpy() - 0.5
    y, x = np.mgrid[:48, :48] - 23.5
    cos, sin, pace = math.cos(math.radians(25)), math.sin(math.radians(25)), 60 / 48 / 0.8
    for mask, (place_x, place_y) in zip(kind(own, (48, 48))[:, 0].numpy() > 0.5, place, strict=True):
        column = np.floor((cos * x - sin * y) * pace + place_x * (60 - 48 * pace) + 30).astype(int)
        row = np.floor((sin * x + cos * y) * pace + place_y * (60 - 48 * pace) + 30).astype(int)
        inside = (row >= 0) & (row < 60) & (column >= 0) & (column < 60)
        expected = inside & hole[row.clip(0, 59), column.clip(0, 59)]
        assert (mask != expected).sum() <= 6
    assert expected.any() and not inside.all()


def test_small_masks_lie_anywhere_inside_and_what_is_outside_them_is_known(tmp_path):
    kind = Files(write(tmp_path, [np.ones((10, 10), bool)]), "white", scale=(0.5, 0.5))
    mask = kind(keys(500), (40, 60))[:, 0] > 0.5
    assert (mask.sum((1, 2)) == 30 * 30).all(), "half the size that covers 40 x 60 pixels"
    top, left = mask.any(2).float().argmax(1), mask.any(1).float().argmax(1)
    assert set(top.tolist()) == set(range(11)) and set(left.tolist()) == set(range(31))
    for starts, places in ((top, 11), (left, 31)):
        counts = starts.bincount(minlength=places)[1:-1] / 500 * (places - 1)
        assert counts.min() > 0.3 and counts.max() < 1.9


@pytest.mark.parametrize(("size", "window"), [((40, 40), (40, 40)), ((40, 20), (40, 20)), ((20, 40), (20, 40))])
def test_oblong_files_cover_the_picture_and_are_cut_anywhere(tmp_path, size, window):
    hole = blobs(1, 40, 80)[0]
    mask = Files(write(tmp_path, [hole]))(keys(300), size)[:, 0].numpy() > 0.5
    factor = 40 // size[0]
    small = hole[factor // 2 :: factor, factor // 2 :: factor]
    windows = np.lib.stride_tricks.sliding_window_view(small, size)[0]
    found = (mask[:, None] == windows[None]).all((2, 3))
    assert found.any(1).all() and found.any(0).mean() > 0.9


def test_holes_grow_by_a_fraction_of_the_shorter_side(tmp_path):
    hole = np.zeros((41, 61), bool)
    hole[20, 30] = True
    mask = Files(write(tmp_path, [hole]), dilate=(0.1, 0.1))(keys(3), (41, 61))
    assert mask.sum().item() == 3 * 49, "the disc of radius 4"


def test_areas_are_drawn_anew_until_within(tmp_path):
    holes = np.zeros((4, 20, 20), bool)
    for number, hole in enumerate(holes):
        hole[: 4 * number + 2] = True
    root = write(tmp_path, holes)
    areas = Files(root, "white", area=(0.2, 0.6))(keys(200), (20, 20)).mean((1, 2, 3))
    assert set(areas.mul(10).round().tolist()) == {3.0, 5.0}


# ------------------------------------------------------------------------------------------- reading and polarity


def said(caplog):
    return "\n".join(record.getMessage() for record in caplog.records)


@pytest.fixture(autouse=True)
def listening(caplog):
    caplog.set_level(logging.INFO, logger="inpaint")


@pytest.mark.parametrize("black", [False, True])
@pytest.mark.parametrize("told", [False, True])
def test_polarity_is_detected_or_told_and_said(tmp_path, caplog, black, told):
    holes = blobs(5, 40, 40)
    colour = "black" if black else "white"
    kind = Files(write(tmp_path, holes, black), colour if told else "auto")
    assert (taken(kind(keys(20), (40, 40)), holes) >= 0).all()
    reason = "as masks.polarity says" if told else "as it covers less of them"
    line = (
        f"masks: 5 files in {tmp_path}, 40 x 40 pixels; {colour} is the hole, {reason} ({holes.mean():.1%} on average)"
    )
    assert said(caplog) == line


def test_polarity_that_contradicts_the_shares_is_obeyed(tmp_path):
    holes = blobs(3, 40, 40)
    assert (taken(Files(write(tmp_path, holes), "black")(keys(20), (40, 40)), ~holes) >= 0).all()


def test_unclear_polarity_is_refused(tmp_path):
    holes = np.zeros((2, 10, 10), bool)
    holes[:, :4] = True
    with pytest.raises(ValueError, match=r"^masks\.polarity: white covers 40% of the masks .*polarity=white or "):
        Files(write(tmp_path, holes))
    assert Files(str(tmp_path), "white")(keys(3), (10, 10)).mean().item() == pytest.approx(0.4)
    assert Files(str(tmp_path), "black")(keys(3), (10, 10)).mean().item() == pytest.approx(0.6)


def test_files_without_hole_and_all_hole_count_and_are_said(tmp_path, caplog):
    root = write(tmp_path, [*blobs(7, 30, 30), np.zeros((30, 30), bool), np.ones((30, 30), bool)])
    areas = Files(root)(keys(300), (30, 30)).mean((1, 2, 3))
    assert (areas == 0).any() and (areas == 1).any()
    assert said(caplog).endswith("; 1 without a hole; 1 all hole")


def test_large_files_are_reduced_and_it_is_said(tmp_path, caplog):
    write(tmp_path / "a", blobs(2, 64, 128))
    write(tmp_path / "b", blobs(1, 20, 30))
    kind = Files(str(tmp_path), side=32)
    sizes = {tuple(int(extent) for extent in kind.pool.extent(torch.tensor([n]))) for n in range(3)}
    assert sizes == {(32, 64), (20, 30)}
    assert "3 files in" in said(caplog) and "30 x 20 to 128 x 64 pixels" in said(caplog)
    assert said(caplog).endswith("; 2 reduced to a shorter side of 32")


def test_grey_files_need_a_threshold(tmp_path):
    hole = blobs(1, 32, 32)[0]
    Image.fromarray(np.where(hole, 250, 3).astype(np.uint8)).save(tmp_path / "m.jpg", quality=60)
    with pytest.raises(ValueError, match=r"^masks\.root: .*m\.jpg: not a binary mask.* masks\.threshold=auto takes"):
        Files(str(tmp_path))
    for threshold in (128, "auto"):
        assert (taken(Files(str(tmp_path), threshold=threshold)(keys(3), (32, 32)), hole[None]) >= 0).all()


def test_layers_and_two_levels_of_any_kind_are_masks_and_it_is_said(tmp_path, caplog):
    hole = blobs(1, 32, 32)[0]
    layer = np.zeros((32, 32, 4), np.uint8)
    layer[..., 3] = np.where(hole, 255, 0)
    Image.fromarray(layer).save(tmp_path / "a.png")
    Image.fromarray(np.where(hole, 76, 0).astype(np.uint8)).save(tmp_path / "b.png")
    kind = Files(str(tmp_path))
    assert (taken(kind(keys(9), (32, 32)), hole[None]) >= 0).all()
    assert "1 read by their alpha; 1 read by their grey levels from 38 up" in said(caplog)


@pytest.mark.parametrize(("level", "polarity"), [(0, "auto"), (0, "white"), (255, "black")])
def test_files_of_which_none_has_a_hole_are_refused(tmp_path, level, polarity):
    for name in "ab":
        Image.new("L", (9, 9), level).save(tmp_path / f"{name}.png")
    with pytest.raises(ValueError, match=r"^masks\.root: none of the 2 masks has a hole"):
        Files(str(tmp_path), polarity=polarity)


def nothing(root):
    root.rmdir()


def text(root):
    (root / "m.png").write_text("no picture")


def cut(root):
    write(root, blobs(1, 40, 40))
    whole = (root / "000.png").read_bytes()
    (root / "000.png").write_bytes(whole[: len(whole) // 2])


def link(root):
    write(root.parent / "elsewhere", blobs(2, 40, 40))
    write(root, blobs(2, 40, 40))
    (root / "out.png").symlink_to(root.parent / "elsewhere" / "000.png")


BAD = {
    "missing": (nothing, "folder is not a folder"),
    "empty": (lambda root: None, "no images"),
    "text": (text, "m.png: not a readable picture"),
    "cut short": (cut, "000.png: broken picture"),
    "link": (link, "1 links in .* leave it.*out.png"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_folders_are_refused_under_their_key(tmp_path, case):
    make, message = BAD[case]
    (tmp_path / "folder").mkdir()
    make(tmp_path / "folder")
    with pytest.raises(ValueError, match=rf"^masks\.root: .*{message}"):
        Files(str(tmp_path / "folder"))


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"polarity": "grey"}, "polarity"),
        ({"threshold": 0}, "threshold"),
        ({"threshold": 256}, "threshold"),
        ({"threshold": "128"}, "threshold"),
        ({"side": 0}, "side"),
        ({"side": 1.5}, "side"),
        ({"rotate": (-400, 0)}, "rotate"),
        ({"rotate": 30}, "rotate"),
        ({"scale": (0, 1)}, "scale"),
        ({"scale": (2, 1)}, "scale"),
        ({"dilate": (0, 0.5)}, "dilate"),
        ({"area": (0.5, 0.2)}, "area"),
    ],
)
def test_wrong_arguments_name_their_key(root, settings, key):
    with pytest.raises(ValueError, match=rf"^masks\.{key}: give "):
        Files(root, **settings)
