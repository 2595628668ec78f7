"""Each job of a sweep is a run of its own, in the sweep's group, failed if it failed, without secrets.

Real: `inpaint-train -m` with a job whose loss becomes infinite, wandb's client. Stand-ins: the secrets; what a
signal or a pruner raises in the middle of training.
"""

import json
from pathlib import Path

import optuna
import pytest
import torch

from inpaint import train
from inpaint.config.sent import load_generator
from inpaint.files import checkpoint
from inpaint.training.saving import SaveCheckpoint
from inpaint.training.signals import Stopped
from tests.commands import SMALL, run
from tests.sweeps import TINY
from tests.training.wandb_records import sessions
from tests.training.wandb_server import ACCOUNT

SECRETS = {"WANDB_API_KEY": ACCOUNT, "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG", "PASSPHRASE": "correct horse"}


def test_jobs_of_a_sweep(tmp_path):
    settings = ["logger=wandb", "baselines=[]", "hydra.sweep.dir=multirun/first", "adversarial=none"]
    rates = "generator_optimizer.lr=1e30,1e-4"
    run("train", "-m", *SMALL[:-1], *settings, rates, cwd=tmp_path, code=1, WANDB_MODE="offline", **SECRETS)
    jobs = [sessions(tmp_path / "multirun" / "first" / job) for job in "01"]
    assert [len(job) for job in jobs] == [1, 1]
    failed, good = (job[0] for job in jobs)
    assert failed.run_id != good.run_id and (failed.exit_code, good.exit_code) == (1, 0)
    assert {stored.runs[-1].run_group for stored in (failed, good)} == {"first"}
    assert good.config["generator_optimizer.lr"] == 1e-4 and failed.config["generator_optimizer.lr"] == 1e30
    assert "test/hole_psnr" in good.history[-1] and "test/hole_psnr" not in failed.history[-1]
    written = b"".join(path.read_bytes() for path in (tmp_path / "multirun").rglob("*") if path.is_file())
    assert written and not [name for name, value in SECRETS.items() if value.encode() in written]


@pytest.mark.parametrize(
    ("error", "code", "preempted", "tags"),
    [(Stopped(143), 1, True, []), (optuna.TrialPruned(), 0, False, ["end=pruned"]), (MemoryError(), 1, False, [])],
)
def test_a_job_that_did_not_fail_is_not_marked_failed(start, monkeypatch, tmp_path, error, code, preempted, tags):
    import wandb

    def ends(self, trainer, **settings):
        raise error

    monkeypatch.setattr(SaveCheckpoint, "write", ends)
    start(train.run, *TINY, "callbacks.checkpoint.every=1", "logger=wandb", "logger.wandb.mode=offline")
    wandb.teardown()
    (stored,) = sessions(tmp_path / "sweep" / "0")
    assert (stored.exit_code, stored.preempted) == (code, preempted)
    assert [tag for tag in stored.runs[-1].tags if tag.startswith("end=")] == tags


def test_the_trained_generator_is_an_artifact(start):
    """What is read is the client's own copy, which `wandb sync` would send."""
    import wandb

    settings = ("logger=wandb", "logger.wandb.mode=offline", "logger.wandb.log_model=true")
    assert start(train.run, *TINY, *settings).code == 0
    wandb.teardown()
    (stored,) = sessions(Path("sweep/0"))
    (artifact,) = (artifact for artifact in stored.artifacts if artifact.type == "model")  # tables are some, too
    kept = load_generator(checkpoint.load(artifact.manifest.contents[0].local_path))
    trained = checkpoint.generator_state(checkpoint.load("sweep/0"))
    assert all(torch.equal(value, trained[name]) for name, value in kept.state_dict().items())
    metadata = json.loads(artifact.metadata)
    assert metadata["updates"] == 2
    assert metadata["hole_psnr"] == pytest.approx(stored.history[-1]["test/hole_psnr"])
