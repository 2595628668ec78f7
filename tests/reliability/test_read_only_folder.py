"""A run folder that cannot be written is refused before the first batch."""

import pytest

from inpaint.files.checkpoint import CheckpointError
from tests.reliability.rights import become_somebody_else, skip_where_somebody_else_cannot_import
from tests.reliability.runs import SMALL, command, fork, run, train


def as_somebody_else(folder):
    become_somebody_else()
    with pytest.raises(
        CheckpointError, match=r"callbacks\.checkpoint\.folder: .* cannot take .* \(Permission denied\)"
    ):
        run(folder)


def test_read_only(tmp_path):
    skip_where_somebody_else_cannot_import()
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
