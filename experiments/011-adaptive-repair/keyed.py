"""Photographs of two halves, and damage of known kind and place on them, each a function of its key."""

import hashlib
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

CONF = Path(__file__).parents[2] / "conf"
SHARES = {"bsds500": 0.35, "imagenet": 0.45, "dtd_textures": 0.2}
CHANGED = 40  # levels by which damage changes a pixel visibly
# Shares of the pixels that are changed so, from which damage is medium and strong.
GRADES = {"scratches": (0.01, 0.02), "film_scratches": (0.0025, 0.005), "soft_scratches": (0.01, 0.02)}


def sample(data: Path, half: int, count: int) -> list[Path]:
    """Photographs of one half by the hash of their names: of scenes, of objects, and a fifth of textures."""
    every = [path for path in sorted(data.rglob("*.jp*g")) if _half(path) == half]
    chosen = []
    for folder, share in SHARES.items():
        some = [path for path in every if folder in path.as_posix()]
        order = np.random.default_rng(0).permutation(len(some))[: int(count * share)]
        chosen += [some[place] for place in order]
    return chosen


def _half(path: Path) -> int:
    return int(hashlib.sha256(path.name.encode()).hexdigest(), 16) % 2


def load(path: Path, key: int) -> np.ndarray:
    """A photograph, uint8 ``(H, W, 3)``: of three one as it is, one faded and brown, one grey; at most 640 a side."""
    picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    scale = 640 / max(picture.shape[:2])
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    if key % 3 == 1:
        return fade(picture, key)
    return picture if key % 3 == 0 else cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def fade(picture: np.ndarray, key: int) -> np.ndarray:
    """An old print: grey, of less contrast, yellowed."""
    rng = np.random.default_rng(key)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    low, high = rng.uniform(15, 60), rng.uniform(150, 235)
    tint = np.array([1, rng.uniform(0.85, 1), rng.uniform(0.6, 1)])
    return _bytes((low + (high - low) * grey / 255)[..., None] * tint)


def damage(picture: np.ndarray, kind: str, key: int) -> tuple[np.ndarray, np.ndarray]:
    """A damaged picture and where it is damaged, bool ``(H, W)``, which is empty for what is everywhere."""
    rng = np.random.default_rng(key)
    hole = np.zeros(picture.shape[:2], bool)
    if kind == "noise":
        return _bytes(picture + rng.normal(0, 25, picture.shape)), hole
    if kind == "jpeg":
        return cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 10])[1], cv2.IMREAD_COLOR), hole
    if kind == "blur":
        return cv2.GaussianBlur(picture, (0, 0), 3), hole
    if kind == "text":
        hole = mask("text", key, picture.shape[:2])
        return np.where(hole[..., None], np.uint8(255 * (key % 2)), picture), hole
    if kind in ("scratches", "film_scratches"):
        hole = mask(kind, key, picture.shape[:2])
        light = rng.random() < 0.6
        level = rng.uniform(225, 255) if light else rng.uniform(0, 30)
        tint = np.array([1, rng.uniform(0.94, 1), rng.uniform(0.85, 1)]) if light else np.ones(3)
        cover = (_clouds(picture, rng, 12) * 0.06 + 0.92).clip(0.5, 1)
        return _painted(picture, hole, level * tint, cover, rng.uniform(0.3, 0.7)), hole
    if kind == "soft_scratches":
        hole = mask("scratches", key, picture.shape[:2])
        light = rng.random() < 0.75
        level = rng.uniform(170, 250) if light else rng.uniform(10, 70)
        tint = np.array([1, rng.uniform(0.94, 1), rng.uniform(0.8, 1)]) if light else np.ones(3)
        cover = (_clouds(picture, rng, 8) * 0.2 + rng.uniform(0.45, 0.9)).clip(0.1, 1)
        return _painted(picture, hole, level * tint, cover, rng.uniform(0.5, 1.1)), hole
    raise ValueError(kind)


def grade(kind: str, picture: np.ndarray, damaged: np.ndarray) -> str:
    """Weak, medium or strong, by how many pixels are visibly changed; noise, blocks, blur and text are strong."""
    changed = (np.abs(damaged.astype(int) - picture).max(2) >= CHANGED).mean()
    return ("weak", "medium", "strong")[sum(changed >= limit for limit in GRADES.get(kind, (0, 0)))]


@cache
def _kind(name: str):
    with initialize_config_dir(str(CONF), version_base=None):
        return instantiate(compose("train", [f"masks={name}"]).masks, _convert_="all")


def mask(name: str, key: int, size: tuple[int, ...]) -> np.ndarray:
    """A mask of the project's own kinds, bool ``(H, W)``."""
    return _kind(name)(torch.tensor([key]), tuple(size))[0, 0].numpy() > 0.5


def _clouds(picture: np.ndarray, rng: np.random.Generator, width: float) -> np.ndarray:
    noise = cv2.GaussianBlur(rng.standard_normal(picture.shape[:2]).astype(np.float32), (0, 0), width)
    return noise / noise.std()


def _painted(picture: np.ndarray, hole: np.ndarray, colour: np.ndarray, cover: np.ndarray, soft: float) -> np.ndarray:
    share = (cv2.GaussianBlur(hole.astype(np.float32), (0, 0), soft) * cover)[..., None]
    return _bytes(picture * (1 - share) + colour * share)


def _bytes(values: np.ndarray) -> np.ndarray:
    return values.clip(0, 255).round().astype(np.uint8)
