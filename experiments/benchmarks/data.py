"""What do photographs cost: a start with many of them, a crop of one that is decoded anew, a crop out of a shard?

    python experiments/benchmarks/data.py                    # all of it
    python experiments/benchmarks/data.py --only start --counts 1000 4000 16000 64000
    python experiments/benchmarks/data.py --only crops --photographs DIR    # of your own, not the bundled ones

Times are of the processor, of one thread and without reading ahead, so that neighbours on the machine matter little.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from measuring import exponent, ratio, settle, spread, table, times
from PIL import Image
from torch.utils.data import DataLoader, Dataset

START = """
import json, resource, sys, time
from inpaint.data.datamodule import FolderData
from inpaint.masks import Boxes
before, begin = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
data = FolderData(Boxes(), sys.argv[1], crop=8, crops_per_image=1, validation_crops=1, cache="none")
data.setup("fit")
after = resource.getrusage(resource.RUSAGE_SELF)
used = sum(getattr(after, name) - getattr(before, name) for name in ("ru_utime", "ru_stime"))
print(json.dumps([time.monotonic() - begin, used, (after.ru_maxrss - before.ru_maxrss) * 1024]))
"""


def start(counts):
    """Time and memory until batches can be made of many photographs; twice, as the headers are known then."""
    rows = []
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            photos = Path(folder, "photos")
            (photos / "0").mkdir(parents=True)
            Image.fromarray(np.full((8, 8, 3), 128, np.uint8)).save(photos / "0/0.jpg")
            tiny = (photos / "0/0.jpg").read_bytes()
            for number in range(count):
                path = photos / str(number % 100) / f"{number}.jpg"
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(tiny)
                os.utime(path, (10**9, 10**9))
            environment = os.environ | {"XDG_CACHE_HOME": f"{folder}/cache", "OMP_NUM_THREADS": "1"}
            row = {"photographs": count}
            for time_ in ("first", "second"):
                printed = subprocess.check_output(
                    [sys.executable, "-c", START, str(photos)], env=environment, text=True
                )
                row[time_] = dict(
                    zip(("seconds", "processor", "bytes"), json.loads(printed.splitlines()[-1]), strict=True)
                )
            rows.append(row)
    return rows


def shown_start(rows):
    """Its table, with the fitted exponents."""
    columns = [(time_, what) for time_ in ("first", "second") for what in ("seconds", "processor")] + [
        ("second", "bytes")
    ]
    lines = [
        [str(row["photographs"]), *(f"{row[t][what] / (1e6 if what == 'bytes' else 1):.2f}" for t, what in columns)]
        for row in rows
    ]
    if len(rows) > 1:
        counts = [row["photographs"] for row in rows]
        fits = [exponent(counts, [max(row[t][what], 1e-6) for row in rows]) for t, what in columns]
        lines.append(["exponent", *(f"{fit:.2f}" for fit in fits)])
    heading = ["photographs", "first start (s)", "processor (s)", "second start (s)", "processor (s)", "memory (MB)"]
    return table(heading, lines, 0)


class PerSample(Dataset):
    """A loader as it is usually written: Pillow decodes, and each sample is cut and scaled by itself."""

    def __init__(self, files, crop, resize):
        self.files, self.crop, self.resize = files, crop, resize

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        random = np.random.default_rng(index)
        with Image.open(self.files[index]) as picture:
            picture = picture.convert("RGB")
            if self.resize is not None and (short := min(picture.size)) > self.resize:
                size = [round(side * self.resize / short) for side in picture.size]
                picture = picture.resize(size, Image.LANCZOS)
            side = min(round(self.crop * random.uniform(1, 1.5)), *picture.size)
            left, top = (random.integers(0, extent - side + 1) for extent in picture.size)
            window = picture.crop((left, top, left + side, top + side)).resize((self.crop, self.crop), Image.BILINEAR)
        if random.random() < 0.5:
            window = window.transpose(Image.FLIP_LEFT_RIGHT)
        return torch.from_numpy(np.array(window)).permute(2, 0, 1).float() / 127.5 - 1


def enlarged(files, side, folder):
    """Photographs as a camera has them: the shorter side of so many pixels."""
    made = []
    for number, file in enumerate(files):
        with Image.open(file) as picture:
            size = [round(extent * side / min(picture.size)) for extent in picture.size]
            made.append(Path(folder, f"{number:03d}.jpg"))
            picture.convert("RGB").resize(size, Image.BICUBIC).save(made[-1], quality=92)
    return made


def bundled(folder):
    """The bundled photographs as JPEGs."""
    from inpaint.data.sources import Photos

    source, files = Photos(), []
    for row in range(source.count("train")):
        pixels = source.read("train", row)["image"].permute(1, 2, 0).numpy()
        files.append(Path(folder, f"{row}.jpg"))
        Image.fromarray(pixels).save(files[-1], quality=95)
    return files


def crops(photographs, count, rounds, kinds=((480, 64, None), (900, 256, None), (3000, 256, 512)), said=print):
    """Processor time of a training crop, by a loader with Pillow, by this package, and by it from shards."""
    from inpaint.data.datamodule import FolderData, ShardsData
    from inpaint.data.packing import write_shards
    from inpaint.masks import Boxes

    def seconds(make):
        begin, number = time.process_time(), 0
        for batch in make():
            number += len(batch)
        return (time.process_time() - begin) / number

    rows = []
    for side, crop, resize in kinds:
        said(f"crops of photographs of {side} px")
        with tempfile.TemporaryDirectory() as folder:
            for name in ("given", "photos"):
                Path(folder, name).mkdir()
            found = sorted(Path(photographs).rglob("*.jpg")) if photographs else bundled(f"{folder}/given")
            chosen = [file for file in found if min(Image.open(file).size) >= 320][:count]
            files = enlarged(chosen[: count if side < 2000 else 24], side, f"{folder}/photos")
            common = {"crop": crop, "batch_size": 8, "crops_per_image": 1, "validation_crops": 1, "cache": "none"}
            if len(files) < 20:  # as many crops an epoch, of fewer photographs
                common["crops_per_image"] = 4
            data = FolderData(Boxes(), f"{folder}/photos", validation=0.2, resize=resize, **common)
            data.setup("fit")
            packed = write_shards(Path(folder, "shards"), [data.tiles["train"], data.tiles["validation"]])
            shards = ShardsData(Boxes(), **packed.settings, image=["tif"], **common)
            shards.setup("fit")
            plain = DataLoader(PerSample(files, crop, resize), 8)

            def ours(data):
                return lambda: (data.to_batch(raw, "cpu")["image"] for raw in data.train_dataloader())

            ways = {"plain": partial(iter, plain), "anew": ours(data), "shards": ours(shards)}
            found = {name: [] for name in ways}
            for _ in range(rounds):
                for name, make in ways.items():
                    found[name].append(seconds(make))
            shrunk = f" shrunk to {resize}" if resize else ""
            row = {"photographs": f"{side} px{shrunk}", "crop": crop}
            row |= {name: spread(each) for name, each in found.items()}
            row |= {f"{name} ratio": ratio(found["plain"], found[name]) for name in ("anew", "shards")}
            rows.append(row)
    return rows


def shown_crops(rows):
    """Their table."""
    lines = [
        [
            row["photographs"],
            str(row["crop"]),
            *(f"{1e3 * row[name]['median']:.2f}" for name in ("plain", "anew")),
            times(row["anew ratio"]),
            f"{1e3 * row['shards']['median']:.2f}",
            times(row["shards ratio"]),
        ]
        for row in rows
    ]
    heading = ["photographs", "crop", "Pillow (ms)", "decoded anew (ms)", "ratio", "from shards (ms)", "ratio"]
    return table(heading, lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("start", "crops"))
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 4000, 16000])
    parser.add_argument("--photographs", help="a folder of JPEGs of 320 px and more, which are enlarged; none: bundled")
    parser.add_argument("--count", type=int, default=64, help="photographs of which crops are made")
    parser.add_argument("--rounds", type=int, default=3, help="in turns")
    arguments = parser.parse_args()
    settle(1)
    if arguments.only in (None, "start"):
        print(shown_start(start(arguments.counts)), "\n")
    if arguments.only in (None, "crops"):
        print(shown_crops(crops(arguments.photographs, arguments.count, arguments.rounds)))


if __name__ == "__main__":
    main()
