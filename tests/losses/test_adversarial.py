import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from torch import nn

from inpaint import rng
from inpaint.batch import Verdict
from inpaint.losses.adversarial import (
    Hinge,
    LeastSquares,
    MaskAsFakeTarget,
    NonSaturating,
    RelativisticAverage,
    SoftMask,
    Wasserstein,
    judge_for_r1,
    r1_penalty,
)
from inpaint.networks.discriminators import Patch

GAMES = [NonSaturating, Hinge, LeastSquares, RelativisticAverage, MaskAsFakeTarget, SoftMask, Wasserstein]
SHARP = {SoftMask: {"kernel": 7, "sigma": 1.0}}  # labels for small pictures
MASK = torch.ones(1, 1, 8, 8)
REAL, FAKE = [2.0, -0.5, 0.3], [-1.5, 0.2, 4.0]


def verdict(*maps):
    return Verdict(tuple(logits if logits.dim() == 4 else logits.view(1, 1, 1, -1) for logits in maps))


def mean(values):
    return sum(values) / len(values)


def softplus(x):
    return math.log1p(math.exp(x))


# The hole is the whole picture here.
BY_HAND = {
    NonSaturating: (
        mean([softplus(-r) for r in REAL]) + mean([softplus(f) for f in FAKE]),
        mean([softplus(-f) for f in FAKE]),
    ),
    Hinge: (mean([max(0, 1 - r) for r in REAL]) + mean([max(0, 1 + f) for f in FAKE]), -mean(FAKE)),
    LeastSquares: (
        mean([(r - 1) ** 2 for r in REAL]) / 2 + mean([f**2 for f in FAKE]) / 2,
        mean([(f - 1) ** 2 for f in FAKE]) / 2,
    ),
    RelativisticAverage: (
        mean([softplus(mean(FAKE) - r) for r in REAL]) + mean([softplus(f - mean(REAL)) for f in FAKE]),
        mean([softplus(mean(REAL) - f) for f in FAKE]) + mean([softplus(r - mean(FAKE)) for r in REAL]),
    ),
    MaskAsFakeTarget: (
        mean([softplus(-r) for r in REAL]) + mean([softplus(f) for f in FAKE]),
        mean([softplus(-f) for f in FAKE]),
    ),
    SoftMask: (
        mean([(r - 1) ** 2 for r in REAL]) + mean([f**2 for f in FAKE]),
        mean([(f - 1) ** 2 for f in FAKE]),
    ),
    Wasserstein: (mean(FAKE) - mean(REAL), -mean(FAKE)),
}


@pytest.mark.parametrize("game", GAMES)
def test_against_a_hand_computation(game):
    discriminator, generator = BY_HAND[game]
    real, fake = torch.tensor(REAL), torch.tensor(FAKE)
    assert game().discriminator(verdict(real), verdict(fake), MASK).item() == pytest.approx(discriminator, rel=1e-6)
    assert game().generator(verdict(real), verdict(fake), MASK).item() == pytest.approx(generator, rel=1e-6)
    other = torch.zeros(1, 1, 5, 5)  # a second map, smaller or larger, counts as much
    still = game().generator(verdict(other), verdict(other), MASK).item()
    both = game().generator(verdict(real, other), verdict(fake, other), MASK).item()
    assert both == pytest.approx((generator + still) / 2, rel=1e-6)


def half_hole():
    """A batch of two: the left half is the hole in one, a corner in the other."""
    mask = torch.zeros(2, 1, 32, 32)
    mask[0, :, :, :16] = 1
    mask[1, :, :16, 16:] = 1
    return mask


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_labels_are_not_inverted(game, channels):
    """On every logit of the hole: the generator's step raises the fake's score, the discriminator's lowers it."""
    mask = half_hole()
    hole = (F.interpolate(mask, (8, 8), mode="area") == 1).expand(2, channels, 8, 8)
    real = torch.full((2, channels, 8, 8), 0.4, requires_grad=True)
    fake = torch.full((2, channels, 8, 8), 0.5, requires_grad=True)
    game(**SHARP.get(game, {})).generator(verdict(real), verdict(fake), mask).backward()
    assert (fake.grad[hole] < 0).all()
    real.grad = fake.grad = None
    game(**SHARP.get(game, {})).discriminator(verdict(real), verdict(fake), mask).backward()
    assert (fake.grad[hole] > 0).all() and (real.grad < 0).all()


@pytest.mark.parametrize("game", GAMES)
def test_a_discriminator_learns_and_a_generator_follows(game):
    """The same with a network: its steps part the hole from the truth, the painted pixels' steps close the gap."""
    rng.seed_all(0)
    generator = torch.Generator().manual_seed(0)
    image, mask = torch.rand(2, 3, 32, 32, generator=generator) * 2 - 1, half_hole()
    network, loss = (
        Patch(width=8, layers=1, spectral=False),
        game(**({"kernel": 7, "sigma": 1} if game is SoftMask else {})),
    )
    output = torch.zeros_like(image, requires_grad=True)

    def judged():
        composite = torch.where(mask > 0.5, output, image)
        return network(image, mask), network(composite, mask)

    def gap():
        """How much more real the fake's hole looks than the truth there."""
        real, fake = (logits for both in judged() for logits in both.logits)
        hole = F.interpolate(mask, fake.shape[-2:], mode="area") == 1
        return (fake - real)[hole].mean().item()

    before = gap()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for _ in range(30):
        optimizer.zero_grad()
        loss.discriminator(*judged(), mask).backward()
        optimizer.step()
    parted = gap()
    assert parted < before - 0.1

    painter = torch.optim.Adam([output], lr=1e-2)
    for _ in range(5):
        painter.zero_grad()
        loss.generator(*judged(), mask).backward()
        painter.step()
    assert gap() > parted + 0.01


@pytest.mark.parametrize("game", GAMES)
def test_half_precision_logits_are_summed_in_float32(game):
    mask = half_hole()
    generator = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(2, 1, 8, 8, generator=generator).bfloat16() for _ in range(2))
    with torch.autocast("cpu", torch.bfloat16):
        sides = [getattr(game(), side)(verdict(real), verdict(fake), mask) for side in ("discriminator", "generator")]
    for side, value in zip(("discriminator", "generator"), sides, strict=True):
        exact = getattr(game(), side)(verdict(real.float()), verdict(fake.float()), mask)
        assert value.dtype == torch.float32 and torch.equal(value, exact)


# ---- games that look at the mask --------------------------------------------------------------------------------


def test_known_patches_of_a_fake_count_as_real_for_lama():
    mask = half_hole()
    generator = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(2, 1, 5, 7, generator=generator) for _ in range(2))
    total = 0.0
    for sample in range(2):
        for y in range(5):
            for x in range(7):
                hole = mask[sample, 0, 32 * y // 5, 32 * x // 7] == 1
                logit = fake[sample, 0, y, x].item()
                total += softplus(logit if hole else -logit) / 70
    total += F.softplus(-real).mean().item()
    assert MaskAsFakeTarget().discriminator(verdict(real), verdict(fake), mask).item() == pytest.approx(total, rel=1e-5)


def test_one_logit_for_a_picture_with_a_hole_is_fake_for_lama():
    logit = torch.zeros(2, 1, 1, 1, requires_grad=True)
    mask = half_hole()
    mask[0] = 0  # nothing was painted in the first one
    MaskAsFakeTarget().discriminator(verdict(torch.zeros(2, 1, 1, 1)), verdict(logit), mask).backward()
    assert (logit.grad.flatten() > 0).tolist() == [False, True]


def test_the_soft_mask_is_a_blurred_and_averaged_one():
    mask = half_hole()
    generator = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(2, 1, 4, 4, generator=generator) for _ in range(2))
    loss = SoftMask(kernel=9, sigma=2.0)
    blurred = [gaussian_filter(1 - m[0].double().numpy(), 2.0, mode="nearest", truncate=2.0) for m in mask]
    label = np.stack(blurred).reshape(2, 4, 8, 4, 8).mean(axis=(2, 4))
    assert label.min() < 0.01 and label.max() > 0.99
    expected = ((real.numpy() - 1) ** 2).mean() + ((fake.numpy()[:, 0] - label) ** 2).mean()
    assert loss.discriminator(verdict(real), verdict(fake), mask).item() == pytest.approx(expected, rel=1e-5)
    share = mask.numpy().reshape(2, 4, 8, 4, 8).mean(axis=(2, 4))
    expected = ((fake.numpy()[:, 0] - 1) ** 2 * share).sum() / share.sum()
    assert loss.generator(None, verdict(fake), mask).item() == pytest.approx(expected, rel=1e-5)


def test_soft_mask_asks_nothing_outside_the_hole():
    mask, fake = half_hole(), torch.zeros(2, 1, 8, 8, requires_grad=True)
    SoftMask().generator(None, verdict(fake), mask).backward()
    assert torch.equal(fake.grad != 0, F.interpolate(mask, (8, 8), mode="area") > 0)
    value = SoftMask().generator(None, verdict(fake), torch.zeros_like(mask))
    assert value == 0


# ---- penalties --------------------------------------------------------------------------------------------------


class Linear(nn.Module):
    """Two maps, of which the mean is one product of the picture with known weights; the first has four logits."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0)))

    def forward(self, image, mask):
        score = (image * self.weight).sum(dim=(1, 2, 3)).view(-1, 1, 1, 1)
        return Verdict((score.expand(-1, 1, 2, 2), score))


class Quadratic(nn.Module):
    def forward(self, image, mask):
        return Verdict((0.5 * image.square().sum(dim=(1, 2, 3), keepdim=True),))


def pictures():
    generator = torch.Generator().manual_seed(1)
    mask = torch.zeros(5, 1, 4, 4)
    mask[..., :2] = 1
    return *(torch.randn(5, 3, 4, 4, generator=generator) for _ in range(2)), mask


def test_the_gradient_penalty_of_a_linear_discriminator():
    image, fake, mask = pictures()
    network = Linear()
    norm = network.weight.detach().norm()
    value = Wasserstein(gp_weight=7.0).penalty(network, image, fake, mask)
    assert value.item() == pytest.approx(7 * (norm.item() - 1) ** 2, rel=1e-5)
    norm = (network.weight.detach() * mask[0]).norm()
    masked = Wasserstein(masked=True).penalty(network, image, fake, mask)
    assert masked.item() == pytest.approx(10 * (norm.item() - 1) ** 2, rel=1e-5)
    masked.backward()
    outside = network.weight.grad[:, :, 2:]
    assert (network.weight.grad[:, :, :2] != 0).all() and (outside == 0).all()


def test_the_penalty_is_taken_between_real_and_fake_where_the_seed_says():
    image, fake, mask = pictures()
    rng.seed_all(3)
    value = Wasserstein().penalty(Quadratic(), image, fake, mask)
    rng.seed_all(3)
    share = torch.rand(5, 1, 1, 1)
    norms = (share * image + (1 - share) * fake).flatten(1).norm(dim=1)  # the gradient of x^2 / 2 is x
    assert value.item() == pytest.approx(10 * (norms - 1).square().mean().item(), rel=1e-5)
    rng.seed_all(4)
    assert Wasserstein().penalty(Quadratic(), image, fake, mask) != value


def test_a_step_on_the_penalty_brings_the_slope_to_one():
    image, fake, mask = pictures()
    network, loss = Linear(), Wasserstein()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.02)
    for _ in range(40):
        optimizer.zero_grad()
        loss.penalty(network, image, fake, mask).backward()
        optimizer.step()
    assert network.weight.norm().item() == pytest.approx(1, abs=0.01)


def test_a_hole_that_is_nowhere_has_a_finite_masked_penalty():
    image, fake, mask = pictures()
    network = Linear()
    Wasserstein(masked=True).penalty(network, image, fake, 0 * mask).backward()
    assert network.weight.grad.isfinite().all()


def test_the_other_games_have_no_penalty():
    image, fake, mask = pictures()
    for game in (*(game() for game in GAMES if game is not Wasserstein), Wasserstein(gp_weight=0)):
        assert game.penalty(Linear(), image, fake, mask) is None


def test_the_drift_of_wasserstein():
    without, with_drift = (
        Wasserstein(drift=d).discriminator(verdict(torch.tensor(REAL)), verdict(torch.tensor(FAKE)), MASK)
        for d in (0.0, 0.5)
    )
    assert (with_drift - without).item() == pytest.approx(0.5 * mean([r**2 for r in REAL]), rel=1e-5)


def r1(discriminator, image, mask):
    return r1_penalty(*judge_for_r1(discriminator, image, mask))


def test_penalties_are_float32_under_autocast():
    network = Patch(width=8, layers=1)
    network.eval()
    generator = torch.Generator().manual_seed(0)
    image, fake = (torch.randn(2, 3, 32, 32, generator=generator) for _ in range(2))

    def values():
        rng.seed_all(0)
        return Wasserstein().penalty(network, image, fake, half_hole()), r1(network, image, half_hole())

    with torch.autocast("cpu", torch.bfloat16):
        halves = values()
    assert all(torch.equal(half, whole) for half, whole in zip(halves, values(), strict=True))


def test_r1_of_a_quadratic_discriminator():
    image, _, mask = pictures()
    expected = image.square().sum(dim=(1, 2, 3)).mean()  # the gradient of x^2 / 2 is x
    assert torch.allclose(r1(Quadratic(), image, mask), expected)


class Repeated(nn.Module):
    """The quadratic score again and again, on maps of several sizes."""

    def forward(self, image, mask):
        score = Quadratic()(image, mask).logits[0]
        return Verdict(tuple(score.expand(-1, channels, side, side) for channels, side in ((1, 1), (1, 5), (3, 2))))


def test_r1_does_not_depend_on_how_many_logits_say_the_same():
    image, _, mask = pictures()
    assert torch.allclose(r1(Repeated(), image, mask), r1(Quadratic(), image, mask))


def test_r1_of_a_patch_discriminator_by_differences():
    """The gradient of each picture's mean logit, pixel by pixel in float64, and LaMa's penalty out of it."""
    rng.seed_all(0)
    network = Patch(width=4, layers=1, spectral=False, sees_mask=False)
    image = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mask = torch.zeros(2, 1, 8, 8)
    found = r1(network, image, mask).item()
    network, x, step = network.double(), image.double(), 1e-5
    logits = network(x, mask).logits[0][0].numel()
    squares = 0.0
    for sample in range(2):
        for place in range(x[0].numel()):
            moved = x[sample : sample + 1].repeat(2, 1, 1, 1)
            moved.view(2, -1)[0, place] += step
            moved.view(2, -1)[1, place] -= step
            up, down = network(moved, mask).logits[0].mean(dim=(1, 2, 3)).tolist()
            squares += ((up - down) / (2 * step)) ** 2 / 2
    assert logits > 1 and found == pytest.approx(squares, rel=1e-4)

    unit = ((image + 1) / 2).double().requires_grad_(True)  # as LaMa has pictures
    (gradient,) = torch.autograd.grad(network(2 * unit - 1, mask).logits[0].sum(), unit)
    published = 0.001 * gradient.flatten(1).square().sum(dim=1).mean().item()
    assert 0.008 * logits**2 / 2 * found == pytest.approx(published, rel=1e-4)


def test_r1_reaches_the_discriminators_weights():
    network = Linear()
    r1(network, *pictures()[::2]).backward()
    assert network.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("game", "settings", "message"),
    [
        (Hinge, {"of": "mask"}, r"adversarial\.of: give one of output, composite; got 'mask'"),
        (SoftMask, {"kernel": 8}, r"adversarial\.kernel: 8 is not odd"),
        (SoftMask, {"sigma": 0}, r"adversarial\.sigma"),
        (Wasserstein, {"gp_weight": -1}, r"adversarial\.gp_weight: -1 is negative"),
        (Wasserstein, {"drift": -1}, r"adversarial\.drift: -1 is negative"),
    ],
)
def test_impossible_settings(game, settings, message):
    with pytest.raises(ValueError, match=message):
        game(**settings)
