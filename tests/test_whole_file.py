"""The old file or the new one, and nothing beside it."""

import errno
from pathlib import Path

import pytest

from inpaint.whole_file import replace_text


@pytest.mark.parametrize("step", ["write_text", "replace"])
def test_a_full_disk_leaves_the_old_one(tmp_path, monkeypatch, step):
    path = tmp_path / "summary.json"
    replace_text(path, "old\n")
    act = getattr(Path, step)

    def full(place, *arguments, **settings):
        if step == "write_text":
            act(place, "n", **settings)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, step, full)
    with pytest.raises(OSError, match="No space left") as raised:
        replace_text(path, "new\n")
    assert raised.value.filename == str(path)
    monkeypatch.undo()
    assert path.read_text() == "old\n" and list(tmp_path.iterdir()) == [path]
    replace_text(path, "nöw\n")
    assert path.read_text(encoding="utf-8") == "nöw\n" and list(tmp_path.iterdir()) == [path]
