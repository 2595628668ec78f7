"""Every generator of conf/ plays two real updates, in float32 and in mixed precision, against a patch discriminator."""

import hydra
import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from inpaint import rng
from inpaint.losses.adversarial import NonSaturating
from inpaint.losses.reconstruction import L1
from inpaint.module import InpaintingGAN
from inpaint.networks.discriminators import Patch
from tests.test_conf import compose, options, tiny, trainable


def samples(count=4, size=64):
    generator = torch.Generator().manual_seed(3)
    rows = []
    for index in range(count):
        mask = torch.zeros(1, size, size)
        mask[:, 18 + index : 44, 20:46] = 1
        rows.append({"image": torch.rand(3, size, size, generator=generator) * 2 - 1, "mask": mask, "index": index})
    return rows


def adam(parameters):
    return torch.optim.Adam(parameters, 1e-3)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("option", [option for option in options("generator") if trainable(option)])
def test_two_updates(option, precision):
    cfg = compose(f"generator={option}", *tiny(option))
    rng.seed_all(0)
    generator = hydra.utils.instantiate(cfg.generator, _convert_="all")
    losses = {field: L1(of=field) for field in ("output", *getattr(generator, "returns", ()))}
    parts = {"discriminator": Patch(width=4, layers=2), "discriminator_optimizer": adam}
    module = InpaintingGAN(generator, losses, adam, adversarial=NonSaturating(weight=0.1), **parts)
    before = {name: value.clone() for name, value in generator.named_parameters()}
    trainer = L.Trainer(
        max_steps=2,
        accelerator="cpu",
        precision=precision,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(samples(), batch_size=2))
    assert trainer.global_step == 2
    after = dict(generator.named_parameters())
    assert all(value.isfinite().all() for value in after.values())
    assert sum(not torch.equal(value, before[name]) for name, value in after.items()) > len(before) / 2
