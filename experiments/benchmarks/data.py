"""What do photographs cost: a start with many of them, a crop of one that is decoded anew, a crop out of a shard?

    python experiments/benchmarks/data.py                    # all of it
    python experiments/benchmarks/data.py --only start --counts 1000 4000 16000 64000
    python experiments/benchmarks/data.py --only crops --photographs DIR

Times are of the processor, of one thread and without reading ahead, so that neighbours on the machine matter little.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from measuring import exponent, settle
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
    found = {"first": [], "second": []}
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
            for rows in found.values():
                printed = subprocess.check_output(
                    [sys.executable, "-c", START, str(photos)], env=environment, text=True
                )
                rows.append(json.loads(printed.splitlines()[-1]))
    print("| photographs | first start (s) | processor (s) | second start (s) | processor (s) | memory (MB) |")
    print("|---:|---:|---:|---:|---:|---:|")
    for count, first, second in zip(counts, *found.values(), strict=True):
        print(
            f"| {count} | {first[0]:.2f} | {first[1]:.2f} | {second[0]:.2f} | {second[1]:.2f} | {second[2] / 1e6:.0f} |"
        )
    fits = [exponent(counts, [row[place] for row in rows]) for rows in found.values() for place in (0, 1)]
    memory = exponent(counts, [row[2] for row in found["second"]])
    print(f"| exponent | {' | '.join(f'{fit:.2f}' for fit in (*fits, memory))} |\n")


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


def crops(photographs, count, rounds):
    """Processor time of a training crop, by a loader with Pillow, by this package, and by it from shards."""
    from inpaint.data.datamodule import FolderData, ShardsData
    from inpaint.data.packing import write_shards
    from inpaint.masks import Boxes

    def seconds(make):
        begin, number = time.process_time(), 0
        for batch in make():
            number += len(batch)
        return (time.process_time() - begin) / number

    print("| photographs | crop | Pillow (ms) | decoded anew (ms) | ratio | from shards (ms) | ratio |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    chosen = sorted(file for file in Path(photographs).rglob("*.jpg") if min(Image.open(file).size) >= 320)[:count]
    for side, crop, resize in ((480, 64, None), (900, 256, None), (3000, 256, 512)):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "photos").mkdir()
            files = enlarged(chosen[: count if side < 2000 else 24], side, f"{folder}/photos")
            common = {"crop": crop, "batch_size": 8, "crops_per_image": 1, "validation_crops": 1, "cache": "none"}
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
            ratios = {
                name: statistics.median(a / b for a, b in zip(found["plain"], found[name], strict=True))
                for name in found
            }
            plain, anew, packed_ = (1e3 * statistics.median(each) for each in found.values())
            shrunk = f" shrunk to {resize}" if resize else ""
            print(
                f"| {side} px{shrunk} | {crop} | {plain:.2f} | {anew:.2f} | {ratios['anew']:.2f}x | {packed_:.2f} "
                f"| {ratios['shards']:.2f}x |",
                flush=True,
            )
    print()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("start", "crops"))
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 4000, 16000])
    parser.add_argument("--photographs", help="a folder of JPEGs of 320 px and more, which are enlarged")
    parser.add_argument("--count", type=int, default=64, help="photographs of which crops are made")
    parser.add_argument("--rounds", type=int, default=3, help="in turns")
    arguments = parser.parse_args()
    settle(1)
    if arguments.only in (None, "start"):
        start(arguments.counts)
    if arguments.photographs is not None and arguments.only in (None, "crops"):
        crops(arguments.photographs, arguments.count, arguments.rounds)


if __name__ == "__main__":
    main()
