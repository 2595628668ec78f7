"""The norm that is reported and clipped by is that of a computation by hand."""

import math

import pytest
import torch

from inpaint.losses.reconstruction import L1
from tests.reliability.ranks import fit, loader, rows
from tests.training.gan import tiny


@pytest.mark.parametrize("clip", [None, 0.01, 1e6])
def test_norm_and_step(clip):
    """One step of SGD at rate 1: the step is the clipped gradient, at most `clip` long."""
    parts = {"discriminator": None, "adversarial": None, "discriminator_optimizer": None, "losses": {"l1": L1(100.0)}}
    module = tiny(**parts, generator_clip=clip, generator_optimizer=lambda p: torch.optim.SGD(p, 1.0))
    before = [parameter.detach().clone() for parameter in module.generator.parameters()]
    batch = next(iter(loader(rows(4), 4)))
    loss = module.losses["l1"](module(batch), batch) * 100.0
    gradients = torch.autograd.grad(loss, list(module.generator.parameters()), allow_unused=True)
    by_hand = math.sqrt(sum(value.double().square().sum().item() for value in gradients if value is not None))

    fit(module, loader(rows(4), 4), 1)
    assert module.figures["generator_gradient"].item() == pytest.approx(by_hand, rel=1e-5)
    factor = 1.0 if clip is None else min(1.0, clip / (by_hand + 1e-6))
    for parameter, start, gradient in zip(module.generator.parameters(), before, gradients, strict=True):
        step = torch.zeros_like(start) if gradient is None else factor * gradient
        assert torch.allclose(start - parameter, step, rtol=1e-3, atol=1e-6)


def test_an_exploding_gradient_is_reported_whole_and_steps_little():
    module = tiny(losses={"l1": L1(1e12)}, generator_clip=0.5, generator_optimizer=lambda p: torch.optim.SGD(p, 1.0))
    before = torch.cat([parameter.detach().flatten() for parameter in module.generator.parameters()])
    fit(module, loader(rows(4), 4), 1)
    after = torch.cat([parameter.detach().flatten() for parameter in module.generator.parameters()])
    assert module.figures["generator_gradient"] > 1e9
    assert (after - before).norm().item() == pytest.approx(0.5, rel=1e-3)
