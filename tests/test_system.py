"""Commands start and train where the system has no flock, no SIGUSR1 and no fork, and memory is known everywhere."""

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from inpaint import system
from inpaint.files import folder
from tests.sweeps import TINY

# Everything that Windows lacks and this package could touch; what it imports from others is imported before.
HIDE = """
import errno, faulthandler, os, signal, socket, subprocess, sys
import filelock, hydra, kornia, lightning, multiprocessing.reduction, optuna, rich, scipy, skimage, torch, torchmetrics
import torch.multiprocessing, torch.distributed, uvicorn, starlette
def no_flock(*arguments, **settings):
    raise OSError(errno.ENOSYS, "no locks")
filelock.lock_descriptor = no_flock
for name in ("fcntl", "resource", "grp", "pwd", "termios", "_posixsubprocess"):
    sys.modules[name] = None
for name in ("SIGUSR1", "SIGUSR2", "SIGKILL", "SIGHUP", "pthread_sigmask", "sigtimedwait", "SIG_BLOCK"):
    delattr(signal, name)
for name in ("register_at_fork", "O_NOFOLLOW", "pread", "pwrite", "set_blocking", "statvfs", "getuid"):
    if hasattr(os, name):
        delattr(os, name)
del faulthandler.register, faulthandler.unregister, multiprocessing.reduction.DupFd
"""
START = """
import importlib, pickle, pkgutil
import inpaint
for module in pkgutil.walk_packages(inpaint.__path__, "inpaint."):
    if not module.name.endswith("__main__") or "study" in module.name:
        importlib.import_module(module.name)
from inpaint.files.folder import Held
pickle.loads(pickle.dumps(Held()))
for name in ("train", "evaluate", "predict", "preview", "probe", "sample", "stylise", "compare", "study"):
    sys.argv = [f"inpaint-{name}", "--help"]
    place = {"probe": "inpaint.probe", "compare": "inpaint.compare", "study": "inpaint.study.__main__"}
    try:
        importlib.import_module(place.get(name, f"inpaint.{name}")).main()
    except SystemExit as end:
        assert not end.code, (name, end.code)
from inpaint import train
sys.argv = ["inpaint-train", *ARGUMENTS]
train.main()
"""


def test_every_command_starts_and_one_trains_without_what_windows_lacks(tmp_path):
    arguments = [*TINY, "baselines=[]", "hydra.run.dir=run"]
    done = subprocess.run(
        [sys.executable, "-c", f"{HIDE}ARGUMENTS = {arguments!r}\n{START}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "run" / "results.md").is_file() and "next:" in done.stdout
    assert "no locks here" in done.stdout + done.stderr, "a folder that cannot be locked is said"


def test_free_memory_is_asked_of_psutil_where_linux_does_not_say(monkeypatch, tmp_path):
    assert 2**20 < system.free_memory() < 2**50
    is_file = Path.is_file
    monkeypatch.setattr(Path, "is_file", lambda self: self != Path("/proc/meminfo") and is_file(self))
    stub = types.SimpleNamespace(virtual_memory=lambda: types.SimpleNamespace(available=12345))
    monkeypatch.setitem(sys.modules, "psutil", stub)
    monkeypatch.setattr(system, "find_spec", lambda name: name)
    assert system.free_memory() == 12345
    monkeypatch.setattr(system, "find_spec", lambda name: None)
    assert system.free_memory() == 0


def test_descriptors_are_counted_where_they_are_limited(monkeypatch):
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1234, 5678))
    assert system.most_descriptors() == 1234
    monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert system.most_descriptors() is None
    monkeypatch.setitem(sys.modules, "resource", None)
    assert system.most_descriptors() is None


def test_a_lock_is_the_systems_and_says_whose_it_is(tmp_path):
    code = f"from inpaint.files.folder import only_one\nwith only_one({str(tmp_path / 'a.lock')!r}, 'x'): pass"
    code = code.replace("only_one('", "only_one(__import__('pathlib').Path('").replace("', 'x'", "'), 'x'")
    with folder.only_one(tmp_path / "a.lock", "x"):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 1 and f"at work in another process ({os.getpid()} on " in done.stderr
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
