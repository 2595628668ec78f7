"""Training crops: exact maps of a picture that tells coordinates, limits of every knob, purity, kornia as reference."""

import math

import kornia.enhance
import pytest
import torch
from kornia.geometry.transform import get_perspective_transform, warp_affine

from inpaint import rng
from inpaint.data.augmentation import Augmentation


def keys(count):
    return torch.tensor([rng.key(0, "crop", index) for index in range(count)])


def ramp(count, tile):
    """Tiles whose red is x and whose green is y, in pixels."""
    y, x = torch.meshgrid(torch.arange(tile), torch.arange(tile), indexing="ij")
    return torch.stack([x, y, x * 0]).float().expand(count, -1, -1, -1)


def crops(augmentation, count=300, crop=32, extent=None, side=None, image=None):
    """On the scale of the tiles, 0 to 255, which need not be whole numbers here."""
    tile = augmentation.tile(crop)
    image = ramp(count, tile) if image is None else image
    extent = torch.tensor([extent or (tile, tile)]).expand(count, -1)
    return (augmentation(image, extent, keys(count), crop, side or crop)[0] + 1) * 127.5


def test_without_anything_a_crop_is_pixels_of_the_tile():
    image = torch.rand(50, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 255
    assert torch.allclose(crops(Augmentation(zoom=(1, 1), flip=False), 50, image=image), image, atol=1e-3)
    assert torch.allclose(
        crops(Augmentation(zoom=(1, 1)), 50, image=image).sort(3).values, image.sort(3).values, atol=1e-3
    )


def test_windows_have_every_size_and_place():
    out = crops(Augmentation(zoom=(1.0, 1.5)), 2000)
    step = (out[:, 0, 0, 1] - out[:, 0, 0, 0]).abs()
    assert torch.allclose(
        (out[:, 0, :, 1:] - out[:, 0, :, :-1]).abs(), step[:, None, None].expand(-1, 32, 31), atol=1e-2
    )
    windows = (step * 32).round()
    assert windows.unique().tolist() == list(range(32, 49))
    x = out[:, 0, 0].amin(1) - step / 2 + 0.5  # the window's first column
    y = out[:, 1, 0, 0] - step / 2 + 0.5
    assert torch.allclose(x, x.round(), atol=1e-2) and torch.allclose(y, y.round(), atol=1e-2)
    small = windows == 36
    assert x[small].round().unique().tolist() == list(range(13)) == y[small].round().unique().tolist()
    assert 0.46 < (out[:, 0, 0, 1] < out[:, 0, 0, 0]).float().mean() < 0.54, "mirrored"


def test_a_small_picture_is_never_left():
    out = crops(Augmentation(zoom=(1.0, 1.5), rotate=45, shear=20), 500, extent=(33, 40))
    assert out.min() >= 0 and out[:, 0].max() <= 39 and out[:, 1].max() <= 32
    assert out[:, 0].max() > 38 and out[:, 1].max() > 31


def test_beyond_the_edge_the_picture_is_mirrored():
    out = crops(Augmentation(zoom=(1, 1), flip=False, rotate=180), 200, extent=(32, 32))
    assert out[:, :2].min() >= 0 and out[:, :2].max() <= 31
    slopes = out[:, 0].diff(dim=2)
    folded = (slopes.flatten(1).amax(1) > 0.1) & (slopes.flatten(1).amin(1) < -0.1)  # x goes up and comes back
    assert folded.float().mean() > 0.5


@pytest.mark.parametrize(("rotate", "shear"), [(30, 0), (0, 25), (20, 10), (180, 0)])
def test_turns_and_leans_are_uniform_within_their_limits(rotate, shear):
    out = crops(Augmentation(zoom=(1, 1), flip=False, rotate=rotate, shear=shear), 2000)
    middle = out[:, :2, 15:17, 15:17]
    along, down = middle[..., 0, 1] - middle[..., 0, 0], middle[..., 1, 0] - middle[..., 0, 0]
    angle = torch.atan2(along[:, 1], along[:, 0]).rad2deg()
    assert angle.abs().max() <= rotate + 0.1
    if rotate:
        assert angle.abs().max() > 0.97 * rotate and abs(angle.mean()) < 0.06 * rotate and angle.std() > 0.5 * rotate
    lean = (down * along).sum(1) / (along**2).sum(1)  # of the upright lines, in the window's own frame
    assert lean.abs().max() <= math.tan(math.radians(shear)) + 1e-2
    if shear:
        assert lean.abs().max() > 0.95 * math.tan(math.radians(shear)) and abs(lean.mean()) < 0.05
    if rotate < 45:  # the tile is large enough for the window's corners: nothing is mirrored
        inner = out.diff(dim=3)[:, :2, 1:-1, 1:-1]  # a corner may lie in the outermost half pixel, which repeats
        assert torch.allclose(inner, along[:, :, None, None].expand_as(inner), atol=2e-2)


def test_a_tilt_is_a_homography_within_the_window():
    """Four corners determine a homography (kornia's solver); all other points must then agree with it."""
    out = crops(Augmentation(zoom=(1, 1), flip=False, perspective=0.4), 100).double()
    assert out.min() >= 0 and out.max() <= 31
    places = torch.tensor([[0.0, 0], [31, 0], [31, 31], [0, 31]], dtype=torch.float64)
    seen = torch.stack([out[:, :2, int(y), int(x)] for x, y in places], 1)
    matrix = get_perspective_transform(places.expand(100, -1, -1), seen)
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    points = torch.stack([x, y, x * 0 + 1]).flatten(1).double()
    mapped = matrix @ points
    mapped = (mapped[:, :2] / mapped[:, 2:]).view(100, 2, 32, 32)
    assert (mapped - out[:, :2]).abs().max() < 0.05
    bend = (out[:, 0, 0, -1] - out[:, 0, 0, 0]) / (out[:, 0, -1, -1] - out[:, 0, -1, 0])
    assert bend.max() > 1.2 and bend.min() < 0.85 and abs(bend.log().mean()) < 0.05


def test_one_resampling_equals_kornias_warp():
    augmentation = Augmentation(zoom=(1.2, 1.2), flip=False, rotate=20)
    image = torch.rand(4, 3, augmentation.tile(32), augmentation.tile(32), generator=torch.Generator().manual_seed(1))
    image = torch.nn.functional.avg_pool2d(image, 3, 1, 1)  # smooth: the two disagree on sub-pixel rounding only
    places = crops(augmentation, 4)[:, :2].double()
    corner, right, below = places[:, :, 0, 0], places[:, :, 0, 1], places[:, :, 1, 0]
    back = torch.stack([right - corner, below - corner, corner], 2)  # from the crop's pixels to the tile's
    square = torch.cat([back, torch.tensor([[[0.0, 0, 1]]], dtype=torch.float64).expand(4, -1, -1)], 1)
    expected = warp_affine(image.double(), square.inverse()[:, :2], (32, 32), padding_mode="border", align_corners=True)
    assert (crops(augmentation, 4, image=image) - expected).abs().max() < 2e-3


def test_strong_zoom_averages_what_it_passes_over():
    """One-pixel stripes become grey at zoom 4; sampled at single points they would stay stripes, and alias."""
    augmentation = Augmentation(zoom=(4, 4), flip=False)
    stripes = torch.full((8, 3, 128, 128), 255.0)
    stripes[..., ::2] = 0
    assert (crops(augmentation, 8, image=stripes) - 127.5).abs().max() < 6


def test_a_smaller_side_shows_the_same_window():
    augmentation = Augmentation(zoom=(1, 1.5), rotate=10)
    image = crops(augmentation, 20)
    small = crops(augmentation, 20, side=8)
    assert small.shape == (20, 3, 8, 8)
    assert torch.allclose(small[:, :2], torch.nn.functional.avg_pool2d(image, 4)[:, :2], atol=0.3)  # of 48 pixels


def test_masks_go_with_their_pictures_and_stay_exact():
    augmentation = Augmentation(zoom=(1, 1.5), rotate=30, perspective=0.2)
    tile = augmentation.tile(32)
    image = ramp(50, tile)
    mask = (image[:, :1] + image[:, 1:2] > tile).float()
    out, moved = augmentation(torch.cat([image, mask], 1).byte(), torch.full((50, 2), tile), keys(50), 32, 32)
    out = (out + 1) * 127.5
    assert moved.shape == (50, 1, 32, 32) and set(moved.unique().tolist()) == {0.0, 1.0}
    wrong = ((out[:, :1] + out[:, 1:2] > tile).float() != moved).float().mean()
    assert wrong < 0.02, "only pixels within half a pixel of the edge may differ"


def test_a_crop_depends_on_its_key_alone():
    augmentation = Augmentation(rotate=20, perspective=0.2, brightness=0.2, contrast=0.2, saturation=0.2, hue=0.1)
    tile = augmentation.tile(32)
    tiles = torch.randint(256, (12, 3, tile, tile), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    extent = torch.full((12, 2), tile)
    whole = augmentation(tiles, extent, keys(12), 32, 32)[0]
    groups = zip(tiles.split(5), extent.split(5), keys(12).split(5), strict=True)
    assert torch.equal(whole, torch.cat([augmentation(*group, 32, 32)[0] for group in groups]))
    torch.rand(3)  # the global generator plays no part
    assert torch.equal(whole, augmentation(tiles, extent, keys(12), 32, 32)[0])


@pytest.mark.parametrize("knob", ["brightness", "contrast", "saturation", "hue"])
def test_colours_change_within_the_limits(knob):
    image = torch.rand(400, 3, 1, 1, generator=torch.Generator().manual_seed(0)).expand(-1, -1, 32, 32) * 0.4 + 0.3
    image = image + torch.linspace(-0.1, 0.1, 32)  # contrast needs some
    out = crops(Augmentation(zoom=(1, 1), flip=False, **{knob: 0.2}), 400, image=255 * image) / 255
    if knob == "brightness":
        factor = (out / image).mean((1, 2, 3))
        assert torch.allclose(out, factor.view(-1, 1, 1, 1) * image, atol=1e-4)
    elif knob == "contrast":
        grey = kornia.color.rgb_to_grayscale(image).mean((1, 2, 3), keepdim=True)
        factor = ((out - grey) / (image - grey)).flatten(1).median(1).values
    elif knob == "saturation":
        grey = kornia.color.rgb_to_grayscale(image)
        factor = ((out - grey) / (image - grey)).flatten(1).median(1).values
    else:
        before, after = kornia.color.rgb_to_hsv(image)[:, 0, 9, 9], kornia.color.rgb_to_hsv(out)[:, 0, 9, 9]
        factor = 1 + ((after - before) / (2 * math.pi) + 0.5) % 1 - 0.5
    assert 0.795 < factor.min() < 0.81 and 1.19 < factor.max() < 1.205 and abs(factor.mean() - 1) < 0.02


@pytest.mark.parametrize(
    ("knob", "value"),
    [
        ("zoom", (1.5, 1.0)),
        ("zoom", (0.5, 1.0)),
        ("zoom", (1.0,)),
        ("zoom", 2),
        ("rotate", -1),
        ("rotate", 200),
        ("shear", 60),
        ("perspective", 0.7),
        ("brightness", 2),
        ("hue", float("nan")),
    ],
)
def test_impossible_numbers_name_their_key(knob, value):
    with pytest.raises(ValueError, match=rf"^data\.augmentation\.{knob}: "):
        Augmentation(**{knob: value})
