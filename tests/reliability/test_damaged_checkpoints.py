"""A damaged newest checkpoint is refused with its reason and the one before used; asked for by name, it is an error."""

import shutil

import pytest

from inpaint.files import checkpoint
from inpaint.files.checkpoint import CheckpointError
from inpaint.training.resume import Start
from tests.checkpoints import latest_valid
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
    newest = latest_valid(tmp_path / "run")
    newest.write_bytes(DAMAGE[request.param](newest.read_bytes()))
    return newest


# Without its checksum nobody can know that a bit has flipped.
CASES = [(kind, sidecar) for kind in DAMAGE for sidecar in (True, False) if sidecar or kind != "a bit flipped"]


@pytest.mark.parametrize(("damaged", "sidecar"), CASES, indirect=["damaged"])
def test_the_one_before_is_used(damaged, sidecar, caplog):
    if not sidecar:
        checkpoint.digest_path(damaged).unlink()
    folder = damaged.parents[1]
    start = Start(folder, "auto")
    assert start.update == 10 and start.path.name == "update_00000010.ckpt"
    (reason,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert damaged.name in reason and ("damaged, its contents" if sidecar else "is not a checkpoint (") in reason

    with pytest.raises(CheckpointError, match=damaged.name):
        Start(folder, str(damaged))


@pytest.mark.parametrize("damaged", ["half left"], indirect=True)
def test_whoever_takes_the_one_before_says_so(damaged, caplog):
    """An evaluation of a run folder, or `init_from`, must not show an older network in silence."""
    assert checkpoint.load(damaged.parents[1])["inpaint"]["update"] == 10
    assert f"{damaged.name} is damaged, its contents do not fit" in caplog.text


@pytest.mark.parametrize("damaged", ["half left"], indirect=True)
def test_the_run_goes_on_and_the_damaged_file_is_set_aside(damaged, whole, caplog):
    """Or it would count among the newest that are kept, and the good ones would be deleted for it."""
    folder = damaged.parents[1]
    run(folder, updates=11, every=1, keep=1)
    assert "update_00000012.ckpt.aside: set aside, as the run goes on from update 10" in caplog.text
    names = sorted(path.name for path in damaged.parent.iterdir())
    assert names == [f"update_000000{end}" for u in ("11.ckpt", "12.ckpt.aside") for end in (u, f"{u}.sha256")]
    run(folder)
    assert_same(folder, whole)


def test_going_on_from_an_older_one_sets_the_newer_aside(tmp_path, whole):
    """They belong to a continuation that is given up; found again, they would be taken for the newest."""
    shutil.copytree(whole, tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    run(tmp_path / "run", updates=11, every=1, resume=folder / "update_00000010.ckpt")
    assert latest_valid(folder).name == "update_00000011.ckpt"
    first = (folder / "update_00000012.ckpt.aside").read_bytes()
    shutil.copy(folder / "update_00000011.ckpt", folder / "update_00000012.ckpt")  # another continuation
    run(tmp_path / "run", updates=11, resume=whole / "checkpoints" / "update_00000010.ckpt")
    assert (folder / "update_00000012.ckpt.aside").read_bytes() == first, "what was set aside before is lost"
    assert checkpoint.load(folder / "update_00000012.ckpt.aside")["inpaint"]["update"] == 12
    assert checkpoint.load(folder / "update_00000012.ckpt.aside1")["inpaint"]["update"] == 11


def test_a_run_of_which_nothing_can_be_read_is_left_alone(tmp_path, whole):
    """Beginning anew in its folder would be a loss that nobody decided on."""
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    for path in (folder / "checkpoints").glob("*.ckpt"):
        path.write_bytes(path.read_bytes()[:-1])
    for resume in ("auto", "never"):
        with pytest.raises(
            ValueError, match=r"resume: none of the 2 checkpoints in .*run can be used \(.*00012\.ckpt "
        ):
            Start(folder, resume)
    with pytest.raises(CheckpointError, match="nowhere does not exist"):
        Start(folder, "nowhere")


@pytest.mark.parametrize("change", ["no config", "config", "no update", "no state"])
def test_incomplete_files_are_refused(tmp_path, whole, change):
    """As somebody else's tool may write them; their checksum fits."""
    content = checkpoint.load(whole)
    said = content["inpaint"]
    {
        "no config": lambda: said.pop("config"),
        "config": lambda: said.update(config="[]"),
        "no update": lambda: said.pop("update"),
        "no state": lambda: content.pop("state_dict"),
    }[change]()
    checkpoint.write(content, tmp_path / "update_00000012.ckpt")
    with pytest.raises(CheckpointError, match=r"00012\.ckpt is incomplete: config, update and state_dict belong to it"):
        checkpoint.load(tmp_path / "update_00000012.ckpt")


def test_files_of_other_names_are_none(tmp_path, whole):
    shutil.copytree(whole, tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    for name in ("update_best.ckpt", "my_update_.ckpt", "last.ckpt"):
        (folder / name).write_text("mine")
    run(tmp_path / "run", updates=13, keep=1, every=1)
    assert sorted(path.name for path in folder.glob("*.ckpt")) == [
        *("last.ckpt", "my_update_.ckpt", "update_00000013.ckpt", "update_best.ckpt")
    ]
