"""What the papers' released code gives for the same numbers, to six digits.

Computed once by that code in float64: lama 786f593, AOT-GAN 2cd1afd, edge-connect 3142579, MAT d273d89, pix2pixHD
14b3b3c, pytorch-fid b9c1811, focal-frequency-loss 352f69d, pytorch-msssim b057b07. Inputs and weights are formulas, so
that nothing has to be kept in files.
"""

import math

import hydra
import pytest
import torch
from skimage.metrics import structural_similarity
from torch import nn

from inpaint.batch import Outputs, Verdict, to_uint8
from inpaint.losses.adversarial import MaskAsFakeTarget, judge_for_r1, r1_penalty
from inpaint.losses.structure import FocalFrequency
from inpaint.metrics.distribution import frechet_distance, resampled
from inpaint.metrics.image import measure
from inpaint.networks.discriminators import Patch
from inpaint.networks.generators.aot import AOT
from inpaint.networks.generators.edge_connect import EdgeConnect
from inpaint.networks.generators.fourier import LaMa
from inpaint.networks.generators.pix2pixhd import Pix2PixHDGlobal
from tests.options import compose


def axes(side):
    """Sample, channel, row and column of a batch of pictures, float64."""
    sizes = (2, 3, side, side)
    return [
        torch.arange(size, dtype=torch.float64).view([-1 if axis == place else 1 for axis in range(4)])
        for place, size in enumerate(sizes)
    ]


SAMPLE, CHANNEL, ROW, COLUMN = axes(64)
IMAGE = torch.sin(0.3 * ROW + 0.2 * COLUMN * (CHANNEL + 1) + SAMPLE)
MASK = ((ROW >= 16) & (ROW < 40) & (COLUMN >= 21) & (COLUMN < 48)).double().expand(2, 1, -1, -1)
EDGES = (torch.sin(0.9 * ROW + 0.4 * COLUMN) > 0.8).double().expand(2, 1, -1, -1)
PAINTED = torch.cos(2 * IMAGE)


@torch.no_grad()
def filled(network):
    """The network with sines for weights."""
    network.double()
    scales = {layer.weight for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)}
    for weight in network.parameters():
        values = torch.sin(1 + torch.arange(weight.numel(), dtype=torch.float64)).view_as(weight)
        values = values / math.sqrt(weight[0].numel()) if weight.dim() > 1 else 0.1 * values
        weight.copy_(values + 1 if weight in scales else values)
    return network


def single(network, image, mask):
    """LaMa's Fourier units compute in float32."""
    return network.float()(image.float(), mask.float())


def along_edges(network, image, mask):
    return network.paint(image, mask, EDGES)


def seen(values, *places):
    return [values.mean().item(), values.std().item(), *(values[place].item() for place in places)]


GENERATORS = {
    "lama": (lambda: LaMa(blocks=2, width=8), single, 1e-5,
             [0.035251, 0.072323, 0.003535, -0.011727], [0.033370, 0.018793, 0.055466, 0.009647]),
    "pix2pixhd": (lambda: Pix2PixHDGlobal(blocks=2, width=8), None, 2e-6,
                  [0.035172, 0.076290, 0.178570, 0.011092], [0.033523, 0.018795, 0.056158, 0.011395]),
    "aot": (lambda: AOT(blocks=1), None, 2e-6,
            [0.063051, 0.039507, 0.084312, 0.007430], [0.063051, 0.039507, 0.084312, 0.007430]),
    "edge_connect": (lambda: EdgeConnect(blocks=1), along_edges, 2e-6,
                     [0.067212, 0.038892, 0.095506, 0.004360], [0.067212, 0.038892, 0.095506, 0.004360]),
}  # fmt: skip


@pytest.mark.parametrize("name", GENERATORS)
def test_a_generator_paints_what_the_released_one_paints(name):
    make, call, tolerance, training, evaluation = GENERATORS[name]
    network = filled(make())
    call = call or (lambda network, image, mask: network(image, mask))
    places = (0, 0, 20, 30), (1, -1, 33, 25)
    with torch.no_grad():
        assert seen(call(network, IMAGE, MASK).output, *places) == pytest.approx(training, abs=tolerance)
        network.eval()
        assert seen(call(network, IMAGE, MASK).output, *places) == pytest.approx(evaluation, abs=tolerance)


def test_lamas_discriminator_judges_as_the_released_one():
    network = filled(Patch(64, 4, False, False, "batch", 2))
    places = (0, 0, 3, 3), (1, 0, 6, 2)
    with torch.no_grad():
        logits = network(IMAGE, MASK).logits[0]
        # Its maps hardly vary here, so that batch norm enlarges rounding.
        assert seen(logits, *places) == pytest.approx([0.084172, 0.016879, 0.103352, 0.079719], abs=5e-5)
        logits = network.eval()(IMAGE, MASK).logits[0]
        assert seen(logits, *places) == pytest.approx([0.085907, 0.001403, 0.087659, 0.086340], abs=2e-6)
    assert logits.shape == (2, 1, 7, 7)


def test_lamas_discriminator_begins_where_the_released_one_begins():
    """The recipe's, whose layers are uniform within 1 / root of the inputs and have a deviation of that / root 3."""
    torch.manual_seed(0)
    network = hydra.utils.instantiate(compose("+experiment=lama_fourier").discriminator)
    found = [layer.weight.std().item() for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert found == pytest.approx([0.083, 0.018, 0.013, 0.009, 0.006, 0.006], abs=6e-4)
    noise = torch.rand(4, 3, 256, 256, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        assert network(noise, noise[:, :1]).logits[0].std() < 0.6  # 1.06 with N(0, 0.02), 0.38 with photographs


@pytest.mark.parametrize("side", [64, 128])
def test_r1_of_lama_is_the_released_ones_at_every_crop(side):
    """0.001 times the squared gradient of the sum of all logits with respect to a picture in [0, 1]."""
    cfg = compose("+experiment=lama_fourier")
    network = Patch(width=4, layers=4, spectral=False, sees_mask=False, norm="none", padding=2).double()
    unit = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    unit.requires_grad_(True)
    (gradient,) = torch.autograd.grad(network(2 * unit - 1, None).logits[0].sum(), unit)
    expected = 0.001 * gradient.square().flatten(1).sum(1).mean()
    # The product's penalty computes in float32.
    judged = judge_for_r1(network.float(), 2 * unit.detach() - 1, torch.zeros(2, 1, side, side))
    penalty = r1_penalty(*judged, of=cfg.module.r1_of)
    assert cfg.module.r1_gamma / 2 * penalty.item() == pytest.approx(expected.item(), rel=1e-5)


def test_known_patches_of_a_fake_picture_count_as_real():
    angle = torch.arange(98, dtype=torch.float64).view(2, 1, 7, 7)
    real, fake = Verdict((2 * angle.sin(),)), Verdict((2 * angle.cos(),))
    game = MaskAsFakeTarget(weight=10)
    assert game.discriminator(real, fake, MASK).item() == pytest.approx(1.934698, abs=2e-6)
    assert 10 * game.generator(real, fake, MASK).item() == pytest.approx(9.148304, abs=1e-5)


# ---- losses, as the recipes have them --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipe", "name", "expected"),
    [
        ("edge_connect_inpaint", "style", 1.487595e-4),
        ("edge_connect_inpaint", "perceptual", 0.864928),
        ("pix2pixhd", "perceptual", 0.244041),
    ],
)
def test_a_recipes_perceptual_loss_is_the_released_one(recipe, name, expected):
    """VGG19 sees [0, 1] in EdgeConnect and [-1, 1] in pix2pixHD, neither standardised; weights are `random`."""
    node = compose(f"+experiment={recipe}", "backbone_weights=random").losses[name]
    batch = {"image": IMAGE.float(), "mask": MASK.float(), "index": torch.arange(2)}
    loss = hydra.utils.instantiate(node, _convert_="all")(Outputs(PAINTED.float(), PAINTED.float()), batch)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_mats_perceptual_loss_does_not_see_the_known_pixels_of_the_output():
    """The released generator pastes them in before anything looks at its picture."""
    node = compose("+experiment=mat_small", "backbone_weights=random").losses.perceptual
    loss = hydra.utils.instantiate(node, _convert_="all")
    image, mask = IMAGE.float(), MASK.float()
    batch = {"image": image, "mask": mask, "index": torch.arange(2)}
    output = PAINTED.float().requires_grad_(True)
    loss(Outputs(output, torch.where(mask > 0.5, output, image)), batch).backward()
    assert (output.grad * (1 - mask)).abs().max() == 0 and (output.grad * mask).abs().max() > 0


def test_focal_frequency():
    batch = {"image": IMAGE.float(), "mask": MASK.float(), "index": torch.arange(2)}
    loss = FocalFrequency()(Outputs(PAINTED.float(), PAINTED.float()), batch)
    assert loss.item() == pytest.approx(0.164846, abs=2e-6)


# ---- figures ---------------------------------------------------------------------------------------------------------


def test_figures_of_sets():
    row, column = torch.arange(40, dtype=torch.float64)[:, None], torch.arange(16, dtype=torch.float64)
    real = torch.sin(1.7 * row + 0.3 * column**2)
    fake = 0.9 * real + 0.3 * torch.cos(2.3 * row * (1 + column)) + 0.05
    assert frechet_distance(real, fake) == pytest.approx(0.746089, abs=2e-6)
    once = torch.ones(1, 40)
    figures = {name: resampled(name, real, fake, once).item() for name in ("kid", "p_ids", "u_ids")}
    assert figures == pytest.approx({"kid": -0.074409, "p_ids": 5.0, "u_ids": 8.75}, abs=2e-6)


def test_similarity_with_and_without_the_border():
    """SSIM over the windows that lie inside, as scikit-image has it, and MS-SSIM likewise, as pytorch-msssim has it."""
    _, channel, row, column = axes(192)
    truth = torch.sin(0.3 * row + 0.2 * column * (channel + 1))
    painted = 0.7 * truth + 0.3 * torch.cos(5 * truth)
    a, b = (to_uint8(picture.float())[0].movedim(0, -1).numpy() for picture in (painted, truth))
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": 2}
    inside = structural_similarity(a, b, data_range=255, **settings)
    assert inside == pytest.approx(0.816538, abs=2e-6)
    names = ["ssim", "ssim_inside", "ms_ssim", "ms_ssim_inside"]
    figures = measure(Outputs(painted.float(), painted.float()), truth.float(), torch.ones(1, 1, 192, 192), names)
    assert figures["ssim_inside"].item() == pytest.approx(inside, abs=2e-6)
    assert figures["ms_ssim_inside"].item() == pytest.approx(0.934712, abs=2e-6)
    assert abs(figures["ssim"] - inside) > 1e-3, "the mirrored border counts"
