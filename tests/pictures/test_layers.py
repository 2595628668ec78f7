"""Masks that are a layer of a PSD or a page of a TIFF: the hole of 200 pixels is read from it, or one line says why."""

import numpy as np
import pytest
from PIL import Image

from inpaint.pictures.mask_files import MaskReader
from inpaint.pictures.reading import BadImage, read_image
from inpaint.settings import Refused
from tests.pictures.psd_files import psd, psd_layer
from tests.pictures.test_mask_files import HOLE, LEVELS, NOISE, two

COLOURS = dict(enumerate(NOISE.transpose(2, 0, 1)))
INSIDE = np.full((10, 20), 255, np.uint8)  # what is white of HOLE, at (10, 20)


def reader(layer=None, **settings):
    return MaskReader(layer=layer, prefix="mask_", complete=True, **settings)


def photograph(compression=0):
    return psd_layer("Background", COLOURS, compression=compression)


def painted(name="hole", compression=0, **settings):
    """A stroke in black on a layer that is no larger than what was painted: 21 x 11 pixels, with an odd number."""
    alpha = np.pad(INSIDE, ((1, 0), (1, 0)))
    bands = {-1: alpha, **dict.fromkeys(range(3), alpha * 0)}
    return psd_layer(name, bands, (9, 19), compression, **settings)


@pytest.fixture
def saved(tmp_path):
    def save(*layers, merged=NOISE, **settings):
        (tmp_path / "mask.psd").write_bytes(psd(merged, *layers, **settings))
        return tmp_path / "mask.psd"

    return save


@pytest.mark.parametrize("compression", [0, 1])
@pytest.mark.parametrize("layer", [2, "hole"])
def test_a_layer_is_chosen_by_its_number_or_name(layer, compression, saved):
    path = saved(photograph(compression), painted(compression=compression), painted("last"))
    marked = reader(layer).look(path)
    assert np.array_equal(marked.white, HOLE) and marked.source == "alpha"
    assert reader(layer).size(path) == (48, 64)
    assert np.array_equal(reader(1, threshold=128, channel="red").look(path).white, NOISE[..., 0] >= 128)


def test_grey_documents_and_layers_that_cover_all(saved):
    path = saved(psd_layer("white", {0: LEVELS}), painted(), merged=LEVELS)
    assert np.array_equal(reader("white").look(path).white, HOLE) and reader("white").look(path).remark == ""
    with_alpha = psd_layer("grey", {0: INSIDE, -1: INSIDE}, (10, 20))
    assert np.array_equal(reader().look(saved(with_alpha, merged=LEVELS)).white, HOLE)


def test_what_a_layer_has_beyond_its_canvas_does_not_count(saved):
    bands = dict.fromkeys((-1, 0, 1, 2), np.full((40, 40), 255, np.uint8))
    white = reader().look(saved(psd_layer("a", bands, (-30, 50)))).white
    expected = np.zeros_like(HOLE)
    expected[:10, 50:] = True
    assert np.array_equal(white, expected)


def test_files_without_layers_are_their_picture_and_of_one_that_is_taken(saved):
    assert np.array_equal(MaskReader().look(saved(merged=LEVELS)).white, HOLE)
    assert np.array_equal(MaskReader().look(saved(painted())).white, HOLE)


def test_groups_are_no_layers_and_names_may_have_any_letters(saved):
    nothing = {-1: np.zeros((0, 0), np.uint8)}
    group = [
        psd_layer("</Layer group>", nothing, mark=3),
        painted("?", unicode="дыра"),
        psd_layer("G", nothing, mark=1),
    ]
    path = saved(photograph(), *group)
    assert all(np.array_equal(reader(layer).look(path).white, HOLE) for layer in (2, "дыра"))
    with pytest.raises(BadImage, match=r"has 2 layers, 1 Background, 2 дыра, and one is the mask"):
        reader().look(path)


@pytest.mark.parametrize("layer", [None, 4, "holes", "hole"])
def test_which_layer_is_asked_in_a_line(layer, saved):
    path = saved(photograph(), painted(), painted())
    names = "1 Background, 2 hole, 3 hole"
    message = {
        None: f"has 3 layers, {names}, and one is the mask; give mask_layer=NUMBER, or its name",
        4: f"has no layer 4; there are {names}",
        "holes": f"has no layer holes; there are {names}",
        "hole": f"2 layers are called hole; there are {names}",
    }[layer]
    for act in (reader(layer).look, reader(layer).size):
        with pytest.raises(BadImage) as refusal:
            act(path)
        assert str(refusal.value) == f"{path}: {message}"
    with pytest.raises(BadImage, match="save the one that is the mask by itself"):
        MaskReader()(path)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (psd_layer("a", {0: LEVELS, 1: LEVELS, 2: LEVELS, -1: LEVELS, -2: LEVELS}), "with a mask of its own"),
        (psd_layer("a", dict.fromkeys(range(4), LEVELS)), "a layer of 4 colours"),
        (psd_layer("a", COLOURS, compression=2), "compression 2, which is not read"),
        (psd_layer("a", dict.fromkeys(range(-3, 58), LEVELS)), "a layer of 61 channels"),
    ],
)
def test_layers_that_are_not_read_are_named_and_hide_no_other(layer, message, saved):
    with pytest.raises(BadImage, match=rf"mask\.psd: broken picture \(.*{message}") as refusal:
        reader(1).look(saved(layer, painted()))
    assert "\n" not in str(refusal.value)
    if "61" not in message:
        assert np.array_equal(reader(2).look(saved(layer, painted())).white, HOLE)


def test_damaged_files_are_one_line(saved):
    data = saved(photograph(), painted()).read_bytes()
    for length in range(40, len(data), 97):
        path = saved(merged=LEVELS)
        path.write_bytes(data[:length])
        try:
            assert np.array_equal(reader(2).look(path).white, HOLE)  # the merged picture, which stands behind, is cut
        except BadImage as error:
            assert "\n" not in str(error)
    with pytest.raises(BadImage, match=r"8001 layers"):
        reader(1).look(saved(photograph(), count=8001))
    huge = photograph()[0].replace(np.array([48, 64], ">i4").tobytes(), np.array([1 << 30, 1 << 30], ">i4").tobytes())
    with pytest.raises(BadImage, match=r"a layer of 1073741824 x 1073741824 pixels"):
        reader(1).look(saved((huge, photograph()[1])))


# ---- TIFF


def pages(path, *images, names=()):
    described = [{285: name} for name in names] or [{}] * len(images)
    frames = [image.copy() for image in images]
    for frame, tags in zip(frames, described, strict=True):
        frame.encoderinfo = {"tiffinfo": tags}
    frames[0].save(path, save_all=True, append_images=frames[1:], tiffinfo=described[0])
    return path


def test_a_page_of_a_tiff(tmp_path):
    path = pages(
        tmp_path / "mask.tif", Image.fromarray(NOISE), two(0, 255), Image.fromarray(NOISE[:9]), names=["a", "b", "c"]
    )
    for layer in (2, "b"):
        assert np.array_equal(reader(layer).look(path).white, HOLE)
    assert reader(2).size(path) == (48, 64) and reader(3).size(path) == (9, 64)
    with pytest.raises(
        BadImage, match=r"mask\.tif: has 3 pages, 1 a, 2 b, 3 c, and one is the mask; give mask_layer=N"
    ):
        reader().look(path)
    with pytest.raises(BadImage, match=r"a TIFF of 3 pages; save the one you want"):
        read_image(path)
    deep = pages(tmp_path / "deep.tif", two(0, 255), Image.fromarray(LEVELS.astype(np.uint16) * 257))
    assert np.array_equal(reader(2).look(deep).white, HOLE)
    real = pages(tmp_path / "real.tif", two(0, 255), Image.fromarray(LEVELS.astype(np.float32)))
    with pytest.raises(BadImage, match=r"real\.tif: F pixels with more than 8 bits a channel"):
        reader(2).look(real)


# ---- everything else


def test_one_picture_has_no_layers(tmp_path):
    two(0, 255).save(tmp_path / "mask.png")
    with pytest.raises(BadImage, match=r"mask\.png: is one picture without layers, and mask_layer=2 asks for one"):
        reader(2).look(tmp_path / "mask.png")


@pytest.mark.parametrize("suffix", ["png", "webp", "gif"])
def test_animated_masks_are_refused(suffix, tmp_path):
    two(0, 255).save(tmp_path / f"mask.{suffix}", save_all=True, append_images=[two(255, 0)])
    for layer in (None, 2):
        with pytest.raises(BadImage, match=r"save the (one|frame) you want"):
            reader(layer).look(tmp_path / f"mask.{suffix}")


def test_a_psd_is_no_photograph(saved):
    with pytest.raises(BadImage, match=r"but a PSD, of which masks are read and no pictures; save the picture as png"):
        read_image(saved(photograph()))


@pytest.mark.parametrize("layer", [0, -1, "", True, 1.5])
def test_what_is_no_layer(layer):
    with pytest.raises(Refused, match="mask_layer: give a number from 1 up, or a name"):
        reader(layer)
