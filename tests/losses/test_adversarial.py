import math

import pytest
import torch
from torch import nn

from inpaint.batch import Verdict
from inpaint.losses.adversarial import Hinge, LeastSquares, NonSaturating, r1_penalty

MASK = torch.ones(1, 1, 8, 8)
REAL, FAKE = [2.0, -0.5, 0.3], [-1.5, 0.2, 4.0]


def verdict(logits):
    return Verdict((logits.view(1, 1, 1, -1),))


def mean(values):
    return sum(values) / len(values)


def softplus(x):
    return math.log1p(math.exp(x))


BY_HAND = [
    (
        NonSaturating,
        mean([softplus(-r) for r in REAL]) + mean([softplus(f) for f in FAKE]),
        mean([softplus(-f) for f in FAKE]),
    ),
    (Hinge, mean([max(0, 1 - r) for r in REAL]) + mean([max(0, 1 + f) for f in FAKE]), -mean(FAKE)),
    (
        LeastSquares,
        mean([(r - 1) ** 2 for r in REAL]) / 2 + mean([f**2 for f in FAKE]) / 2,
        mean([(f - 1) ** 2 for f in FAKE]) / 2,
    ),
]


@pytest.mark.parametrize(("loss", "discriminator", "generator"), BY_HAND)
def test_against_a_hand_computation(loss, discriminator, generator):
    real, fake = verdict(torch.tensor(REAL)), verdict(torch.tensor(FAKE))
    assert loss().discriminator(real, fake, MASK).item() == pytest.approx(discriminator, rel=1e-6)
    assert loss().generator(real, fake, MASK).item() == pytest.approx(generator, rel=1e-6)
    twice = Verdict((*fake.logits, torch.zeros(1, 1, 5, 5)))  # a second map, smaller or larger, counts as much
    still = loss().generator(None, verdict(torch.zeros(1)), MASK).item()
    assert loss().generator(None, twice, MASK).item() == pytest.approx((generator + still) / 2, rel=1e-6)


@pytest.mark.parametrize("loss", [NonSaturating, Hinge, LeastSquares])
def test_the_two_sides_pull_in_opposite_directions(loss):
    """The labels are not inverted: the generator's step raises the fake's logit, the discriminator's lowers it."""
    fake = torch.zeros(4, requires_grad=True)
    loss().generator(None, verdict(fake), MASK).backward()
    assert (fake.grad < 0).all()
    real, fake = torch.zeros(4, requires_grad=True), torch.full((4,), 0.5, requires_grad=True)
    loss().discriminator(verdict(real), verdict(fake), MASK).backward()
    assert (fake.grad > 0).all() and (real.grad < 0).all()


def test_of_is_checked():
    with pytest.raises(ValueError, match=r"adversarial\.of: 'mask'"):
        Hinge(of="mask")


def test_r1_of_a_quadratic_discriminator():
    class Quadratic(nn.Module):
        def forward(self, image, mask):
            return Verdict((0.5 * image.square().sum(dim=(1, 2, 3)),))

    image = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    expected = image.square().sum(dim=(1, 2, 3)).mean()  # the gradient of x^2 / 2 is x
    assert torch.allclose(r1_penalty(Quadratic(), image, torch.zeros(5, 1, 4, 4)), expected)


def test_r1_reaches_the_discriminators_weights():
    network = nn.Conv2d(3, 1, 3)
    image = torch.randn(2, 3, 6, 6)

    class Wrapped(nn.Module):
        def forward(self, image, mask):
            return Verdict((network(image),))

    r1_penalty(Wrapped(), image, image[:, :1]).backward()
    assert network.weight.grad.abs().sum() > 0
