"""A command as it is typed, from its start to its end."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SMALL = [
    "trainer.max_steps=4",
    "trainer.val_check_interval=2",
    "trainer.log_every_n_steps=1",
    "callbacks.checkpoint.every=2",
    "callbacks.panel.every=2",
    "data.validation_crops=4",
    "data.batch_size=4",
    "generator.width=8",
    "discriminator.width=8",
]


def run(command, *arguments, cwd, code=0, **environment):
    """`inpaint-<command>` in `cwd`; returns the finished process after checking its exit code."""
    done = subprocess.run(
        [sys.executable, "-m", f"inpaint.{command}", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done
