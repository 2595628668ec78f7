"""A command as it is typed, from its start to its end."""

from pathlib import Path
from types import SimpleNamespace

from tests.reliability import commands

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
    """`inpaint-<command>` in `cwd` and a process of its own; what it printed, after checking its exit code."""
    printed, errors = commands.run(command, *arguments, cwd=cwd, code=code, **environment)
    return SimpleNamespace(stdout=printed, stderr=errors)
