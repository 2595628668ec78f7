"""Are the losses of two commits, or of two run folders, the same to the last digit? For changes that must not matter.

    python experiments/loss_compare.py main HEAD                          # trains both, 20 updates
    python experiments/loss_compare.py main HEAD +experiment=aot_gan      # with other settings
    python experiments/loss_compare.py runs/before runs/after             # compares what is there

Exit code 0: equal; 1: not, with the first update and figure that differ; 2: nothing to compare.
"""

import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHORT = [
    *(
        "trainer.max_steps=20",
        "trainer.log_every_n_steps=1",
        "trainer.val_check_interval=10",
        "trainer.accelerator=cpu",
    ),
    *("callbacks.checkpoint.every=20", "baselines=[]", "data.crops_per_image=8", "data.validation_crops=1"),
]

# `inpaint-train` of the checkout that PYTHONPATH names, without the checkout that is installed: both have a folder
# hydra_plugins, of which Python would make one.
ALONE = """
import os, runpy, sys
from pathlib import Path

installed = [path for path in sys.path if Path(path).name != "site-packages" and Path(path, "hydra_plugins").is_dir()]
sys.path[:] = [os.environ["PYTHONPATH"], *(path for path in sys.path if path not in installed)]
runpy.run_module("inpaint.train", run_name="__main__", alter_sys=True)
"""


def figures(file: Path) -> dict[tuple[int, str], str]:
    """What was logged: (update counted from 0, name) to the number as it is written."""
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {
        (int(row["step"]), name): value
        for row in rows
        for name, value in row.items()
        if value and name.startswith(("train/", "val/"))
    }


def difference(ours: dict[tuple[int, str], str], theirs: dict[tuple[int, str], str]) -> str | None:
    """The first figure that is not the same; None where there is none."""
    for key in sorted({*ours, *theirs}):
        if ours.get(key) != theirs.get(key):
            return f"update {key[0]}, {key[1]}: {ours.get(key, 'missing')} and {theirs.get(key, 'missing')}"
    return None


def of_one_side(ours: dict[tuple[int, str], str], theirs: dict[tuple[int, str], str]) -> list[str]:
    """Figures of validation that one side never logged: an older version does not know what a later one measures."""
    names = {name for _, name in ours} ^ {name for _, name in theirs}
    return sorted(name for name in names if name.startswith("val/"))


def train(commit: str, settings: list[str], place: Path) -> Path:
    """Train as the code of `commit` does, in a checkout of its own; returns its ``metrics.csv``.

    Raises:
        subprocess.CalledProcessError: no such commit, or it does not train.
    """
    checkout = place / "checkout"
    subprocess.run(
        ["git", "-C", str(ROOT), "worktree", "add", "--quiet", "--detach", str(checkout), commit], check=True
    )
    try:
        run = place / "run"
        command = [sys.executable, "-c", ALONE, *SHORT, *settings, f"hydra.run.dir={run}"]
        # One thread: sums over several are added in an order of their own.
        environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
        subprocess.run(command, cwd=checkout, env=environment, check=True)
    finally:
        subprocess.run(["git", "-C", str(ROOT), "worktree", "remove", "--force", str(checkout)], check=True)
    return run / "metrics.csv"


def main(arguments: list[str]) -> int:
    if len(arguments) < 2:
        print("loss_compare: give two commits or run folders", file=sys.stderr)
        return 2
    sides, settings = arguments[:2], arguments[2:]
    found = []
    with tempfile.TemporaryDirectory() as temporary:
        for number, side in enumerate(sides):
            file = Path(side) / "metrics.csv"
            if not file.is_file():
                try:
                    file = train(side, settings, Path(temporary) / str(number))
                except subprocess.CalledProcessError:
                    print(f"loss_compare: {side} is no run folder, and no commit that trains", file=sys.stderr)
                    return 2
            found.append(figures(file))
    if not found[0] or not found[1]:
        print("loss_compare: nothing was logged", file=sys.stderr)
        return 2
    if later := of_one_side(*found):
        print(f"one side does not know {', '.join(later)}")
        found = [{key: value for key, value in side.items() if key[1] not in later} for side in found]
    if told := difference(*found):
        print(f"{sides[0]} and {sides[1]} differ first at {told}")
        return 1
    print(f"{sides[0]} and {sides[1]} are equal: {len(found[0])} figures of {max(found[0])[0] + 1} updates")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
