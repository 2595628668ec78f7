"""SIGINT (Ctrl-C): once as SIGTERM; twice at once, with what was saved before intact."""

import signal

from inpaint.files import checkpoint
from tests.checkpoints import latest_valid
from tests.reliability.runs import At, assert_same, fork, run


def test_once(tmp_path, whole):
    assert fork(tmp_path, act=At("update", 4, signal.SIGINT)) == 128 + signal.SIGINT
    assert checkpoint.update_of(latest_valid(tmp_path)) == 5
    assert fork(tmp_path) == 0
    assert_same(tmp_path, whole)


def test_twice(tmp_path, whole):
    assert fork(tmp_path, act=At("update", 4, signal.SIGINT, times=2)) == 128 + signal.SIGINT
    assert checkpoint.update_of(latest_valid(tmp_path)) == 4
    assert fork(tmp_path) == 0
    assert_same(tmp_path, whole)


def impatient(folder):
    """The second comes in the middle of writing."""
    publish = checkpoint.publish

    def interrupted(temporary, path):
        if "00000005" in path.name:
            signal.raise_signal(signal.SIGINT)
        publish(temporary, path)

    checkpoint.publish = interrupted
    run(folder, act=At("update", 4, signal.SIGINT))


def test_twice_during_the_save(tmp_path, whole):
    assert fork(tmp_path, target=impatient) == 128 + signal.SIGINT
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        f"update_0000000{update}.ckpt{end}" for update in (2, 4) for end in ("", ".sha256")
    ]
    assert fork(tmp_path) == 0
    assert_same(tmp_path, whole)
