"""IOPaint as a client of an exported TorchScript file, which it loads unchanged through ``LAMA_MODEL_URL``.

Real: IOPaint 1.6 as it is published, in an environment of its own (`make client-iopaint`), its class of LaMa with its
reading, padding and pasting. Passed over: its package of models, which imports diffusion models and torchvision.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from inpaint.exchange import formats
from inpaint.exchange.contract import Contract
from inpaint.predict.predictor import Predictor
from tests.conftest import smooth_picture
from tests.exchange.test_formats import network

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / ".clients" / "iopaint"
SIZES = {"even": (64, 96), "odd": (75, 107), "large": (520, 384)}  # IOPaint pads to multiples of 8, by mirroring


def test_the_environment_of_the_client_is_no_part_of_the_project():
    assert ".clients/" in (ROOT / ".gitignore").read_text().split()
    assert "iopaint" not in (ROOT / "pyproject.toml").read_text().lower()


@pytest.mark.slow
def test_iopaint_paints_with_an_exported_file_what_we_paint(tmp_path):
    if not (CLIENT / ".ready").is_file():
        pytest.skip("IOPaint is not installed; make client-iopaint installs it where PyPI can be reached")
    if sys.version_info >= (3, 13):
        pytest.skip("IOPaint 1.6 imports imghdr, which Python has no longer")
    generator = network()
    formats.write("torchscript", generator, tmp_path)
    pictures = {name: smooth_picture(number, *size) for number, (name, size) in enumerate(SIZES.items())}
    holes = {name: np.zeros(size, dtype=bool) for name, size in SIZES.items()}
    for hole in holes.values():
        height, width = hole.shape
        hole[height // 4 : height // 2, width // 4 : width // 2] = True
        hole[height // 3 :, -(width // 5) :] = True  # at the border, beside which IOPaint pads
    masks = {f"{name}_mask": hole.astype(np.uint8) * 255 for name, hole in holes.items()}
    np.savez(tmp_path / "pictures.npz", **pictures, **masks)
    address = {"LAMA_MODEL_URL": (tmp_path / "model.pt").as_uri(), "LAMA_MODEL_MD5": ""}
    cache = {"XDG_CACHE_HOME": str(tmp_path), "TORCH_HOME": str(tmp_path / "torch")}
    environment = os.environ | address | cache | {"PYTHONPATH": str(CLIENT)}
    script = Path(__file__).with_name("iopaint_client.py")
    command = [sys.executable, script, tmp_path / "pictures.npz", tmp_path / "theirs.npz"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr

    theirs = np.load(tmp_path / "theirs.npz")
    ours = Predictor(generator, strategy="full")
    for name, picture in pictures.items():
        hole = holes[name]
        sides = [(0, -side % 8) for side in picture.shape[:2]]
        padded = np.pad(picture, [*sides, (0, 0)], mode="symmetric")
        hole_padded = np.pad(hole, sides, mode="symmetric")
        assert np.array_equal(theirs[name][~hole], picture[~hole]), "known pixels, pasted"

        # IOPaint cuts levels off where we round: theirs is the level below what the network paints, to a rounding.
        image = torch.from_numpy(padded).permute(2, 0, 1)[None] / 255
        composite = Contract(generator)(image, torch.from_numpy(hole_padded)[None, None].float())
        levels = (composite[0].permute(1, 2, 0) * 255).numpy()[: hole.shape[0], : hole.shape[1]]
        below = levels - theirs[f"{name}_plain"]
        assert below.min() >= -1e-2 and below.max() < 1 + 1e-2, (name, below.min(), below.max())

        repaired = ours(padded, hole_padded)[: hole.shape[0], : hole.shape[1]].astype(int)
        differences = np.abs(repaired - theirs[name])
        assert differences.max() <= 1, name
        print(
            f"{name}: {(differences > 0)[hole].mean():.1%} of the hole's levels differ, by {differences.max()} at most"
        )
