"""A checkpoint of an earlier release loads, or is refused with its version named.

``format_1.ckpt`` was written by inpaint 0.1.0: ``inpaint-train`` with the settings below, three updates.
"""

import json
import shutil
from pathlib import Path

import hydra
import pytest
import torch
import yaml

from inpaint import __version__
from inpaint.compare.runs import read
from inpaint.config.sent import load_generator
from inpaint.files import checkpoint
from inpaint.files.checkpoint import CheckpointError
from inpaint.provenance import FORMER, renamed
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


def targets(node):
    """Every class that a config names."""
    if isinstance(node, dict):
        yield from [node["_target_"]] if "_target_" in node else []
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else []:
        yield from targets(child)


def test_its_classes_have_their_names_of_now():
    """But for what is gone: the record itself stays as it is."""
    loaded = checkpoint.load(OLD)
    assert "inpaint.module.InpaintingGAN" in loaded["inpaint"]["config"]
    named = {*targets(checkpoint.config_of(loaded))}
    assert "inpaint.training.gan.InpaintingGAN" in named and not named & {*FORMER}


def test_former_names_lead_to_classes():
    for former, name in FORMER.items():
        assert isinstance(hydra.utils.get_class(name), type) and former.split(".")[-1] == name.split(".")[-1]
    assert renamed({"_target_": ["inpaint.module.InpaintingGAN"]}) == {"_target_": ["inpaint.module.InpaintingGAN"]}


def test_a_run_with_former_names_and_without_later_groups_is_the_same_run(tmp_path, capfd):
    """Finished, it is found finished; continued, nothing is said of its classes; and it paints the same bits."""
    now = {name: former for former, name in FORMER.items()}
    folder, settings = tmp_path / "run", [*SETTINGS, "trainer.max_steps=2", f"hydra.run.dir={tmp_path}/run"]
    assert command(train, *settings) == 0
    (path,) = (folder / "checkpoints").glob("*.ckpt")
    held = checkpoint.load(path)

    def aged(node):
        if isinstance(node, dict):
            return {k: now.get(v, v) if k == "_target_" else aged(v) for k, v in node.items()}
        return [aged(child) for child in node] if isinstance(node, list) else node

    config = aged(checkpoint.config_of(held))
    assert {"inpaint.module.InpaintingGAN", "inpaint.saving.SaveCheckpoint"} < {*targets(config)}
    assert config.pop("figures") == {}, "a group that there was not yet"
    old = {**held, "inpaint": {**held["inpaint"], "config": json.dumps(config)}}
    checkpoint.delete(path)
    checkpoint.write(old, path)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))

    (ours,) = read(folder)
    assert not {*targets(ours.config)} & {*FORMER}
    image, mask = torch.rand(1, 3, 32, 32) * 2 - 1, torch.zeros(1, 1, 32, 32)
    mask[..., 8:20, 8:20] = 1
    painted = [load_generator(state)(image, mask).composite for state in (held, checkpoint.load(path))]
    assert torch.equal(*painted)

    capfd.readouterr()
    assert command(train, *settings) == 0
    assert "run is finished, nothing to do" in capfd.readouterr().out
    assert command(train, *settings, "trainer.max_steps=3") == 0
    told = [line for line in capfd.readouterr().out.splitlines() if "changed since: " in line]
    assert told == [
        "  changed since: generator_scheduler.steps 2 -> 3",
        "  changed since: trainer.max_steps 2 -> 3",
    ]


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
