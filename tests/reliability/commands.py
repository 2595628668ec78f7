"""Commands as real processes, several at a time, and what is left of them.

A process is forked by a server that has everything imported (`runs.FORKS`), which saves it the seconds of CPU time that
importing torch and Lightning takes. All else is as a shell starts it: arguments, environment, working directory, a
session and pipes of its own, signals at their defaults, and ``__main__`` is the command's module.
"""

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

from tests.reliability.runs import FORKS

ROOT = Path(__file__).parents[2]
LIMIT = 300  # seconds; a hang ends here
SMALL = [
    *("trainer.max_steps=6", "trainer.val_check_interval=3", "trainer.log_every_n_steps=1", "trainer.accelerator=cpu"),
    *("callbacks.checkpoint.every=2", "callbacks.panel.every=100", "data.validation_crops=1", "data.batch_size=2"),
    *("data.crop=32", "data.crops_per_image=4", "generator.width=4", "discriminator.width=4", "baselines=[]"),
]


class Command:
    """A process with the methods of `subprocess.Popen` that the tests use."""

    def __init__(self, program, arguments, cwd, environment):
        (self._out, out), (self._err, errors) = (FORKS.Pipe(duplex=False) for _ in range(2))
        settings = (program, [*map(str, arguments)], str(cwd), environment, out, errors)
        self._process = FORKS.Process(target=_be, args=settings)
        self._process.start()
        out.close()
        errors.close()
        self.pid = self._process.pid
        self.stdout, self.stderr = (os.fdopen(os.dup(end.fileno()), encoding="utf-8") for end in (self._out, self._err))

    @property
    def returncode(self):
        return self._process.exitcode

    def poll(self):
        return self._process.exitcode

    def wait(self, timeout=None):
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("inpaint", timeout)
        return self._process.exitcode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout=None):
        read = {}

        def reader(name, stream):
            read[name] = stream.read()

        threads = [
            threading.Thread(target=reader, args=pair, daemon=True)
            for pair in (("out", self.stdout), ("err", self.stderr))
        ]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + (timeout or 1e6)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if len(read) < 2:
            raise subprocess.TimeoutExpired("inpaint", timeout)
        self.wait(max(1.0, deadline - time.monotonic()))
        return read["out"], read["err"]


def _be(program, arguments, cwd, environment, out, errors):
    """In the process: become the command, and end as an interpreter ends."""
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out.fileno(), 1)
    os.dup2(errors.fileno(), 2)
    out.close()
    errors.close()
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    multiprocessing.set_start_method(None, force=True)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    named = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path and path not in sys.path]
    sys.path[1:1] = named  # as an interpreter does when it begins
    code = 0
    try:
        if program.endswith(".py"):
            sys.argv, sys.path[0] = [program, *arguments], str(Path(program).parent)
            runpy.run_path(program, run_name="__main__")
        else:
            sys.argv, sys.path[0] = [program, *arguments], cwd
            sys.modules.pop(program, None)  # a fresh interpreter has not seen it either
            runpy.run_module(program, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException as error:
        traceback.print_exc()
        code = 128 + signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    finally:
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def start(command, *arguments, cwd, **environment):
    """Start ``python -m inpaint.<command>``, or a script, in a session of its own."""
    program = str(command) if str(command).endswith(".py") else f"inpaint.{command}"
    return Command(program, arguments, cwd, {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", **environment})


def finish(process):
    """Exit code, what it printed and what it printed as errors; fails where it hangs."""
    try:
        printed, errors = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        raise AssertionError(f"no end within {LIMIT} s") from None
    return process.returncode, printed, errors


def run(command, *arguments, cwd, code=0, **environment):
    """All of it; returns what it printed and what it printed as errors."""
    found, printed, errors = finish(start(command, *arguments, cwd=cwd, **environment))
    assert found == code, f"exit code {found}\n{printed[-3000:]}\n{errors[-3000:]}"
    return printed, errors


def processes_of(session):
    """Commands of the processes that are left of a session."""
    left = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            status = (place / "stat").read_text().rpartition(")")[2].split()
            if int(status[3]) == session and status[0] != "Z":
                left.append((place / "cmdline").read_text())
        except OSError:
            continue  # it ended while we looked
    return left
