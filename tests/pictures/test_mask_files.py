"""Masks from every program: the hole of 200 pixels is read from each, or it is said why not."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from inpaint.pictures.mask_files import Marked, MaskReader, check_shares
from inpaint.pictures.reading import BadImage, read_image
from inpaint.settings import Refused

HOLE = np.zeros((48, 64), bool)
HOLE[10:20, 20:40] = True
LEVELS = HOLE.astype(np.uint8) * 255
NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def layer(colour, alpha=LEVELS):
    """A layer of one colour, or of a picture's, with its alpha."""
    pixels = np.zeros((48, 64, 4), np.uint8)
    pixels[..., :3], pixels[..., 3] = colour, alpha
    return Image.fromarray(pixels)


def palette(*colours):
    image = Image.fromarray(HOLE.astype(np.uint8), "P")
    image.putpalette([level for colour in colours for level in colour])
    return image


def two(low, high):
    return Image.fromarray(np.where(HOLE, high, low).astype(np.uint8))


def coloured(hole, known):
    return Image.fromarray(np.where(HOLE[..., None], hole, known).astype(np.uint8))


def antialiased():
    return Image.fromarray(LEVELS).filter(ImageFilter.BoxBlur(1))


def stroke(colour=(255, 0, 0)):
    return coloured(colour, NOISE)


def saved(folder, image, name="mask.png", **settings):
    image.save(folder / name, **settings)
    return folder / name


# ---- what is the mask of a file

# A picture, what else its file says, and the remark on how it was read.
PLAIN = {
    "black and alpha": (layer(0), {}, "alpha"),
    "white and alpha": (layer(255), {}, "alpha"),
    "a colour and alpha": (layer((200, 30, 30)), {}, "alpha"),
    "grey and alpha": (Image.fromarray(np.stack([LEVELS * 0, LEVELS], axis=-1)), {}, "alpha"),
    "a palette with a transparent colour": (palette((0, 0, 0), (0, 0, 0)), {"transparency": 0}, "alpha"),
    "a palette with an alpha for each colour": (
        palette((9, 9, 9), (255, 255, 255)),
        {"transparency": b"\0\xff"},
        "alpha",
    ),
    "grey with a transparent level": (two(7, 255), {"transparency": 7}, "alpha"),
    "white where it shows, a picture below": (layer(np.where(HOLE[..., None], 255, NOISE)), {}, "alpha"),
    "alpha that is the same everywhere": (layer(np.repeat(LEVELS[..., None], 3, axis=2), 255), {}, ""),
    "alpha that hides everything": (layer(np.repeat(LEVELS[..., None], 3, axis=2), 0), {}, ""),
    "black and white": (two(0, 255), {}, ""),
    "one bit": (Image.fromarray(HOLE), {}, ""),
    "0 and 1": (two(0, 1), {}, ""),
    "pure red as grey": (two(0, 76), {}, "grey levels from 38 up"),
    "class 1 of VOC as grey": (two(0, 38), {}, "grey levels from 19 up"),
    "pure blue as grey": (two(0, 29), {}, "grey levels from 15 up"),
    "0 and 100": (two(0, 100), {}, "grey levels from 50 up"),
    "both above the middle": (two(200, 255), {}, "grey levels from 228 up"),
    "pure red": (coloured((255, 0, 0), 0), {}, "#ff0000 on #000000"),
    "class 1 of VOC": (palette((0, 0, 0), (128, 0, 0)), {}, "#800000 on #000000"),
    "black on white": (two(255, 0), {}, ""),
}
INVERTED = {"black on white"}


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("threshold", [None, "auto"])
def test_masks_of_every_kind_have_the_same_hole(name, threshold, tmp_path):
    image, settings, remark = PLAIN[name]
    marked = MaskReader(threshold).look(saved(tmp_path, image, **settings))
    assert np.array_equal(marked.white, ~HOLE if name in INVERTED else HOLE)
    assert marked.remark == remark


def test_a_reader_gives_holes_of_either_polarity(tmp_path):
    path = saved(tmp_path, two(255, 0))
    hole = MaskReader(polarity="black")(path)
    assert hole.dtype == torch.float32 and hole.shape == (1, 48, 64) and hole.sum() == 200
    assert torch.equal(MaskReader()(path), 1 - hole) and torch.equal(MaskReader(polarity="white")(path), 1 - hole)


def test_a_webp_mask_with_alpha(tmp_path):
    assert MaskReader()(saved(tmp_path, layer(0), "mask.webp", lossless=True)).sum() == 200


def test_what_rounding_made_of_one_colour_is_one_colour(tmp_path):
    """Programs that keep colours multiplied by alpha lose their bits where little shows."""
    alpha = np.array(antialiased()) // 8
    spread = (np.full((48, 64), 77.0) * alpha / 255).round() / np.maximum(alpha, 1) * 255
    image = layer(spread.clip(0, 255).round().astype(np.uint8)[..., None], alpha)
    assert np.unique(np.array(image)[alpha > 0][:, 0]).size > 3
    assert MaskReader("auto").look(saved(tmp_path, image)).source == "alpha"


def test_colours_and_alpha_that_both_vary_are_asked_about(tmp_path):
    path = saved(tmp_path, layer(NOISE))
    with pytest.raises(
        BadImage, match=r"mask\.png: both its colours and its transparency vary.*mask_channel=alpha.*grey"
    ):
        MaskReader(prefix="mask_")(path)
    with pytest.raises(BadImage, match="save it without transparency"):
        MaskReader()(path)
    assert MaskReader(channel="alpha")(path).sum() == 200
    grey = np.array(Image.fromarray(NOISE).convert("L"))
    assert np.array_equal(MaskReader(128, channel="grey").look(path).white, grey >= 128)
    green = MaskReader(128, channel="green").look(path)
    assert green.source == "green" and np.array_equal(green.white, NOISE[..., 1] >= 128)
    for image in (two(0, 255), stroke()):
        with pytest.raises(BadImage, match=r"has no alpha channel, which mask_channel asks for"):
            MaskReader(channel="alpha", prefix="mask_")(saved(tmp_path, image))


@pytest.mark.parametrize("threshold", [None, "auto", 128])
@pytest.mark.parametrize("image", [Image.fromarray(NOISE), stroke()], ids=["photograph", "red stroke over it"])
def test_a_colour_picture_is_called_one(image, threshold, tmp_path):
    with pytest.raises(BadImage, match=r"mask\.png: a colour picture, not a mask; a mask is black and white"):
        MaskReader(threshold)(saved(tmp_path, image))
    with pytest.raises(BadImage, match=r"a colour picture, not a mask; mask_colour='#ff0000' takes what was painted"):
        MaskReader(threshold, prefix="mask_", complete=True)(saved(tmp_path, image))


def test_a_map_of_classes_names_its_colours(tmp_path):
    classes = np.zeros((48, 64), np.uint8)
    classes[HOLE], classes[30:40, 5:50] = 1, 2
    image = Image.fromarray(classes, "P")
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    path = saved(tmp_path, image)
    with pytest.raises(BadImage, match=r"it has 3 colours \(#000000 78\.8%, #008000 14\.6%, #800000 6\.5%\)"):
        MaskReader()(path)
    with pytest.raises(BadImage, match=r"mask_colour='#008000' takes one of them"):
        MaskReader(prefix="mask_", complete=True)(path)
    assert MaskReader(colour=(128, 0, 0))(path).sum() == 200
    assert MaskReader(1)(path).sum() == 200 + 450


def test_a_smooth_mask_of_two_colours_is_no_photograph(tmp_path):
    """Red on white with smooth edges: all colours lie between the two."""
    cover = np.array(antialiased())[..., None] / 255
    image = Image.fromarray((cover * (255, 0, 0) + (1 - cover) * 255).round().astype(np.uint8))
    marked = MaskReader("auto").look(saved(tmp_path, image))
    assert (~marked.white != HOLE).sum() <= 4  # the corners


# ---- colours that were painted


@pytest.mark.parametrize("image", [stroke(), layer(np.array(stroke()), 255)], ids=["opaque", "with alpha"])
def test_what_was_painted_over_is_found_by_its_colour(image, tmp_path):
    marked = MaskReader(colour=(255, 0, 0)).look(saved(tmp_path, image))
    assert np.array_equal(marked.white, HOLE) and marked.remark == "#ff0000"


def test_a_stroke_in_a_jpeg_is_found_within_the_tolerance(tmp_path):
    smooth = np.full((48, 64, 3), (40, 90, 140), np.uint8)
    path = saved(tmp_path, coloured((255, 0, 0), smooth), "mask.jpg", quality=90)
    assert (read_image(path)[:, HOLE].float().mean(dim=1) - torch.tensor([255.0, 0, 0])).abs().max() > 0.5
    marked = MaskReader(colour=(255, 0, 0), tolerance=60).look(path).white
    assert (marked != HOLE).sum() < 20


def test_a_colour_that_is_nowhere_is_refused(tmp_path):
    with pytest.raises(BadImage, match=r"no pixel has the colour #00ff00 within 10 levels; the nearest has #c8c8c8"):
        MaskReader(colour=(0, 255, 0))(saved(tmp_path, coloured((9, 9, 9), 200)))
    with pytest.raises(Refused, match=r"^mask_colour: .*leave mask_threshold out"):
        MaskReader(128, colour=(0, 255, 0), prefix="mask_")


# ---- levels and thresholds


def test_a_smooth_mask_is_taken_between_its_two_levels(tmp_path):
    image = antialiased()
    levels = np.array(image)
    assert len(np.unique(levels)) > 4
    path = saved(tmp_path, image)
    with pytest.raises(
        BadImage, match=r"mask\.png: not a binary mask, it has \d+ grey levels from 0 to 255.*auto takes"
    ):
        MaskReader(prefix="mask_")(path)
    marked = MaskReader("auto").look(path)
    # Independently: of all thresholds, the one with the least variance within both sides.
    within = [
        sum(part.size * part.var() for part in (levels[levels < t], levels[levels >= t]) if part.size)
        for t in range(1, 256)
    ]
    assert within[marked.threshold - 1] == pytest.approx(min(within))
    assert np.array_equal(marked.white, levels >= marked.threshold)
    assert (marked.white != HOLE).sum() <= 4  # the corners
    assert marked.remark == f"grey levels from {marked.threshold} up"


def test_a_jpeg_mask_is_taken_although_its_levels_are_many(tmp_path):
    path = saved(tmp_path, two(0, 255), "mask.jpg", quality=60)
    assert MaskReader("auto")(path).sum() == 200


def test_a_grey_picture_is_called_one(tmp_path):
    path = saved(tmp_path, Image.fromarray(NOISE[..., 0]))
    for threshold in (None, "auto"):
        with pytest.raises(BadImage, match=r"256 grey levels from 0 to 255, and only 2\d% .*a grey picture"):
            MaskReader(threshold)(path)
    assert np.array_equal(MaskReader(128).look(path).white, NOISE[..., 0] >= 128)


@pytest.mark.parametrize(
    ("low", "high", "threshold", "message"),
    [
        (0, 76, 128, r"would be empty with mask_threshold=128, as its grey levels lie from 0 to 76; 39 lies between"),
        (0, 29, 128, r"would be empty with mask_threshold=128"),
        (200, 255, 128, r"would be all white with mask_threshold=128, as its grey levels lie from 200 to 255"),
    ],
)
def test_a_threshold_that_takes_nothing_or_all_is_refused(low, high, threshold, message, tmp_path):
    path = saved(tmp_path, two(low, high))
    with pytest.raises(BadImage, match=message):
        MaskReader(threshold, prefix="mask_")(path)
    assert MaskReader((low + high) // 2)(path).sum() == 200


def test_masks_of_one_level(tmp_path):
    for level, area in ((0, 0), (255, 1), (1, 1)):
        path = saved(tmp_path, Image.new("L", (9, 7), level))
        assert MaskReader()(path).mean() == MaskReader("auto")(path).mean() == area
        assert level == 1 or MaskReader(128)(path).mean() == area
    for threshold in (None, "auto"):
        with pytest.raises(BadImage, match=r"one grey level, 76"):
            MaskReader(threshold)(saved(tmp_path, Image.new("L", (9, 7), 76)))
    with pytest.raises(BadImage, match=r"its one grey level is 76, below mask_threshold=128"):
        MaskReader(128, prefix="mask_")(saved(tmp_path, Image.new("L", (9, 7), 76)))


def test_a_mask_is_shrunk_with_its_picture_and_stays_binary(tmp_path):
    hole = np.zeros((60, 90), np.uint8)
    hole[:, 45:] = 255
    for mode in ("L", "RGB"):
        mask = MaskReader()(saved(tmp_path, Image.fromarray(hole).convert(mode)), resize=20)
        assert mask.shape == (1, 20, 30) and mask[0, :, :15].sum() == 0 and mask[0, :, 15:].min() == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threshold": 0}, "mask_threshold: give a grey level, 1..255, auto or null; got 0"),
        ({"threshold": True}, "mask_threshold"),
        ({"threshold": "half"}, "mask_threshold"),
        ({"channel": "alhpa"}, "mask_channel: .*did you mean alpha"),
        ({"polarity": "grey"}, "mask_polarity: give white or black"),
    ],
)
def test_settings_that_mean_nothing(settings, message):
    with pytest.raises(Refused, match=f"^{message}"):
        MaskReader(**settings, prefix="mask_")


# ---- how much is hole


def test_holes_that_are_nowhere_are_refused_and_large_ones_doubted():
    assert check_shares([0.1, 0, 0.3], "holes", False) is None
    with pytest.raises(Refused, match=r"^holes: none of the 2 masks has a hole, so there is nothing to paint; look$"):
        check_shares([0, 0], "holes", False, "look")
    with pytest.raises(Refused, match=r"^holes: the mask has no hole"):
        check_shares([0], "holes", True)
    assert check_shares([0.9, 0.5], "holes", False, "polarity=black") == (
        "holes: the holes cover 70% of the pictures; polarity=black"
    )
    assert check_shares([0.9], "holes", True) is None and check_shares([], "holes", False) is None


def test_a_remark_says_what_is_not_plain():
    white = np.zeros((1, 1), bool)
    assert Marked(white).remark == "" and Marked(white, "alpha", 90).remark == "alpha, grey levels from 90 up"


DEEP = {
    "65535": HOLE.astype(np.uint16) * 65535,
    "255": HOLE.astype(np.uint16) * 255,
    "1": HOLE.astype(np.uint16),
}


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("name", DEEP)
def test_masks_of_16_bits_are_read(name, suffix, tmp_path):
    path = saved(tmp_path, Image.fromarray(DEEP[name]), f"mask.{suffix}")
    assert np.array_equal(MaskReader().look(path).white, HOLE)
    if suffix == "png":
        turned = Image.fromarray(DEEP[name].T[:, ::-1].copy())  # what orientation 8 turns upright
        exif = turned.getexif()
        exif[0x0112] = 8
        upright = MaskReader().look(saved(tmp_path, turned, "turned.png", exif=exif)).white
        assert np.array_equal(upright, HOLE)


def test_smooth_masks_of_16_bits_have_a_threshold(tmp_path):
    deep = np.asarray(antialiased()).astype(np.uint16) * 257
    path = saved(tmp_path, Image.fromarray(deep))
    expected = MaskReader(threshold=128).look(saved(tmp_path, antialiased(), "8.png"))
    assert np.array_equal(MaskReader(threshold=128).look(path).white, expected.white)
    with pytest.raises(BadImage, match="grey levels from 0 to 255"):
        MaskReader().look(path)
    path.write_bytes(path.read_bytes()[:90])
    with pytest.raises(BadImage, match=r"mask\.png: broken picture"):
        MaskReader().look(path)
