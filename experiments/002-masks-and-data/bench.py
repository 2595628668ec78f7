"""Masks and data against what the field does today, in one run: `make bench-rooms`.

1. Masks a second, one thread each: LaMa's sets, and the same drawn one by one with OpenCV; and on a GPU, if there.
2. The same strokes by both painters: pixels that agree. And the areas of 2000 masks of each set.
3. What masks and augmentation cost of a default training update.
4. Images a second of the whole data path, and of a loader that decodes with Pillow, crops and scales each sample on
   the CPU, and draws its mask with OpenCV in the worker, with the same number of processes.

Everything is a ratio or a difference within this run, since machines differ and are shared.
"""

import argparse
import logging
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import cv2
import hydra
import lightning as L
import numpy as np
import torch
from omegaconf import OmegaConf
from opencv_painter import SETS, draw, paint
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader, Dataset

from inpaint import masks, rng
from inpaint.config import build, build_data, conf_dir
from inpaint.data.sources import Photos
from inpaint.masks import strokes

SPEED = ("lama_thick", "lama_medium", "lama_thin", "lama_thin_512")
TARGETS = {"lama_thick": 1, "lama_medium": 1, "lama_thin": 3, "lama_thin_512": 3}
# Mean and deviation of the areas as measured on the published painter.
AREAS = {
    "lama_thin": (0.298, 0.137),
    "lama_medium": (0.242, 0.137),
    "lama_thick": (0.402, 0.217),
    "lama_thin_512": (0.291, 0.134),
    "lama_medium_512": (0.306, 0.160),
    "lama_thick_512": (0.465, 0.249),
}


def compose(*overrides):
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = hydra.compose("train", ["logger={}", *overrides])
    OmegaConf.set_struct(cfg, False)
    cfg.name, cfg.paths.run, cfg.callbacks = "bench", tempfile.mkdtemp(), {}
    return cfg


def masks_of(name):
    """A preset as the published painter draws it: its quirk kept, nothing redrawn. And its strokes alone."""
    node = compose(f"masks={name}").masks
    node.area = [0.0, 1.0]
    brush = node if "kinds" not in node else node.kinds.strokes
    brush.lama_compat = True
    return tuple(hydra.utils.instantiate(part, _convert_="all") for part in (node, brush))


def keys(count, device="cpu", first=0):
    return torch.tensor([rng.key("bench", index) for index in range(first, first + count)], device=device)


def rate(work, count, seconds=1.0):
    """Times `count` a second, of repeated calls for at least `seconds`."""
    work()
    start, calls = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        work()
        calls += 1
    return calls * count / (time.perf_counter() - start)


def show(title, heading, rows):
    table = Table(*heading, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row))
    Console(width=120).print(table)


def speed(rounds, batch=64):
    """Masks a second, in alternating rounds, one thread each."""
    cv2.setNumThreads(1)
    rows = []
    for name in SPEED:
        side, random = SETS[name][0], np.random.default_rng(0)
        (ours, _), theirs, each = masks_of(name), [], []
        part = keys(batch)
        for _ in range(rounds):
            each.append(rate(lambda ours=ours, part=part, side=side: ours(part, (side, side)), batch))
            theirs.append(rate(lambda name=name, random=random: paint(name, random), 1))
        ratio = statistics.median(a / b for a, b in zip(each, theirs, strict=True))
        rows.append([name, statistics.median(theirs), statistics.median(each), ratio, f">= {TARGETS[name]}"])
        if torch.cuda.is_available():
            device = keys(512, "cuda")

            def on_gpu(ours=ours, device=device, side=side):
                ours(device, (side, side))
                torch.cuda.synchronize()

            gpu = rate(on_gpu, 512)
            rows.append([f"{name} (GPU)", statistics.median(theirs), gpu, gpu / statistics.median(theirs), ">= 100"])
    show("Masks a second, one thread", ["set", "OpenCV", "inpaint", "ratio", "promised"], rows)


def agreement(count=200):
    """The same strokes by both painters."""
    rows, drawn, lines = [], [], strokes._lines

    def overheard(ends, thickness):
        drawn.append(torch.cat([ends, thickness[..., None]], 2))
        return lines(ends, thickness)

    strokes._lines = overheard
    for name in AREAS:
        side = SETS[name][0]
        shapes = masks_of(name)[1].draw(keys(count), (side, side))
        on = shapes.capsules[..., 4] > 0
        mask = masks.paint(shapes, (side, side))[:, 0].numpy()
        theirs = (draw(sample[kept].int().tolist(), side) for sample, kept in zip(drawn.pop(), on, strict=True))
        same = [float((a == b).mean()) for a, b in zip(theirs, mask, strict=True)]
        rows.append([name, f"{100 * np.mean(same):.3f} %", f"{100 * min(same):.3f} %", ">= 99.5 %"])
    strokes._lines = lines
    show(f"Pixels that agree with cv2.line, {count} masks", ["set", "mean", "worst mask", "promised"], rows)


def areas(count=2000):
    rows = []
    for name, (mean, deviation) in AREAS.items():
        side = SETS[name][0]
        (ours, _), random = masks_of(name), np.random.default_rng(1)
        found = torch.cat([ours(part, (side, side)).mean((1, 2, 3)) for part in keys(count).split(100)])
        theirs = np.array([paint(name, random).mean() for _ in range(count)])
        off = max(abs(found.mean().item() - mean), abs(found.std().item() - deviation))
        rows.append([name, f"{mean:.3f} +- {deviation:.3f}", f"{theirs.mean():.3f} +- {theirs.std():.3f}"])
        rows[-1] += [f"{found.mean():.3f} +- {found.std():.3f}", f"{off:.3f}", "<= 0.02"]
    heading = ["set", "published painter", "OpenCV here", "inpaint", "largest difference", "promised"]
    show(f"Hole areas of {count} masks", heading, rows)


class Stopwatch(L.Callback):
    """Seconds of each update, and of making its batch of the tiles."""

    def __init__(self, data):
        self.updates, self.batches, make = [], [], data.on_after_batch_transfer

        def timed(*args):
            start = time.perf_counter()
            made = make(*args)
            self.batches.append(time.perf_counter() - start)
            return made

        data.on_after_batch_transfer = timed

    def on_train_start(self, *_):
        self.last = time.perf_counter()

    def on_train_batch_end(self, *_):
        self.updates.append(time.perf_counter() - self.last)
        self.last = time.perf_counter()


def share(updates):
    """Of a default training update, how much goes into crops, augmentation and masks."""
    rows = []
    everything = [f"data.augmentation.{name}" for name in ("rotate=10", "shear=5", "perspective=0.1", "hue=0.05")]
    everything += [f"data.augmentation.{name}=0.2" for name in ("brightness", "contrast", "saturation")]
    for label, overrides in (("default", []), ("every augmentation on", everything)):
        cfg = compose(f"trainer.max_steps={updates}", "+trainer.limit_val_batches=0", *overrides)
        parts = build(cfg)
        watch = Stopwatch(parts.data)
        parts.trainer.callbacks.append(watch)
        parts.trainer.fit(parts.module, datamodule=parts.data)
        update, batch = (statistics.median(times[2:]) for times in (watch.updates, watch.batches))
        promised = "<= 3 %" if not overrides else ""
        rows.append(
            [label, f"{1e3 * update:.1f} ms", f"{1e3 * batch:.2f} ms", f"{100 * batch / update:.1f} %", promised]
        )
    show("Masks and augmentation in a training update", ["", "update", "its batch", "share", "promised"], rows)


class PerSample(Dataset):
    """What the field does: everything for each sample, in the worker."""

    def __init__(self, files, crop):
        self.files, self.crop = files, crop

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        random = np.random.default_rng(index)
        with Image.open(self.files[index]) as picture:
            picture = picture.convert("RGB")
            side = min(round(self.crop * random.uniform(1, 1.5)), *picture.size)
            left, top = (random.integers(0, extent - side + 1) for extent in picture.size)
            window = picture.crop((left, top, left + side, top + side)).resize((self.crop, self.crop), Image.BILINEAR)
        if random.random() < 0.5:
            window = window.transpose(Image.FLIP_LEFT_RIGHT)
        image = torch.from_numpy(np.array(window)).permute(2, 0, 1).float() / 127.5 - 1
        return {"image": image, "mask": torch.from_numpy(paint("lama_train", random))[None], "index": index}


def path(rounds, processes, crop=256, count=256, batch=16):
    """Images a second until a batch is ready to train on, JPEG files on disk."""
    folder = Path(tempfile.mkdtemp())
    pictures = [Photos().read("train", row)["image"] for row in range(Photos().count("train"))]
    pictures = [picture for picture in pictures if min(picture.shape[-2:]) >= crop * 1.5]
    for number in range(count):
        pixels = pictures[number % len(pictures)].permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(folder / f"{number:03d}.jpg", quality=90)
    files = sorted(folder.iterdir())

    def ours(cache):
        settings = {"cache": cache, "workers": processes, "batch_size": batch, "crop": crop, "validation": 0.05}
        overrides = [f"data.{name}={value}" for name, value in (settings | {"root": folder}).items()]
        data = build_data(compose("data=folder", "masks=lama_train", *overrides))
        data.setup("fit")
        return data

    def feed(data, loader):
        return lambda: [data.to_batch(raw, "cpu") for raw in loader]

    made = {f"inpaint, cache={cache}": (data := ours(cache), data.train_dataloader()) for cache in ("none", "ram")}
    theirs = DataLoader(PerSample(files, crop), batch, num_workers=processes, shuffle=True, persistent_workers=True)
    cores = torch.get_num_threads()
    rates = {"per sample": []} | {name: [] for name in made}
    for _ in range(rounds):
        rates["per sample"].append(rate(lambda: [None for _ in theirs], len(theirs) * batch, 4))
        for name, (data, loader) in made.items():
            # One thread for each core that no worker keeps busy: two that wait for one core take turns at waiting.
            torch.set_num_threads(max(1, cores - loader.num_workers))
            rates[name].append(rate(feed(data, loader), len(loader) * batch, 4))
    base = statistics.median(rates["per sample"])
    rows = [[name, statistics.median(each), statistics.median(each) / base] for name, each in rates.items()]
    rows = [rows[0], *([*row, ">= 2"] for row in rows[1:])]
    heading = ["", "images/s", "ratio", "promised"]
    show(f"Images a second of {crop} px, at most {processes} worker processes", heading, rows)


def main():
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="alternating rounds of each comparison")
    parser.add_argument("--updates", type=int, default=40, help="training updates that are timed")
    parser.add_argument("--processes", type=int, default=2, help="worker processes of the data path")
    parser.add_argument("--only", choices=("speed", "agreement", "areas", "share", "path"), help="one part alone")
    options = parser.parse_args()
    parts = {
        "speed": lambda: speed(options.rounds),
        "agreement": agreement,
        "areas": areas,
        "share": lambda: share(options.updates),
        "path": lambda: path(options.rounds, options.processes),
    }
    threads = torch.get_num_threads()
    for name, part in parts.items():
        if options.only in (None, name):
            torch.set_num_threads(1 if name == "speed" else threads)
            part()


if __name__ == "__main__":
    main()
