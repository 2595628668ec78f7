"""Models that restore whole pictures: no holes, more pixels, any size; and what is refused with them."""

import csv
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from inpaint import predict
from inpaint.batch import Batch, from_uint8, paint, to_uint8
from inpaint.config.sent import restoration_scale
from inpaint.files import checkpoint
from inpaint.metrics.image import measure
from inpaint.networks.generators.denoising import FFDNet
from inpaint.networks.generators.super_resolution import SRVGG
from inpaint.predict.predictor import Predictor
from inpaint.restoration import Bicubic, NonLocalMeans
from inpaint.settings import Refused
from tests.conftest import smooth_picture

FULL = {"_target_": "inpaint.masks.Full"}
LARGER = {"_target_": "inpaint.networks.generators.super_resolution.SRVGG", "scale": 2, "width": 4, "depth": 1}
HALVED = {"_target_": "inpaint.degradations.Resize", "scale": 2}
NOISY = {"_target_": "inpaint.degradations.GaussianNoise"}
SIZE = (40, 60)


def lively(kind, *arguments, **settings):
    """A network whose last layer does something; always the same weights."""
    torch.manual_seed(0)
    network = kind(*arguments, **settings)
    torch.nn.init.normal_(network.layers[-1].weight, std=0.05)
    return network.eval().requires_grad_(False)


@pytest.fixture
def place(tmp_path):
    """A picture of each kind, and a model that makes them twice as large."""
    (tmp_path / "images").mkdir()
    pixels = smooth_picture(0, *SIZE)
    alpha = np.tile(np.linspace(0, 255, 60).astype(np.uint8), (40, 1))
    Image.fromarray(pixels).save(tmp_path / "images" / "plain.png")
    Image.fromarray(pixels).save(tmp_path / "images" / "coded.jpg")
    Image.fromarray(pixels[..., 0]).save(tmp_path / "images" / "grey.png")
    Image.fromarray(np.dstack([pixels, alpha])).save(tmp_path / "images" / "clear.png")
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(tmp_path / "images" / "deep.png")
    config = {"name": "larger", "generator": LARGER, "masks": FULL, "degradation": HALVED}
    checkpoint.save_generator(tmp_path / "larger.ckpt", lively(SRVGG, 2, 4, 1), config, 1)
    return tmp_path


@pytest.fixture
def restore(command, place):
    def run(*arguments, code=0, model="checkpoint=larger.ckpt"):
        return command(predict, model, "images=images", "output=out", *arguments, code=code)

    return run


def test_whole_pictures_are_restored_by_what_their_masks_cover(place):
    config, boxes = checkpoint.config_of(checkpoint.load(place / "larger.ckpt")), {"_target_": "inpaint.masks.Boxes"}

    def scale(masks, degradation=HALVED):
        settings = config | {"masks": masks, "degradation": degradation}
        checkpoint.save_generator(place / "other.ckpt", lively(SRVGG, 2, 4, 1), settings, 1)
        return restoration_scale(checkpoint.load(place / "other.ckpt"))

    both = {"all": FULL, "boxes": boxes}
    assert scale(FULL) == scale({"_target_": "inpaint.masks.Union", "kinds": both}) == 2 and scale(FULL, NOISY) == 1
    assert scale({"_target_": "inpaint.masks.Mixture", "kinds": both}, NOISY) is None and scale(boxes, NOISY) is None
    assert scale({"_target_": "inpaint.masks.Files", "root": "nowhere"}, NOISY) is None and scale(FULL, None) is None


def pixels_of(path):
    return np.asarray(Image.open(path))


def by_hand(network, pixels, scale):
    """What a network makes of a picture, in 8 bits."""
    image = from_uint8(torch.from_numpy(pixels.copy())).permute(2, 0, 1)[None]
    mask = torch.ones(1, 1, scale * image.shape[2], scale * image.shape[3])
    made = paint(network, Batch(image=image, mask=mask, index=torch.zeros(1), given=image))
    return to_uint8(made.output)[0].permute(1, 2, 0).numpy()


def test_pictures_become_larger_and_keep_what_their_files_hold(place, restore):
    said = restore("extras=[side_by_side]")
    assert "holes: none; this model restores whole pictures, 2 times as large" in said
    assert said.splitlines()[-1] == "5 pictures repaired, in out"
    network = lively(SRVGG, 2, 4, 1)
    expected = by_hand(network, pixels_of(place / "images/plain.png"), 2)
    assert np.array_equal(pixels_of(place / "out/plain.png"), expected)
    assert pixels_of(place / "out/side_by_side/plain.png").shape == (80, 240, 3)
    clear, grey = Image.open(place / "out/clear.png"), Image.open(place / "out/grey.png")
    assert (clear.mode, clear.size, grey.mode, grey.size) == ("RGBA", (120, 80), "L", (120, 80))
    assert np.array_equal(np.asarray(clear)[..., :3], expected)
    columns = np.asarray(clear)[0, :, 3].astype(int)
    assert columns[0] == 0 and columns[-1] == 255 and (np.diff(columns) >= 0).all()
    deep = pixels_of(place / "out/deep.png")
    assert deep.shape == (80, 120) and deep.dtype == np.uint16
    assert np.abs(deep / 257 - np.asarray(grey)).max() < 1
    assert Image.open(place / "out/coded.jpg").size == (120, 80)
    assert "5 pictures were done before" in restore("extras=[side_by_side]")


def test_a_notebook_restores_as_the_command_does(place, restore):
    restore()
    predictor = Predictor.load(place / "larger.ckpt")
    for name in ("plain.png", "clear.png", "grey.png"):
        restored = predictor(Image.open(place / "images" / name))
        assert np.array_equal(np.asarray(restored), pixels_of(place / "out" / name))
    picture = pixels_of(place / "images/plain.png")
    expected = pixels_of(place / "out/plain.png")
    both = predictor(np.stack([picture, picture]))
    assert both.shape == (2, 80, 120, 3) and np.array_equal(both[1], expected)
    of_tensor = predictor(torch.from_numpy(picture).permute(2, 0, 1))
    assert np.array_equal(of_tensor.permute(1, 2, 0).numpy(), expected)
    of_floats = predictor((picture / 255).astype(np.float32))
    assert np.abs(of_floats * 255 - expected).max() < 0.51
    with pytest.raises(Refused, match="mask: this model restores whole pictures"):
        predictor(picture, np.ones(SIZE, bool))
    with pytest.raises(Refused, match="refine: is for holes, and this model restores whole pictures"):
        Predictor(NonLocalMeans(), scale=1, refine="texture")
    with pytest.raises(Refused, match="mask: this model fills holes"):
        Predictor(NonLocalMeans())(picture)


@pytest.mark.parametrize(
    ("make", "scale"),
    [(lambda: lively(SRVGG, 2, 4, 1), 2), (lambda: lively(FFDNet, 4, 3, sigma=25.0), 1), (Bicubic, 3)],
)
def test_tiles_are_what_the_whole_picture_is(make, scale):
    """Of networks that see a few pixels around each: no border of a tile shows, to the last digits of a float."""
    network = make()
    picture = smooth_picture(1, 131, 250).astype(np.float32) / 255
    whole = Predictor(network, scale=scale, strategy="full")(picture)
    tiled = Predictor(network, scale=scale, tile=72, overlap=24)
    assert tiled.repair([picture * 2 - 1], [np.ones(picture.shape[:2], bool)])[0].taken == "15 tiles"
    assert whole.shape == (scale * 131, scale * 250, 3)
    assert np.abs(tiled(picture) - whole).max() < 1e-5


def test_figures_are_of_whole_pictures_with_the_border_that_the_field_leaves_out(place, restore):
    (place / "truth").mkdir()
    for file in (place / "images").iterdir():
        picture = Image.open(file).convert("RGB" if file.stem != "deep" else "L")
        picture.resize((120, 80)).save(place / "truth" / f"{file.stem}.png")
    restore("images=images/plain.png", "truth=truth")
    with (place / "out/figures/records.csv").open() as file:
        (record,) = csv.DictReader(file)
    given, truth = (
        from_uint8(torch.from_numpy(pixels_of(place / folder / "plain.png").copy())).permute(2, 0, 1)[None]
        for folder in ("images", "truth")
    )
    mask = torch.ones(1, 1, 80, 120)
    batch = Batch(image=truth, mask=mask, index=torch.zeros(1), given=given)
    expected = measure(paint(lively(SRVGG, 2, 4, 1), batch), truth, mask, ["psnr_y"], 2)["psnr_y"].item()
    assert float(record["psnr_y"]) == pytest.approx(expected, abs=0.05)
    shutil.copy(place / "images/plain.png", place / "truth/plain.png")
    assert "truth: 1 of 1 have not 2 times the size of their picture: plain" in restore(
        "images=images/plain.png", "truth=truth", "output=other", code=2
    )


def test_classical_restorations_need_no_holes_either(place, restore):
    said = restore("images=images/plain.png", model="generator=non_local_means")
    assert "holes: none; this model restores whole pictures\n" in said
    expected = by_hand(NonLocalMeans(), pixels_of(place / "images/plain.png"), 1)
    assert np.array_equal(pixels_of(place / "out/plain.png"), expected)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("holes=images/plain.png", "holes: this model restores whole pictures, which have no holes; leave it out"),
        ("masks=centre", "masks: this model restores whole pictures"),
        ("feather=3", "feather: is for holes, and this model restores whole pictures; leave it out"),
        ("dilate=3", "dilate: is for masks"),
        ("polarity=black", "polarity: is for masks"),
        ("strategy=crop", "strategy: crop goes by holes"),
        (
            "generator=harmonic checkpoint=null",
            "holes: give holes=..., or masks=... for holes that are drawn; this model fills them",
        ),
    ],
)
def test_settings_of_holes_are_refused(argument, message, restore):
    said = restore(*argument.split(), code=2)
    assert message in said and said.count("\n") == 1


def test_a_model_of_degraded_pictures_with_holes_fills_holes(place, restore):
    config = {"name": "both", "generator": LARGER | {"scale": 1}, "masks": {"_target_": "inpaint.masks.Boxes"}}
    checkpoint.save_generator(place / "both.ckpt", lively(SRVGG, 1, 4, 1), config | {"degradation": NOISY}, 1)
    said = restore(model="checkpoint=both.ckpt", code=2)
    assert "holes: give holes=..., or masks=... for holes that are drawn; this model fills them" in said
