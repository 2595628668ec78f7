"""Damage a photograph that no model in the box has seen, and repair it: the pictures of the README.

    python experiments/014-model-in-the-box/show.py

writes damaged.png, holes.png, repaired.jpg, of holes, and restored.jpg, of a picture enlarged twice and one with noise.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage.data import chelsea
from torch import Tensor

import inpaint
from inpaint import rng
from inpaint.batch import from_uint8, to_uint8
from inpaint.degradations import GaussianNoise, Resize
from inpaint.masks import Scratches, Text
from inpaint.restoration import Bicubic, NonLocalMeans

HERE = Path(__file__).parent
WHITE, YELLOW = (250, 248, 240), (255, 200, 40)
PART = (slice(60, 220), slice(120, 312))  # of the photograph: an eye and fur
GAP = 6


def psnr(made: np.ndarray, truth: np.ndarray) -> float:
    """Of levels, in dB."""
    return float(10 * np.log10(255**2 / np.square(made.astype(float) - truth).mean()))


def holes(picture: np.ndarray) -> None:
    """Cracks and a caption."""
    keys = torch.tensor([rng.key("show", 3)])
    cracks, date = (kind(keys, picture.shape[:2])[0, 0].numpy() > 0.5 for kind in (Scratches(), Text()))
    damaged = picture.copy()
    damaged[cracks], damaged[date] = WHITE, YELLOW
    hole = cracks | date
    repaired = inpaint.load("builtin")(damaged, hole)
    Image.fromarray(damaged).save(HERE / "damaged.png", optimize=True)
    Image.fromarray(hole.astype(np.uint8) * 255).convert("1").save(HERE / "holes.png", optimize=True)
    Image.fromarray(np.concatenate([damaged, repaired], axis=1)).save(HERE / "repaired.jpg", quality=90)
    print(f"{hole.mean():.1%} of the picture are hole; PSNR there {psnr(repaired[hole], picture[hole]):.2f} dB")


def whole(picture: np.ndarray) -> None:
    """A row each for fewer pixels and for noise: given, by a classical method, by the model in the box, truth."""
    truth = from_uint8(torch.from_numpy(picture.copy()).permute(2, 0, 1)[None])
    truth = truth[..., : truth.shape[2] // 2 * 2, : truth.shape[3] // 2 * 2]
    mask, key = torch.ones_like(truth[:, :1]), torch.tensor([rng.key("show", 4)])
    rows = []
    for degrade, classical, model in (
        (Resize(2), Bicubic(), "builtin_x2"),
        (GaussianNoise(25.0, stored=True), NonLocalMeans(), "builtin_denoise"),
    ):
        given = degrade(truth, key)
        shown = given.repeat_interleave(degrade.scale, 2).repeat_interleave(degrade.scale, 3)
        restored = inpaint.load(model)(_levels(given))
        by_hand = _levels(classical(given, mask).output)
        levels = _levels(truth)
        rows.append([_levels(shown), by_hand, restored, levels])
        print(f"{model}: {psnr(by_hand, levels):.2f} dB by hand, {psnr(restored, levels):.2f} dB by the model")
    white = np.full((PART[0].stop - PART[0].start, GAP, 3), 255, np.uint8)
    lines = [np.concatenate([x for each in row for x in (each[PART], white)][:-1], axis=1) for row in rows]
    between = np.full((GAP, lines[0].shape[1], 3), 255, np.uint8)
    Image.fromarray(np.concatenate([lines[0], between, lines[1]])).save(HERE / "restored.jpg", quality=90)


def _levels(image: Tensor) -> np.ndarray:
    return to_uint8(image)[0].permute(1, 2, 0).numpy()


if __name__ == "__main__":
    holes(chelsea())
    whole(chelsea())
