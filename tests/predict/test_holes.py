"""Whatever masks people have, the pixels that are repaired are those that they mean, or nothing is repaired."""

import os

import numpy as np
import pytest
from PIL import Image

from inpaint import predict
from inpaint.config.untrained import build_baseline
from inpaint.masks import Boxes
from inpaint.pictures import writing
from inpaint.predict import holes
from inpaint.predict.holes import Generated, decide
from inpaint.predict.jobs import Job
from inpaint.predict.kinds import holes_of
from inpaint.predict.predictor import Predictor
from inpaint.settings import Refused
from tests.pictures.psd_files import psd, psd_layer
from tests.pictures.test_mask_files import HOLE, INVERTED, LEVELS, NOISE, PLAIN, antialiased, layer, stroke, two


@pytest.fixture
def repaired(command, tmp_path):
    """Repairs `NOISE` under one mask with a fill; which pixels have changed, and what was printed."""
    Image.fromarray(NOISE).save(tmp_path / "p.png")

    def repair(mask, *arguments, code=0, **settings):
        mask.save(tmp_path / "mask.png", **settings)
        printed = command(
            predict, "generator=mean", "images=p.png", "holes=mask.png", "output=out", *arguments, code=code
        )
        if code:
            assert not (tmp_path / "out").exists()
            return None, printed
        with Image.open(tmp_path / "out" / "p.png") as picture:
            return (np.array(picture) != NOISE).any(axis=2), printed

    return repair


@pytest.mark.parametrize("name", PLAIN)
def test_the_same_200_pixels_are_repaired_whatever_the_mask(name, repaired):
    image, settings, remark = PLAIN[name]
    changed, printed = repaired(image, **settings)
    assert np.array_equal(changed, HOLE)
    assert printed.startswith("holes: 6.5% of the pictures, 6.5% to 6.5% of each; ")
    assert ("black is the hole, as white covers 93% of the masks" in printed) == (name in INVERTED)
    assert remark in printed


def test_a_smooth_mask_is_taken_and_it_is_said_how(repaired):
    changed, printed = repaired(antialiased(), "mask_threshold=auto")
    assert (changed != HOLE).sum() <= 4 and "1 read by their grey levels from " in printed


@pytest.mark.parametrize("polarity", ["white", "black"])
def test_polarity_that_is_said_is_taken(polarity, repaired):
    changed, printed = repaired(two(255, 0), f"polarity={polarity}")
    assert np.array_equal(changed, ~HOLE if polarity == "white" else HOLE)
    assert f"{polarity} is the hole, as polarity says" in printed


UNCLEAR = Image.fromarray(np.tile([0] * 19 + [255] * 45, (48, 1)).astype(np.uint8))
WRONG = {
    "empty": (two(0, 0), [], "holes: the mask has no hole, so there is nothing to paint"),
    "all of it": (two(255, 255), [], "holes: the mask has no hole"),
    "a photograph": (Image.fromarray(NOISE), [], "mask.png: a colour picture, not a mask; mask_colour='#ff0000' takes"),
    "a red stroke": (stroke(), ["mask_threshold=128"], "mask.png: a colour picture, not a mask"),
    "smooth": (antialiased(), [], "mask_threshold=auto takes it from"),
    "a threshold above": (two(0, 76), ["mask_threshold=128"], "would be empty with mask_threshold=128"),
    "colour and alpha": (layer(NOISE), [], "give mask_channel=alpha"),
    "unclear": (UNCLEAR, [], "polarity: white covers 70% of the masks, which does not tell"),
    "colour": (stroke(), ["mask_colour=reddish"], "mask_colour: give a colour, \"mask_colour='#ff0000'\" or"),
    "another colour": (stroke(), ["mask_colour=lime"], "mask.png: no pixel has the colour #00ff00 within 10 levels"),
    "dilate": (two(0, 255), ["dilate=-1"], "dilate: -1 is no whole number from 0 up"),
    "polarity": (two(0, 255), ["polarity=wite"], "polarity: give one of auto, white, black; got 'wite'; did you mean"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_may_be_the_wrong_pixels_is_refused_before_any_work(name, repaired):
    mask, arguments, message = WRONG[name]
    assert message in repaired(mask, *arguments, code=2)[1]


@pytest.mark.parametrize("colour", ["red", "ff0000", "#ff0000", "'#f00'"])
def test_a_red_stroke_over_the_photograph_is_the_hole_where_the_colour_is_named(colour, repaired):
    changed, printed = repaired(stroke(), f"mask_colour={colour}")
    assert np.array_equal(changed, HOLE) and "1 read by their #ff0000" in printed


@pytest.mark.parametrize("polarity", ["white", "black"])
def test_holes_grow_by_pixels_in_all_directions(polarity, repaired):
    y, x = np.mgrid[:48, :64]
    beside = np.maximum(0, np.maximum(20 - x, x - 39)), np.maximum(0, np.maximum(10 - y, y - 19))
    image = two(0, 255) if polarity == "white" else two(255, 0)
    changed, printed = repaired(image, "dilate=3", f"polarity={polarity}")
    assert np.array_equal(changed, np.hypot(*beside) <= 3) and "then grown by 3 pixels" in printed


@pytest.mark.parametrize("name", [name for name in PLAIN if name not in INVERTED and not PLAIN[name][1]])
def test_a_notebook_takes_the_same_masks_from_pillow(name):
    (hole,) = holes_of(PLAIN[name][0], 1, (48, 64))
    assert np.array_equal(hole, HOLE)


def test_a_notebook_is_told_what_is_no_mask():
    with pytest.raises(Refused, match=r"^mask: a colour picture, not a mask"):
        holes_of(Image.fromarray(NOISE), 1, (48, 64))


def test_what_the_hole_is():
    assert [decide(white, "auto")[0] for white in (0.01, 0.5, 0.6, 0.81, 1)] == ["white"] * 3 + ["black"] * 2
    for white in (0.61, 0.7, 0.8):
        with pytest.raises(Refused, match=r"polarity=white, or polarity=black"):
            decide(white, "auto")
        assert decide(white, "white")[0] == "white" and decide(white, "black")[0] == "black"


def test_levels_of_a_channel_are_the_mask_where_one_is_named(repaired):
    changed, _ = repaired(layer(NOISE, LEVELS), "mask_channel=alpha")
    assert np.array_equal(changed, HOLE)


def test_masks_are_layers_of_the_same_name_in_a_folder_of_their_own(command, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for name in ("a", "b"):
        Image.fromarray(NOISE).save(tmp_path / f"images/{name}.png")
        file = psd(NOISE, psd_layer("photo", dict(enumerate(NOISE.transpose(2, 0, 1)))), psd_layer("hole", {0: LEVELS}))
        (tmp_path / f"masks/{name}.psd").write_bytes(file)
    common = ["generator=mean", "images=images", "holes=masks", "output=out"]
    message = "masks/a.psd: has 2 layers, 1 photo, 2 hole, and one is the mask; give mask_layer=NUMBER, or its name"
    assert message in command(predict, *common, code=2)
    for chosen in (2, "hole"):
        command(predict, *common, f"mask_layer={chosen}")
        assert all(np.array_equal(changed_in(tmp_path, f"{name}.png")[0], HOLE) for name in ("a", "b"))


# ---- holes that no file of masks holds


def changed_in(folder, name):
    """Which pixels of a result are not those of `NOISE`, and the alpha of it, if it has one."""
    with Image.open(folder / "out" / name) as picture:
        bands = np.array(picture)
    return (bands[..., :3] != NOISE).any(axis=2), bands[..., 3] if bands.shape[2] == 4 else None


def test_what_is_transparent_is_painted_and_opaque_then(command, tmp_path):
    edge = np.roll(HOLE, 1, axis=1) & ~HOLE  # half transparent
    layer(NOISE, np.where(HOLE, 0, np.where(edge, 128, 255))).save(tmp_path / "p.png")
    common = ["generator=mean", "images=p.png", "holes=alpha", "output=out"]
    assert "what is transparent is the hole" in command(predict, *common)
    changed, alpha = changed_in(tmp_path, "p.png")
    assert np.array_equal(changed, HOLE | edge) and (alpha == 255).all()
    command(predict, *common, "mask_threshold=100")
    changed, alpha = changed_in(tmp_path, "p.png")
    assert np.array_equal(changed, HOLE) and np.array_equal(alpha, np.where(edge, 128, 255))


def test_a_transparent_picture_is_read_once_to_look_and_once_to_repair(command, tmp_path, monkeypatch):
    layer(NOISE, np.where(HOLE, 0, 255)).save(tmp_path / "p.png")
    read = []
    for module in (holes, writing):  # the command imports it from the latter
        of = module.read_photograph
        monkeypatch.setattr(module, "read_photograph", lambda path, of=of: (read.append(path), of(path))[1])
    command(predict, "generator=mean", "images=p.png", "holes=alpha", "output=out")
    assert len(read) == 2 and np.array_equal(changed_in(tmp_path, "p.png")[0], HOLE)


def test_boxes_of_a_table_are_the_holes(command, tmp_path):
    (tmp_path / "images/deep").mkdir(parents=True)
    for name in ("a", "deep/b", "c"):
        Image.fromarray(NOISE).save(tmp_path / f"images/{name}.png")
    (tmp_path / "boxes.csv").write_text("picture,x1,y1,x2,y2\na.png,20,10,40,20\ndeep/b.png,20,10,30,20\n"
                                        "deep/b.png,25,10,40,20\n")  # fmt: skip
    common = ["generator=mean", "images=images", "holes=boxes.csv", "output=out"]
    assert "1 of 3 pictures have no boxes in boxes.csv: c; missing=skip" in command(predict, *common, code=2)
    said = command(predict, *common, "missing=skip", code=1)
    assert "images/c.png: has no boxes in boxes.csv" in said and "c.png" not in {p.name for p in tmp_path.glob("out/*")}
    assert all(np.array_equal(changed_in(tmp_path, name)[0], HOLE) for name in ("a.png", "deep/b.png"))
    again = [*common, "images=images/a.png", "overwrite=true"]
    assert "boxes of boxes.csv; then grown by 1 pixels" in command(predict, *again, "dilate=1")
    assert changed_in(tmp_path, "a.png")[0].sum() > HOLE.sum()
    assert "polarity: says how files of masks are read, and holes=boxes.csv" in command(
        predict, *again, "polarity=black", code=2
    )
    (tmp_path / "boxes.csv").write_text("picture,x1,y1,x2,y2\na.png,64,0,70,10\n")
    said = command(predict, *again, code=2)
    assert "holes: a box of a (64, 0, 70, 10) lies outside its 64 x 48 pixels" in said


def test_pictures_without_a_mask_are_refused_or_left_out(command, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for name in ("a", "b", "c"):
        Image.fromarray(NOISE).save(tmp_path / f"images/{name}.png")
    two(0, 255).save(tmp_path / "masks/b.png")
    common = ["generator=mean", "images=images", "output=out"]
    message = "holes: 2 of 3 pictures have no mask of their name in masks: a, c; missing=skip leaves them out"
    assert message in command(predict, *common, "holes=masks", code=2)
    assert not (tmp_path / "out").exists()
    said = command(predict, *common, "holes=masks", "missing=skip", code=1)
    assert "2 of 3 pictures are not written:\n  images/a.png: has no mask of its name in masks\n" in said
    assert np.array_equal(changed_in(tmp_path, "b.png")[0], HOLE) and not (tmp_path / "out/a.png").exists()

    layer(NOISE).save(tmp_path / "images/a.png")
    assert "2 of 3 pictures are not transparent anywhere: b, c; missing=skip" in command(
        predict, *common, "holes=alpha", code=2
    )
    said = command(predict, *common, "holes=alpha", "missing=skip", "output=out2", code=1)
    assert "images/b.png: is not transparent anywhere" in said and (tmp_path / "out2/a.png").exists()


def test_holes_are_drawn_by_any_kind_of_masks_with_a_seed(command, tmp_path):
    Image.fromarray(NOISE).save(tmp_path / "p.png")
    common = ["generator=mean", "images=p.png", "output=out", "masks=boxes"]
    drawn = {}
    for seed in (3, 4):
        assert f"masks are generated, seed={seed}" in command(predict, *common, f"seed={seed}", "overwrite=true")
        drawn[seed] = changed_in(tmp_path, "p.png")[0]
        hole = Generated(Boxes(), seed)(Job(tmp_path, None, (), "p", size=(48, 64)))[0].numpy() > 0
        assert np.array_equal(drawn[seed], hole) and hole.any()
    assert not np.array_equal(drawn[3], drawn[4])
    assert "were done before" in command(predict, *common, "seed=4")


def test_holes_are_drawn_for_a_name_that_is_no_utf_8(command, tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    (tmp_path / "in").mkdir()
    Image.fromarray(NOISE).save(tmp_path / "in" / name)
    command(predict, "generator=mean", "images=in", "output=out", "masks=boxes")
    assert changed_in(tmp_path, name)[0].any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "holes: give holes=..., or masks=... for holes that are drawn"),
        (["holes=mask.png", "masks=boxes"], "holes: give holes=..., or masks=..."),
        (["masks=boxes", "polarity=black"], "polarity: says how files of masks are read, and masks reads none"),
        (["holes=alpha", "mask_colour=red"], "mask_colour: says how files of masks are read, and holes=alpha reads"),
        (["holes=alpha", "mask_layer=2"], "mask_layer: says how files of masks are read, and holes=alpha reads none"),
        (["holes=alpha", "mask_threshold=256"], "mask_threshold: give an alpha, 1..255"),
        (["holes=alpha", "missing=none"], "missing: give one of error, skip; got 'none'"),
        (["holes=mask.png", "mask_pattern={stem}.png"], "mask_pattern: names masks in a folder"),
        (["holes=.", "mask_pattern=mask.png"], "mask_pattern: give the name of a mask with {stem} in it"),
        (["holes=mask.png", "feather=-1"], "feather: -1 is no whole number from 0 up"),
        (["holes=alpha", "images=mask.png"], "holes: 1 of 1 pictures are not transparent anywhere: mask\n"),
    ],
)
def test_sources_of_holes_that_mean_nothing(arguments, message, command, tmp_path):
    layer(NOISE).save(tmp_path / "p.png")
    two(0, 255).save(tmp_path / "mask.png")
    assert message in command(predict, "generator=mean", "images=p.png", "output=out", *arguments, code=2)


def test_masks_are_paired_by_a_pattern_of_their_names(command, tmp_path):
    (tmp_path / "both/deep").mkdir(parents=True)
    for name in ("a", "deep/b"):
        Image.fromarray(NOISE).save(tmp_path / f"both/{name}.png")
        two(0, 255).save(tmp_path / f"both/{name}-hole.png")
    command(predict, "generator=mean", "images=both", "holes=both", "output=out", "mask_pattern={stem}-hole.png")
    results = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png"))
    assert results == ["a.png", "deep/b.png"]
    assert np.array_equal(changed_in(tmp_path, "deep/b.png")[0], HOLE)


def test_what_is_painted_fades_into_known_pixels(command, tmp_path):
    Image.fromarray(NOISE).save(tmp_path / "p.png")
    two(0, 255).save(tmp_path / "mask.png")
    common = ["generator=mean", "images=p.png", "holes=mask.png"]
    command(predict, *common, "output=painted", "dilate=3")
    assert "known pixels less than 4 pixels from a hole change" in command(predict, *common, "output=out", "feather=3")
    painted, result = (np.array(Image.open(tmp_path / name / "p.png")).astype(float) for name in ("painted", "out"))
    y, x = np.mgrid[:48, :64]
    distance = np.hypot(np.maximum(0, np.maximum(20 - x, x - 39)), np.maximum(0, np.maximum(10 - y, y - 19)))
    weight = (1 - distance / 4).clip(0, 1)[..., None]
    assert np.abs(result - (NOISE + weight * (painted - NOISE))).max() < 0.51
    assert np.array_equal(result[distance >= 4], NOISE[distance >= 4]) and (result != NOISE)[distance == 3].any()
    predictor = Predictor(build_baseline("mean"), feather=3)
    assert np.array_equal(predictor(NOISE, HOLE), result)
