"""SLURM and submitit put a stopped job back into the queue.

Real: the signals, the handlers, the saved run, the command line that is called. Not real: the scheduler; ``scontrol``
is a script that writes down its arguments, submitit's handler one that does the same and exits as submitit's does.
"""

import os
import signal
import sys
from pathlib import Path

import pytest

import inpaint.evaluation.results
import inpaint.train
from inpaint.files import checkpoint
from inpaint.training.signals import requeue_on_sigusr2
from tests.checkpoints import latest_valid
from tests.reliability.runs import SMALL, At, assert_same, command, fork, run, train


def scheduler(folder, returns=0, **variables):
    script = Path(folder) / "bin" / "scontrol"
    script.parent.mkdir(parents=True)
    script.write_text(f'#!/bin/sh\necho "$@" >> {folder}/requeued\nexit {returns}\n')
    script.chmod(0o755)
    os.environ["PATH"] = f"{script.parent}:{os.environ['PATH']}"
    # What makes Lightning believe that SLURM launched it: its own requeueing must stay off.
    os.environ |= {"SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "1", "SLURM_PROCID": "0"}
    os.environ |= {"SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_NTASKS_PER_NODE": "1", **variables}


def under_slurm(folder, number, at=("update", 4), **settings):
    """As `inpaint.train` does it."""
    scheduler(folder, **settings)
    with requeue_on_sigusr2():
        run(folder, act=At(*at, number))


def test_slurm_in_a_validation_that_is_made_up_for(tmp_path, whole):
    place = ("validation 0", 3)
    assert fork(tmp_path, act=At(*place, signal.SIGTERM)) == 128 + signal.SIGTERM
    assert fork(tmp_path, signal.SIGUSR2, target=under_slurm, at=place) == 128 + signal.SIGUSR2
    assert (tmp_path / "requeued").read_text() == "requeue 4711\n"
    assert fork(tmp_path) == 0
    assert_same(tmp_path, whole)


def signalled_in(step, folder):
    """The command, with the signal before or behind its training."""

    def signalled(*arguments, **settings):
        os.kill(os.getpid(), signal.SIGUSR2)

    scheduler(folder)
    evaluation = (inpaint.evaluation.results, "evaluate")
    setattr(*{"build": (inpaint.train, "build"), "evaluation": evaluation}[step], signalled)
    sys.exit(command(train, *SMALL, f"hydra.run.dir={folder}/run"))


@pytest.mark.parametrize("step", ["build", "evaluation"])
def test_slurm_while_nothing_is_trained(tmp_path, step):
    """Photographs are looked at before and measured after it, which may take hours."""
    assert fork(step, tmp_path, target=signalled_in) == 128 + signal.SIGUSR2
    assert (tmp_path / "requeued").read_text() == "requeue 4711\n"
    assert command(train, *SMALL, f"hydra.run.dir={tmp_path}/run") == 0


@pytest.mark.parametrize("variables", [{}, {"SLURM_ARRAY_JOB_ID": "4700", "SLURM_ARRAY_TASK_ID": "3"}])
def test_slurm(tmp_path, whole, variables):
    assert fork(tmp_path, signal.SIGUSR2, target=under_slurm, **variables) == 128 + signal.SIGUSR2
    assert (tmp_path / "requeued").read_text() == ("requeue 4700_3\n" if variables else "requeue 4711\n")
    assert checkpoint.update_of(latest_valid(tmp_path)) == 5
    assert not list(Path.cwd().glob("hpc_ckpt*")), "Lightning saved, too"
    if not variables:
        assert fork(tmp_path) == 0
        assert_same(tmp_path, whole)


def test_slurm_cancels(tmp_path):
    """scancel sends SIGTERM; what SLURM preempts it puts back itself."""
    assert fork(tmp_path, signal.SIGTERM, target=under_slurm) == 128 + signal.SIGTERM
    assert not (tmp_path / "requeued").exists()


def test_slurm_refuses(tmp_path, whole):
    assert fork(tmp_path, signal.SIGUSR2, target=under_slurm, returns=1) == 128 + signal.SIGUSR2
    assert checkpoint.update_of(latest_valid(tmp_path)) == 5


@pytest.mark.parametrize("theirs", [signal.SIG_DFL, lambda number, frame: None])
def test_a_handler_that_is_there_stays(monkeypatch, theirs):
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    before = signal.signal(signal.SIGUSR2, theirs)
    with requeue_on_sigusr2():
        assert (signal.getsignal(signal.SIGUSR2) == theirs) == (theirs != signal.SIG_DFL)
    assert signal.signal(signal.SIGUSR2, before) == theirs


def under_submitit(folder):
    def checkpoint_and_try_requeue(number, frame):
        update = checkpoint.update_of(latest_valid(folder))
        (Path(folder) / "resubmitted").write_text(f"{number} after update {update}")
        raise SystemExit(-1)

    signal.signal(signal.SIGUSR2, checkpoint_and_try_requeue)
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    run(folder, act=At("update", 4, signal.SIGUSR2))


def test_submitit(tmp_path):
    """Its handler is called when the run is saved; it requeues and exits."""
    assert fork(tmp_path, target=under_submitit) == 255
    assert (tmp_path / "resubmitted").read_text() == f"{signal.SIGUSR2.value} after update 5"
