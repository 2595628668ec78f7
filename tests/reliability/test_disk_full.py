"""A full disk: a clear error, no half file, and what was saved before is whole.

Real: a file system of 1 MB that is full (where the test may mount one). Not real: the failure at each single write.
"""

import errno
import os
import subprocess
from pathlib import Path

import pytest
import torch

from inpaint.files import checkpoint
from inpaint.files.checkpoint import CheckpointError
from inpaint.training.metrics_file import MetricsFile
from tests.checkpoints import latest_valid
from tests.reliability.runs import assert_same, fork_two, rows, run


def small(update):
    state = {"state_dict": {"ema.network.weight": torch.rand(50, 50)}}
    checkpoint.stamp(state, {"name": "test"}, update)
    return state


class Full:
    """A file whose n-th write finds the disk full."""

    def __init__(self, file, allowed):
        self.file, self.allowed = file, allowed

    def write(self, content):
        if self.allowed == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.allowed -= 1
        return self.file.write(content)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()


def failing(opened, allowed):
    def open(path, mode="r", *rest, **settings):
        file = opened(path, mode, *rest, **settings)
        return Full(file, allowed) if "w" in mode else file

    return open


def test_at_each_write(tmp_path, monkeypatch):
    checkpoint.write(small(1), tmp_path / "update_00000001.ckpt")
    opened, allowed = Path.open, 0
    while True:
        place = tmp_path / "update_00000002.ckpt"
        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", failing(opened, allowed))
            try:
                checkpoint.write(small(2), place)
                break
            except OSError as error:
                assert error.errno == errno.ENOSPC
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "update_00000001.ckpt",
            "update_00000001.ckpt.sha256",
        ], allowed
        checkpoint.load(tmp_path / "update_00000001.ckpt")
        allowed += 1
    assert allowed > 10 and latest_valid(tmp_path) == place


@pytest.mark.parametrize(("owner", "step"), [(Path, "write_text"), (Path, "replace"), (os, "fsync")])
def test_at_the_steps_that_give_it_its_name(tmp_path, monkeypatch, owner, step):
    checkpoint.write(small(1), tmp_path / "update_00000001.ckpt")

    def refuse(*arguments, **settings):
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(owner, step, refuse)
    with pytest.raises(OSError):
        checkpoint.write(small(2), tmp_path / "update_00000002.ckpt")
    monkeypatch.undo()
    assert len(list(tmp_path.iterdir())) == 2
    assert latest_valid(tmp_path).name == "update_00000001.ckpt"


def test_a_power_cut_finds_the_checksum_written(tmp_path, monkeypatch):
    """Each file is on the disk before it gets its name, or an empty checksum would refuse a good checkpoint."""
    done, fsync, replace = [], os.fsync, Path.replace
    monkeypatch.setattr(
        os, "fsync", lambda file: (done.append(str(Path(f"/proc/self/fd/{file}").readlink())), fsync(file))
    )
    monkeypatch.setattr(Path, "replace", lambda path, to: (done.append(("named", str(path))), replace(path, to)))
    checkpoint.write(small(1), tmp_path / "update_00000001.ckpt")
    named = [step[1] for step in done if isinstance(step, tuple)]
    assert len(named) == 2 and all(done.index(path) < done.index(("named", path)) for path in named)
    assert done[-1] == str(tmp_path)


@pytest.fixture
def disk(tmp_path):
    """A file system of 1 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)], capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip("not allowed to mount a file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(disk, leave):
    free = os.statvfs(disk)
    (disk / "other").write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - leave)))


def test_a_disk_that_becomes_full(disk, tmp_path, whole):
    def act(when, trainer):
        if (when, trainer.global_step) == ("update", 7):
            fill(disk, leave=60_000)  # half a checkpoint

    with pytest.raises(CheckpointError, match=r"update_00000008\.ckpt could not be written, .* \(No space left on"):
        run(disk / "run", act=act)
    assert not list(disk.rglob("*.tmp"))
    assert latest_valid(disk / "run").name == "update_00000006.ckpt"
    (disk / "other").unlink()
    run(disk / "run")
    assert_same(disk / "run", whole)


@pytest.mark.parametrize(
    ("leave", "told"),
    [(60_000, r"cannot take a checkpoint of about 0\.1 MB \(No space left on device\)"), (0, r"metrics\.csv")],
)
def test_a_disk_that_is_full_at_the_start(disk, leave, told):
    (disk / "run").mkdir()
    run(disk / "run", updates=1)
    (disk / "run" / "seen.jsonl").unlink()
    before = {path: path.read_bytes() for path in (disk / "run").rglob("*") if path.is_file()}
    fill(disk, leave=leave)
    with pytest.raises((CheckpointError, OSError), match=told):
        run(disk / "run")
    assert not (disk / "run" / "seen.jsonl").exists(), "a batch was trained"
    assert {path: path.read_bytes() for path in (disk / "run").rglob("*") if path.is_file()} == before


def test_metrics_wait_until_there_is_room(disk, caplog):
    log = MetricsFile(str(disk), every=1)
    for step in range(3):
        log.log_metrics({"train/l1": step / 8}, step)
    before = (disk / "metrics.csv").read_bytes()
    fill(disk, leave=0)
    for step in range(3, 1000):
        log.log_metrics({"train/l1": step / 8}, step)
    assert (disk / "metrics.csv").read_bytes().startswith(before)
    assert (disk / "metrics.csv").read_bytes().endswith(b"\n"), "a row is torn"
    assert caplog.text.count("rows wait in memory (No space left on device)") == 1
    (disk / "other").unlink()
    log.save()
    assert [(int(row["step"]), float(row["train/l1"])) for row in rows(disk)] == [(n, n / 8) for n in range(1000)]


def refusing(when, trainer):
    if when == "update" and trainer.global_step == 2 and trainer.is_global_zero:

        def refuse(state, path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        checkpoint.write = refuse


def test_no_rank_waits_for_the_one_whose_disk_is_full(tmp_path):
    assert fork_two(tmp_path, acts=(refusing, refusing), updates=6) == [1, 1]
    assert latest_valid(tmp_path).name == "update_00000002.ckpt"
