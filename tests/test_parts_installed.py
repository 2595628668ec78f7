"""The example of `experiments/008-own-parts` as a package that is installed, in every way that a run is started."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inpaint.files import checkpoint
from tests.reliability.commands import ROOT, SMALL, run

EXAMPLE = ROOT / "experiments" / "008-own-parts"
MINE = [
    *("generator=mylab_dilated", "losses=[l1,mylab_edges]", "masks=mylab_torn_corner", "figures=[mylab_colour_shift]"),
    *(word for word in SMALL if not word.startswith("trainer.max_steps")),
    "trainer.max_steps=4",
]


@pytest.mark.slow
def test_a_grid_an_evaluation_and_a_prediction_with_parts_that_are_installed(tmp_path):
    target = tmp_path / "site"
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    install = [sys.executable, "-m", "pip", "install", *offline, "--target", str(target), str(EXAMPLE)]
    done = subprocess.run(install, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    mine = {"PYTHONPATH": f"{ROOT}{os.pathsep}{target}"}

    for how, words in (("one", []), ("processes", ["+sweep=processes"]), ("workers", ["+sweep=joblib"])):
        run("train", "-m", "seed=0,1", *MINE, *words, f"hydra.sweep.dir={how}", cwd=tmp_path, **mine)
        for job in "01":
            said = json.loads((tmp_path / how / job / "versions.json").read_text())
            assert said["parts"] == {"mylab": {"package": "mylab-inpainting", "version": "0.1.0"}}
            assert "colour_shift" in (tmp_path / how / job / "results.csv").read_text().splitlines()[0]
            assert "edges" in (tmp_path / how / job / "metrics.csv").read_text().splitlines()[0]

    printed, _ = run("train", *MINE, "seed=0", "hydra.run.dir=one/0", cwd=tmp_path, **mine)
    assert "finished, nothing to do" in printed
    few = ["baselines=[mean]", "hydra.run.dir=measured", "figures=[mylab_colour_shift]"]
    printed, _ = run("evaluate", "checkpoint=one/0", *few, cwd=tmp_path, **mine)
    assert "colour shift" in printed
    (tmp_path / "images").mkdir()
    Image.fromarray(np.full((40, 50, 3), 90, np.uint8)).save(tmp_path / "images" / "a.png")
    hole = np.zeros((40, 50), np.uint8)
    hole[10:20, 10:30] = 255
    Image.fromarray(hole).save(tmp_path / "hole.png")
    words = ["checkpoint=one/0", "images=images", "holes=hole.png", "output=repaired"]
    run("predict", *words, cwd=tmp_path, **mine)
    assert (tmp_path / "repaired" / "a.png").is_file()
    _, errors = run("predict", *words, cwd=tmp_path, code=2)
    assert "needs the package mylab-inpainting 0.1.0 with the part mylab, which is not installed here" in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.slow
def test_parts_that_the_environment_names_reach_every_process(tmp_path):
    """A sweep starts a process for each job and Lightning a second rank for each; the package lies where one works."""
    shutil.copytree(EXAMPLE / "mylab", tmp_path / "mylab")
    two = ["trainer.devices=2", "trainer.strategy=ddp", "+sweep=processes", "hydra.sweep.dir=sweep"]
    run("train", "-m", "seed=0,1", *MINE, *two, cwd=tmp_path, INPAINT_PARTS="mylab")
    for job in "01":
        said = json.loads((tmp_path / "sweep" / job / "versions.json").read_text())
        assert said["parts"] == {"mylab": {"package": "", "version": ""}}
        saved = checkpoint.load(tmp_path / "sweep" / job)["inpaint"]
        assert saved["update"] == 4 and saved["arithmetic"]["ranks"] == 2
        assert "colour_shift" in (tmp_path / "sweep" / job / "results.csv").read_text().splitlines()[0]
    words = ["-m", "seed=0,1", *MINE, *two]
    _, errors = run("train", *words, "hydra.sweep.dir=without", cwd=tmp_path, code=2)
    assert "mylab" in errors and not list((tmp_path / "without").glob("*/metrics.csv"))


@pytest.mark.slow
def test_the_examples_own_tests():
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{EXAMPLE}"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, str(Path("tests"))]
    done = subprocess.run(command, cwd=EXAMPLE, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "3 passed" in done.stdout, done.stdout[-2000:]
