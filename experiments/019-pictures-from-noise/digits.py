"""Write the digits that come with scikit-learn as a folder of pictures: python digits.py FOLDER"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

SIDE = 32  # pixels; drawn at 8

folder = Path(sys.argv[1])
for number, digit in enumerate(load_digits().images):
    place = folder / ("validation" if number % 10 == 0 else "train")
    place.mkdir(parents=True, exist_ok=True)
    small = Image.fromarray(np.uint8(digit * 255 / 16))
    small.resize((SIDE, SIDE), Image.Resampling.BICUBIC).convert("RGB").save(place / f"{number:04d}.png")
