"""Sweeps in this process, with stubs for training and no more config than they need, which composes quickly."""

import sys
from types import SimpleNamespace

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.singleton import Singleton

from inpaint.config import command, conf_dir

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


@pytest.fixture
def sweep(tmp_path, monkeypatch, capfd):
    """`inpaint-train -m ...` with the config above and `run(cfg)` for training: exit code and what was printed."""
    monkeypatch.chdir(tmp_path)
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "train.yaml").write_text(STUB)
    for group in ("hydra", "paths", "sweep"):
        (conf / group).symlink_to(conf_dir() / group)
    monkeypatch.setattr("inpaint.config.conf_dir", lambda: conf)

    def start(run, *arguments):
        monkeypatch.setattr(sys, "argv", ["inpaint-train", "-m", "hydra.sweep.dir=sweep", *arguments])
        state, code = Singleton.get_state(), 0
        try:
            command("train", run)
        except SystemExit as end:
            code = end.code
        finally:
            GlobalHydra.instance().clear()
            Singleton.set_state(state)
        printed = capfd.readouterr()
        return SimpleNamespace(code=code, out=printed.out, err=printed.err)

    return start
