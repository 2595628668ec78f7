"""What optical flow finds on clips whose flow is known, and a restored clip to look at.

python experiments/022-clips/clips.py flow
python experiments/022-clips/clips.py sheet runs/x2_clip 6 sheet.png
"""

import sys

import cv2
import numpy as np
import torch
from omegaconf import OmegaConf

from inpaint.batch import paint
from inpaint.config import build_data
from inpaint.data.clips import MovingWindows
from inpaint.data.sources import Photos
from inpaint.exchange import models
from inpaint.files.checkpoint import config_of
from inpaint.pictures.motion import dense
from inpaint.pictures.sheet import as_large, panel

SIDE, CLIPS, SHOWN = 64, 6, (0, 3, 6)


def flow():
    """End-point error of DIS between the first two frames, with noise in both, beside the length of the flow."""
    source, numbers = MovingWindows(Photos(), 2, SIDE, CLIPS, 2.0, (1.0, 2.0), 0.01, 0), np.random.default_rng(0)
    for sigma in (0, 10, 25, 50):
        errors, lengths = [], []
        for row in range(source.count("train")):
            frames = source.read("train", row)["image"].view(2, 3, SIDE, SIDE).permute(0, 2, 3, 1).numpy()
            noisy = np.rint(frames + sigma * numbers.standard_normal(frames.shape)).clip(0, 255).astype(np.uint8)
            found = dense(*(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in noisy))
            exact = source.track("train", row).flow(0, 1, SIDE).permute(1, 2, 0).numpy()
            errors.append(np.linalg.norm(found - exact, axis=2)[8:-8, 8:-8].mean())
            lengths.append(np.linalg.norm(exact, axis=2).mean())
        print(f"noise {sigma}: end-point error {np.mean(errors):.2f} px, of a motion of {np.mean(lengths):.2f} px")


def sheet(checkpoint, number, output):
    """Some frames of a validation clip: given, restored, truth."""
    loaded = models.load(checkpoint)
    cfg = OmegaConf.create(config_of(loaded))
    cfg.data.crop = 96
    data = build_data(cfg)
    data.setup("validate")
    batch = data.to_batch(torch.utils.data.default_collate([data.tiles["validation"][0, int(number)]]), "cpu")
    with torch.no_grad():
        restored = paint(models.generator_of(loaded, False).eval(), batch).output
    columns = {"given": as_large(batch["given"], 96), "restored": restored, "truth": batch["image"]}
    panel({name: frames[list(SHOWN)] for name, frames in columns.items()}, scale=1).save(output)


if __name__ == "__main__":
    {"flow": flow, "sheet": sheet}[sys.argv[1]](*sys.argv[2:])
