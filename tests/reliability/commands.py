"""Commands as real processes, several at a time, and what is left of them."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT = 120  # seconds; a hang ends here
SMALL = [
    *("trainer.max_steps=6", "trainer.val_check_interval=3", "trainer.log_every_n_steps=1", "trainer.accelerator=cpu"),
    *("callbacks.checkpoint.every=2", "callbacks.panel.every=100", "data.validation_crops=1", "data.batch_size=2"),
    *("data.crop=32", "data.crops_per_image=4", "generator.width=4", "discriminator.width=4", "baselines=[]"),
]


def start(command, *arguments, cwd, **environment):
    """Start ``python -m inpaint.<command>``, or a script, in a session of its own."""
    program = [str(command)] if str(command).endswith(".py") else ["-m", f"inpaint.{command}"]
    return subprocess.Popen(
        [sys.executable, *program, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process):
    """Exit code, what it printed and what it printed as errors; fails where it hangs."""
    try:
        printed, errors = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        printed, errors = process.communicate()
        raise AssertionError(f"no end within {LIMIT} s\n{printed[-2000:]}\n{errors[-2000:]}") from None
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
