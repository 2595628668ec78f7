"""Masks from objects: outlines read from every form, sizes and places, what is said, what is refused."""

import hashlib
import json
import logging
import re
import sys

import numpy as np
import pytest
import torch
import torch._dynamo  # meta tensors import it at their first use, and it sets an environment variable, as no test may
from PIL import Image

from inpaint import masks, rng
from inpaint.masks import Objects

HEIGHT, WIDTH = 60, 80
BOX = [[20, 10, 50, 10, 50, 40, 20, 40]]  # 30 x 30 pixels, half of the shorter side
SHAPE = np.zeros((HEIGHT, WIDTH), bool)  # 20 high, 30 wide, without symmetry
SHAPE[5:25, 40:50] = SHAPE[20:25, 40:70] = True


def keys(count):
    return torch.tensor([rng.key(0, "mask", index) for index in range(count)])


def run_lengths(mask):
    """COCO's uncompressed form: lengths of runs down the columns, zeros first."""
    flat = np.concatenate([[False], mask.T.ravel()])
    ends = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff([0, *ends, mask.size]).tolist()
    return {"size": list(mask.shape), "counts": counts}


def compressed(mask):
    from pycocotools import mask as coco

    runs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": runs["size"], "counts": runs["counts"].decode()}


def note(outline, **more):
    return {"id": 1, "image_id": 7, "segmentation": outline, "iscrowd": 0, **more}


def coco_file(path, *notes):
    content = {"images": [{"id": 7, "height": HEIGHT, "width": WIDTH}], "annotations": list(notes)}
    path.write_text(json.dumps(content))
    return str(path)


@pytest.fixture
def annotations(tmp_path):
    """Three objects of different sizes."""
    tall = np.zeros((HEIGHT, WIDTH), bool)
    tall[5:55, 30:45] = True
    return coco_file(tmp_path / "objects.json", note(BOX), note(run_lengths(SHAPE)), note(compressed(tall)))


def stored(kind, place=0):
    """A silhouette as it is kept."""
    height, width = (int(extent) for extent in kind.pool.extent(torch.tensor([place])))
    x, y = masks.pool.from_centre((height, width), torch.device("cpu"))
    return kind.pool.look(torch.tensor([place]), x, y)[0].numpy()


# ------------------------------------------------------------------------------------------------ form and purity

FREE = {"count": (1, 4), "dilate": (0, 0.05)}


@pytest.mark.parametrize("settings", [{}, FREE, {"area": (0.2, 0.4)}])
@pytest.mark.parametrize("size", [(40, 40), (48, 80), (37, 5), (1, 1)])
def test_form(annotations, settings, size):
    mask = Objects(annotations, **settings)(keys(40), size)
    assert mask.shape == (40, 1, *size) and mask.dtype == torch.float32 and mask.is_contiguous()
    assert ((mask == 0) | (mask == 1)).all() and not mask.requires_grad


@pytest.mark.parametrize("settings", [{}, FREE, FREE | {"area": (0.2, 0.4)}])
def test_a_mask_depends_on_its_key_alone(annotations, settings, monkeypatch):
    kind, size, each = Objects(annotations, **settings), (48, 64), keys(40)
    whole = kind(each, size)
    assert torch.equal(whole, torch.cat([kind(part, size) for part in each.split(7)]))
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    assert torch.equal(whole[order], kind(each[order], size))
    assert len({sample.numpy().tobytes() for sample in whole}) > 39
    monkeypatch.setattr(masks.shapes, "HOST", "no device")  # the way of a GPU
    assert torch.equal(whole, kind(each, size))


@pytest.mark.parametrize("settings", [{}, FREE, {"area": (0.2, 0.4)}])
def test_other_devices_never_wait(annotations, settings):
    """Meta tensors have no numbers: whatever needs one (.item, nonzero, boolean indexing) raises on them."""
    mask = Objects(annotations, **settings)(keys(7).to("meta"), (32, 40))
    assert mask.device.type == "meta" and mask.shape == (7, 1, 32, 40)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_makes_the_same_bits_without_waiting(annotations):
    kind, device_keys = Objects(annotations, **FREE), keys(64).cuda()
    kind(device_keys, (64, 96))  # the pool goes to the device once
    torch.cuda.set_sync_debug_mode("error")
    try:
        mask = kind(device_keys, (64, 96))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(mask.cpu(), kind(keys(64), (64, 96)))


def test_masks_are_the_same_on_every_machine(tmp_path):
    """Pinned pixels: if this fails, masks of finished experiments cannot be drawn again. Change it knowingly."""
    path = coco_file(tmp_path / "a.json", note(run_lengths(SHAPE)), note(run_lengths(SHAPE[::-1, ::2].repeat(2, 1))))
    mask = Objects(path, **FREE)(keys(64), (48, 64))
    assert hashlib.sha256(mask.to(torch.uint8).numpy().tobytes()).hexdigest()[:16] == "db0fbdbfc3dcde8d"


# -------------------------------------------------------------------------------------- number, size, place, form

ONE = {"count": (1, 1), "scale": (1, 1)}


def extents(mask):
    """First row, first column, rows and columns of each hole."""
    rows, columns = mask[:, 0].any(2).float(), mask[:, 0].any(1).float()
    return rows.argmax(1), columns.argmax(1), rows.sum(1), columns.sum(1)


def test_objects_keep_their_size_relative_to_the_shorter_side(tmp_path):
    kind = Objects(coco_file(tmp_path / "a.json", note(BOX)), **ONE)
    _, _, rows, columns = extents(kind(keys(400), (100, 140)) > 0.5)
    inside = (rows >= 50) & (columns >= 50)
    assert inside.sum() > 100 and rows.max() <= 51 and columns.max() <= 51, "half of 100 pixels"
    larger = Objects(str(tmp_path / "a.json"), count=(1, 1), scale=(1.2, 1.6))
    _, _, rows, columns = extents(larger(keys(800), (100, 140)) > 0.5)
    assert 76 <= rows.max() <= 81 and 76 <= columns.max() <= 81
    whole = torch.maximum(rows, columns)[(rows - columns).abs() < 2]
    assert whole.min() < 64 and len(whole.unique()) > 15


def test_centres_lie_anywhere_in_the_picture(tmp_path):
    kind = Objects(coco_file(tmp_path / "a.json", note(BOX)), **ONE)
    top, left, rows, columns = extents(kind(keys(2000), (40, 60)) > 0.5)
    assert rows.min() >= 9 and columns.min() >= 9, "at most half is cut off, to the pixel"
    assert (rows == 20).float().mean() == pytest.approx(0.5, abs=0.06)
    assert (columns == 20).float().mean() == pytest.approx(2 / 3, abs=0.06)
    for first, length, places in ((top, rows, 40), (left, columns, 60)):
        inside = (first > 0) & (first + length < places)
        counts = first[inside].bincount(minlength=places)[1 : places - 21].float()
        assert counts.min() > 0.4 * counts.mean() and counts.max() < 1.8 * counts.mean()


def test_the_number_of_objects(tmp_path):
    kind = Objects(coco_file(tmp_path / "a.json", note([[0, 0, 8, 0, 8, 8, 0, 8]])), count=(1, 3), scale=(0.5, 0.5))
    areas = kind(keys(900), (200, 200)).sum((1, 2, 3))
    number = (areas / (200 * 8 / 60 / 2) ** 2).round().long()  # small ones seldom overlap or are cut
    counts = number.bincount()
    assert len(counts) <= 4 and counts[1:].min() > 200


def test_flips(tmp_path):
    path = coco_file(tmp_path / "a.json", note(run_lengths(SHAPE)))
    form = SHAPE[5:25, 40:70]
    for flip, least, most in ((True, 0.4, 0.6), (False, 0, 0)):
        mask = Objects(path, flip=flip, **ONE)(keys(300), (60, 80))[:, 0].numpy() > 0.5
        straight = mirrored = 0
        for hole in mask:
            if hole.sum() == form.sum():
                rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
                found = hole[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
                straight += np.array_equal(found, form)
                mirrored += np.array_equal(found, form[:, ::-1])
        assert straight + mirrored > 80
        assert least <= mirrored / (straight + mirrored) <= most


def test_growth(tmp_path):
    path = coco_file(tmp_path / "a.json", note(BOX))
    plain, grown = (Objects(path, dilate=(d, d), **ONE)(keys(50), (100, 100)) > 0.5 for d in (0, 0.05))
    assert (grown | ~plain).all() and (grown.sum((1, 2, 3)) > plain.sum((1, 2, 3)) + 100).all()


# -------------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("form", [run_lengths, compressed])
def test_run_lengths_give_the_outline(tmp_path, form):
    kind = Objects(coco_file(tmp_path / "a.json", note(form(SHAPE))))
    assert np.array_equal(stored(kind), SHAPE[5:25, 40:70])
    ragged = np.random.default_rng(0).random((HEIGHT, WIDTH)) < np.linspace(0, 1, WIDTH)  # long and short runs
    ragged[0, 0] = ragged[-1, -1] = ragged[-1, 0] = True
    assert np.array_equal(stored(Objects(coco_file(tmp_path / "b.json", note(form(ragged))))), ragged)


def test_polygons_give_the_outline(tmp_path):
    parts = [[10, 10, 30, 10, 30, 20, 10, 20], [30, 30, 50, 30, 50, 50, 30, 50]]
    silhouette = stored(Objects(coco_file(tmp_path / "a.json", note(parts))))
    expected = np.zeros((40, 40), bool)
    expected[:10, :20] = expected[20:, 20:] = True
    assert abs(silhouette.shape[0] - 40) <= 1 and abs(silhouette.shape[1] - 40) <= 1
    assert (silhouette[:39, :39] != expected[:39, :39]).sum() < 60, "but for a pixel along the edges"


def test_large_silhouettes_are_reduced(tmp_path):
    kind = Objects(coco_file(tmp_path / "a.json", note(run_lengths(SHAPE))), side=15, **ONE)
    assert stored(kind).shape == (10, 15)
    _, _, rows, columns = extents(kind(keys(100), (60, 80)) > 0.5)
    assert rows.max() == 20 and columns.max() == 30, "as large in the picture as before"


@pytest.fixture
def listening(caplog):
    caplog.set_level(logging.INFO, logger="inpaint")
    return caplog


def test_what_is_left_out_is_counted_and_said(tmp_path, listening):
    tiny = [[0, 0, 4, 0, 4, 4, 0, 4]]
    path = coco_file(
        tmp_path / "a.json",
        *(note(BOX), note(BOX, iscrowd=1), note(tiny), note(tiny), note([]), {"id": 2, "image_id": 7}),
    )
    assert len(Objects(path).pool) == 1
    left_out = "1 crowds, 2 without an outline, 2 below 1 % of their picture"
    assert listening.messages == [f"masks: 1 objects from {path} (left out: {left_out})"]
    assert len(Objects(path, min_area=0.001).pool) == 3
    assert len(Objects(path, min_area=0.001, most=2).pool) == 2
    assert "1 annotations beyond masks.most" in listening.messages[-1]


def picture(path, values, mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values.astype(np.uint8))
    if mode == "P":
        image.putpalette([7] * 768)  # all of one colour: only the numbers tell objects apart
    elif mode != "L":
        image = image.convert(mode)
    image.save(path)


@pytest.mark.parametrize("mode", ["L", "P"])
def test_a_folder_of_instance_pictures(tmp_path, mode):
    values = np.zeros((60, 80))
    values[5:20, 5:30] = 1
    values[30:50, 10:20] = 2
    values[30:50, 40:50] = 200
    values[:3] = 255
    picture(tmp_path / "deep" / "a.png", values, mode)
    kind = Objects(str(tmp_path))
    sizes = [stored(kind, place).shape for place in range(len(kind.pool))]
    void = [] if mode == "P" else [(3, 80)]
    assert sizes == [(15, 25), (20, 10), (20, 10), *void]


def test_a_binary_picture_is_one_object(tmp_path):
    picture(tmp_path / "a.png", SHAPE * 255)
    picture(tmp_path / "b.png", SHAPE * 255, "1")
    picture(tmp_path / "empty.png", SHAPE * 0)
    picture(tmp_path / "photo.jpg", SHAPE * 255)
    kind = Objects(str(tmp_path))
    assert len(kind.pool) == 2
    for place in range(2):
        assert np.array_equal(stored(kind, place), SHAPE[5:25, 40:70])


def test_colour_pictures_and_folders_without_png_are_refused(tmp_path):
    picture(tmp_path / "a" / "a.jpg", SHAPE * 255)
    with pytest.raises(ValueError, match=r"^masks\.annotations: .* none is PNG"):
        Objects(str(tmp_path / "a"))
    picture(tmp_path / "a" / "b.png", SHAPE * 255, "RGB")
    with pytest.raises(ValueError, match=r"^masks\.annotations: .*b\.png: RGB pixels; .* one channel"):
        Objects(str(tmp_path / "a"))
    (tmp_path / "c").mkdir()
    with pytest.raises(ValueError, match=r"^masks\.annotations: no images"):
        Objects(str(tmp_path / "c"))


RUNS, LETTERS = run_lengths(SHAPE), compressed(SHAPE)
BAD_NOTES = {
    "image": (note(BOX, image_id=8), "there is no image 8"),
    "points": (note([[1, 2, 3, 4]]), "three points or more"),
    "odd": (note([[1, 2, 3, 4, 5, 6, 7]]), "a list of numbers, x and y in turn"),
    "words": (note([["a", 2, 3, 4, 5, 6]]), "a list of numbers, x and y in turn"),
    "far": (note([[0, 0, 1e9, 0, 0, 5]]), "in its image"),
    "infinite": (note([[0, 0, float("nan"), 0, 0, 5]]), "in its image"),
    "size": (note(RUNS | {"size": [80, 60]}), r"size \[80, 60\], but its image has \[60, 80\]"),
    "short": (note(RUNS | {"counts": [5, 6]}), "run lengths of 11 pixels, but its image has 4800"),
    "negative": (note(RUNS | {"counts": [-5, 4805]}), "no valid outline"),
    "letters": (note(RUNS | {"counts": "~~~~"}), "no valid outline"),
    "cut letters": (note(LETTERS | {"counts": LETTERS["counts"][:-2]}), "but its image has 4800"),
    "no letters": (note(RUNS | {"counts": ""}), "no valid outline"),
    "no counts": (note({"size": [60, 80]}), "no valid outline"),
    "number": (note(5), "5 is neither polygons nor run lengths"),
}


@pytest.mark.parametrize("case", BAD_NOTES)
def test_broken_outlines_are_counted_and_the_first_is_named(tmp_path, case, caplog):
    bad, message = BAD_NOTES[case]
    with pytest.raises(ValueError, match=rf"^masks\.annotations: .*a\.json, annotation 1.*{message}"):
        Objects(coco_file(tmp_path / "a.json", bad))
    with caplog.at_level(logging.INFO):
        assert len(Objects(coco_file(tmp_path / "a.json", note(BOX), bad, bad, note(BOX))).pool) == 2
    assert re.search(rf"annotation 1: .*{message}.*; 2 such are left out", caplog.text), caplog.text
    assert "2 objects from" in caplog.text and "left out: 2 without a valid outline" in caplog.text


def test_a_polygon_without_the_list_around_it(tmp_path):
    alone, listed = (Objects(coco_file(tmp_path / "a.json", note(outline))) for outline in (BOX[0], BOX))
    assert torch.equal(alone(keys(4), (32, 32)), listed(keys(4), (32, 32)))


def test_crowds_alone_are_told_as_such(tmp_path):
    path = coco_file(tmp_path / "a.json", *(note(RUNS, iscrowd=1) for _ in range(3)))
    with pytest.raises(ValueError, match=r"all 3 annotations in .* are crowds .*; give a file that outlines single"):
        Objects(path)


BAD_FILES = {
    "text": "no json",
    "list": "[]",
    "keys": '{"images": []}',
    "sizes": '{"images": [{"id": 1}], "annotations": []}',
    "notes": '{"images": [], "annotations": [5]}',
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_other_files_are_refused(tmp_path, case):
    (tmp_path / "a.json").write_text(BAD_FILES[case])
    with pytest.raises(ValueError, match=r"^masks\.annotations: .*a\.json is no COCO-format JSON"):
        Objects(str(tmp_path / "a.json"))


def test_nothing_there_or_nothing_left(tmp_path):
    with pytest.raises(ValueError, match=r"^masks\.annotations: .*a\.json does not exist; give "):
        Objects(str(tmp_path / "a.json"))
    path = coco_file(tmp_path / "a.json", note(BOX))
    with pytest.raises(ValueError, match=r"^masks\.annotations: no objects .*1 below 50 % of their picture.*min_area"):
        Objects(path, min_area=0.5)


def test_without_pycocotools_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    path = coco_file(tmp_path / "a.json", note(BOX))
    with pytest.raises(ValueError, match=r"^masks\.annotations: .*pip install pycocotools"):
        Objects(path)
    picture(tmp_path / "folder" / "a.png", SHAPE * 255)
    assert len(Objects(str(tmp_path / "folder")).pool) == 1, "PNG pictures do not need it"


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"count": (0, 3)}, "count"),
        ({"count": (1, 2.5)}, "count"),
        ({"scale": (0, 1)}, "scale"),
        ({"scale": (2, 1)}, "scale"),
        ({"dilate": (0, 0.5)}, "dilate"),
        ({"min_area": 2}, "min_area"),
        ({"min_area": "x"}, "min_area"),
        ({"most": 0}, "most"),
        ({"side": 0}, "side"),
        ({"area": (0.5, 0.2)}, "area"),
    ],
)
def test_wrong_arguments_name_their_key(annotations, settings, key):
    with pytest.raises(ValueError, match=rf"^masks\.{key}: give "):
        Objects(annotations, **settings)
