"""A checkpoint of an earlier release loads, or is refused with its version named.

``format_1.ckpt`` was written by inpaint 0.1.0: ``inpaint-train`` with the settings below, three updates.
"""

import shutil
from pathlib import Path

import pytest
import torch

from inpaint import __version__, checkpoint
from inpaint.checkpoint import CheckpointError
from inpaint.config import load_generator
from tests.reliability.runs import command, train

OLD = Path(__file__).with_name("format_1.ckpt")
SETTINGS = [
    *("generator.width=2", "generator.levels=1", "discriminator=none", "adversarial=none", "baselines=[]"),
    *("data.crop=32", "data.crops_per_image=1", "data.validation_crops=1", "data.batch_size=4", "name=old"),
    *("callbacks.panel.samples=1", "trainer.val_check_interval=2", "trainer.accelerator=cpu"),
]


def test_it_loads_and_paints():
    loaded = checkpoint.load(OLD)
    assert loaded["inpaint"]["version"] == "0.1.0" and loaded["inpaint"]["update"] == 3
    generator = load_generator(loaded)
    image, mask = torch.zeros(1, 3, 32, 32), torch.zeros(1, 1, 32, 32)
    mask[..., 8:20, 8:20] = 1
    assert generator(image, mask).composite.isfinite().all()


def test_training_goes_on_or_says_what_is_different(tmp_path, capfd):
    """A setting that is new since then makes another run of it, unless it is one that may change."""
    code = command(train, *SETTINGS, f"resume={OLD}", "trainer.max_steps=4", f"hydra.run.dir={tmp_path}")
    told = capfd.readouterr()
    if code == 0:
        assert "going on from " in told.out and OLD.name in told.out
        assert checkpoint.load(tmp_path)["inpaint"]["update"] == 4
    else:
        assert code == 2 and "belongs to another run (" in told.err
        assert __version__ == "0.1.0" or "of inpaint 0.1.0" in told.err


def test_a_newer_format_is_refused_with_its_version(tmp_path):
    loaded = checkpoint.load(OLD)
    loaded["inpaint"] |= {"format": checkpoint.FORMAT + 1, "version": "9.8.7"}
    torch.save(loaded, tmp_path / "update_00000009.ckpt")
    shutil.copy(OLD, tmp_path / "update_00000003.ckpt")
    with pytest.raises(CheckpointError, match=rf"format {checkpoint.FORMAT + 1}, of inpaint 9\.8\.7; this is inpaint "):
        checkpoint.load(tmp_path / "update_00000009.ckpt")
    refused = []
    assert checkpoint.newest(tmp_path, refused)[0].name == "update_00000003.ckpt"
    assert "9.8.7" in refused[0]


def test_what_is_written_now_says_so():
    state = {}
    checkpoint.stamp(state, {}, 3)
    assert (state["inpaint"]["format"], state["inpaint"]["version"]) == (checkpoint.FORMAT, __version__)
