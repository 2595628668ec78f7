import hashlib
import pickle

import pytest
import torch

from inpaint.files import checkpoint
from inpaint.files.checkpoint import CheckpointError
from tests.checkpoints import latest_valid

CONFIG = {"name": "test", "generator": {"width": 8}}


def write(folder, update, value=0.0):
    """A small valid checkpoint, as the callback writes it."""
    state = {"state_dict": {"ema.network.weight": torch.full((3,), value), "generator.weight": torch.zeros(3)}}
    checkpoint.stamp(state, CONFIG, update)
    path = folder / f"update_{update:08d}.ckpt"
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    checkpoint.publish(temporary, path)
    return path


def test_round_trip(tmp_path):
    path = write(tmp_path, 7, value=3.0)
    loaded = checkpoint.load(path)
    assert checkpoint.config_of(loaded) == CONFIG and loaded["inpaint"]["update"] == 7
    assert torch.equal(checkpoint.generator_state(loaded)["weight"], torch.full((3,), 3.0))
    digest = checkpoint.digest_path(path).read_text().split()
    assert digest == [hashlib.sha256(path.read_bytes()).hexdigest(), path.name]
    assert not list(tmp_path.glob("*.tmp"))


def test_a_generator_alone(tmp_path):
    network = torch.nn.Linear(3, 2)
    path = tmp_path / "generator.ckpt"
    checkpoint.save_generator(path, network, CONFIG, 9)
    loaded = checkpoint.load(path)
    assert checkpoint.config_of(loaded) == CONFIG and loaded["inpaint"]["update"] == 9
    state = checkpoint.generator_state(loaded)
    assert all(torch.equal(state[name], value) for name, value in network.state_dict().items())
    assert latest_valid(tmp_path) is None, "a run cannot go on from it"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["generator.ckpt", "generator.ckpt.sha256"]


def damage(path, kind):
    content = path.read_bytes()
    if kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "bit flip":
        place = len(content) // 3
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "web page":
        path.write_text("<!DOCTYPE html><html>404</html>")
    elif kind == "foreign":
        torch.save({"state_dict": {}}, path)
        checkpoint.digest_path(path).unlink()
    elif kind == "no digest":
        path.write_bytes(content[:-200])
        checkpoint.digest_path(path).unlink()


@pytest.mark.parametrize("kind", ["truncated", "bit flip", "empty", "web page", "foreign", "no digest"])
def test_damaged_files_are_refused_by_name_and_the_newest_valid_one_is_found(tmp_path, kind):
    good, bad = write(tmp_path, 100), write(tmp_path, 200)
    damage(bad, kind)
    with pytest.raises(CheckpointError, match=r"update_00000200\.ckpt"):
        checkpoint.load(bad)
    assert latest_valid(tmp_path) == good
    assert checkpoint.load(tmp_path)["inpaint"]["update"] == 100


def test_missing_files_and_empty_folders(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        checkpoint.load(tmp_path / "no.ckpt")
    assert latest_valid(tmp_path) is None
    with pytest.raises(CheckpointError, match="no valid checkpoint in"):
        checkpoint.load(tmp_path)


def test_the_newest_in_a_run_folder(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    write(tmp_path / "checkpoints", 999)
    newest = write(tmp_path / "checkpoints", 12000)
    assert latest_valid(tmp_path) == newest


def test_nothing_is_executed(tmp_path):
    marker = tmp_path / "executed"

    class Malicious:
        def __reduce__(self):
            return (marker.touch, ())

    path = tmp_path / "update_00000001.ckpt"
    for content in (pickle.dumps(Malicious()), None):
        if content is None:
            torch.save({"inpaint": {"kind": checkpoint.KIND}, "state_dict": Malicious()}, path)
        else:
            path.write_bytes(content)
        with pytest.raises(CheckpointError, match="is not a checkpoint"):
            checkpoint.load(path)
    assert not marker.exists()


def test_a_crash_while_writing_leaves_the_former_checkpoint(tmp_path):
    good = write(tmp_path, 1)
    (tmp_path / "update_00000002.tmp").write_bytes(b"half a checkpoint")
    (tmp_path / "update_00000002.ckpt.sha256").write_text("0" * 64)
    assert latest_valid(tmp_path) == good
