"""Without account and without wandb: the default run needs neither, and `logger=wandb` says what is missing.

Real: `inpaint-train`. Stand-in: an installation without wandb.
"""

import os
import subprocess
import sys

import pytest

from tests.commands import ROOT, SMALL

WITHOUT = "import sys\nsys.modules['wandb'] = None\nfrom inpaint.train import main\nmain()"


@pytest.mark.parametrize(
    ("logger", "code", "said"),
    [
        pytest.param("csv", 0, "", marks=pytest.mark.slow),
        ("wandb", 2, "inpaint-train: logger: wandb is not installed; pip install wandb"),
    ],
)
def test_without_wandb(logger, code, said, tmp_path):
    settings = [f"logger={logger}", "baselines=[]", "trainer.max_steps=1", "hydra.run.dir=one"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *SMALL, *settings],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == code, done.stderr[-3000:]
    assert said in done.stderr and "Traceback" not in done.stderr
