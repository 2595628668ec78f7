"""The launchers of others: what they are told, and that they run our jobs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.plugins import Plugins

from inpaint.cli.job import Job
from inpaint.sweep.grid import read_jobs
from inpaint.sweep.launch import _every_end_is_heard
from tests.sweeps import TINY, stub_conf

ROOT = Path(__file__).parents[2]


def train(*arguments, cwd):
    command = [sys.executable, "-m", "inpaint.train", "hydra.sweep.dir=sweep", *TINY, *arguments]
    return subprocess.run(command, cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True)


def quality(cfg):
    return {"hole_psnr": 20.0 + cfg.seed}


def hydras_own_launcher():
    """The class as Hydra knows it: looking for plugins, it imports them anew."""
    Plugins.instance()
    return sys.modules["hydra._internal.core_plugins.basic_launcher"].BasicLauncher


def test_a_process_that_dies_takes_no_other_job_with_it(sweep, monkeypatch):
    """Jobs 0 and 1 are at work when the process of job 1 dies, and whenever it is done again.

    Not real: the processes; the launcher loses all that is at work, as joblib does.
    """
    launcher = hydras_own_launcher()
    launch, launched = launcher.launch, []

    def dies(self, job_overrides, initial_job_idx):
        launched.append([overrides[0] for overrides in job_overrides])
        if "seed=1" not in launched[-1]:
            return launch(self, job_overrides, initial_job_idx)
        for overrides in job_overrides[:2]:
            folder = Path("sweep", overrides[0].removeprefix("seed="))
            folder.mkdir(parents=True, exist_ok=True)
            Job(list(overrides), str(folder), "running").write()
        raise OSError("a worker\nwas killed\nits log")

    monkeypatch.setattr(launcher, "launch", dies)
    done = sweep(quality, "seed=0,1,2,3")
    assert launched == [["seed=0", "seed=1", "seed=2", "seed=3"], ["seed=0"], ["seed=1"], ["seed=2", "seed=3"]]
    jobs = read_jobs(Path("sweep"))
    assert done.code == 1 and [job.status for job in jobs] == ["finished", "failed", "finished", "finished"]
    assert jobs[1].error == "OSError: a worker was killed" and f"failed: {jobs[1].error}" in done.out
    assert [job.values.get("hole_psnr") for job in jobs] == [20, None, 22, 23]


def test_jobs_that_cannot_be_launched_are_not_tried_for_ever(sweep, monkeypatch):
    def refuses(self, job_overrides, initial_job_idx):
        launched.append(initial_job_idx)
        raise OSError("no machine")

    launched = []
    monkeypatch.setattr(hydras_own_launcher(), "launch", refuses)
    done = sweep(quality, "seed=0,1")
    assert done.code == 1 and launched == [0]
    assert {job.error for job in read_jobs(Path("sweep"))} == {"not started, OSError: no machine"}


def test_more_jobs_than_gpus_are_refused_before_the_first(sweep, monkeypatch):
    """Or all jobs of the second worker fail at once, while the first is busy. Not real: the GPU."""
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    done = sweep(quality, "+sweep=joblib", "seed=0,1,2")
    assert done.code == 2 and "hydra.launcher.n_jobs: 2 at a time, but 1 GPUs here" in done.err
    assert not Path("sweep/0").exists()


DIES = """
import os, signal, time
from pathlib import Path
import inpaint.config
from inpaint.cli.command import command

def run(cfg):
    if cfg.seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(20 * (cfg.seed == 3))  # it is known by then that this one is gone
    return {"hole_psnr": float(cfg.seed)}

inpaint.config.conf_dir = lambda: Path("conf").resolve()
if __name__ == "__main__":
    command("train", run)
"""


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["+sweep=joblib", "hydra/launcher=submitit_local"])
def test_a_real_process_dies(launcher, tmp_path):
    (tmp_path / "script.py").write_text(DIES)
    stub_conf(tmp_path / "conf")
    command = [sys.executable, "script.py", "-m", "hydra.sweep.dir=sweep", launcher, "seed=range(0,4)"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    jobs = read_jobs(tmp_path / "sweep")
    assert done.returncode == 1 and [job.status for job in jobs] == ["finished", "failed", "finished", "finished"]
    assert "SIGKILL" in jobs[1].error or "has not produced any output" in jobs[1].error, jobs[1].error


def test_the_ends_of_all_jobs_are_heard_through_submitit(monkeypatch):
    """Not real: the jobs of submitit, which needs half a minute to notice that one died; the slow test above waits."""
    core = pytest.importorskip("submitit.core.core")
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import LocalLauncher

    def results(self):
        if self == "died":
            raise error
        return ["returned"]

    error = OSError("has not produced any output")
    monkeypatch.setattr(core.Job, "results", results)
    with _every_end_is_heard(LocalLauncher()):
        assert [core.Job.results(job)[0] for job in ("well", "died", "well")] == ["returned", error, "returned"]
    assert core.Job.results is results


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
    assert b"is not known: 10 finished trials say it" in done.stdout and b"the winner, trained longer:" in done.stdout
