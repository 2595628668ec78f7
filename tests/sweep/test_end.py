"""The end of a sweep: the answer that a grid gives, and an exit code that says what failed."""

import shlex
from pathlib import Path

from inpaint import evaluate
from inpaint.compare import compare
from inpaint.train import run
from tests.sweeps import TINY


def test_a_real_grid_ends_in_an_answer(start):
    done = start(run, *TINY, "generator_optimizer.lr=1e-3,0.5", "seed=0,1", "baselines=[]")
    assert done.code == 0
    (block,) = compare(["sweep"]).blocks
    assert len(block.entries) == 2 and all(len(entry.runs) == 2 for entry in block.entries), "seeds are averaged"
    leaderboard, _, answer = done.out.partition("which choice mattered:")
    assert all(entry.name in leaderboard for entry in block.entries) and "generator_optimizer.lr" in answer
    best = block.entries[0].runs[0].config["generator_optimizer"]["lr"]
    words = shlex.split(answer.partition("the winner, trained longer:\n")[2].splitlines()[0])
    assert words[0] == "inpaint-train" and words[-1] == "trainer.max_steps=20"
    assert f"generator_optimizer.lr={best:g}" in words and not [word for word in words if word.startswith("seed=")]
    assert "report: sweep/comparison.html" in done.out and Path("sweep/comparison.html").is_file()

    where = ("checkpoint=sweep/0", "hydra.sweep.dir=measured")
    measured = start(evaluate.run, *where, "masks=boxes,centre", "baselines=[mean]", name="evaluate")
    assert measured.code == 0 and "Warning" not in measured.err and "trained longer" not in measured.out
    assert "2 different sets of pictures" in measured.out


def test_an_error_of_the_comparison_is_no_success(sweep, monkeypatch):
    """Hydra itself only warns of errors there."""

    def full(folder):
        raise OSError("no space left")

    monkeypatch.setattr("inpaint.sweep.end._compared", full)
    done = sweep(lambda cfg: {"hole_psnr": 20.0}, "seed=0,1")
    assert done.code == 1 and "no space left" in done.err and "finished" in done.out
