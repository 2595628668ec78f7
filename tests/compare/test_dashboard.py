"""What is logged to wandb, by its real client in offline mode, read back from the records that it keeps."""

import json
import time
from pathlib import Path

import pytest

from inpaint.compare import compare, main
from inpaint.compare.dashboard import wandb_id
from tests.compare.folders import changed, make_run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    logger = {"wandb": {"project": "holes", "save_dir": str(tmp_path)}}
    first = make_run(tmp_path / "runs" / "first", 20.0, changed(logger=logger, generator__width=64))
    (first / "wandb_id.txt").write_text("abc12345\n")
    second = make_run(tmp_path / "runs" / "second", 21.0, changed(logger=logger))
    for name in ("offline-run-20260102_000000-older111", "run-20260103_000000-newer222"):
        (second / "wandb" / name).mkdir(parents=True)
    make_run(tmp_path / "runs" / "third", 22.0, changed(generator__width=8))
    return tmp_path / "runs"


def test_ids(runs: Path) -> None:
    found = {entry.name: wandb_id(entry.runs[0]) for entry in compare([runs]).entries}
    assert found == {"first": "abc12345", "second": "newer222", "third": None}


def test_the_table_and_the_page_are_logged(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    main([str(runs), "--wandb"])
    assert wandb.run is None
    text = capsys.readouterr().out
    (line,) = [line for line in text.splitlines() if line.startswith("wandb: ")]
    assert line.endswith("; 1 runs have no wandb id")
    (folder,) = runs.glob("wandb/offline-run-*")
    assert folder.name.rpartition("-comparison-")[2] == line.split(";")[0].rpartition("-")[2]
    (stored,) = folder.glob("*.wandb")
    for kept in (b"holes", b"comparison.html", b"abc12345", b"newer222"):
        deadline = time.monotonic() + 60
        while kept not in stored.read_bytes() and time.monotonic() < deadline:  # its client writes on after finish()
            time.sleep(0.05)
        assert kept in stored.read_bytes()
    (table,) = folder.glob("files/media/table/leaderboard*.json")
    content = json.loads(table.read_text())
    assert content["columns"][:5] == ["rank", "run", "differs in", "seeds", "wandb ids"]
    assert [row[:5] for row in content["data"]] == [
        [1, "third", "generator.width=8", 1, ""],
        [2, "second", "generator.width=32", 1, "newer222"],
        [3, "first", "generator.width=64", 1, "abc12345"],
    ]
    assert content["data"][0][content["columns"].index("hole_psnr")] == 22.0


def test_without_ids_it_is_refused_before_wandb_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "0", 20.0)
    with pytest.raises(SystemExit) as stop:
        main([str(tmp_path), "--html", "none", "--wandb"])
    assert stop.value.code == 2 and "--wandb: none of these runs has a wandb id" in capsys.readouterr().err
