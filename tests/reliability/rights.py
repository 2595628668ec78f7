"""Tests as a user whom rights bind: the superuser, as whom tests may run, becomes another one."""

import os
from pathlib import Path

import pytest
import torch

import inpaint

NOBODY = 65534
READ = (os.__file__, torch.__file__, inpaint.__file__, __file__)  # Python, the environment, the checkout


def become_somebody_else():
    """From here on this process has the rights of nobody in particular, if it had all before."""
    if os.geteuid() == 0:
        os.seteuid(NOBODY)


def skip_where_somebody_else_cannot_import():
    """A checkout or an environment below a folder that the superuser alone may enter is closed to everybody else."""
    if os.geteuid() != 0:
        return
    become_somebody_else()
    try:
        closed = [path for path in READ if not os.access(path, os.R_OK, effective_ids=True)]
    finally:
        os.seteuid(0)
    if closed:
        pytest.skip(f"another user cannot read {Path(closed[0]).parent}, so no code runs there with fewer rights")
