"""Memory of a process that repairs pictures of many sizes, on a CPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import inpaint
from inpaint.cli.command import KERNELS, call

SCRIPT = """
import numpy as np
from inpaint.cli.command import call
from inpaint.networks.generators.residual_unet import ResidualUNet
from inpaint.predict.predictor import Predictor

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20

def run(cfg):
    repair, draw, found = Predictor(ResidualUNet(16, 3, 2).eval(), "cpu"), np.random.default_rng(0), []
    for number in range(60):
        height, width = draw.integers(100, 260, 2)
        hole = np.zeros((height, width), bool)
        hole[20:60, 30:80] = True
        repair(draw.integers(0, 256, (height, width, 3), dtype=np.uint8), hole)
        if number in (19, 59):
            found.append(resident())
    return found[1] - found[0]

print(call("predict", run, ["images=x", "holes=x", "output=x"]))
"""


@pytest.mark.parametrize(
    ("name", "overrides", "few"),
    [
        ("predict", ["images=x", "holes=x", "output=x"], True),
        ("evaluate", ["images=x", "holes=x"], True),
        ("evaluate", ["generator=mean"], False),
    ],
)
def test_fewer_kernels_are_kept_where_pictures_have_any_size(name, overrides, few, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (call(name, lambda cfg: os.environ.get(KERNELS), overrides) == "16") is few
    assert KERNELS not in os.environ
    monkeypatch.setenv(KERNELS, "3")
    assert call(name, lambda cfg: os.environ.get(KERNELS), overrides) == "3"  # the user's


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_number_of_pictures():
    """Without the limit it grows by some 50 MiB."""
    here = Path(inpaint.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=here, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 25
