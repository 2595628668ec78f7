"""A photograph, damaged, and what the model in the box makes of it: damaged.png, holes.png, repaired.jpg beside this.

python experiments/014-model-in-the-box/show.py

The photograph is scikit-image's `chelsea` (Stefan van der Walt, CC0), which the model has not seen. It is damaged by
white cracks and a yellow date, as `masks=scratches` and `masks=text` draw them.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage.data import chelsea

import inpaint
from inpaint import rng
from inpaint.masks import Scratches, Text

HERE = Path(__file__).parent
WHITE, YELLOW = (250, 248, 240), (255, 200, 40)


def main():
    picture = chelsea()
    keys = torch.tensor([rng.key("show", 3)])
    cracks, date = (kind(keys, picture.shape[:2])[0, 0].numpy() > 0.5 for kind in (Scratches(), Text()))
    damaged = picture.copy()
    damaged[cracks], damaged[date] = WHITE, YELLOW
    hole = cracks | date
    repaired = inpaint.load("builtin")(damaged, hole)
    Image.fromarray(damaged).save(HERE / "damaged.png", optimize=True)
    Image.fromarray(hole.astype(np.uint8) * 255).convert("1").save(HERE / "holes.png", optimize=True)
    Image.fromarray(np.concatenate([damaged, repaired], axis=1)).save(HERE / "repaired.jpg", quality=90)
    errors = [np.square(some[hole].astype(float) - picture[hole]).mean() for some in (damaged, repaired)]
    print(f"{hole.mean():.1%} of the picture are hole; PSNR there {10 * np.log10(255**2 / errors[1]):.2f} dB")


if __name__ == "__main__":
    main()
