"""`make loss-compare`: two commits or run folders have the same losses, or the first that differs is named."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def compare(*sides, code=0):
    command = [sys.executable, str(ROOT / "experiments" / "loss_compare.py"), *map(str, sides)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_run_folders(tmp_path, whole):
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(whole / "metrics.csv", other)
    assert "are equal: " in compare(whole, other) and " of 12 updates" in compare(whole, other)

    lines = [line.split(",") for line in (whole / "metrics.csv").read_text().splitlines()]
    column = lines[0].index("train/l1")
    line = [line for line in lines if line[column]][8]
    value = line[column]
    line[column] = value[:-1] + str((int(value[-1]) + 1) % 10)
    (other / "metrics.csv").write_text("".join(",".join(line) + "\n" for line in lines))
    step = line[lines[0].index("step")]
    assert f"differ first at update {step}, train/l1: {value} and " in compare(whole, other, code=1)

    without = [[field for place, field in enumerate(line) if not lines[0][place].startswith("val/")] for line in lines]
    (other / "metrics.csv").write_text("".join(",".join(line) + "\n" for line in without))
    told = compare(whole, other, code=1)
    assert "one side does not know val/" in told and f"differ first at update {step}, train/l1" in told

    (other / "metrics.csv").write_text("".join(",".join(line) + "\n" for line in lines[:5]))
    assert " and missing" in compare(whole, other, code=1)
    assert "is no run folder, and no commit" in compare(whole, tmp_path / "nothing", code=2)


@pytest.mark.slow
def test_commits():
    assert " are equal: " in compare(
        "HEAD", "HEAD", "trainer.max_steps=3", "generator.width=8", "discriminator.width=8"
    )
