"""Every argument of `lightning.Trainer` has its row: it works here, or it is refused with what to use."""

import inspect

import lightning as L
import pytest

from inpaint.config import check
from inpaint.config.trainer_arguments import REFUSED, SUPPLIED, WORKS
from inpaint.settings import ConfigError
from tests.options import compose

# A value that is refused, and what the message names in its place.
OTHERS = {
    "max_steps": (0, "inpaint-evaluate"),
    "max_epochs": (0, "inpaint-evaluate"),
    "limit_train_batches": (0, "leave it out"),
    "precision": ("16-mixed", "bf16-mixed"),
    "strategy": ("fsdp", "ddp"),
    "gradient_clip_val": (1.0, "module.generator_clip"),
    "gradient_clip_algorithm": ("value", "module.generator_clip"),
    "accumulate_grad_batches": (2, "module.accumulate"),
    "fast_dev_run": (True, "+debug=tiny"),
    "overfit_batches": (1, "data.root=DIR"),
    "limit_test_batches": (2, "inpaint-evaluate"),
    "limit_predict_batches": (2, "inpaint-predict"),
    "val_check_interval": (0.5, "auto"),
    "check_val_every_n_epoch": (1, "trainer.val_check_interval"),
    "enable_checkpointing": (True, "callbacks.checkpoint"),
    "enable_progress_bar": (True, "callbacks.progress"),
    "use_distributed_sampler": (True, "sampler"),
    "barebones": (True, "callbacks.NAME=null"),
    "plugins": ("MixedPrecision", "trainer.precision"),
    "sync_batchnorm": (True, "another norm"),
    "reload_dataloaders_every_n_epochs": (1, "drawn anew"),
    "default_root_dir": ("somewhere", "hydra.run.dir=DIR"),
    "model_registry": ("mine", "logger=wandb"),
}


def test_every_argument_has_one_row():
    arguments = [name for name in inspect.signature(L.Trainer.__init__).parameters if name != "self"]
    assert sorted([*WORKS, *REFUSED, *SUPPLIED]) == sorted(arguments)
    assert {*OTHERS} == {*REFUSED}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_chosen_by_default_is_taken_and_another_value_is_not(name):
    ours = compose().trainer
    assert name not in ours or REFUSED[name].takes(ours[name])
    default = inspect.signature(L.Trainer.__init__).parameters[name].default
    if name not in (
        "precision",
        "val_check_interval",
        "check_val_every_n_epoch",
        "use_distributed_sampler",
    ):  # ours differ
        assert REFUSED[name].takes(default)
    value, instead = OTHERS[name]
    assert not REFUSED[name].takes(value) and instead in REFUSED[name].instead


def test_a_run_with_them_is_refused_before_anything_is_built():
    cfg = compose()
    check(cfg)
    chosen = {name: OTHERS[name] for name in ("overfit_batches", "enable_checkpointing", "gradient_clip_algorithm")}
    cfg = compose(*(f"++trainer.{name}={str(value).lower()}" for name, (value, _) in chosen.items()))
    with pytest.raises(ConfigError) as refused:
        check(cfg)
    lines = str(refused.value).splitlines()
    assert sorted(line.split(":")[0] for line in lines) == sorted(f"trainer.{name}" for name in chosen)
