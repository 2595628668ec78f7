"""A damaged newest checkpoint is refused with its reason and the one before used; asked for by name, it is an error."""

import shutil

import pytest
from omegaconf import OmegaConf

from inpaint import checkpoint
from inpaint.checkpoint import CheckpointError
from inpaint.resume import Start
from tests.reliability.runs import assert_same, run

DAMAGE = {
    "nothing left": lambda content: b"",
    "one byte left": lambda content: content[:1],
    "half left": lambda content: content[: len(content) // 2],
    "one byte short": lambda content: content[:-1],
    "a bit flipped": lambda content: content[:5000] + bytes([content[5000] ^ 1]) + content[5001:],
    "a web page": lambda content: b"<!DOCTYPE html><html>Sign in</html>",
}


@pytest.fixture
def damaged(tmp_path, whole, request):
    shutil.copytree(whole, tmp_path / "run")
    newest = checkpoint.latest_valid(tmp_path / "run")
    newest.write_bytes(DAMAGE[request.param](newest.read_bytes()))
    return newest


# Without its checksum nobody can know that a bit has flipped.
CASES = [(kind, sidecar) for kind in DAMAGE for sidecar in (True, False) if sidecar or kind != "a bit flipped"]


@pytest.mark.parametrize(("damaged", "sidecar"), CASES, indirect=["damaged"])
def test_the_one_before_is_used(damaged, sidecar, caplog):
    if not sidecar:
        checkpoint.digest_path(damaged).unlink()
    folder = damaged.parents[1]
    cfg = OmegaConf.create({"name": "tiny", "paths": {"run": str(folder)}, "resume": "auto"})
    start = Start(cfg)
    assert start.update == 10 and start.path.name == "update_00000010.ckpt"
    (reason,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert damaged.name in reason and ("damaged, its contents" if sidecar else "is not a checkpoint (") in reason

    cfg.resume = str(damaged)
    with pytest.raises(CheckpointError, match=damaged.name):
        Start(cfg)


@pytest.mark.parametrize("damaged", ["half left"], indirect=True)
def test_the_run_goes_on_and_the_damaged_file_is_set_aside(damaged, whole, caplog):
    """Or it would count among the newest that are kept, and the good ones would be deleted for it."""
    folder = damaged.parents[1]
    run(folder, updates=11, every=1, keep=1)
    assert "update_00000012.ckpt.aside: set aside, as the run goes on from update 10" in caplog.text
    names = sorted(path.name for path in damaged.parent.iterdir())
    assert names == ["update_00000011.ckpt", "update_00000011.ckpt.sha256", "update_00000012.ckpt.aside"]
    run(folder)
    assert_same(folder, whole)


def test_going_on_from_an_older_one_sets_the_newer_aside(tmp_path, whole):
    """They belong to a continuation that is given up; found again, they would be taken for the newest."""
    shutil.copytree(whole, tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    run(tmp_path / "run", updates=11, every=1, resume=folder / "update_00000010.ckpt")
    assert checkpoint.latest_valid(folder).name == "update_00000011.ckpt"
    assert (folder / "update_00000012.ckpt.aside").is_file()
