"""SIGUSR1: the stacks of all threads go to standard error, and training goes on."""

import os
import signal

from inpaint.training.signals import stacks_on_sigusr1
from tests.reliability.runs import At, assert_same, fork, run


def watched(folder):
    folder.mkdir(exist_ok=True)
    with (folder / "stderr").open("w") as file:
        os.dup2(file.fileno(), 2)
    with stacks_on_sigusr1():
        os.kill(os.getpid(), signal.SIGUSR1)  # before it trains
        run(folder, act=At("update", 4, signal.SIGUSR1))
        os.kill(os.getpid(), signal.SIGUSR1)  # behind it: Lightning must not have reset it


def test_stacks(tmp_path, whole):
    assert fork(tmp_path, target=watched) == 0
    told = (tmp_path / "stderr").read_text()
    assert told.count("Current thread") == 3 and "in on_train_batch_start" in told and "in watched" in told
    assert_same(tmp_path, whole)


def test_what_was_there_before_is_back():
    before = signal.getsignal(signal.SIGUSR1)
    with stacks_on_sigusr1():
        pass
    assert signal.getsignal(signal.SIGUSR1) == before
