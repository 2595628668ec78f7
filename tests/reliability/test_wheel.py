"""The wheel, in a virtual environment without a checkout in sight, from the root folder.

Real: the build, the installation, the commands. Stand-in: the dependencies are those of this environment, by a path
file, since nothing is downloaded.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.reliability.commands import ROOT, SMALL

ALONE = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


def call(*command, code=0):
    done = subprocess.run(list(map(str, command)), cwd="/", env=ALONE, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_commands_of_the_wheel(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        *(), cwd=ROOT, env=ALONE, check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    venv = tmp_path / "venv"
    call(sys.executable, "-m", "venv", "--without-pip", venv)
    call(sys.executable, "-m", "pip", "--python", venv, "install", "--no-deps", "--no-index", wheel)
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")

    python, bin = venv / "bin" / "python", venv / "bin"
    assert Path(call(python, "-c", "import inpaint; print(inpaint.__file__)").strip()).is_relative_to(site)
    assert "generator: aot, big_lama" in call(bin / "inpaint-train", "--help")
    assert "_target_: inpaint.training.gan.InpaintingGAN" in call(bin / "inpaint-train", "--cfg", "job")
    fewer = ["trainer.max_steps=1", "trainer.val_check_interval=1", f"hydra.run.dir={tmp_path}/run"]
    assert "next:" in call(bin / "inpaint-train", *SMALL, *fewer)
    assert (tmp_path / "run" / "results.md").is_file()
    call(bin / "inpaint-evaluate", f"checkpoint={tmp_path}/run", "baselines=[]", f"hydra.run.dir={tmp_path}/evaluation")
    for command in ("predict", "preview", "sample", "stylise", "compare", "study"):
        call(bin / f"inpaint-{command}", "--help")
