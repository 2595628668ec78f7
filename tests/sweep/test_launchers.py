"""The launchers of others: what they are told, and that they run our jobs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from inpaint.sweep.grid import read_jobs
from tests.sweeps import TINY

ROOT = Path(__file__).parents[2]


def train(*arguments, cwd):
    command = [sys.executable, "-m", "inpaint.train", "hydra.sweep.dir=sweep", *TINY, *arguments]
    return subprocess.run(command, cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True)


def quality(cfg):
    return {"hole_psnr": 20.0 + cfg.seed}


def test_slurm_is_told_what_the_config_says(sweep, tmp_path, monkeypatch):
    submitit = pytest.importorskip("submitit")
    for command in ("srun", "sbatch"):
        (tmp_path / command).write_text("#!/bin/sh\n")
        (tmp_path / command).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    scripts = []

    def submit(self, function, *arguments):
        scripts.append(self._executor._make_submission_file_text("python", "0"))
        raise OSError("no cluster here")

    monkeypatch.setattr(submitit.AutoExecutor, "map_array", submit)
    done = sweep(quality, "+sweep=slurm", "seed=0,1", "trainer.devices=4", "hydra.launcher.partition=gpu")
    for line in ("time=240", "ntasks-per-node=4", "gpus-per-node=4", "nodes=1", "partition=gpu", "requeue"):
        assert f"#SBATCH --{line}\n" in scripts[0], scripts[0]
    assert "#SBATCH --signal=USR2@120" in scripts[0]
    assert done.code == 1 and {job.error for job in read_jobs(Path("sweep"))} == {
        "not started, OSError: no cluster here"
    }


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["+sweep=joblib", "hydra/launcher=submitit_local"])
def test_real_jobs_through_a_launcher(launcher, tmp_path):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    learning_rates = "generator_optimizer.lr=tag(log,interval(1e-5,1e-2))"
    early = ("trainer.val_check_interval=1", "sweep.pruner.n_startup_trials=1", "sweep.pruner.n_warmup_steps=0")
    search = ("+sweep=[optuna,joblib]", "sweep.trials=4", "sweep.parallel=2")
    done = train(*search, learning_rates, *early, cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    jobs = read_jobs(tmp_path / "sweep")
    assert len(jobs) == 4 and {job.status for job in jobs} <= {"finished", "pruned"}
    assert b"what mattered" not in done.stdout and b"the winner, trained longer:" in done.stdout
