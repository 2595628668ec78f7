"""What each recipe of the literature costs, and what some minutes of it look like.

    python experiments/010-recipes/recipes.py rates                 measure, into rates.json, and write them down
    python experiments/010-recipes/recipes.py rates lama_fourier    this one alone, the others as they are
    python experiments/010-recipes/recipes.py table                 write rates.json down: README, headers
    python experiments/010-recipes/recipes.py look lama_fourier --root PHOTOGRAPHS --minutes 20

`rates` counts processor seconds of one thread, which other programs on the machine change little, and takes as many
samples a batch as `--samples` says, and takes the cost of an update for proportional to them. That is too much by what
the optimizers' steps take, a few percent but for networks of many weights and small pictures. `look` trains with
`inpaint-train` at the recipe's own crop and writes the last panel as runs/looks/NAME.png: holes, outputs, composites,
truth.
"""

import argparse
import json
import logging
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import hydra
import lightning as L
import numpy as np
import torch
from omegaconf import OmegaConf
from PIL import Image

from inpaint.config import build, check, conf_dir

HERE = Path(__file__).parent
CORES = 2  # that the table's hours are for


@dataclass(frozen=True)
class Paper:
    """What a paper trained with: photographs, devices that share a batch in the recipe, how long it says it took."""

    photographs: str
    devices: int = 1
    took: str = ""


PAPERS = {
    "aot_gan": Paper("1.8 M (Places2)"),
    "basicvsr_small": Paper("26 600 (frames of REDS)"),
    "big_lama": Paper("4.5 M (Places Challenge)", 8, "10 days on 8 V100"),
    "context_encoder": Paper("14 900 (Paris StreetView)"),
    "context_encoder_features": Paper("1.2 M (ImageNet)", 1, "14 hours on a Titan X"),
    "dcgan": Paper("202 599 (CelebA)"),
    "deepfill_v2": Paper("1.8 M (Places2)"),
    "deblurgan": Paper("2 103 (GoPro)", 1, "6 days on a Maxwell Titan X"),
    "dncnn": Paper("432 (BSD)"),
    "edge_connect": Paper("1.8 M (Places2)"),
    "edge_connect_inpaint": Paper("1.8 M (Places2)"),
    "edsr": Paper("800 (DIV2K)"),
    "esrgan": Paper("3 450 (DF2K)"),
    "fast_style": Paper("80 000 (COCO)", 1, "4 hours on a Titan X"),
    "ffdnet": Paper("5 544 (BSD, Waterloo, ImageNet)"),
    "global_local": Paper("8.1 M (Places2)", 1, "2 months on 4 K80"),
    "lama_fourier": Paper("1.8 M (Places)", 3),
    "lama_regular": Paper("1.8 M (Places)", 3),
    "mat_small": Paper("24 183 (CelebA-HQ)"),
    "nafnet": Paper("320 (SIDD)", 8),
    "partial_conv": Paper("8 M (Places2)", 1, "10 days on a V100"),
    "partial_conv_stage2": Paper("8 M (Places2)", 1, "a day on a V100"),
    "pix2pix": Paper("400 (facades)"),
    "pix2pixhd": Paper("2 975 (Cityscapes)"),
    "sagan_unet": Paper("1.28 M (ImageNet)", 4),
    "srgan": Paper("350 000 (ImageNet)"),
    "srresnet": Paper("350 000 (ImageNet)"),
    "srvgg": Paper("13 774 (DF2K, OST)", 4),
    "vdsr": Paper("291 (Yang et al., BSD)", 1, "4 hours on a Titan Z"),
}


OURS = ("# Crops: ", "# Needs: ", "# Takes: ", "# 20 minutes there: ")  # what the lines of `head` begin with
BEGIN, END = "<!-- rates -->", "<!-- end of rates -->"  # of the table in the README
# What the panels of `look` show.
LOOKS = {"context_encoder_features": "29 of 8 crops paint everything in one grey"}


def recipes():
    return sorted(path.stem for path in (conf_dir() / "experiment").glob("[a-z]*.yaml"))


def compose(*overrides):
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = hydra.compose("train", ["logger={}", "lpips=null", "trainer=reference", *overrides])
    OmegaConf.set_struct(cfg, False)
    cfg.paths.run, cfg.callbacks = tempfile.mkdtemp(), {}
    return cfg


class Clock(L.Callback):
    """Processor seconds of each update."""

    def __init__(self):
        self.seconds = []

    def on_train_batch_start(self, *_):
        self.start = time.process_time()

    def on_train_batch_end(self, *_):
        self.seconds.append(time.process_time() - self.start)


def photographs(folder, side):
    """Four smooth pictures to train on and one to validate, large enough for the crops."""
    generator = np.random.default_rng(0)
    for name in ("train/a", "train/b", "train/c", "train/d", "validation/e"):
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray(generator.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        small.resize((side, side), Image.Resampling.BICUBIC).save(path)


def measure(recipe, samples, updates):
    """Processor seconds of an update, by the project's own trainer; the first update, which warms up, is left out."""
    with tempfile.TemporaryDirectory() as folder:
        of_clips = "clips" in compose(f"+experiment={recipe}").data  # and in no folder of photographs
        data = [] if of_clips else ["data=folder"]
        cfg = compose(f"+experiment={recipe}", *data, f"data.root={folder}", "backbone_weights=random")
        asked, crop, most = cfg.data.batch_size, cfg.data.crop, cfg.trainer.max_steps
        photographs(Path(folder), int(1.6 * max(crop, 256)))
        batch = min(samples, asked)
        cfg.data.update({"batch_size": batch, "workers": 0, "train": "train", "validation": "validation"})
        cfg.data.crops_per_image = batch
        if of_clips:
            cfg.data.clips = 1
        cfg.module.adversarial_start = cfg.module.discriminator_alone = 0  # the phase that most updates are of
        cfg.trainer.update({"max_steps": updates + 1, "limit_val_batches": 0, "num_sanity_val_steps": 0})
        cfg.trainer.val_check_interval = 1
        if OmegaConf.missing_keys(cfg):  # a style
            cfg.losses.style.picture = f"{folder}/train/a.png"
        check(cfg)
        parts = build(cfg)
        clock = Clock()
        parts.trainer.callbacks.append(clock)
        parts.trainer.fit(parts.module, parts.data)
    generator, discriminator = (
        sum(weight.numel() for weight in network.parameters()) if network is not None else 0
        for network in (parts.module.generator, parts.module.discriminator)
    )
    return {
        "generator": generator,
        "discriminator": discriminator,
        "crop": crop,
        "batch": asked,
        "devices": PAPERS[recipe].devices,
        "updates": most,
        "measured_batch": batch,
        "seconds": round(statistics.median(clock.seconds[1:]), 3),
        "measured_updates": len(clock.seconds) - 1,
    }


def seconds(row):
    """Of one update of the recipe's whole batch, on CORES cores that share the work evenly."""
    return row["seconds"] / row["measured_batch"] * row["batch"] * row["devices"] / CORES


def hours(row):
    return seconds(row) * row["updates"] / 3600


def spaced(number):
    return f"{number:,}".replace(",", " ")


def lasting(hours):
    """A number of hours as people say it."""
    if hours < 72:
        return f"{hours:.0f} hours"
    days = hours / 24
    return f"{days:.0f} days" if days < 365 else f"{days / 365:.1f} years"


def table(rows):
    head = ("recipe", "photographs", "G", "D", "crop", "batch", "updates", "s an update")
    head += ("hours", "that is", "the paper")
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for recipe, row in sorted(rows.items()):
        paper = PAPERS[recipe]
        batch = f"{row['devices']} x {row['batch']}" if row["devices"] > 1 else str(row["batch"])
        discriminator = f"{row['discriminator'] / 1e6:.1f} M" if row["discriminator"] else "none"
        cells = (
            *(recipe, paper.photographs, f"{row['generator'] / 1e6:.1f} M", discriminator, f"{row['crop']}", batch),
            *(spaced(row["updates"]), f"{seconds(row):.3g}", spaced(round(hours(row)))),
            *(lasting(hours(row)), paper.took),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def head(recipe, row):
    """The lines of a recipe's header about crops and cost."""
    paper, data = PAPERS[recipe], compose(f"+experiment={recipe}").data
    low, high = (round(data.crop * zoom) for zoom in data.augmentation.zoom)
    window = f"windows of {low} px" if low == high else f"windows of {low} to {high} px"
    batch = f"{row['devices']} x {row['batch']}" if row["devices"] > 1 else str(row["batch"])
    crops = f"{batch} crops" if batch != "1" else "1 crop"
    number, _, where = paper.photographs.partition(" (")
    photographs = f"{number} photographs ({where}"
    cost = seconds(row)
    lines = [
        f"# Crops: {window}{', mirrored' if data.augmentation.flip else ''}",
        f"# Needs: {photographs}, {spaced(row['updates'])} updates of {crops}",
        f"# Takes: {lasting(hours(row))} on {CORES} cores, {cost:.{1 if cost < 10 else 0}f} s an update"
        + (f"; the paper: {paper.took}" if paper.took else ""),
    ]
    done = round(20 * 60 / cost)
    share = f"{done} update{'s' if done != 1 else ''}, {100 * done / row['updates']:.1g} % of them"
    lines.append(f"# 20 minutes there: {share}; {LOOKS[recipe]}" if recipe in LOOKS else f"# 20 minutes there: {share}")
    return lines


def write_header(recipe, row):
    """Put the lines of `head` behind the others of the header."""
    path = conf_dir() / "experiment" / f"{recipe}.yaml"
    lines = [line for line in path.read_text().splitlines() if not line.startswith(OURS)]
    end = next(place for place, line in enumerate(lines) if not line.startswith("#"))
    path.write_text("\n".join([*lines[:end], *head(recipe, row), *lines[end:]]) + "\n")


def look(recipe, root, minutes, samples, output):
    """Train for some minutes and keep the last panel."""
    crop, asked = (compose(f"+experiment={recipe}").data[key] for key in ("crop", "batch_size"))
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "inpaint.train", f"+experiment={recipe}", "data=folder", f"data.root={root}"),
            *(f"hydra.run.dir={folder}/run", f"+trainer.max_time=00:00:{minutes:02d}:00", "baselines=[harmonic]"),
            *(f"data.batch_size={min(samples, asked)}", "data.workers=0", "data.on_bad_image=skip", "lpips=null"),
            *("callbacks.panel.samples=4", "callbacks.panel.every=1000000", "callbacks.checkpoint.every=1000000"),
            *("trainer.val_check_interval=1000000", "trainer.log_every_n_steps=5", "callbacks.collapse=null"),
        ]
        print(" ".join(command), f"(crops of {crop} px)")
        subprocess.run(command, check=True)
        panels = sorted((Path(folder) / "run" / "panels").glob("*.png"))
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(panels[-1], output)
    print(f"{output}: {panels[-1].name}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["rates", "table", "look"])
    parser.add_argument("recipes", nargs="*", default=[], help="all if none is named")
    parser.add_argument("--samples", type=int, default=2, help="of a batch, where the recipe has more")
    parser.add_argument("--updates", type=int, default=2, help="that rates times")
    parser.add_argument("--root", help="folder of photographs for look")
    parser.add_argument("--minutes", type=int, default=20, help="of look, below 60")
    arguments = parser.parse_intermixed_args()
    logging.getLogger("lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore")
    record = HERE / "rates.json"
    rows = json.loads(record.read_text()) if record.is_file() else {}
    if arguments.what == "look":
        for recipe in arguments.recipes:
            look(recipe, arguments.root, arguments.minutes, arguments.samples, Path("runs/looks") / f"{recipe}.png")
        return
    if arguments.what == "rates":
        torch.set_num_threads(1)
        for recipe in arguments.recipes or recipes():
            rows[recipe] = measure(recipe, arguments.samples, arguments.updates)
            print(recipe, rows[recipe], flush=True)
            record.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n")
    readme = HERE / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    readme.write_text(before + BEGIN + "\n\n" + table(rows) + "\n" + END + rest.partition(END)[2])
    for recipe, row in rows.items():
        write_header(recipe, row)
    print(table(rows))


if __name__ == "__main__":
    main()
