"""What an update must not do, and what cannot be put together: `inpaint.training.gan`."""

import pytest
import torch
from torch import nn

from inpaint.losses.adversarial import Hinge
from inpaint.losses.reconstruction import L1
from inpaint.training.finite import NonFiniteError
from tests.training.gan import tiny
from tests.training.updates import changed, fit, make, weights


@pytest.mark.parametrize("where", ["loss", "gradient", "discriminator"])
def test_not_finite_stops_before_any_weight_changes(where):
    class Poison(nn.Module):
        weight, needs = 1.0, frozenset()

        def forward(self, outputs, batch):
            value = outputs.output.abs().mean()
            if where == "gradient":
                # sqrt has an infinite slope at 0, and 0 * inf is NaN: the value is finite, the gradient is not.
                return value + 0 * torch.sqrt(outputs.output - outputs.output.detach()).sum()
            return value * torch.nan

    module = make(losses={"l1": L1()} if where == "discriminator" else {"poison": Poison()}, adversarial=True)
    if where == "discriminator":
        module.discriminator.last.bias.data.fill_(torch.nan)
    before = weights(module.generator)
    expected = {"loss": "loss poison", "gradient": "a gradient", "discriminator": "loss discriminator"}[where]
    with pytest.raises(NonFiniteError, match=rf"update 0, (generator|discriminator) phase: (the )?{expected} is NaN"):
        fit(module, 2)
    assert not changed(before, module.generator)
    assert all(p.requires_grad for p in module.generator.parameters())


def test_an_error_in_a_phase_unfreezes_the_other_network():
    class Broken(nn.Module):
        weight, needs = 1.0, frozenset()

        def forward(self, outputs, batch):
            raise RuntimeError("broken term")

    module = make(losses={"broken": Broken()})
    with pytest.raises(RuntimeError, match="broken term"):
        fit(module, 1)
    assert all(p.requires_grad for p in module.discriminator.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"adversarial": None}, "discriminator, adversarial"),
        ({"discriminator": None}, "discriminator, adversarial"),
        ({"discriminator_optimizer": None}, "discriminator_optimizer"),
        ({"losses": {}, "discriminator": None, "adversarial": None}, "losses: nothing to train by"),
        ({"accumulate": 0}, r"module\.accumulate"),
        ({"r1_every": 0}, r"module\.r1_every"),
        ({"accumulate": 2.5}, r"module\.accumulate: 2\.5 is no whole number from 1 up"),
        ({"generator_every": "two"}, r"module\.generator_every: 'two' is no whole number"),
        ({"adversarial_start": -1}, r"module\.adversarial_start: -1 is no whole number from 0 up"),
        ({"generator_clip": 0}, r"module\.generator_clip: 0 is no number above 0"),
        ({"discriminator_clip": -1.0}, r"module\.discriminator_clip: -1\.0 is no number above 0"),
        ({"generator_clip": "one"}, r"module\.generator_clip: 'one' is no number above 0"),
        ({"r1_gamma": -10}, r"module\.r1_gamma: -10 is no number above 0"),
        ({"r1_of": "median"}, r"module\.r1_of: give one of mean, sum; got 'median'"),
        ({"generator": nn.Identity()}, "no parameters to train"),
    ],
)
def test_impossible_combinations(settings, message):
    with pytest.raises(ValueError, match=message):
        tiny(**({"adversarial": Hinge()} | settings))


@pytest.mark.parametrize(("rate", "message"), [(-1, "Invalid learning rate: -1"), ("fast", "not supported between")])
def test_an_impossible_optimizer_is_named(rate, message):
    module = make(discriminator_optimizer=lambda parameters: torch.optim.Adam(parameters, lr=rate))
    with pytest.raises(ValueError, match=f"^discriminator_optimizer: .*{message}"):
        module.configure_optimizers()


def test_a_loss_that_needs_what_nobody_returns():
    class Needy(nn.Module):
        weight, needs = 1.0, frozenset({"features"})

    with pytest.raises(ValueError, match=r"losses\.needy: needs \['features'\]"):
        make(losses={"needy": Needy()})
