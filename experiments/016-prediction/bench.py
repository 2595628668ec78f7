"""How fast pictures are repaired: `make bench-rooms`, or this file alone.

1. The share of time that the default generator takes when a folder of 256 px pictures is repaired on a CPU.
2. Frames a second of it in each format that it is exported to, at 256 and 512 px, median and 95th percentile of the
   time, with the copies from bytes to bytes; and the time beside that of eager torch, in turns.

The network is untrained, which costs the same.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from inpaint import rng
from inpaint.cli.command import call
from inpaint.data.sources import Photos
from inpaint.exchange import formats, models
from inpaint.files import checkpoint
from inpaint.masks import Strokes
from inpaint.networks.generators.residual_unet import ResidualUNet
from inpaint.predict import command
from inpaint.predict.predictor import Predictor

CONFIG = {"name": "residual_unet", "generator": {"_target_": "inpaint.networks.generators.residual_unet.ResidualUNet"}}
PROMISED = 0.85  # of the time, in the network
LEAST = 5  # rounds of the rates, however long they take


def photographs(side, count):
    """uint8 ``(side, side, 3)`` and holes, of the bundled photographs."""
    photos, found = Photos(), []
    for number in range(count):
        picture = photos.read("train", number % photos.count("train"))["image"]
        top, left = (number * 7 % (length - min(side, length) + 1) for length in picture.shape[-2:])
        part = picture[:, top : top + side, left : left + side].permute(1, 2, 0).numpy()
        part = np.asarray(Image.fromarray(part).resize((side, side)))
        hole = Strokes()(torch.tensor([rng.key(number, "bench")]), (side, side))[0, 0].numpy() > 0.5
        found.append((part, hole))
    return found


class Timed:
    """A function, and the seconds that its calls take."""

    def __init__(self, called):
        self.called, self.seconds = called, []

    def __call__(self, *arguments, **settings):
        start = time.perf_counter()
        try:
            return self.called(*arguments, **settings)
        finally:
            self.seconds.append(time.perf_counter() - start)


def share(folder, model, count):
    """What part of the work the network takes, from the first picture to the last file."""
    for number, (picture, hole) in enumerate(photographs(256, count)):
        for place, pixels in (("images", picture), ("holes", hole.astype(np.uint8) * 255)):
            (folder / place).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(folder / place / f"{number:03d}.png")
    network, work = Timed(ResidualUNet.forward), Timed(command._work)
    ResidualUNet.forward = lambda *arguments: network(*arguments)
    command._work, kept = work, command._work
    try:
        settings = [f"checkpoint={model}", *(f"{name}={folder / name}" for name in ("images", "holes"))]
        call("predict", command.run, [*settings, f"output={folder / 'out'}", "device=cpu"])
    finally:
        ResidualUNet.forward, command._work = network.called, kept
    part = sum(network.seconds) / sum(work.seconds)
    print(f"  {count} pictures of 256 px: {part:.1%} of the time in the network (promised: at least {PROMISED:.0%})\n")


def exported(folder, model, names):
    """Predictors of the checkpoint and of each format."""
    network = models.generator_of(models.load(model))
    found = {"eager torch": Predictor(network)}
    for name in names:
        start = time.process_time()
        written = formats.write(name, network, folder)
        print(f"  {written.file} written and compared in {time.process_time() - start:.0f} s of one core", flush=True)
        found[name] = Predictor(formats.read(folder / written.file, name))
    return found


def rates(predictors, side, rounds, limit):
    """Seconds a picture from bytes to bytes, in turns; the table's lines, and each format's ratio to eager torch."""
    seconds = {name: [] for name in predictors}
    begun = time.perf_counter()
    for number, (picture, hole) in enumerate(photographs(side, rounds + 2)):
        if number >= 2 + LEAST and time.perf_counter() - begun > limit:
            break
        for name, predictor in predictors.items():
            start = time.perf_counter()
            predictor(picture, hole)
            if number >= 2:  # the first calls make room and choose kernels
                seconds[name].append(time.perf_counter() - start)
    for name, values in seconds.items():
        middle, slow = statistics.median(values), np.quantile(values, 0.95)
        pairs = zip(values, seconds["eager torch"], strict=True)
        ratio = statistics.median(own / eager for own, eager in pairs)
        print(f"| {name} | {side} | {len(values)} | {1 / middle:.1f} | {1 / slow:.1f} | {ratio:.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=48, help="of the folder")
    parser.add_argument("--rounds", type=int, default=30, help="of the rates, at most")
    parser.add_argument("--seconds", type=float, default=120, help="of the rates of a size, roughly")
    parser.add_argument("--formats", nargs="*", default=["torchscript", "torch_export", "onnx"])
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    with tempfile.TemporaryDirectory() as place:
        folder, model = Path(place), Path(place) / "model.ckpt"
        torch.manual_seed(0)
        checkpoint.save_generator(model, ResidualUNet().eval(), CONFIG, 1)
        share(folder, model, arguments.pictures)
        predictors = exported(folder, model, arguments.formats)
        print("\n| format | pixels | rounds | frames/s, median | frames/s, 95th percentile | time / eager torch |")
        print("|---|---:|---:|---:|---:|---:|")
        for side in (256, 512):
            rates(predictors, side, arguments.rounds, arguments.seconds)


if __name__ == "__main__":
    main()
