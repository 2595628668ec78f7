"""Signals to `inpaint-train` as it is typed, in processes of their own and on two ranks: it saves and leaves."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from inpaint.files import checkpoint
from tests.checkpoints import latest_valid
from tests.reliability.runs import SMALL, rows

ROOT = Path(__file__).parents[2]
LONG = [*SMALL, "trainer.max_steps=100000", "callbacks.checkpoint.every=50", "trainer.log_every_n_steps=1"]


def start(folder, *arguments):
    """In a process group of its own, as a scheduler starts it."""
    command = [sys.executable, "-m", "inpaint.train", *LONG, f"hydra.run.dir={folder}", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    output = (folder.parent / "output").open("w")
    return subprocess.Popen(
        command, cwd=folder.parent, env=environment, stdout=output, stderr=output, start_new_session=True
    )


def wait_for(folder, process, after):
    """A checkpoint of a later update."""
    deadline = time.monotonic() + 120
    while max(map(checkpoint.update_of, (folder / "checkpoints").glob("*.ckpt")), default=0) <= after:
        assert process.poll() is None and time.monotonic() < deadline, (folder.parent / "output").read_text()
        time.sleep(0.05)


def leave(folder, process, send, after=0):
    """The exit code, and the update that the run was stopped after."""
    try:
        wait_for(folder, process, after)
        send(process)
        code = process.wait(60)
    finally:
        left = members(process.pid)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
    assert not left, "processes are left"
    told = (folder.parent / "output").read_text()
    update = checkpoint.update_of(latest_valid(folder))
    assert f"stopped after update {update}; the same command goes on from there" in told and "Traceback" not in told
    return code, update


def members(group):
    """The processes of a group, once those that are leaving have left."""
    for _ in range(100):
        found = []
        for place in Path("/proc").glob("[0-9]*/stat"):
            try:
                pid, state, _, pgid = [place.parent.name, *place.read_text().rpartition(")")[2].split()[:3]]
            except OSError:
                continue
            if int(pgid) == group and state != "Z":
                found.append(int(pid))
        if not found:
            break
        time.sleep(0.1)
    return found


pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are found in /proc")


def losses(folder):
    return [int(row["step"]) for row in rows(folder) if row["train/l1"]]


def test_sigterm(tmp_path):
    code, update = leave(tmp_path / "run", start(tmp_path / "run"), lambda process: process.terminate())
    assert code == 143 and losses(tmp_path / "run") == list(range(update))


@pytest.mark.slow
def test_ctrl_c_and_again(tmp_path):
    folder, update = tmp_path / "run", 0
    for _ in range(2):
        code, later = leave(folder, start(folder), lambda process: process.send_signal(signal.SIGINT), update)
        assert code == 130 and later > update
        update = later
    assert losses(folder) == list(range(update))


def second_rank(process):
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ranks = [int(pid) for pid in children if b"inpaint.train" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(ranks[0], signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.parametrize(
    "send",
    [
        lambda process: process.terminate(),
        second_rank,
        lambda process: os.killpg(process.pid, signal.SIGTERM),
        lambda process: os.killpg(process.pid, signal.SIGINT),
    ],
    ids=["rank 0", "rank 1", "all", "all, by Ctrl-C"],
)
def test_two_ranks(tmp_path, send, request):
    arguments = ["trainer.accelerator=cpu", "trainer.devices=2", "trainer.strategy=ddp", "data.crops_per_image=4"]
    code, _ = leave(tmp_path / "run", start(tmp_path / "run", *arguments), send)
    assert code == (130 if "Ctrl-C" in request.node.name else 143)
