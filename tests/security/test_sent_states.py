"""A run folder that somebody sent is gone on with, or refused in a line, whatever its checkpoint says of the training.

The networks and the config in it are those of tests/security/test_malformed_checkpoints.py; this is about the rest.
"""

import functools
import math

import lightning as L
import pytest
import torch
from lightning.pytorch.demos.boring_classes import BoringModel

from inpaint.data.datamodule import PhotosData
from inpaint.files.checkpoint import CheckpointError
from inpaint.masks import Boxes
from inpaint.settings import Refused
from inpaint.training.resume import Start
from inpaint.training.seams import refuse_broken_state

KINDS = {
    "a version that is none": ("pytorch-lightning_version", None),
    "a version of control characters": ("pytorch-lightning_version", "\x1b]52;c;AAAA\x07\n"),
    "loops that are true": ("loops", {"fit_loop": True}),
    "loops whose progress is a number": ("loops", {"fit_loop": {"epoch_progress": 7}}),
    "an optimizer that is a number": ("optimizer_states", [torch.tensor(math.nan)]),
    "an optimizer without groups": ("optimizer_states", [{"state": {}}]),
    "a schedule that is a number": ("lr_schedulers", [7]),
    "callbacks that are a number": ("callbacks", 7),
}


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """What Lightning saves of a run of one update."""
    path = tmp_path_factory.mktemp("run") / "x.ckpt"
    fit(path.parent).save_checkpoint(path)
    return torch.load(path, weights_only=True)


class WithAdam(BoringModel):
    make = functools.partial(torch.optim.Adam, lr=0.1)

    def configure_optimizers(self):
        return self.make(self.parameters())


def fit(folder, path=None, steps=1, model=None):
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "barebones": False}
    trainer = L.Trainer(
        max_steps=steps, accelerator="cpu", enable_model_summary=False, default_root_dir=folder, **quiet
    )
    refuse_broken_state(trainer)
    trainer.fit(model or BoringModel(), ckpt_path=path, weights_only=True)
    return trainer


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_that_cannot_be_taken(kind, state, tmp_path):
    key, value = KINDS[kind]
    torch.save(state | {key: value}, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match=r"^resume: no run can go on with the state in .*x\.ckpt \(\w+") as raised:
        fit(tmp_path, tmp_path / "x.ckpt", steps=2)
    assert len(str(raised.value).splitlines()) == 1 and "\x1b" not in str(raised.value)


def swapped(value):
    """A first average of a layer's weights that is that of another layer."""
    return {"state": {0: {"step": torch.tensor(1.0), "exp_avg": value, "exp_avg_sq": torch.zeros(2, 32)}}}


FORMS = {
    "of another shape": swapped(torch.zeros(2, 16)),
    "turned": swapped(torch.zeros(32, 2)),
    "one number": swapped(torch.tensor(1.0)),
    "a number of Python": swapped(7),
    "a text": swapped("x" * 1_000_000),
    "that lacks one": {"state": {0: {"step": torch.tensor(1.0), "exp_avg": torch.zeros(2, 32)}}},
    "whose steps are many": {"state": {0: swapped(torch.zeros(2, 32))["state"][0] | {"step": torch.zeros(5)}}},
}


@pytest.fixture(scope="module")
def adam(tmp_path_factory):
    """What Lightning saves of a run of one update with Adam."""
    path = tmp_path_factory.mktemp("adam") / "x.ckpt"
    fit(path.parent, model=WithAdam()).save_checkpoint(path)
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize("form", FORMS)
def test_an_optimizer_that_keeps_what_fits_no_parameter(form, adam, tmp_path):
    """torch takes it, and would fail at the first update."""
    (saved,) = adam["optimizer_states"]
    torch.save(adam | {"optimizer_states": [saved | FORMS[form]]}, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match=r"^resume: no run can go on with the state in .*x\.ckpt \(") as raised:
        fit(tmp_path, tmp_path / "x.ckpt", steps=2, model=WithAdam())
    assert len(str(raised.value).splitlines()) == 1 and len(str(raised.value)) < 1000


@pytest.mark.parametrize(
    "name", ["Adam", "AdamW", "SGD", "Adadelta", "RMSprop", "NAdam", "Adafactor", "Adagrad", "RAdam"]
)
def test_every_optimizers_own_state_is_taken(name, tmp_path):
    model = WithAdam()
    model.make = functools.partial(getattr(torch.optim, name), lr=0.1)
    fit(tmp_path, model=model).save_checkpoint(tmp_path / "x.ckpt")
    assert fit(tmp_path, tmp_path / "x.ckpt", steps=2, model=model).global_step == 2


def test_one_that_can(state, tmp_path):
    torch.save(state, tmp_path / "x.ckpt")
    assert fit(tmp_path, tmp_path / "x.ckpt", steps=2).global_step == 2


def test_what_it_says_is_told_in_a_line(tmp_path, capsys):
    """A text of a megabyte, or one for a terminal, as what the run computed with or was set to."""
    evil = "\x1b]0;title\x07" + "x" * 1_000_000
    start = Start(tmp_path, "auto")
    start.path, start.checkpoint = tmp_path, {"inpaint": {"arithmetic": {"threads": evil}, "version": "0", "update": 1}}
    start.config = {"trainer": {"max_steps": evil, evil: 1}, "data": {"root": evil}}
    start.introduce({"threads": 1}, {})
    with pytest.raises(Refused) as raised:
        start.compare({"trainer": {"max_steps": 2}, "data": {"root": "x"}})
    printed = capsys.readouterr().out
    assert "threads" in printed and len(printed) < 1000 and len(str(raised.value)) < 2000
    assert "\x1b" not in printed + str(raised.value)


def test_a_billion_crops():
    data = PhotosData(crop=32, validation_crops=1_000_000_000, masks=Boxes())
    with pytest.raises(Refused, match=r"^data\.validation_crops: \d+ crops in all are more than"):
        data.setup("validate")
