"""SIGTERM: the update in hand is finished and saved, the exit code is 143, and the run goes on to the same weights."""

import os
import signal
import time
from pathlib import Path

import lightning as L
import pytest

from inpaint.files import checkpoint
from inpaint.training.signals import StopOnSignal
from tests.checkpoints import latest_valid
from tests.reliability.runs import UPDATES, At, assert_same, fork, fork_two, rows, run, seen

# Where the signal comes, and the newest checkpoint then (saved every 2 updates, validated every 3).
PLACES = {
    "at an update's beginning": (At("update", 4, signal.SIGTERM), 5),
    "on an epoch's last batch": (At("done", 5, signal.SIGTERM), 5),
    "before a validation": (At("update", 2, signal.SIGTERM), 3),
    "in a validation": (At("validation 0", 3, signal.SIGTERM), 3),
    "in the validation of a saved update": (At("validation 0", 6, signal.SIGTERM), 6),
    "in the last validation": (At("validation 0", UPDATES, signal.SIGTERM), UPDATES),
}


@pytest.mark.parametrize("place", PLACES)
def test_one_process(tmp_path, whole, place):
    act, newest = PLACES[place]
    assert fork(tmp_path, act=act) == 128 + signal.SIGTERM
    assert checkpoint.update_of(latest_valid(tmp_path)) == newest
    assert len(seen(tmp_path)) in (newest, newest + 1), "it went on training"
    if "validation" in place and newest < UPDATES:
        assert not any(row.get("val/hole_psnr") and row["step"] == str(newest - 1) for row in rows(tmp_path))
    assert fork(tmp_path) == 0
    assert_same(tmp_path, whole)


def test_in_a_validation_that_is_made_up_for(tmp_path, whole):
    """Twice stopped in the same one, the second time before the first update."""
    for _ in range(2):
        assert fork(tmp_path, act=At("validation 0", 3, signal.SIGTERM)) == 128 + signal.SIGTERM
    assert fork(tmp_path) == 0
    assert_same(tmp_path, whole)


def test_a_validation_is_made_up_for_once(tmp_path, whole):
    """Also when the run is killed between it and the next save."""
    assert fork(tmp_path, act=At("validation 0", 6, signal.SIGTERM)) == 128 + signal.SIGTERM
    assert fork(tmp_path, act=At("update", 7)) == -signal.SIGKILL
    assert [row["step"] for row in rows(tmp_path) if row["val/hole_psnr"]] == ["2", "5"]
    assert fork(tmp_path) == 0
    assert_same(tmp_path, whole)


def test_a_validation_that_is_made_up_for_belongs_to_its_epoch(tmp_path):
    settings = {"val_check_interval": 5}  # an epoch
    assert fork(tmp_path / "whole", **settings) == 0
    assert fork(tmp_path / "run", act=At("validation 0", 5, signal.SIGTERM), **settings) == 128 + signal.SIGTERM
    assert fork(tmp_path / "run", **settings) == 0
    assert_same(tmp_path / "run", tmp_path / "whole")


def grouped(folder, **settings):
    os.setpgid(0, 0)
    run(folder, **settings)


def slowly(when, trainer):
    if when == "done":
        time.sleep(0.2)  # a reader that died would be noticed in it


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR2])
def test_readers_get_it_too(tmp_path, whole, number):
    """From outside to every process of the run, as a terminal and a scheduler send it."""
    process = fork(tmp_path, target=grouped, act=slowly, workers=2, wait=False)
    while len(seen(tmp_path)) < 5:
        time.sleep(0.01)
    os.killpg(process.pid, number)
    process.join(60)
    assert process.exitcode == 128 + number
    assert checkpoint.update_of(latest_valid(tmp_path)) in (5, 6)
    if number == signal.SIGTERM:
        assert fork(tmp_path, workers=2) == 0
        assert_same(tmp_path, whole)


TO = {
    "rank 0": (At("update", 1, signal.SIGTERM), None),
    "rank 1": (None, At("update", 1, signal.SIGTERM)),
    "both": (At("update", 1, signal.SIGTERM), At("update", 1, signal.SIGTERM)),
    "rank 1 in its validation": (None, At("validation 0", 3, signal.SIGTERM)),
}


@pytest.mark.parametrize("to", TO)
def test_two_ranks_leave_after_the_same_update(tmp_path, to):
    assert fork_two(tmp_path, acts=TO[to], updates=4) == [128 + signal.SIGTERM, 0]
    newest = 3 if "validation" in to else 2
    assert checkpoint.update_of(latest_valid(tmp_path)) == newest
    if to == "rank 1":
        assert fork_two(tmp_path, updates=4) == fork_two(tmp_path / "whole", updates=4) == [0, 0]
        assert_same(tmp_path, tmp_path / "whole")


def test_handlers_are_given_back(tmp_path):
    """As a sweep needs it, in which one process runs job after job."""
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    run(tmp_path / "done", updates=1)
    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == before
    with pytest.raises(SystemExit) as stopped:
        run(tmp_path / "stopped", act=At("update", 1, signal.SIGTERM))
    assert stopped.value.code == 143
    with pytest.raises(ZeroDivisionError):
        run(tmp_path / "broken", act=lambda when, trainer: 1 / 0)
    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == before


class Late(L.Callback):
    """The signal comes when all is trained and nobody asks for it any more."""

    def on_train_end(self, trainer, module):
        os.kill(os.getpid(), signal.SIGTERM)


def late(folder):
    run(folder, updates=1, callbacks=[Late()])
    (Path(folder) / "evaluated").touch()


def test_a_signal_behind_the_last_update_ends_the_process_as_usual(tmp_path):
    assert fork(tmp_path, target=late) == -signal.SIGTERM
    assert latest_valid(tmp_path).name == "update_00000001.ckpt"
    assert not (tmp_path / "evaluated").exists()


def test_a_run_without_an_update_gives_the_handlers_back(tmp_path):
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    for _ in range(2):
        run(tmp_path, updates=1)
        assert {number: signal.getsignal(number) for number in signal.valid_signals()} == before


def stuck(folder):
    def act(when, trainer):
        if when == "done":
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)

    run(folder, act=act, signals=StopOnSignal(grace=0.3))


def test_a_run_that_cannot_leave_is_ended_when_the_grace_is_over(tmp_path):
    began = time.monotonic()
    assert fork(tmp_path, target=stuck) == 1
    assert time.monotonic() - began < 40
    with pytest.raises(ValueError, match=r"callbacks\.signals\.grace: 0 is not more than 0"):
        StopOnSignal(grace=0)
