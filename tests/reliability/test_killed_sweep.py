"""Kill -9 of a sweep. Its jobs do not survive it, and the same command finishes what is missing."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from inpaint.cli.job import Job
from inpaint.sweep.grid import read_jobs
from inpaint.train import run
from tests.reliability import commands
from tests.sweeps import TINY, stub_conf

# Each job writes its process down; those with a seed above 0 do not end before there is a file `go`.
SCRIPT = """
import os, sys, time
from pathlib import Path
from hydra.core.hydra_config import HydraConfig
import inpaint.config
from inpaint.cli.command import command

def run(cfg):
    folder = Path(HydraConfig.get().runtime.output_dir)
    with (folder / "processes").open("a") as file:
        file.write(f"{os.getpid()}\\n")
    while cfg.seed > 0 and not Path("go").exists():
        time.sleep(0.1)
    return {"hole_psnr": float(cfg.seed)}

inpaint.config.conf_dir = lambda: Path("conf").resolve()
sys.executable = os.environ["CHILD"]
command("train", run)
"""


def begin(folder, *arguments, child=sys.executable):
    """A sweep; `child` is what runs the jobs that are processes of their own."""
    (folder / "script.py").write_text(SCRIPT)
    stub_conf(folder / "conf")
    return commands.start(folder / "script.py", "-m", "hydra.sweep.dir=sweep", *arguments, cwd=folder, CHILD=str(child))


def until(condition, seconds=600):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)


def runs_of(folder, job):
    file = folder / "sweep" / str(job) / "processes"
    return [int(line) for line in file.read_text().split()] if file.is_file() else []


def gone(process):
    """Whether a process has ended, reaped or not."""
    status = Path(f"/proc/{process}/status")
    try:
        return "State:\tZ" in status.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks at processes in /proc")
def test_workers_die_with_the_sweep_and_it_goes_on(tmp_path):
    arguments = ("+sweep=joblib", "seed=range(0,4)")
    parent = begin(tmp_path, *arguments)
    until(lambda: runs_of(tmp_path, 1) and runs_of(tmp_path, 2))
    until(lambda: Job.read(tmp_path / "sweep/0").status == "finished")
    parent.kill()
    parent.wait()
    children = runs_of(tmp_path, 1) + runs_of(tmp_path, 2)
    assert parent.pid not in children
    until(lambda: all(map(gone, children)), seconds=100)

    (tmp_path / "go").touch()
    again = begin(tmp_path, *arguments)
    code, *printed = commands.finish(again)
    assert code == 0, printed
    assert [len(runs_of(tmp_path, job)) for job in range(4)] == [1, 2, 2, 1]
    assert [job.values["hole_psnr"] for job in read_jobs(tmp_path / "sweep")] == [0, 1, 2, 3]


@pytest.mark.slow
def test_a_sweep_in_one_process_goes_on(tmp_path):
    parent = begin(tmp_path, "seed=range(0,3)")
    until(lambda: runs_of(tmp_path, 1))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    (tmp_path / "go").touch()
    again = begin(tmp_path, "seed=range(0,3)")
    code, *printed = commands.finish(again)
    assert code == 0, printed
    assert [len(runs_of(tmp_path, job)) for job in range(3)] == [1, 2, 1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_a_sweep_of_processes_reaches_the_job(tmp_path, number):
    """The job saves and ends, no other begins, and it goes on next time. Not real: the job, which is a script."""
    child = tmp_path / "child.sh"
    name = number.name.removeprefix("SIG")
    child.write_text(
        f"#!/bin/sh\ntrap 'echo saved >> saved; exit 9' {name}\ntouch begun\nwhile :; do sleep 0.1; done\n"
    )
    child.chmod(0o755)
    sweep = begin(tmp_path, "+sweep=processes", "seed=range(0,2)", child=child)
    until((tmp_path / "begun").exists)
    sweep.send_signal(number)
    code, *printed = commands.finish(sweep)
    assert code == 128 + number, printed
    assert (tmp_path / "saved").read_text() == "saved\n", "once: a second signal would stop it at once"
    assert Job.read(tmp_path / "sweep/0").status == "running" and not (tmp_path / "sweep/1").exists()


def test_a_half_trained_job_trains_to_the_same_weights(start):
    """The second job is interrupted after its first checkpoint; whole and in two parts it is the same."""
    import torch

    from inpaint.files import checkpoint
    from inpaint.training.saving import SaveCheckpoint

    arguments = (*TINY, "callbacks.checkpoint.every=1", "seed=0,1")
    write = SaveCheckpoint.write

    def write_and_die(self, trainer, **settings):
        write(self, trainer, **settings)
        if "/1/" in str(self.folder):
            raise SystemExit(9)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SaveCheckpoint, "write", write_and_die)
        assert start(run, *arguments).code == 9
    assert checkpoint.load("sweep/1")["inpaint"]["update"] == 1
    done = start(run, *arguments)
    first, second = (Path(f"sweep/{number}/job.log").read_text() for number in (0, 1))
    assert done.code == 0 and "going on from sweep/1/checkpoints/update_00000001.ckpt" in second
    assert "going on from" not in first
    assert start(run, *arguments, "hydra.sweep.dir=whole").code == 0
    parts, whole = (checkpoint.load(f"{folder}/1")["state_dict"] for folder in ("sweep", "whole"))
    assert all(torch.equal(parts[name], whole[name]) for name in whole)
