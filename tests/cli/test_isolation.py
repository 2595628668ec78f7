"""Jobs in one process, jobs of a sweep that was killed, GPUs among processes."""

import gc
import logging
import os
import random
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from inpaint.cli import isolation
from inpaint.cli.isolation import RUNNING, end_with_the_sweep, isolated, own_gpu
from inpaint.files import folder
from inpaint.files.folder import only_one
from tests.reliability.runs import FORKS

LEAKS = {
    "environment": (lambda: os.environ.get("WANDB_MODE"), lambda: os.environ.update(WANDB_MODE="dryrun")),
    "removed": (lambda: "PATH" in os.environ, lambda: os.environ.pop("PATH")),
    "folder": (Path.cwd, lambda: os.chdir("/")),
    "torch": (lambda: torch.get_rng_state().tolist(), lambda: torch.rand(1)),
    "numpy": (lambda: str(np.random.get_state()), lambda: np.random.rand()),
    "python": (random.getstate, random.random),
    "threads": (torch.get_num_threads, lambda: torch.set_num_threads(torch.get_num_threads() + 1)),
    "dtype": (torch.get_default_dtype, lambda: torch.set_default_dtype(torch.float64)),
    "device": (torch.get_default_device, lambda: torch.set_default_device("meta")),
    "precision": (torch.get_float32_matmul_precision, lambda: torch.set_float32_matmul_precision("medium")),
    "deterministic": (
        torch.are_deterministic_algorithms_enabled,
        lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    ),
    "benchmark": (lambda: torch.backends.cudnn.benchmark, lambda: setattr(torch.backends.cudnn, "benchmark", True)),
    "gradients": (torch.is_grad_enabled, lambda: torch.set_grad_enabled(False)),
    "anomaly": (torch.is_anomaly_enabled, lambda: torch.set_anomaly_enabled(True)),
    "signal": (lambda: signal.getsignal(signal.SIGUSR1), lambda: signal.signal(signal.SIGUSR1, lambda *_: None)),
    "warnings": (lambda: list(warnings.filters), lambda: warnings.filterwarnings("ignore", "everything")),
    "logging": (
        lambda: logging.getLogger("lightning.pytorch").level,
        lambda: logging.getLogger("lightning.pytorch").setLevel(7),
    ),
}


@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize("fails", [False, True])
def test_nothing_leaks_from_a_job(leak, fails):
    state, change = LEAKS[leak]
    before = state()
    try:
        with isolated():
            change()
            assert state() != before, "the test changes nothing"
            if fails:
                raise KeyError("job")
    except KeyError:
        assert fails
    assert state() == before


def test_memory_of_a_job_is_given_back():
    class Trainer:
        pass

    with isolated():
        trainer = Trainer()
        trainer.itself = trainer
        del trainer
    assert not [thing for thing in gc.get_objects() if isinstance(thing, Trainer)]


CHILD = """
import sys, time
from pathlib import Path
from inpaint.cli import isolation
isolation.end_with_the_sweep(Path(sys.argv[1]))
print("up", flush=True)
while isolation._watched:  # until it knows how the sweep ended
    time.sleep(0.02)
print("alive", flush=True)
"""


@pytest.mark.parametrize(("word", "survives"), [("", False), (isolation.DONE, True)])
def test_a_job_ends_with_a_killed_sweep_and_not_with_a_finished_one(tmp_path, word, survives):
    environment = {**os.environ, "PYTHONPATH": str(Path(isolation.__file__).parents[2])}
    with only_one(tmp_path / RUNNING, ""):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, env=environment)
        assert child.stdout.readline() == b"up\n"
        (tmp_path / RUNNING).write_text(word)
    out, _ = child.communicate(timeout=60)
    assert (out == b"alive\n") == survives and child.returncode == (0 if survives else -signal.SIGKILL)


def test_the_sweep_itself_and_slurms_jobs_are_left_alone(tmp_path, monkeypatch):
    with only_one(tmp_path / RUNNING, ""):
        end_with_the_sweep(tmp_path)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    end_with_the_sweep(tmp_path)
    assert not isolation._watched


def in_a_process(sweep, number, answer):
    """It takes a GPU of three, keeps it when it is asked again, and holds it until the other end closes."""
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    torch.cuda.device_count = lambda: 3
    own_gpu(sweep, number)
    own_gpu(sweep, 99)
    answer.send(os.environ["CUDA_VISIBLE_DEVICES"])
    answer.poll(60)


def test_each_process_has_a_gpu_of_its_own_by_job_number(tmp_path):
    held, children, ends = [], [], []
    for number in (4, 4, 5):  # one after the other, as their order decides
        ours, theirs = FORKS.Pipe()
        children.append(FORKS.Process(target=in_a_process, args=(tmp_path, number, theirs)))
        children[-1].start()
        theirs.close()
        ends.append(ours)
        held.append(ours.recv())
    assert held == ["1", "2", "0"]
    for end, child in zip(ends, children, strict=True):
        end.close()
        child.join(60)


def test_gpus_that_the_user_chose(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "held", {})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-7")
    own_gpu(tmp_path, 1)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-7"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-7")
    by_another_process = folder.held
    monkeypatch.setattr(folder, "held", {})
    with pytest.raises(ValueError, match=r"hydra.launcher.n_jobs: more jobs at a time than the 1 GPUs"):
        own_gpu(tmp_path, 0)
    for descriptor in by_another_process.values():
        os.close(descriptor)


@pytest.mark.parametrize("visible", ["", "-1", None])
def test_without_a_gpu(tmp_path, monkeypatch, visible):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    own_gpu(tmp_path, 1)
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == visible and not list(tmp_path.iterdir())
