"""The pictures of this folder that nobody took: a painting of strokes, and two drawn faces with their key points.

python experiments/021-styles/draw.py FOLDER
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
from skimage import data

COLOURS = ((28, 44, 105), (70, 120, 180), (225, 180, 70), (240, 235, 215))
FINE = 4  # pixels of a drawing along one of its picture


def strokes(side=384, count=6000):
    """Short strokes that follow a field, in colours that follow another."""
    generator = np.random.default_rng(5)
    picture = np.full((side, side, 3), (40, 60, 110), np.uint8)
    for _ in range(count):
        x, y = generator.uniform(0, side, 2)
        angle = 1.4 * np.sin(x / 70) + 1.1 * np.cos(y / 55)
        length, width = generator.uniform(8, 20), int(generator.integers(2, 5))
        light = 2 + 2 * np.sin(x / 60 + 2 * np.cos(y / 45)) + generator.normal(0, 0.5)
        colour = np.array(COLOURS[int(np.clip(light, 0, 3))]) + generator.normal(0, 14, 3)
        half = np.array([np.cos(angle), np.sin(angle)]) * length / 2
        first, last = ([round(v) for v in (np.array([x, y]) + sign * half).tolist()] for sign in (-1, 1))
        cv2.line(picture, first, last, colour.clip(0, 255).round().tolist(), width, cv2.LINE_AA)
    return picture


def face(size, middle, radius, turn, skin, iris, mouth, smile, background, seed):
    """A face, and its points by part."""
    generator = np.random.default_rng(seed)
    height, width = size
    y, x = np.mgrid[: height * FINE, : width * FINE] / FINE
    picture = np.array(background, float) + (20 * np.sin(x / 17 + seed) + 15 * np.cos(y / 23))[..., None]
    cosine, sine = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    turned = np.array([[cosine, -sine], [sine, cosine]])
    hair = [0.35 * level for level in skin]

    def at(points):
        return (np.atleast_2d(points) * radius) @ turned.T + middle

    def fine(points):
        return np.round((at(points) + 0.5) * FINE).astype(np.int32)

    def ellipse(across, down, wide, high, colour):
        (centre,) = fine((across, down)).tolist()
        axes = [int(wide * radius * FINE), int(high * radius * FINE)]
        cv2.ellipse(picture, centre, axes, turn, 0, 360, colour, -1, cv2.LINE_AA)

    def line(first, last, colour, thick):
        cv2.line(picture, *fine((first, last)).tolist(), colour, int(thick * radius * FINE), cv2.LINE_AA)

    ellipse(0, -0.25, 1.0, 1.15, hair)
    ellipse(0, 0, 0.85, 1.1, skin)
    across = ((x - middle[0]) * cosine + (y - middle[1]) * sine) / radius
    down = (-(x - middle[0]) * sine + (y - middle[1]) * cosine) / radius
    inside = (across / 0.85) ** 2 + (down / 1.1) ** 2 < 1
    picture[inside] *= (1 - 0.22 * across[inside] - 0.1 * down[inside])[:, None]
    for side in (-0.36, 0.36):
        ellipse(side, -0.2, 0.2, 0.12, (245, 245, 245))
        ellipse(side, -0.2, 0.1, 0.115, iris)
        ellipse(side, -0.2, 0.045, 0.05, (10, 10, 10))
        line((side * 0.42, -0.44), (side * 1.56, -0.4), hair, 0.06)
    line((0, -0.05), (-0.08, 0.25), [0.75 * level for level in skin], 0.04)
    run = np.linspace(-0.3, 0.3, 15)
    upper = np.stack([run, 0.52 - 0.12 * smile * (run / 0.3) ** 2], axis=1)
    lower = upper[::-1] + np.stack([0 * run, 0.14 * (1 - (run / 0.3) ** 2)], axis=1)
    cv2.fillPoly(picture, [fine(np.concatenate([upper, lower]))], mouth, cv2.LINE_AA)
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    angles = np.arange(16) * np.pi / 8

    def ring(right, low, wide, high):
        return at(np.stack([right + wide * np.cos(angles), low + high * np.sin(angles)], axis=1)).tolist()

    points = {"outline": ring(0, 0.05, 0.8, 1.0), "mouth": at(np.concatenate([upper[::2], lower[::2]])).tolist()}
    points |= {"left_eye": ring(-0.36, -0.2, 0.2, 0.12), "right_eye": ring(0.36, -0.2, 0.2, 0.12)}
    return (small + generator.normal(0, 2.5, small.shape)).round().clip(0, 255).astype(np.uint8), points


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    one = face((256, 224), (112, 130), 78, -8, (205, 160, 130), (40, 90, 60), (150, 50, 55), 1.0, (110, 130, 150), 1)
    other = face(
        (240, 256), (128, 120), 66, 14, (150, 105, 80), (60, 110, 200), (190, 70, 80), -0.2, (160, 150, 110), 2
    )
    pictures = {"painting": strokes(), "stain": data.immunohistochemistry(), "astronaut": data.astronaut()}
    for name, pixels in (pictures | {"one": one[0], "other": other[0]}).items():
        cv2.imwrite(str(folder / f"{name}.png"), pixels[..., 2::-1])
    (folder / "points.json").write_text(json.dumps({"one.png": one[1], "other.png": other[1]}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
