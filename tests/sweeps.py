"""Sweeps in the tests' own process, with stubs for training and a config that composes quickly."""

import copy
import sys
from types import SimpleNamespace

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton

from inpaint.cli.command import command
from inpaint.config import conf_dir

STUB = """
defaults: [{paths: default}, {hydra: default}, _self_]
seed: 0
name: stub
width: 8
lr: 0.1
losses: {}
callbacks: {}
trainer: {max_steps: 10, val_check_interval: 5, devices: 1}
"""
# Real runs in no time.
TINY = (
    "generator=context_encoder", "+debug=tiny", "generator.width=8", "discriminator.width=8", "trainer.max_steps=2",
    "data.crop=24", "data.crops_per_image=1", "trainer.accelerator=cpu", "scheduler@generator_scheduler=none",
    "generator.bottleneck=16",
)  # fmt: skip


@pytest.fixture
def start(tmp_path, monkeypatch, capfd):
    """`inpaint-NAME -m ...` with `run(cfg)` for what it does: exit code and what was printed."""
    monkeypatch.chdir(tmp_path)
    Plugins.instance()  # found once, not for each command
    load, composed = ConfigLoaderImpl.load_configuration, {}

    def once(self, config_name, overrides, run_mode, **settings):
        """The config of a job is composed to see whether it is valid, and when it begins."""
        key = config_name, tuple(overrides), run_mode, *settings.items()
        if key not in composed:
            composed[key] = load(self, config_name, overrides, run_mode, **settings)
        return copy.deepcopy(composed[key])

    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", once)

    def start(run, *arguments, name="train"):
        monkeypatch.setattr(sys, "argv", [f"inpaint-{name}", "-m", "hydra.sweep.dir=sweep", *arguments])
        state, code = Singleton.get_state(), 0
        composed.clear()
        try:
            command(name, run)
        except SystemExit as end:
            code = end.code
        finally:
            GlobalHydra.instance().clear()
            Singleton.set_state(state)
        printed = capfd.readouterr()
        return SimpleNamespace(code=code, out=printed.out, err=printed.err)

    return start


@pytest.fixture
def sweep(start, tmp_path, monkeypatch):
    """The same with the config above."""
    folder = stub_conf(tmp_path / "conf")
    for module in ("config", "cli.command"):
        monkeypatch.setattr(f"inpaint.{module}.conf_dir", lambda: folder)
    return start


def stub_conf(folder):
    """The config above in a folder, beside the groups of a sweep."""
    if not folder.exists():
        folder.mkdir()
        (folder / "train.yaml").write_text(STUB)
        for group in ("hydra", "paths", "sweep"):
            (folder / group).symlink_to(conf_dir() / group)
    return folder
