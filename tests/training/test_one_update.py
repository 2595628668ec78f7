"""Every generator, discriminator, adversarial loss and loss of conf/ plays real updates in mixed precision.

In float32 they play one in `test_conf`, with all other groups.
"""

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from inpaint import rng
from inpaint.losses.evidence import KL
from inpaint.losses.perceptual import Perceptual, Style
from inpaint.losses.reconstruction import L1
from inpaint.networks.discriminators import Patch
from tests.options import TINY, generator_for, option, options, others, samples, trainable
from tests.training.gan import tiny


def adam(parameters):
    return torch.optim.Adam(parameters, lr=1e-3)


def make(**parts):
    return tiny(**({"discriminator": Patch(width=4, layers=2)} | parts))


def fit(module, updates=2):
    trainer = L.Trainer(
        max_steps=updates,
        accelerator="cpu",
        precision="bf16-mixed",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(samples(), batch_size=3))
    assert trainer.global_step == updates
    assert all(parameter.isfinite().all() for parameter in module.parameters())


@pytest.mark.parametrize("name", [name for name in options("generator") if trainable(name)])
def test_generators(name):
    rng.seed_all(0)
    generator = option("generator", name, **TINY)
    returns = getattr(generator, "returns", ())
    losses = {field: KL() if field == "posterior" else L1(of=field) for field in ("output", *returns)}
    before = {key: value.clone() for key, value in generator.named_parameters()}
    fit(make(generator=generator, losses=losses, generator_optimizer=adam))
    moved = [not torch.equal(value, before[key]) for key, value in generator.named_parameters()]
    assert sum(moved) > len(moved) / 2  # some begin behind a layer of zeros


@pytest.mark.parametrize("name", others("discriminator"))
def test_discriminators(name):
    module = make(discriminator=option("discriminator", name, width=4, hidden=8))
    before = {key: value.clone() for key, value in module.discriminator.named_parameters()}
    fit(module)
    for key, value in module.discriminator.named_parameters():
        assert value.dim() < 2 or not torch.equal(value, before[key]), f"{key} did not move"


@pytest.mark.parametrize("name", others("adversarial"))
def test_adversarial_losses(name):
    fit(make(losses={}, adversarial=option("adversarial", name)))


@pytest.mark.parametrize("name", options("losses"))
def test_losses(name):
    term = option("losses", name, weights="random")
    fit(make(losses={name: term}, **generator_for(term)))


def test_backbones_are_in_no_checkpoint_and_in_no_optimizer():
    small = {"weights": "random", "layers": ["relu1_1"]}
    with_backbone = make(losses={"perceptual": Perceptual(**small), "style": Style(**small)})
    without = make()
    assert with_backbone.losses["perceptual"].backbone is with_backbone.losses["style"].backbone
    assert with_backbone.state_dict().keys() == without.state_dict().keys()
    assert len(list(with_backbone.parameters())) == len(list(without.parameters()))
    assert len(list(with_backbone.buffers())) == len(list(without.buffers()))
    before = [p.clone() for p in with_backbone.losses["style"].backbone.parameters()]
    fit(with_backbone)
    after = with_backbone.losses["style"].backbone.parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    with_backbone.double()
    assert all(p.dtype == torch.float64 for p in after)
