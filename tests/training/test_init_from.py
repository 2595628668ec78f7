"""`init_from`: a run that begins with the networks of another one."""

import pytest
import torch

from inpaint import rng
from inpaint.files import checkpoint
from inpaint.losses.adversarial import NonSaturating
from inpaint.losses.reconstruction import L1
from inpaint.networks.discriminators import Patch
from inpaint.networks.generators.context_encoder import ContextEncoder
from inpaint.networks.generators.partial_conv import PartialConvUNet
from inpaint.training.gan import InpaintingGAN
from inpaint.training.resume import begin_with


def make(seed, generator=PartialConvUNet, **settings):
    rng.seed_all(seed)

    def adam(parameters):
        return torch.optim.Adam(parameters)

    network = generator(**({"width": 4, "levels": 2} | settings))
    players = {"discriminator": Patch(width=4), "adversarial": NonSaturating(), "discriminator_optimizer": adam}
    return InpaintingGAN(network, {"l1": L1()}, adam, **players)


@pytest.fixture
def other(tmp_path):
    """A run whose moving average is apart from its generator, and its file."""
    module = make(1)
    for parameter in module.ema.network.parameters():
        parameter.data.add_(0.5)
    state = {"state_dict": module.state_dict()}
    checkpoint.stamp(state, {}, 1)
    torch.save(state, tmp_path / "other.ckpt")
    return module, str(tmp_path / "other.ckpt")


def equal(one, two):
    theirs = two.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in one.state_dict().items())


def test_the_generator_begins_with_the_moving_average(other, capsys):
    source, path = other
    module = make(2)
    begin_with(checkpoint.load(path), path, module, discriminator=True)
    assert equal(module.generator, source.ema.network) and equal(module.ema.network, source.ema.network)
    assert equal(module.discriminator, source.discriminator)
    said = capsys.readouterr().out
    assert "tensors of the generator\n" in said and "tensors of the discriminator\n" in said


def test_the_discriminator_may_be_a_new_one(other, capsys):
    source, path = other
    module, untouched = make(2), make(2)
    begin_with(checkpoint.load(path), path, module, discriminator=False)
    assert equal(module.generator, source.ema.network) and equal(module.discriminator, untouched.discriminator)
    assert "discriminator" not in capsys.readouterr().out


def test_what_does_not_fit_stays_new_and_is_said(other, capsys):
    source, path = other
    module, untouched = make(2, levels=3), make(2, levels=3)
    begin_with(checkpoint.load(path), path, module, discriminator=True)
    before, theirs = untouched.generator.state_dict(), source.ema.network.state_dict()
    taken = {name for name, value in module.generator.state_dict().items() if not torch.equal(value, before[name])}
    assert taken and taken < set(before)
    assert all(torch.equal(module.generator.state_dict()[name], theirs[name]) for name in taken)
    assert f"of {len(before)} tensors of the generator; new: " in capsys.readouterr().out
    begin_with(checkpoint.load(path), path, make(2, levels=1), discriminator=False)
    told = capsys.readouterr().out
    gone = sorted({*theirs} - {*make(2, levels=1).generator.state_dict()})
    assert "; left behind: " in told and gone[0] in told
    with pytest.raises(ValueError, match=r"^init_from: nothing in .* fits ContextEncoder"):
        begin_with(checkpoint.load(path), path, make(2, ContextEncoder, levels=2), discriminator=True)
