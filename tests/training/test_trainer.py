"""How a run computes: what `auto` takes on which hardware, and that each choice computes the same network."""

from functools import partial

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn
from torch.utils.data import DataLoader

from inpaint.batch import Batch
from inpaint.losses.adversarial import Wasserstein
from inpaint.networks.generators.fourier import LaMa
from inpaint.settings import Refused
from inpaint.training import trainer
from inpaint.training.trainer import (
    REFERENCE,
    Trainer,
    _blocks,
    gradient_is_right,
    multiplies_bfloat16,
    settle,
    wrong_gradients,
)
from tests.options import compose
from tests.reliability.runs import assert_same, run
from tests.training.gan import tiny
from tests.training.updates import samples

ADAM = partial(torch.optim.Adam, lr=1e-3)
QUIET = {
    "accelerator": "cpu",
    "max_epochs": -1,
    "logger": False,
    **dict.fromkeys(("enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False),
}
FAST = {"precision": "bf16-mixed", "memory_format": "channels_last", "fused": True}


def batch():
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 8:20, 8:20] = 1
    return Batch(image=torch.linspace(-1, 1, 3 * 32 * 32).view(1, 3, 32, 32), mask=mask, index=torch.zeros(1).long())


def settled(module=None, **settings):
    cfg = OmegaConf.create({"accelerator": "cpu", **{name: "auto" for name in REFERENCE}, **settings})
    settle(cfg, module or tiny(), batch)
    return {name: cfg[name] for name in REFERENCE}


def fit(module, updates=3, **settings):
    made = Trainer(max_steps=updates, **QUIET, **settings)
    made.fit(module, DataLoader(samples(12, 16), batch_size=4))
    return module


# ---- what is chosen --------------------------------------------------------------------------------------------------


@pytest.fixture
def hardware(monkeypatch, exact_arithmetic):
    """The machine multiplies bfloat16, or does not."""

    def has(bfloat16):
        monkeypatch.setattr(trainer, "fastest", exact_arithmetic)
        monkeypatch.setattr(trainer, "multiplies_bfloat16", lambda device: bfloat16)

    return has


@pytest.mark.parametrize(("bfloat16", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
def test_auto_follows_the_processor_and_is_said(hardware, caplog, bfloat16, precision):
    hardware(bfloat16)
    caplog.set_level("INFO")
    chosen = settled()
    assert chosen == {
        "precision": precision,
        "memory_format": "channels_last",
        "fused": True,
        "compile": False,
        "tf32": False,
    }
    (line,) = [record.getMessage() for record in caplog.records if record.name == "inpaint.training.trainer"]
    assert f"precision={precision}, memory_format=channels_last, fused=true" in line and "trainer=reference" in line


def test_a_value_of_the_users_own_stays_and_only_the_others_are_chosen(hardware, caplog):
    hardware(True)
    caplog.set_level("INFO")
    assert settled(precision="32-true", compile=True) | {"fused": None} == {
        "precision": "32-true",
        "memory_format": "channels_last",
        "fused": None,
        "compile": True,
        "tf32": False,
    }
    assert "precision" not in caplog.text and settled(**REFERENCE) == REFERENCE


@pytest.mark.parametrize(("accelerator", "layout"), [("cpu", "contiguous"), ("cuda", "channels_last")])
def test_a_generator_says_how_it_lies_best_on_a_processor_alone(hardware, accelerator, layout):
    hardware(False)
    module = tiny(generator=LaMa(blocks=1, width=8))
    assert settled(module, accelerator=accelerator)["memory_format"] == layout
    assert settled(module, memory_format="channels_last")["memory_format"] == "channels_last"


@pytest.mark.parametrize("bfloat16", [True, False])
def test_bfloat16_that_was_asked_for_is_warned_of_where_the_processor_has_none(hardware, caplog, bfloat16):
    hardware(bfloat16)
    assert settled(precision="bf16-mixed")["precision"] == "bf16-mixed"
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warned) == (not bfloat16) and all("many times slower" in line for line in warned)


class Bottleneck(nn.Module):
    """A discriminator that strides to one position."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 16, 16))

    def forward(self, image, mask):
        from inpaint.batch import Verdict

        return Verdict((self.layers(image),))


@pytest.mark.parametrize("precision", ["auto", "bf16-mixed"])
def test_bfloat16_is_not_taken_where_the_processor_has_a_gradient_wrong(hardware, monkeypatch, caplog, precision):
    hardware(True)
    monkeypatch.setattr(trainer, "gradient_is_right", lambda layer, size: layer.stride == (2, 2))
    caplog.set_level("INFO")
    module = tiny(discriminator=Bottleneck())
    assert module.discriminator.training
    chosen = settled(module, precision=precision)
    assert chosen["precision"] == ("32-true" if precision == "auto" else "bf16-mixed")
    assert "gradients of discriminator.layers.1 are wrong on this processor" in caplog.text
    assert module.discriminator.training and wrong_gradients(tiny(), batch()) is None  # it has no such layer


def test_gradients_of_convolutions_are_compared_with_float32(monkeypatch):
    layer = nn.Conv2d(8, 8, 3, 1, 1)
    assert gradient_is_right(layer, torch.Size((1, 8, 6, 6)))
    convolve = nn.functional.conv2d

    def garbled(image, weight, *arguments):
        return convolve(image, weight, *arguments) * (1.5 if weight.dtype == torch.bfloat16 else 1.0)

    monkeypatch.setattr(nn.functional, "conv2d", garbled)
    assert not gradient_is_right(layer, torch.Size((1, 8, 6, 6)))


def test_the_three_options():
    assert {name: compose("trainer=reference").trainer[name] for name in REFERENCE} == REFERENCE
    assert {name: compose().trainer[name] for name in REFERENCE} == dict.fromkeys(REFERENCE, "auto")
    fast = compose("trainer=fast").trainer
    assert {name: fast[name] for name in REFERENCE} == {**FAST, "compile": True, "tf32": True}
    assert isinstance(multiplies_bfloat16("cpu"), bool)


# ---- what it does ----------------------------------------------------------------------------------------------------


def test_channels_last_and_one_kernel_a_step_compute_the_same_network():
    plain, other = (
        fit(tiny(generator_optimizer=ADAM, discriminator_optimizer=ADAM), **settings)
        for settings in ({}, {"memory_format": "channels_last", "fused": True})
    )
    kernels = [p for p in (*other.generator.parameters(), *other.ema.parameters()) if p.dim() == 4 and p.shape[1] > 1]
    assert kernels and all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels)
    assert [o.param_groups[0]["fused"] for o in other.optimizers()] == [True, True]
    assert [o.param_groups[0]["fused"] for o in plain.optimizers()] == [None, None]
    for (name, one), two in zip(plain.state_dict().items(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-4, msg=name)


def test_moments_of_a_checkpoint_are_laid_out_as_the_weights(tmp_path):
    """A run in channels_last goes on in another layout as it would have in its own."""
    kept, ended = tmp_path / "run.ckpt", []
    for layout in ("channels_last", "channels_last", "contiguous"):
        module = tiny(generator_optimizer=ADAM, discriminator_optimizer=ADAM)
        made = Trainer(memory_format=layout, fused=True, max_steps=4 if kept.exists() else 2, **QUIET)
        made.fit(module, DataLoader(samples(16, 16), batch_size=4), ckpt_path=kept if kept.exists() else None)
        if kept.exists():
            ended.append(module.state_dict())
        else:
            made.save_checkpoint(kept)
    for (name, own), other in zip(ended[0].items(), ended[1].values(), strict=True):
        torch.testing.assert_close(other, own, rtol=1e-3, atol=1e-4, msg=name)


def test_an_optimizer_that_says_how_it_steps_or_cannot_be_fused_is_left_alone():
    each = partial(torch.optim.Adam, lr=1e-3, foreach=True)
    module = fit(
        tiny(generator_optimizer=each, discriminator_optimizer=partial(torch.optim.Adadelta, lr=1.0)), fused=True
    )
    first, second = (optimizer.param_groups[0] for optimizer in module.optimizers())
    assert first["foreach"] is True and not first["fused"] and "fused" not in second


def test_products_are_as_before_afterwards():
    before = torch.get_float32_matmul_precision()
    seen = []

    class Look(trainer.Callback):
        def on_train_start(self, *_):
            seen.append(torch.get_float32_matmul_precision())

    fit(tiny(), 1, tf32=True, callbacks=[Look()])
    assert seen == ["high"] and torch.get_float32_matmul_precision() == before


def test_another_layout_is_refused():
    with pytest.raises(Refused, match=r"trainer\.memory_format"):
        Trainer(memory_format="channels_first")


@pytest.mark.parametrize("settings", [{}, FAST], ids=["reference", "fast"])
def test_a_run_goes_on_to_the_same_bits(tmp_path, settings):
    run(tmp_path / "whole", 6, **settings)
    run(tmp_path / "parts", 3, **settings)
    run(tmp_path / "parts", 6, **settings)
    assert_same(tmp_path / "parts", tmp_path / "whole")


@pytest.mark.slow
def test_compiled_blocks_compute_the_same_network():
    game = {"adversarial": Wasserstein(weight=0.1), "r1_gamma": 1.0, "r1_every": 2}
    plain, compiled = (fit(tiny(**game), 3, compile=compile) for compile in (False, True))
    for (name, one), two in zip(plain.state_dict().items(), compiled.state_dict().values(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-4, msg=name)


def test_what_is_computed_twice_is_compiled_by_its_layers():
    names = [
        {next(name for name, module in network.named_modules() if module is block) for block in _blocks(network)}
        for network in (LaMa(blocks=2, width=4, checkpointing=way) for way in (False, True))
    ]
    assert names[0] == {"encoder", "middle", "decoder"}
    assert {"encoder.0", "middle.0", "middle.1"} < names[1] and "middle" not in names[1]
