"""Several devices in a sweep. What would train ranks on different settings is refused; what works, works."""

import json
import sys
from pathlib import Path

import pytest
import torch

from inpaint import train
from inpaint.files import checkpoint
from inpaint.sweep.grid import read_jobs
from inpaint.train import run
from tests.sweeps import TINY

TWO = ("trainer.devices=2", "trainer.accelerator=cpu", "adversarial=none")


SEARCH = ("+sweep=optuna", "generator_optimizer.lr=interval(0,1)", "sweep.trials=2")


@pytest.mark.parametrize(
    ("arguments", "works"),
    [
        (("seed=0,1",), "+sweep={}"),
        (SEARCH, "generator_optimizer.lr=interval(0,1)' sweep.trials=2 '+sweep=[optuna,{}]'"),
    ],
)
def test_a_strategy_that_starts_the_command_line_again_is_refused(start, arguments, works):
    done = start(run, *TINY, *TWO, *arguments)
    jobs = read_jobs(Path("sweep"))
    assert done.code == 1 and [job.status for job in jobs] == ["failed", "failed"]
    assert all("would each run a sweep of their own" in job.error for job in jobs)
    assert not list(Path("sweep").glob("*/metrics.csv"))
    commands = [line.split("failed:   ")[1] for line in done.err.splitlines() if "failed:   inpaint-train" in line]
    for option in ("processes", "slurm"):
        assert any(line.endswith(works.format(option)) for line in commands), commands


def agreeing(folder):
    """Two ranks trained, and the weights are those of the checkpoint that both took part in."""
    saved = checkpoint.load(folder)
    assert saved["inpaint"]["update"] == 2
    assert json.loads((folder / "summary.json").read_text())["updates"] == 2
    return saved["state_dict"]


def test_spectral_norm_cannot_be_sent_to_spawned_ranks(command):
    told = command(train, *TINY, *TWO[:2], "trainer.strategy=ddp_spawn", "discriminator=patch", code=2)
    assert "trainer.strategy: ddp_spawn cannot send spectral norm" in told and "trainer.strategy=ddp " in told


@pytest.mark.slow
def test_spawned_ranks_agree(start, monkeypatch):
    import __main__

    monkeypatch.setattr(__main__, "__spec__", None)
    done = start(run, *TINY, *TWO, "trainer.strategy=ddp_spawn", "seed=0,1")
    assert done.code == 0, done.err[-3000:]
    first, second = (agreeing(Path("sweep", number)) for number in "01")
    assert any(not torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_a_process_for_each_job_trains_as_the_single_command_does(start, tmp_path):
    """Lightning starts the second rank of each by the command line, which is that of the job alone."""
    import subprocess

    arguments = [*TINY, *TWO, "trainer.strategy=ddp"]
    done = start(run, *arguments, "+sweep=processes", "seed=0,1", "name='a b'")
    assert done.code == 0, done.err[-3000:]
    alone = [sys.executable, "-m", "inpaint.train", *arguments, "seed=1", "name='a b'", "hydra.run.dir=alone"]
    subprocess.run(alone, check=True, capture_output=True)
    job, single = agreeing(Path("sweep/1")), agreeing(Path("alone"))
    assert all(torch.equal(job[name], single[name]) for name in single)
    assert read_jobs(Path("sweep"))[1].values["hole_psnr"] > 0
