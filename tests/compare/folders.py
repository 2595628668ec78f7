"""Made-up folders of runs and evaluations, with as much in them as a test asks for."""

import copy
import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from inpaint.evaluation.intervals import Row
from inpaint.evaluation.table import write_csv

CONFIG: dict[str, Any] = {
    "seed": 1,
    "name": "base",
    "paths": {"run": "/somewhere/0"},
    "generator": {"_target_": "inpaint.networks.generators.residual_unet.ResidualUNet", "width": 32},
    "discriminator": {"_target_": "inpaint.networks.discriminators.PatchDiscriminator", "width": 64},
    "losses": {"l1": {"_target_": "inpaint.losses.reconstruction.L1", "weight": 1.0}},
    "data": {"_target_": "inpaint.data.datamodule.FolderData", "root": "/photographs/places/train", "seed": 1},
    "optimizer": {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 1e-4},
}
STYLE = {"_target_": "inpaint.losses.perceptual.Style", "weight": 250.0}


def changed(**changes: Any) -> dict[str, Any]:
    """`CONFIG` with other values at dotted keys, written with two underscores for the dot.

    The data's seed follows the run's.
    """
    config = copy.deepcopy(CONFIG)
    for dotted, value in changes.items():
        *parents, last = dotted.split("__")
        node = config
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    if "data" not in changes and "data__seed" not in changes:
        config["data"]["seed"] = config["seed"]  # conf/data says ${seed}
    return config


def make_run(folder: Path, psnr: float, config: dict[str, Any] = CONFIG, *, ssim: float = 0.8, images: int = 9) -> Path:
    """A finished run, with the folder that Hydra leaves in it."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text("seed: 1\n")
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    means = {"hole_l1": 5.0, "hole_psnr": psnr, "psnr": psnr + 10, "ssim": ssim, "ms": 4.0}
    ends = [{name: value + side for name, value in means.items() if name != "ms"} for side in (-1, 1)]
    rows = [Row(area, "unet", images, 0, means, *ends) for area in ("0-10 %", "10-20 %", "all")]
    rows += [Row("all", "telea", images, 0, dict.fromkeys(means, 99.0))]
    write_csv(rows, folder / "results.csv")
    summary = {"method": "unet", "parameters": 7_040_000, "updates": 12_000, "train_seconds": 60.5, "overrides": []}
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def make_evaluation(folder: Path, psnrs: Mapping[str, float], images: int = 9) -> Path:
    """What `inpaint-evaluate` leaves, at its least."""
    folder.mkdir(parents=True)
    means = {name: {"hole_psnr": psnr, "ms": 2.0} for name, psnr in psnrs.items()}
    write_csv([Row("all", name, images, 0, means[name]) for name in psnrs], folder / "results.csv")
    return folder


def add_validation(folder: Path, images: int = 9, seed: int = 0) -> None:
    """Which pictures; another seed, others."""
    with (folder / "validation.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "photograph", "hole_area", "image_sha256", "mask_sha256"])
        for index in range(images):
            digest = hashlib.sha256(f"{seed} {index}".encode()).hexdigest()
            writer.writerow([index, f"photo {index}", index / 100, digest, digest])


def add_records(folder: Path, scores: Mapping[str, Sequence[float]]) -> None:
    """The hole PSNR of single pictures, by method."""
    with (folder / "records.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "index", "area", "hole_psnr"])
        for method, values in scores.items():
            writer.writerows([method, index, index / 100, value] for index, value in enumerate(values))


def add_pictures(folder: Path, kinds: Sequence[str], indices: Sequence[int], side: int = 16) -> None:
    """Pictures of one colour, of its own for each kind."""
    for number, kind in enumerate(kinds):
        for index in indices:
            path = folder / "pictures" / kind / f"{index:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(index).integers(0, 60, (side, side, 3))
            Image.fromarray((noise + 40 * number).astype("u1")).save(path)


CURVES = ("train/l1", "val/hole_psnr", "val/harmonic_hole_psnr")


def add_curves(folder: Path, rows: int, columns: Sequence[str] = CURVES) -> None:
    """`metrics.csv` as the logger writes it: training columns in most rows, validation in every tenth alone."""
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "step", "test/hole_psnr", *columns])
        for row in range(rows):
            validates = row % 10 == 9
            values = [f"{1 / (row + 1)}" if name.startswith("val/") == validates else "" for name in columns]
            writer.writerow([0, row, "", *values])


def rich_run(folder: Path, psnrs: list[float], config: dict[str, Any] | None = None) -> Path:
    make_run(folder, sum(psnrs) / len(psnrs), *([config] if config else []), images=len(psnrs))
    add_validation(folder, len(psnrs))
    add_records(folder, {"unet": psnrs, "telea": [psnr - 1 for psnr in psnrs]})
    add_pictures(folder, ("input", "truth", "mask", "unet", "telea"), range(4))
    add_curves(folder, 2000)
    return folder


EVIL = '<img src=x onerror="alert(1)">'
STUDY = {
    "format": "inpaint-study report 1", "study": "x", "title": "t", "question": "Which looks better?",
    "contestants": ["ours", "telea"], "votes": 40, "confidence": 0.95,
    "participants": {"voted": 4, "finished": 4, "left_out": [], "unchecked": 0, "max_failures": 0.2},
    "catch": {"trials": 2, "shown": 8, "failed": 1, "guess_passes": 0.25},
    "left": {"votes": 40, "preferred": 20, "share": 0.5, "low": 0.35, "high": 0.65}, "median_ms": 2000,
    "pairs": [{"a": "ours", "b": "telea", "votes": 40, "preferred": 30, "share": 0.75, "low": 0.6, "high": 0.86}],
    "half_votes": 0,
    "scores": [{"method": "ours", "score": 0.5, "low": 0.2, "high": 0.8, "votes": 40, "preferred": 30},
               {"method": "telea", "score": -0.5, "low": -0.8, "high": -0.2, "votes": 40, "preferred": 10}],
}  # fmt: skip


def ranking(text: str) -> list[str]:
    """Names of runs in the order they are printed."""
    return [line.split()[1] for line in text.splitlines() if line.strip()[:1].isdigit()]
