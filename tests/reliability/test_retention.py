"""The newest and the best stay; the only good one is never deleted; what cannot be deleted is a warning."""

import shutil
from pathlib import Path

import pytest

from inpaint.files import checkpoint
from inpaint.training.saving import SaveCheckpoint
from tests.checkpoints import latest_valid
from tests.reliability.runs import UPDATES, At, assert_same, fork, rows, run


def files(folder, kind):
    return sorted(path.name for path in (folder / "checkpoints").glob(f"{kind}*.ckpt"))


def best_of(folder, figure, count, sign):
    """The updates with the best figures in metrics.csv."""
    measured = [
        (sign * float(row[f"val/{figure}"]), int(row["step"]) + 1) for row in rows(folder) if row[f"val/{figure}"]
    ]
    return sorted(update for _, update in sorted(measured)[-count:])


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept") / "run"
    run(folder, best=2, lr=2e-2)
    return folder


@pytest.mark.parametrize(("monitor", "sign"), [("hole_psnr", 1), ("hole_l1", -1)])
def test_newest_and_best(tmp_path, kept, monitor, sign):
    folder = kept
    if monitor != "hole_psnr":
        folder = tmp_path
        run(folder, best=2, monitor=monitor, lr=2e-2)
    assert files(folder, "update") == ["update_00000010.ckpt", "update_00000012.ckpt"]
    best = [folder / "checkpoints" / name for name in files(folder, f"best_{monitor}_")]
    assert sorted(map(checkpoint.update_of, best)) == best_of(folder, monitor, 2, sign)
    for path in best:
        assert checkpoint.load(path)["inpaint"]["update"] == checkpoint.update_of(path)
        value = float(path.name.split("_update_")[0].rpartition("_")[2])
        (row,) = [r for r in rows(folder) if r[f"val/{monitor}"] and int(r["step"]) + 1 == checkpoint.update_of(path)]
        assert value == pytest.approx(float(row[f"val/{monitor}"]), rel=1e-5)
    sides = {path.name.removesuffix(".sha256") for path in (folder / "checkpoints").glob("*.sha256")}
    assert sides == {*files(folder, "update"), *files(folder, "best")}


@pytest.mark.parametrize("interval", [3, 5])
def test_a_run_goes_on_from_one_of_the_best(tmp_path, interval):
    """Within an epoch and at its end; saved when it was validated, by no other rule."""
    settings = {"every": 100, "val_check_interval": interval, "best": 4}
    run(tmp_path / "whole", **settings)
    for path in (tmp_path / "whole" / "checkpoints").glob("best*.ckpt"):
        if checkpoint.update_of(path) == UPDATES:
            continue
        folder = tmp_path / path.name
        (folder / "checkpoints").mkdir(parents=True)
        shutil.copy(path, folder / "checkpoints")
        shutil.copy(tmp_path / "whole" / "metrics.csv", folder)
        run(folder, **settings)
        assert_same(folder, tmp_path / "whole")


@pytest.mark.parametrize("act", [At("validation 1", 6), At("update", 6)])
def test_the_best_are_found_after_a_kill(tmp_path, kept, act):
    assert fork(tmp_path, act=act, best=2, lr=2e-2) < 0
    assert fork(tmp_path, best=2, lr=2e-2) == 0
    assert_same(tmp_path, kept)
    assert files(tmp_path, "best") == files(kept, "best")


def test_the_best_are_found_when_a_validation_is_made_up_for(tmp_path, kept):
    import signal

    for update in (3, 6, 9):
        assert fork(tmp_path, act=At("validation 0", update, signal.SIGTERM), best=2, lr=2e-2) == 143
    assert fork(tmp_path, best=2, lr=2e-2) == 0
    assert files(tmp_path, "best") == files(kept, "best")


def test_the_best_are_a_last_resort(tmp_path, kept):
    shutil.copytree(kept, tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints").glob("update_*.ckpt"):
        path.write_bytes(b"")
    found = latest_valid(tmp_path / "run")
    assert checkpoint.update_of(found) == best_of(kept, "hole_psnr", 2, 1)[-1]


def test_what_cannot_be_deleted_is_a_warning(tmp_path, monkeypatch, caplog, whole):
    unlink = Path.unlink

    def held(path, missing_ok=False):
        if path.name == "update_00000002.ckpt":
            raise PermissionError(13, "Permission denied")
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", held)
    run(tmp_path)
    assert "update_00000002.ckpt could not be deleted (Permission denied)" in caplog.text
    assert files(tmp_path, "update") == [f"update_{n:08d}.ckpt" for n in (2, 10, 12)]
    assert_same(tmp_path, whole)


def test_one_is_enough(tmp_path, whole):
    assert fork(tmp_path, keep=1, act=At("update", 9)) < 0
    assert files(tmp_path, "update") == ["update_00000008.ckpt"]
    assert fork(tmp_path, keep=1) == 0
    assert_same(tmp_path, whole)
    assert files(tmp_path, "update") == [f"update_{UPDATES:08d}.ckpt"]


def test_impossible_settings(tmp_path):
    with pytest.raises(ValueError, match=r"callbacks\.checkpoint\.best: -1 is less than 0"):
        SaveCheckpoint(str(tmp_path), best=-1)
    with pytest.raises(ValueError, match=r"monitor: give one of hole_l1, .*; got 'hole_psn'; did you mean hole_psnr\?"):
        SaveCheckpoint(str(tmp_path), monitor="hole_psn")
    with pytest.raises(ValueError, match=r"callbacks\.checkpoint\.monitor: give one of .*hole_psnr.*; got 'ms'"):
        run(tmp_path, best=1, monitor="ms")
    assert not (tmp_path / "seen.jsonl").exists(), "before the first update"


def test_figures_of_like_names_are_ranked_apart(tmp_path):
    for name in ("best_psnr_30_update_00000002.ckpt", "best_psnr_of_mean_31_update_00000003.ckpt"):
        (tmp_path / name).touch()
    assert [path.name for path in SaveCheckpoint(str(tmp_path), monitor="psnr")._ranked()] == [
        "best_psnr_30_update_00000002.ckpt"
    ]
