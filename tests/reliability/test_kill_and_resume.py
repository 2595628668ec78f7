"""SIGKILL anywhere: the run goes on to the same weights, average, optimizers, schedules and losses, to the bit."""

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from inpaint.files import checkpoint
from tests.reliability.runs import UPDATES, At, assert_same, fork, rows, run, seen


def killed_somewhere(folder, draw, workers):
    """Killed from outside, at a random moment of a random update; several times in one run."""
    for _ in range(draw.randint(1, 3)):
        wait_for, delay = len(seen(folder)) + draw.randint(1, UPDATES // 2), draw.uniform(0, 0.05)
        process = fork(folder, wait=False, workers=workers)
        while len(seen(folder)) < wait_for and process.is_alive():
            time.sleep(0.002)
        time.sleep(delay)
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 23))])
def test_killed_from_outside_at_random_moments(tmp_path, whole, seed):
    workers = 2 if seed % 3 == 2 else 0
    killed_somewhere(tmp_path, random.Random(seed), workers)
    assert fork(tmp_path, workers=workers) == 0
    assert_same(tmp_path, whole)


PLACES = {
    "before the first save": At("update", 1),
    "on an epoch's last batch": At("done", 5),
    "behind it": At("update", 5),
    "in a validation": At("validation 1", 6),
    "in the last validation": At("validation 0", UPDATES),
    "at the end": At("end", UPDATES),
}


@pytest.mark.parametrize("place", PLACES)
def test_killed_at_a_place(tmp_path, whole, place):
    assert fork(tmp_path, act=PLACES[place]) == -signal.SIGKILL
    assert fork(tmp_path) == 0
    assert_same(tmp_path, whole)


def killed_in_a_save(folder, call, **settings):
    """Run, and die at one of the steps of the third save."""
    saves = []

    def dying(name, owner, before=True):
        act = getattr(owner, name)

        def step(*arguments, **more):
            if len(saves) == 3 and name == call and before:
                os.kill(os.getpid(), signal.SIGKILL)
            done = act(*arguments, **more)
            if len(saves) == 3 and f"after {name}" == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        setattr(owner, name, step)

    def save(state, file):
        saves.append(file)
        if len(saves) == 3 and call == "half":
            full = Path(file.name + ".full")
            torch_save(state, full)
            file.write(full.read_bytes()[: full.stat().st_size // 2])
            file.flush()
            full.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        torch_save(state, file)

    torch_save, torch.save = torch.save, save
    for name, owner in (("publish", checkpoint), ("replace", Path), ("delete", checkpoint)):
        dying(name, owner)
    run(folder, **settings)


@pytest.mark.parametrize("call", ["half", "publish", "replace", "after publish", "after delete"])
def test_killed_during_a_save(tmp_path, whole, call):
    """With half of the file written, before and between the steps that give it its name, and before others go."""
    assert fork(tmp_path, call, target=killed_in_a_save) == -signal.SIGKILL
    assert fork(tmp_path) == 0
    assert_same(tmp_path, whole)
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize("update", [2, 5, 11])
def test_rows_repeat_what_was_measured_before_the_kill(tmp_path, update):
    """R1 and the generator's losses, which are not measured at every update, in rows of every third."""
    settings = {"log_every_n_steps": 3, "rare": True, "every": 1}
    assert fork(tmp_path / "whole", **settings) == 0
    told = {name: [int(r["step"]) for r in rows(tmp_path / "whole") if r[f"train/{name}"]] for name in ("r1", "l1")}
    assert told == {"r1": [2, 8], "l1": [2, 8, 11]}, "measured at 0, 4, 8 and at 0, 2, 4 ...; epochs begin at 5 and 10"
    assert fork(tmp_path / "run", act=At("update", update), **settings) == -signal.SIGKILL
    assert fork(tmp_path / "run", **settings) == 0
    assert_same(tmp_path / "run", tmp_path / "whole")


def readers(when, trainer):
    if when == "done" and trainer.global_step == 4:
        folder = Path(trainer.loggers[0].path.parent)
        pids = [child.pid for child in multiprocessing.active_children()]
        (folder / "readers").write_text(" ".join(map(str, pids)))
        os.kill(os.getpid(), signal.SIGKILL)


def test_readers_do_not_survive(tmp_path):
    assert fork(tmp_path, act=readers, workers=2) == -signal.SIGKILL
    pids = [int(pid) for pid in (tmp_path / "readers").read_text().split()]
    assert len(pids) == 4  # two to train and two to validate
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "a reader outlived its run"
        time.sleep(0.1)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_same_whether_processes_read_or_not(tmp_path, whole):
    assert fork(tmp_path, workers=2) == 0
    assert_same(tmp_path, whole)


def never_better(optimizer):
    """Halves the rate at every validation but the first."""
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau
    return plateau(optimizer, mode="max", factor=0.5, patience=0, threshold=1e9, threshold_mode="abs")


def test_a_rate_that_a_validation_changed_is_that_of_the_checkpoint_behind_it(tmp_path):
    """A checkpoint is taken before the validation of its update and written after it."""
    settings = {"schedule": never_better, "every": 3}
    run(tmp_path / "whole", **settings)
    run(tmp_path / "stopped", updates=6, **settings)
    run(tmp_path / "stopped", **settings)
    assert_same(tmp_path / "stopped", tmp_path / "whole")
    assert [float(row["lr/generator"]) for row in rows(tmp_path / "whole") if row["lr/generator"]] == pytest.approx(
        [1e-3] * 6 + [5e-4] * 3 + [2.5e-4] * 3
    )
