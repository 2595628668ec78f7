"""A folder that commands write: one owner at a time (a run with its ranks, a job, a sweep), files whole or not at all.

A lock is the system's (`flock`, on Windows `LockFileEx`), and ends with the last process that holds it, however that
ends; the file that stays behind refuses nobody and says who was the last. A process that is forked holds what its
parent holds. For ranks that is right, as they write into the folder; readers `let_go`.
"""

import errno
import hashlib
import logging
import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from multiprocessing import reduction
from pathlib import Path
from typing import Any

import filelock

from inpaint.settings import Refused, listed

log = logging.getLogger("inpaint.files.folder")

LOCK = "run.lock"  # in a run folder, held by the run or the evaluation that is at work in it

NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
held: dict[Path, int] = {}  # descriptors of this process's locks, by file; here because jobs are sent to others pickled

# Number of a process among all, or on its machine, or of that machine: from torchrun, Lightning, SLURM and LSF.
RANKS = ("RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")


class Busy(Refused):
    """Another process is at work in the folder."""


@contextmanager
def only_one(file: Path, what: str, patience: float = 0.0) -> Iterator[None]:
    """Hold the lock `file`. A folder that cannot be written has none, as nothing in there can be written over.

    Args:
        file: in the folder that is to have one owner.
        what: for the message, as ``hydra.sweep.dir: a sweep``.
        patience: seconds to wait for another process that may be about to end.

    Raises:
        Busy: another process holds it.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _open(file)
    except OSError as error:
        if error.errno not in NOT_WRITABLE:
            raise
        yield
        return
    begin, waiting = time.monotonic(), False
    while not _taken(descriptor, file):
        told = f"{what} in {file.parent} is at work in another process{_owner(descriptor)}"
        if time.monotonic() - begin >= patience:
            os.close(descriptor)
            raise Busy(f"{told}; wait for it, end it, or choose another folder")
        if not waiting:
            log.warning(f"{told}; waiting for its end, up to {patience:.0f} s")
        waiting = True
        time.sleep(0.2)
    try:
        yield
    finally:
        os.close(held.pop(file.resolve()))


def first_rank() -> bool:
    """Whether this is the one process that owns the run folder, of those that were started to train one model."""
    return not any(int(os.environ.get(name) or 0) for name in RANKS)


def take(file: Path) -> bool:
    """Hold the lock `file` as long as this process lives; False if another has it."""
    descriptor = _open(file)
    if not (taken := _taken(descriptor, file)):
        os.close(descriptor)
    return taken


def wait_until_free(file: Path) -> None:
    """Return when no process holds the lock `file`, which is there; never, where the file system has no locks."""
    descriptor = _open(file)
    try:
        while True:
            with suppress(OSError):
                if filelock.lock_descriptor(descriptor, blocking=False):
                    return
            time.sleep(0.5)
    finally:
        os.close(descriptor)


def let_go() -> None:
    """In a forked process: its parent's locks are its parent's alone."""
    while held:
        os.close(held.popitem()[1])


class Held:
    """Pickled with a spawned process's arguments, it hands over duplicates of the descriptors of this process's locks.

    The spawned process then holds the locks as a forked one does.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        duplicate = getattr(reduction, "DupFd", None)  # Windows has none: there the parent alone holds them
        return _hold, ({file: duplicate(descriptor) for file, descriptor in held.items()} if duplicate else {},)


def _hold(received: dict[Path, Any]) -> Held:
    for file, duplicate in received.items():
        held[file] = duplicate.detach()
        os.set_inheritable(held[file], False)
    return Held()


def _open(file: Path) -> int:
    try:
        return os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Refused(f"{file}: a link, which is no lock; remove it") from None
        if error.errno in NOT_WRITABLE and file.exists():  # a lock that another user made
            return os.open(file, os.O_RDONLY)
        raise


def _taken(descriptor: int, file: Path) -> bool:
    """Take the lock, and say so in the file, unless another process has it."""
    try:
        if not filelock.lock_descriptor(descriptor, blocking=False):
            return False
    except OSError as error:
        log.warning(f"{file}: no locks here ({error.strerror}), so nothing stops a second process in this folder")
    with suppress(OSError):  # a full disk
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f"{os.getpid()} on {socket.gethostname()}\n".encode())
    held[file.resolve()] = descriptor
    return True


def _owner(descriptor: int) -> str:
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        said = os.read(descriptor, 200).decode(errors="replace").strip()
    except OSError:  # Windows lets nobody read what another process has locked
        said = ""
    return f" ({said})" if said else ""


def inside(folder: Path, name: str | Path) -> Path:
    """The file or folder `name` of a folder: every path that a file names, and every link, must lead below it.

    What someone else made says where the parts of it are, and nothing of this machine's.

    Raises:
        Refused: an absolute name, ``..`` or a link leads out of the folder.
    """
    if leads_out(folder, name):
        raise Refused(f"{name} leads out of {folder}")
    return folder / name


def leads_out(folder: Path, name: str | Path) -> bool:
    """Whether the file or folder `name` of a folder is not below it, once all links are followed."""
    try:
        return not (folder / name).resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError):  # a circle of links, a name that no file can have
        return True


def expanded(path: str | Path) -> Path:
    """A path that somebody typed, with ``~`` in front as the home; that of nobody is a name like any other."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  Path.expanduser raises for ~nobody


# ---- files ----------------------------------------------------------------------------------------------------------


def shown(folder: str | Path) -> Path:
    """Relative to where the user is, if it is below."""
    path = Path(folder)
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def sha256(file: str | Path) -> str:
    """The sha256 of the file's contents, in hexadecimal digits."""
    with Path(file).open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def write_whole(path: Path, text: str) -> None:
    """Replace a small file: whoever reads `path` meanwhile finds the old text or the new one.

    Several processes may write the same file. Where one cannot, the old file stays and nothing else does.

    Raises:
        OSError: the folder is not there, the disk is full, or one may not write; with the name of `path`.
    """
    with replacing(path) as scratch:
        scratch.write_text(text, encoding="utf-8", errors="backslashreplace")  # names of files are any bytes


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write, of the same suffix, that takes the name `path` in the end; where anything fails, nothing stays.

    A link that has that name is replaced, and what it leads to stays as it was.

    Raises:
        OSError: the folder is not there, the disk is full, or one may not write; with the name of `path`.
    """
    scratch = path.with_name(f".{path.stem[:100]}.{secrets.token_hex(8)}{path.suffix}")
    try:
        os.close(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))  # it is nobody's link
        yield scratch
        scratch.replace(path)
    except OSError as error:  # that of a full disk does not say where
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        scratch.unlink(missing_ok=True)


def make_new(folder: Path) -> Path:
    """Make a folder that was not there before: `folder`, or ``folder-2``, ``folder-3``, ... where that is taken.

    Of processes that want the same one at the same time, each gets its own.

    Raises:
        OSError: none can be made there.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        made = folder if number == 1 else folder.with_name(f"{folder.name}-{number}")
        with suppress(FileExistsError):
            made.mkdir()
            return made
    raise AssertionError


@contextmanager
def replacing_all(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """A folder to write into, whose contents take the place of what has the same `names` in `folder` at the end.

    Old and new are never mixed: whoever is killed meanwhile leaves a part of the new ones, and none of the old. Where
    writing fails, the old ones stay.

    Args:
        folder: made if it is not there.
        names: files and folders that belong together.

    Raises:
        OSError: the disk is full, or one may not write.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / f".{secrets.token_hex(8)}"
    scratch.mkdir()
    try:
        yield scratch
        for name in names:
            old = folder / name
            if old.is_dir() and not old.is_symlink():
                shutil.rmtree(old)
            else:
                old.unlink(missing_ok=True)
        for new in sorted(scratch.iterdir()):
            new.replace(folder / new.name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def refuse_links(folder: Path, setting: str) -> None:
    """Nothing is written through a link: whoever made a folder would decide which of the user's files it replaces.

    A link to a folder is no better than one to a file, as many data sets call their pictures as we do (``00007.png``),
    and old checkpoints are deleted. The folder itself may be one: its user names it. So may those in ``wandb/``, which
    wandb's client makes to its own logs; each of its sessions writes into a new folder.

    Raises:
        Refused: links in the folder that lead out of it.
    """
    leaving = []
    for place, folders, files in os.walk(folder):
        entries = [Path(place, name) for name in (*folders, *files)]
        folders[:] = [name for name in folders if name != "wandb"]
        leaving += [path for path in entries if path.is_symlink() and leads_out(folder, path.relative_to(folder))]
    if leaving:
        raise Refused(
            f"{setting}: {len(leaving)} links in {folder} lead out of it and could be written through: "
            f"{listed(sorted(leaving))}; remove them"
        )
