"""A run folder that cannot be written is refused before the first batch."""

import os

import pytest

from inpaint.checkpoint import CheckpointError
from tests.reliability.runs import SMALL, command, fork, run, train


def as_somebody_else(folder):
    """Rights do not bind the superuser, as whom tests may run."""
    if os.geteuid() == 0:
        os.seteuid(65534)
    with pytest.raises(
        CheckpointError, match=r"callbacks\.checkpoint\.folder: .* cannot take .* \(Permission denied\)"
    ):
        run(folder)


def test_read_only(tmp_path):
    run(tmp_path, updates=0)  # what a run writes elsewhere in its folder
    (tmp_path / "checkpoints").chmod(0o555)
    for path in (tmp_path, *tmp_path.parents[:3]):
        path.chmod(0o777)
    for path in tmp_path.rglob("*"):
        if path.name != "checkpoints":
            path.chmod(0o777)
    assert fork(tmp_path, target=as_somebody_else) == 0
    assert not (tmp_path / "seen.jsonl").exists(), "a batch was trained"


def test_the_commands_say_so(tmp_path, capfd):
    (tmp_path / "file").write_text("not a folder")
    code = command(train, *SMALL, f"hydra.run.dir={tmp_path}/file/run")
    assert code in (1, 2) and "file" in capfd.readouterr().err
