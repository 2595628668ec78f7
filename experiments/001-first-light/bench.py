"""What the design promises, measured in one run: `make bench-rooms`.

1. Cost: one update through Lightning against a plain PyTorch loop over the same networks, losses and batches.
2. Quality: the default run and the same run with L1 alone, beside the classical fills: hole PSNR, error of the fine
   structure (the column `texture`) and, where AlexNet's features are there, LPIPS.
3. Start: seconds until `inpaint-train --help` and `--cfg job` have answered.

Everything is a ratio or a difference within this run, since machines differ and are shared.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import hydra
import lightning as L
import torch
from omegaconf import OmegaConf
from torch.utils.data import DataLoader

from inpaint.config import build, conf_dir
from inpaint.evaluation import intervals, table


def compose(*overrides):
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = hydra.compose("train", ["logger={}", *overrides])
    OmegaConf.set_struct(cfg, False)
    cfg.name, cfg.paths.run = "bench", tempfile.mkdtemp()
    cfg.callbacks = {}
    return cfg


class Timer(L.Callback):
    """Seconds from the end of one update to the end of the next: everything that Lightning does is in it."""

    def __init__(self):
        self.seconds = []

    def on_train_start(self, *_):
        self.last = time.perf_counter()

    def on_train_batch_end(self, *_):
        now = time.perf_counter()
        self.seconds.append(now - self.last)
        self.last = now


def batches(parts, count):
    """The first batches of the default run, made beforehand so that both loops get them for nothing."""
    loader = parts.data.train_dataloader()
    found = []
    while len(found) < count:
        found += [parts.data.to_batch(raw, "cpu") for raw in loader]
    return found[:count]


def through_lightning(module, made):
    timer = Timer()
    trainer = L.Trainer(
        max_steps=len(made),
        accelerator="cpu",
        logger=False,
        callbacks=[timer],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(module, DataLoader(made, batch_size=None))
    return timer.seconds


def by_hand(module, made):
    """What one would write without a framework: two phases, the moving average, nothing watched."""
    generator, discriminator = module.generator.train(), module.discriminator.train()
    optimizers = {
        name: module.optimizer_factories[name](list(getattr(module, name).parameters()))
        for name in ("generator", "discriminator")
    }
    schedule = module.scheduler_factories["generator"](optimizers["generator"])
    seconds = []
    for update, batch in enumerate(made):
        start = time.perf_counter()
        image, mask = batch["image"], batch["mask"]
        outputs = generator(image * (1 - mask), mask)
        fake = outputs.composite.detach()
        optimizers["discriminator"].zero_grad()
        real, judged = discriminator(torch.cat([image, fake]), torch.cat([mask, mask])).halves()
        module.adversarial.discriminator(real, judged, mask).backward()
        optimizers["discriminator"].step()
        optimizers["generator"].zero_grad()
        discriminator.requires_grad_(False)
        loss = sum(term.weight * term(outputs, batch) for term in module.losses.values())
        judged = discriminator(outputs.composite, mask)
        (loss + module.adversarial.weight * module.adversarial.generator(None, judged, mask)).backward()
        discriminator.requires_grad_(True)
        optimizers["generator"].step()
        schedule.step()
        module.ema.update(generator, update)
        seconds.append(time.perf_counter() - start)
    return seconds


def cost(rounds, updates):
    """Medians of alternating rounds, so that both loops meet the same neighbours on a shared machine."""
    cfg = compose(f"trainer.max_steps={updates}")
    made = batches(build(cfg), updates)
    pairs = []
    for _ in range(rounds):
        plain = statistics.median(by_hand(build(cfg).module, made)[3:])
        lightning = statistics.median(through_lightning(build(cfg).module, made)[3:])
        pairs.append((lightning / plain, plain, lightning))
        print(
            f"  plain {1000 * plain:6.1f} ms, through Lightning {1000 * lightning:6.1f} ms: {pairs[-1][0]:.3f}",
            flush=True,
        )
    ratio = statistics.median(pair[0] for pair in pairs)
    print(
        f"an update through Lightning costs {ratio:.3f} x a plain PyTorch loop (promised: at most 1.05)\n", flush=True
    )


def quality(folder, updates, lpips_weights):
    """Train the default run and L1 alone, and compare them with the fills on the same holes."""
    means = {}
    for name, overrides in (("default", []), ("l1 alone", ["adversarial=none", "baselines=[]"])):
        run = folder / name.replace(" ", "_")
        command = [sys.executable, "-m", "inpaint.train", f"hydra.run.dir={run}", "resume=never", *overrides]
        if updates:
            command.append(f"trainer.max_steps={updates}")
        if lpips_weights:
            command.append(f"lpips_weights={lpips_weights}")
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        for row in table.read_csv(run / "results.csv"):
            if row.area == intervals.ALL:
                means[name if row.method == "residual_unet" else row.method] = row.means
    columns = [column for column in ("hole_psnr", "texture", "lpips_alex") if column in means["default"]]
    print(" " * 16 + "".join(f"{column:>12}" for column in columns))
    for name in sorted(means, key=lambda name: means[name]["hole_psnr"], reverse=True):
        print(f"  {name:14}" + "".join(f"{means[name][column]:12.4f}" for column in columns))
    fills = [method for method in means if method not in ("default", "l1 alone")]
    for column in ("hole_psnr", "lpips_alex"):
        if column not in columns:
            continue
        best = max if column == "hole_psnr" else min
        fill = best(fills, key=lambda name: means[name][column])
        difference = means["default"][column] - means[fill][column]
        print(f"default run minus the best fill ({fill}), {column}: {difference:+.4f} (promised: better)")


def start():
    """Cold starts of the command, the fastest of three."""
    for arguments in (["--help"], ["--cfg", "job"]):
        seconds = []
        for _ in range(3):
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-m", "inpaint.train", *arguments], check=True, stdout=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - begin)
        print(f"inpaint-train {' '.join(arguments)} answers in {min(seconds):.2f} s (promised: under 3)", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="of the cost comparison")
    parser.add_argument("--updates", type=int, default=0, help="of the quality runs (0: as in the default run)")
    parser.add_argument("--runs", type=Path, default=Path("runs/bench"), help="folder of the quality runs")
    parser.add_argument("--lpips-weights", type=Path, help="AlexNet's features (none: torchvision's cache, if there)")
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    start()
    print()
    cost(arguments.rounds, updates=25)
    quality(arguments.runs, arguments.updates, arguments.lpips_weights)


if __name__ == "__main__":
    main()
