"""A process that waits in C runs no handler of Python's; asked to leave, it is gone within its grace all the same."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from inpaint.training import deadline
from inpaint.training.deadline import Deadline
from inpaint.training.signals import StopOnSignal
from tests.reliability import runs
from tests.reliability.commands import SMALL, processes_of, start
from tests.reliability.runs import At, fork, fork_two, run

LIMIT = 30  # seconds; far below those that a collective waits


def state(pid):
    """A process's state, a letter, and the processor time that it has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[0], int(fields[11]) + int(fields[12])


def wait_until(there, limit=60):
    end = time.monotonic() + limit
    while not there():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def waits(pid):
    """A process that sleeps and has done nothing for a while."""
    before = state(pid)
    time.sleep(0.5)
    return before == state(pid) and before[0] == "S"


def rank(number, port, folder, *arguments, **settings):
    """A rank with its standard error in a file, and half a second after a second Ctrl-C."""
    folder.mkdir(exist_ok=True)
    with (folder / f"stderr {number}").open("w") as file:
        os.dup2(file.fileno(), 2)
    deadline.AT_ONCE = 0.5
    runs.rank(number, port, folder, *arguments, **settings)


@contextmanager
def stuck_ranks(folder, **settings):
    """Two ranks; the second has stopped at its second update, for which the first waits in a collective."""
    first, second = fork_two(folder, wait=False, acts=(None, At("update", 1, signal.SIGSTOP)), target=rank, **settings)
    try:
        wait_until(lambda: state(second.pid)[0] == "T")
        wait_until(lambda: waits(first.pid))
        yield first
    finally:
        first.kill()
        second.kill()


def test_a_rank_that_waits_for_another_leaves_with_its_stacks(tmp_path):
    with stuck_ranks(tmp_path, signals=StopOnSignal(grace=0.5)) as first:
        os.kill(first.pid, signal.SIGTERM)
        first.join(LIMIT)
        assert first.exitcode == 1
    stacks = (tmp_path / "stderr 0").read_text()
    assert "all_reduce" in stacks or "backward" in stacks, "they say where it waited"


def test_ctrl_c_twice_is_at_once_there_too(tmp_path):
    """The grace is a minute here."""
    with stuck_ranks(tmp_path) as first:
        for _ in range(2):
            os.kill(first.pid, signal.SIGINT)
            time.sleep(0.1)  # two signals of one number at a time are one
        first.join(LIMIT)
        assert first.exitcode == 1


def stopped_reader(folder):
    """A reader that has stopped: the run waits for its samples, and must not leave it behind."""
    import multiprocessing

    def act(when, trainer):
        if when == "update" and trainer.global_step == 1:
            readers = multiprocessing.active_children()
            (Path(folder) / "readers").write_text(" ".join(str(reader.pid) for reader in readers))
            for reader in readers:
                os.kill(reader.pid, signal.SIGSTOP)
            os.kill(os.getpid(), signal.SIGTERM)
            while True:
                time.sleep(1)

    run(folder, act=act, workers=1, signals=StopOnSignal(grace=0.5))


def test_readers_that_have_stopped_are_not_left_behind(tmp_path):
    assert fork(tmp_path, target=stopped_reader) == 1
    readers = (tmp_path / "readers").read_text().split()
    assert readers
    wait_until(lambda: not any(Path(f"/proc/{reader}").exists() and state(reader)[0] != "Z" for reader in readers))


def unheard(folder):
    """Standard error is a pipe that is full and that nobody reads, as that of a stopped terminal is."""
    _, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, bytes(4096))
    except BlockingIOError:
        os.set_blocking(writing, True)
    os.dup2(writing, 2)
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    os.kill(sleeper.pid, signal.SIGSTOP)
    (folder / "sleeper").write_text(str(sleeper.pid))
    Deadline({signal.SIGTERM}, 0.1, lambda: [sleeper])
    os.kill(os.getpid(), signal.SIGTERM)
    while True:
        time.sleep(1)


def test_it_leaves_when_nobody_reads_the_stacks_and_takes_the_ranks_along(tmp_path):
    assert fork(tmp_path, target=unheard) == 1
    sleeper = (tmp_path / "sleeper").read_text()
    wait_until(lambda: not Path(f"/proc/{sleeper}").exists() or state(sleeper)[0] == "Z")


def test_the_grace_begins_with_the_first_signal(monkeypatch):
    """Schedulers repeat themselves; only a Ctrl-C behind another signal shortens it."""
    watch = Deadline({signal.SIGTERM, signal.SIGINT}, 60, list)
    try:
        monkeypatch.setattr(time, "monotonic", lambda: 100.0)
        assert watch._next(None, signal.SIGTERM) == watch._next(None, signal.SIGINT) == 160
        assert watch._next(130.0, signal.SIGTERM) == 130
        assert watch._next(130.0, signal.SIGINT) == 100 + deadline.AT_ONCE
        assert watch._next(101.0, signal.SIGINT) == 101
    finally:
        monkeypatch.undo()
        watch.close()


def test_whoever_watched_signals_before_gets_them_and_has_them_back():
    """As an event loop of asyncio does; and a signal to a forked process is its own."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing), signal.signal(signal.SIGUSR2, lambda number, frame: None)
    try:
        watch = Deadline({signal.SIGTERM}, 60, list)
        if not (child := os.fork()):
            os.kill(os.getpid(), signal.SIGUSR2)
            os._exit(0)
        os.waitpid(child, 0)
        os.kill(os.getpid(), signal.SIGUSR2)
        ours = [number for number in os.read(reading, 10) if number != signal.SIGCHLD]  # as the child has ended
        assert ours == [signal.SIGUSR2]
        watch.close()
        os.set_blocking(reading, False)
        with pytest.raises(BlockingIOError):
            os.read(reading, 10)
        assert signal.set_wakeup_fd(writing) == writing
    finally:
        signal.set_wakeup_fd(before[0])
        signal.signal(signal.SIGUSR2, before[1])


@pytest.mark.slow
def test_the_command_leaves_no_rank_behind(tmp_path):
    """`inpaint-train` on two processes that Lightning starts; the second is stopped from outside."""
    settings = [*SMALL, "trainer.max_steps=100000", "trainer.devices=2", "callbacks.signals.grace=2"]
    process = start("train", *settings, "hydra.run.dir=run", cwd=tmp_path)
    try:
        wait_until(lambda: (tmp_path / "run" / "checkpoints" / "update_00000002.ckpt").exists(), 120)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        (second,) = [pid for pid in children if b"inpaint.train" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        os.kill(int(second), signal.SIGSTOP)
        wait_until(lambda: waits(process.pid))
        os.kill(process.pid, signal.SIGTERM)
        _, errors = process.communicate(timeout=LIMIT)
        assert process.returncode == 1 and "Thread" in errors
        assert processes_of(process.pid) == []
    finally:
        os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
