"""Perceptual, style and MRF losses, on a small backbone of random weights."""

import numpy as np
import pytest
import torch
from PIL import Image

from inpaint.batch import compose
from inpaint.losses.mrf import MRF
from inpaint.losses.perceptual import Perceptual, Style
from inpaint.losses.perceptual import gram as gram_of
from inpaint.networks.backbones import shared
from inpaint.settings import Refused

SMALL = {"backbone": "vgg16", "weights": "random", "layers": ["relu1_2", "relu2_1"], "layer_weights": [1.0, 0.5]}
VARIANTS = ["cnnmrf", "neural_patch", "id_mrf"]
LOSSES = {
    "perceptual": lambda **settings: Perceptual(**(SMALL | settings)),
    "style": lambda **settings: Style(**(SMALL | settings)),
    **{v: (lambda v=v, **settings: MRF(variant=v, **(SMALL | {"stride": 2} | settings))) for v in VARIANTS},
}


@pytest.fixture
def outputs(batch):
    return compose((batch["image"].flip(0) * 0.7), batch["image"], batch["mask"])


def features(picture, layers=SMALL["layers"]):
    with torch.no_grad():
        found = shared("vgg16", "random", "torchvision", layers, "losses.style")(picture, layers)
    return [x.double().numpy() for x in found]


def error(difference, kind):
    return np.abs(difference).mean() if kind == "l1" else (difference**2).mean()


def gram(x, divided):
    """Products of channels, summed over places, one by one."""
    batch, channels, height, width = x.shape
    matrix = np.zeros((batch, channels, channels))
    for y in range(height):
        for u in range(width):
            matrix += x[:, :, y, u][:, :, None] * x[:, :, y, u][:, None, :]
    return matrix / {"chw": channels * height * width, "hw": height * width, "none": 1}[divided]


@pytest.mark.parametrize("kind", ["l1", "l2"])
@pytest.mark.parametrize("of", ["output", "composite", "both"])
def test_perceptual_against_numpy(batch, outputs, kind, of):
    expected = 0.0
    for name in ("output", "composite") if of == "both" else (of,):
        mine, theirs = features(getattr(outputs, name)), features(batch["image"])
        expected += error(mine[0] - theirs[0], kind) + 0.5 * error(mine[1] - theirs[1], kind)
    value = LOSSES["perceptual"](error=kind, of=of)(outputs, batch)
    assert value.shape == () and value.dtype == torch.float32
    assert value.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("kind", ["l1", "l2"])
@pytest.mark.parametrize("divided", ["chw", "hw", "none"])
@pytest.mark.parametrize("region", ["all", "hole"])
def test_style_against_numpy(batch, outputs, kind, divided, region):
    pictures = [outputs.output, batch["image"]]
    if region == "hole":  # in [0, 1] the picture times the mask, as EdgeConnect has it
        pictures = [(x + 1) / 2 * batch["mask"] * 2 - 1 for x in pictures]
    expected = 0.0
    for weight, mine, theirs in zip((1.0, 0.5), *(features(x) for x in pictures), strict=True):
        expected += weight * error(gram(mine, divided) - gram(theirs, divided), kind)
    value = LOSSES["style"](error=kind, gram=divided, region=region, of="output")(outputs, batch)
    assert value.item() == pytest.approx(expected, rel=2e-4)


def test_the_style_of_a_picture_takes_the_truths_place(batch, outputs, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 52, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "style.png")
    shown = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1
    expected = sum(
        weight * error(gram(mine, "chw") - gram(theirs, "chw"), "l2")
        for weight, mine, theirs in zip((1.0, 0.5), features(outputs.output), features(shown), strict=True)
    )
    settings = {"error": "l2", "of": "output", "picture": str(tmp_path / "style.png")}
    loss = LOSSES["style"](**settings)
    assert loss(outputs, batch).item() == pytest.approx(expected, rel=2e-4)
    assert loss(outputs, batch | {"image": batch["image"] * 0}).item() == pytest.approx(expected, rel=2e-4)
    assert LOSSES["style"](**settings, picture_size=32).example.shape == (1, 3, 32, 42)
    for wrong, says in (
        ({"picture": "nowhere.png"}, r"nowhere\.png: cannot be opened"),
        ({"region": "hole"}, r"losses\.style\.region"),
        ({"picture_size": 8}, r"losses\.style\.picture_size: 8 is no whole number"),
    ):
        with pytest.raises(Refused, match=says):
            LOSSES["style"](**(settings | wrong))


def test_style_of_both_is_the_sum(batch, outputs):
    one, other, both = (LOSSES["style"](of=of)(outputs, batch) for of in ("output", "composite", "both"))
    assert torch.allclose(one + other, both)


# ---- patches ----------------------------------------------------------------------------------------------------


def patches(x, side, stride):
    """Of features (C, h, w), in float64: {(y, x): values}."""
    rows, columns = (range(0, length - side + 1, stride) for length in x.shape[1:])
    return {(y, u): x[:, y : y + side, u : u + side].ravel() for y in rows for u in columns}


def correlation(a, b):
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


def layer(seed, height=7, width=8):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, 3, height, width, generator=generator)


def hole(height=14, width=16):
    mask = torch.zeros(2, 1, height, width)
    mask[0, :, 5:9, 1:5] = 1
    mask[1, :, 13:, 15:] = 1
    return mask


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("side", "stride"), [(3, 1), (3, 2), (2, 1)])
def test_mrf_against_loops(variant, side, stride):
    painted, truth, mask = layer(0), layer(1), hole()
    distances, diverse = [], []
    for sample in range(2):
        mine, theirs = (patches(x[sample].double().numpy(), side, stride) for x in (painted, truth))
        covered = mask[sample, 0].reshape(7, 2, 8, 2).amax(dim=(1, 3)).numpy()
        touches = {place: covered[place[0] :, place[1] :][:side, :side].max() == 1 for place in mine}
        usable = [p for place, p in theirs.items() if variant != "neural_patch" or not touches[place]]
        for place, patch in mine.items():
            if variant != "neural_patch" or touches[place]:
                best = max(usable, key=lambda other: correlation(patch, other))
                distances.append(((patch - best) ** 2).sum())
        scores = np.array([[correlation(a, b) for b in theirs.values()] for a in mine.values()])
        relative = np.zeros_like(scores)
        for i, row in enumerate(scores):
            for j, score in enumerate(row):
                others = np.delete(row, j)
                relative[i, j] = np.exp(score / (others.max() + 1e-5) / 0.5)
        relative /= relative.sum(axis=1, keepdims=True)
        diverse.append(-np.log(relative.max(axis=0).mean()))
    expected = np.mean(diverse) if variant == "id_mrf" else np.mean(distances)
    value = LOSSES[variant](patch=side, stride=stride).compare(painted, truth, mask)
    assert value.item() == pytest.approx(expected, rel=1e-4)


def test_only_the_holes_patches_move_and_only_the_known_ones_are_copied():
    painted, truth, mask = layer(0), layer(1), hole()
    covered = (mask.reshape(2, 1, 7, 2, 8, 2).amax(dim=(3, 5)) == 1).expand_as(truth)
    touched = torch.nn.functional.max_pool2d(covered[:, :1].float(), 5, 1, 2).expand_as(truth) == 1
    loss = LOSSES["neural_patch"](stride=1)
    painted.requires_grad_(True)
    value = loss.compare(painted, truth, mask)
    value.backward()
    assert (painted.grad[~touched] == 0).all() and painted.grad[covered].abs().sum() > 0
    leaked = torch.where(covered, 9.0, truth)
    assert torch.equal(loss.compare(painted.detach(), leaked, mask), value.detach())


def test_a_picture_that_is_all_hole_has_no_patches_to_copy():
    painted = layer(0).requires_grad_(True)
    value = LOSSES["neural_patch"]().compare(painted, layer(1), torch.ones(2, 1, 14, 16))
    value.backward()
    assert value == 0 and painted.grad.isfinite().all()


def test_a_single_true_patch():
    value = LOSSES["id_mrf"](patch=3).compare(layer(0, 3, 3), layer(1, 3, 3), torch.zeros(2, 1, 6, 6))
    assert value == 0


# ---- all of them ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES)
def test_a_step_lowers_it_and_the_truth_needs_none(batch, outputs, name):
    loss = LOSSES[name](of="output")
    output = outputs.output.clone().requires_grad_(True)
    before = loss(compose(output, batch["image"], batch["mask"]), batch)
    before.backward()
    assert output.grad.isfinite().all()
    step = output.detach() - 0.01 * output.grad / output.grad.abs().max()
    assert loss(compose(step, batch["image"], batch["mask"]), batch) < before
    if name != "neural_patch":  # which does not ask for the truth
        right = loss(compose(batch["image"], batch["image"], batch["mask"]), batch)
        assert right < 0.7 * before if name == "id_mrf" else right == 0


@pytest.mark.parametrize("name", LOSSES)
def test_what_follows_the_backbone_is_float32_under_autocast(batch, outputs, name):
    loss, seen = LOSSES[name](), []
    compare = loss.compare

    def spy(painted, truth, mask):
        seen.extend([painted.dtype, truth.dtype, (painted[:1, :1, :1] @ truth[:1, :1, :1].transpose(2, 3)).dtype])
        return compare(painted, truth, mask)

    loss.compare = spy
    exact = loss(outputs, batch)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(outputs, batch)
    assert set(seen) == {torch.float32} and value.dtype == torch.float32
    assert value.item() == pytest.approx(exact.item(), rel=0.05)


def test_gram_matrices_overflow_in_no_precision():
    """The sums over places would be 4e7, past the largest float16; the means are 1e4."""
    large = torch.full((1, 4, 64, 64), 100.0, dtype=torch.float16)
    assert gram_of(large, "hw").flatten().tolist() == pytest.approx([1e4] * 16, rel=0.01)


def test_losses_share_one_backbone(batch, outputs):
    losses = [make() for make in LOSSES.values()]
    assert len({id(loss.backbone) for loss in losses}) == 1
    assert not any(loss.state_dict() or list(loss.parameters()) for loss in losses)
    total = sum(loss(outputs, batch) for loss in losses)
    assert total.isfinite()


def test_published_defaults():
    """Partial convolutions (Liu et al. 2018); GMCNN (Wang et al. 2018)."""
    perceptual, style, mrf = Perceptual(weights="random"), Style(weights="random"), MRF(weights="random")
    assert perceptual.layers == style.layers == ("pool1", "pool2", "pool3")
    assert (perceptual.weight, style.weight, mrf.weight) == (0.05, 120.0, 0.05)
    assert mrf.layers == ("relu3_2", "relu4_2") and mrf.patch == 3
    assert perceptual.backbone is style.backbone is not mrf.backbone


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LOSSES["perceptual"](of="coarse"), r"losses\.perceptual\.of"),
        (lambda: LOSSES["perceptual"](error="mse"), r"losses\.perceptual\.error"),
        (lambda: LOSSES["style"](gram="c"), r"losses\.style\.gram"),
        (lambda: LOSSES["style"](error="mse"), r"losses\.style\.error"),
        (lambda: LOSSES["style"](region="known"), r"losses\.style\.region"),
        (lambda: LOSSES["style"](layers=[]), r"losses\.style\.layers: empty"),
        (lambda: LOSSES["style"](layer_weights=[1.0]), r"losses\.style\.layer_weights: 1 for 2 layers"),
        (lambda: MRF(**SMALL, variant="mrf"), r"losses\.mrf\.variant: give one of cnnmrf, .*; got 'mrf'"),
        (lambda: MRF(**SMALL, stride=0), r"losses\.mrf\.stride: 0 is not positive"),
    ],
)
def test_impossible_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_features_smaller_than_a_patch(batch, outputs):
    with pytest.raises(ValueError, match=r"losses\.mrf\.patch: 3 x 3 features, but a layer has \(2, 2\)"):
        MRF(weights="random")(outputs, batch)
