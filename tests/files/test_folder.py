"""One owner of a folder, and files whole or not at all. Real processes, but for the file system."""

import errno
import fcntl
import multiprocessing
import os
import signal
import socket
import time

import pytest

from inpaint.files import folder
from inpaint.files.folder import Busy, Held, first_rank, let_go, only_one, take, wait_until_free, write_whole

FORK, SPAWN = multiprocessing.get_context("fork"), multiprocessing.get_context("spawn")


def busy(file):
    try:
        with only_one(file, "a run"):
            return False
    except Busy:
        return True


def test_a_second_owner_is_told_who_the_first_is_and_what_to_do(tmp_path):
    file = tmp_path / "deep" / "x.lock"
    with only_one(file, "hydra.run.dir: a run"), pytest.raises(Busy) as refused, only_one(file, "hydra.run.dir: a run"):
        pass
    assert str(refused.value) == (
        f"hydra.run.dir: a run in {file.parent} is at work in another process ({os.getpid()} on {socket.gethostname()})"
        "; wait for it, end it, or choose another folder"
    )
    assert not busy(file) and not folder.held


def test_a_file_that_is_left_behind_refuses_nobody(tmp_path):
    (tmp_path / "x.lock").write_text("4711 on another machine\n and more")
    assert not busy(tmp_path / "x.lock")
    assert (tmp_path / "x.lock").read_text() == f"{os.getpid()} on {socket.gethostname()}\n"


def test_an_error_gives_it_back(tmp_path):
    with pytest.raises(KeyError), only_one(tmp_path / "x.lock", ""):
        raise KeyError
    assert not busy(tmp_path / "x.lock") and not folder.held


def owner(file, connection):
    with only_one(file, ""):
        connection.send("mine")
        connection.recv()


def test_patience(tmp_path, caplog):
    """It is said once that somebody waits, and for what; the lock is taken when it is free."""
    ours, theirs = FORK.Pipe()
    other = FORK.Process(target=owner, args=(tmp_path / "x.lock", theirs))
    other.start()
    assert ours.recv() == "mine"
    with pytest.raises(Busy), only_one(tmp_path / "x.lock", "a run", patience=0.5):
        pass
    assert [record.getMessage().partition(" is at ")[2] for record in caplog.records] == [
        f"work in another process ({other.pid} on {socket.gethostname()}); waiting for its end, up to 0 s"
    ]
    ours.send("end")
    with only_one(tmp_path / "x.lock", "a run", patience=60):
        other.join()


def child(connection, *held, reads=False):
    if reads:
        let_go()
    connection.send([str(file) for file in folder.held])
    connection.recv()


@pytest.mark.parametrize("reads", [False, True])
def test_a_forked_process_holds_it_unless_it_lets_go(tmp_path, reads):
    ours, theirs = FORK.Pipe()
    with only_one(tmp_path / "x.lock", ""):
        process = FORK.Process(target=child, args=(theirs,), kwargs={"reads": reads})
        process.start()
        assert ours.recv() == ([] if reads else [str(tmp_path / "x.lock")])
        assert busy(tmp_path / "x.lock"), "letting go must not take it from the parent"
    assert busy(tmp_path / "x.lock") == (not reads)
    process.kill()
    process.join()
    assert not busy(tmp_path / "x.lock")


def test_a_spawned_process_holds_it_if_it_is_sent_along(tmp_path):
    ours, theirs = SPAWN.Pipe()
    with only_one(tmp_path / "x.lock", ""):
        process = SPAWN.Process(target=child, args=(theirs, Held()))
        process.start()
        assert ours.recv() == [str(tmp_path / "x.lock")]
    assert busy(tmp_path / "x.lock")
    process.kill()
    process.join()
    assert not busy(tmp_path / "x.lock")


def test_kill_minus_9(tmp_path):
    ours, theirs = FORK.Pipe()
    process = FORK.Process(target=owner, args=(tmp_path / "x.lock", theirs))
    process.start()
    assert ours.recv() == "mine" and busy(tmp_path / "x.lock")
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not busy(tmp_path / "x.lock")


def test_taken_for_good(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "held", {})
    assert take(tmp_path / "x.lock") and not take(tmp_path / "x.lock") and list(folder.held) == [tmp_path / "x.lock"]
    let_go()
    assert take(tmp_path / "x.lock")
    let_go()


# ---- where there is none: stand-ins, as no file system of the tests' machine is like that ----------------------------


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_locks(tmp_path, monkeypatch, caplog, number):
    def flock(file, kind):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with only_one(tmp_path / "x.lock", "a run"):
        assert take(tmp_path / "gpu_0.lock")
        os.close(folder.held.pop(tmp_path / "gpu_0.lock"))
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2 and all(os.strerror(number) in line for line in told)
    assert told[0].startswith(f"{tmp_path / 'x.lock'}: no locks here") and "nothing stops a second process" in told[0]


def test_nothing_is_free_where_there_are_no_locks(tmp_path, monkeypatch):
    """Who waits for the end of a sweep must not take it for ended."""
    tried = []

    def flock(file, kind):
        tried.append(kind)
        if len(tried) < 3:
            raise OSError(errno.ENOLCK, "")

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    (tmp_path / "x.lock").touch()
    wait_until_free(tmp_path / "x.lock")
    assert len(tried) == 3


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch, caplog, number):
    opened = os.open

    def refused(file, flags, *rest):
        if flags & os.O_CREAT:
            raise OSError(number, os.strerror(number), str(file))
        return opened(file, flags, *rest)

    monkeypatch.setattr(os, "open", refused)
    with only_one(tmp_path / "x.lock", ""):
        assert not folder.held and not caplog.records
    (tmp_path / "x.lock").write_text("another user's")
    with only_one(tmp_path / "x.lock", ""):
        assert busy(tmp_path / "x.lock")
    assert (tmp_path / "x.lock").read_text() == "another user's"


def test_a_full_disk_is_said_by_the_disk(tmp_path, monkeypatch):
    def full(file, flags, *rest):
        raise OSError(errno.ENOSPC, "No space left on device", str(file))

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(OSError, match="No space left on device"), only_one(tmp_path / "x.lock", ""):
        pass


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0", "GROUP_RANK": "0"}, True),
        ({"RANK": "2", "LOCAL_RANK": "0", "GROUP_RANK": "1"}, False),  # torchrun, the second machine
        ({"LOCAL_RANK": "1", "NODE_RANK": "0", "SLURM_PROCID": "0"}, False),  # started by Lightning within SLURM
        ({"NODE_RANK": "1"}, False),  # started by hand on the second machine
        ({"SLURM_PROCID": "3"}, False),
        ({"RANK": ""}, True),
    ],
)
def test_the_first_rank(monkeypatch, environment, expected):
    for name in folder.RANKS:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert first_rank() == expected


# ---- files ----------------------------------------------------------------------------------------------------------


def test_the_new_text_replaces_the_old(tmp_path):
    file = tmp_path / "a.json"
    for text in ("eins\n", "zwei ä\n"):
        write_whole(file, text)
        assert file.read_bytes().decode() == text
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_reader_of_the_old_file_reads_it_to_its_end(tmp_path):
    file = tmp_path / "a.json"
    write_whole(file, "old")
    with file.open() as reading:
        write_whole(file, "new")
        assert reading.read() == "old"


@pytest.mark.parametrize("fails", ["write_text", "replace"])
def test_what_fails_leaves_the_old_file_and_no_debris(tmp_path, monkeypatch, fails):
    file = tmp_path / "a.json"
    write_whole(file, "old")
    whole = type(file).write_text

    def full(path, text, **settings):
        if fails == "write_text":
            whole(path, text[:1], **settings)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(file), fails, full)
    with pytest.raises(OSError, match="No space") as raised:
        write_whole(file, "new")
    assert raised.value.filename == str(file)
    monkeypatch.undo()
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


# ---- files that belong together --------------------------------------------------------------------------------------

TOGETHER = ("a.csv", "b.csv", "pictures")


def fill(place, text, pictures):
    (place / "a.csv").write_text(text)
    (place / "pictures").mkdir()
    for name in pictures:
        (place / "pictures" / name).write_text(text)


def contents(place):
    return {str(path.relative_to(place)): path.read_text() for path in place.rglob("*") if path.is_file()}


def test_what_belongs_together_is_replaced_as_a_whole(tmp_path):
    (tmp_path / "b.csv").write_text("old")
    (tmp_path / "other").write_text("stays")
    for text, pictures in (("old", "12345"), ("new", "12")):
        with folder.replacing_all(tmp_path, TOGETHER) as place:
            fill(place, text, pictures)
    new = {"a.csv": "new", "pictures/1": "new", "pictures/2": "new", "other": "stays"}
    assert contents(tmp_path) == new
    with pytest.raises(OSError, match="full"), folder.replacing_all(tmp_path, TOGETHER) as place:
        fill(place, "half", "1")
        raise OSError("full")
    assert contents(tmp_path) == new


def test_a_kill_between_leaves_none_of_the_old(tmp_path, monkeypatch):
    fill(tmp_path, "old", "123")
    replace, killed = folder.Path.replace, []

    def kill(path, target):
        killed.append(contents(tmp_path))
        return replace(path, target)

    monkeypatch.setattr(folder.Path, "replace", kill)
    with folder.replacing_all(tmp_path, TOGETHER) as place:
        fill(place, "new", "12")
    assert len(killed) == 2 and all("old" not in files.values() for files in killed)
