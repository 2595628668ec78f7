"""What do the choices of `trainer=auto` save, and what do they cost?

    python experiments/013-arithmetic/bench.py                         # an update of several networks, each way
    python experiments/013-arithmetic/bench.py --networks lama_fourier --threads 1

Each way trains a few updates of the same run in turns, so that all meet the same neighbours on a shared machine.
Printed are medians of the updates' processor time, and their ratio to `trainer=reference`.
"""

import argparse
import logging
import statistics
import time
import warnings

import hydra
import lightning as L
import torch
from omegaconf import OmegaConf

from inpaint.config import build, conf_dir
from inpaint.training.launching import quiet

WAYS = {
    "reference": ["trainer=reference"],
    "channels_last": ["trainer=reference", "trainer.memory_format=channels_last"],
    "bf16-mixed": ["trainer=reference", "trainer.precision=bf16-mixed"],
    "auto": ["trainer=auto"],
}
NETWORKS = {"residual_unet": 16, "gated_conv": 4, "lama_fourier": 4}  # with the batch


class Clock(L.Callback):
    """Processor seconds of each update."""

    def __init__(self):
        self.seconds = []

    def on_train_batch_start(self, *_):
        """Start."""
        self.started = time.process_time()

    def on_train_batch_end(self, *_):
        """Stop."""
        self.seconds.append(time.process_time() - self.started)


def updates(network, batch, way, count):
    """Processor seconds of `count` updates behind three that warm up."""
    overrides = [f"generator={network}", f"data.batch_size={batch}", f"trainer.max_steps={count + 3}", *way]
    short = [
        "logger={}",
        "callbacks={}",
        "lpips=null",
        "+trainer.limit_val_batches=0",
        "trainer.num_sanity_val_steps=0",
    ]
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = hydra.compose("train", [*short, *overrides])
    OmegaConf.set_struct(cfg, False)
    cfg.name, cfg.paths.run = "bench", "."  # what Hydra fills in when a command runs
    parts = build(cfg)
    clock = Clock()
    parts.trainer.callbacks = [*(c for c in parts.trainer.callbacks if type(c).__name__ == "Arithmetic"), clock]
    parts.trainer.fit(parts.module, parts.data)
    return clock.seconds[3:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--updates", type=int, default=6, help="of each way in a round")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    quiet()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    print(
        f"torch {torch.__version__}, {arguments.threads} threads, crops of 64 px, against the default discriminator\n"
    )
    print("| generator | batch | " + " | ".join(f"{way} (ms)" for way in WAYS) + " | auto against reference |")
    print("|---|---:|" + "---:|" * (len(WAYS) + 1))
    for network in arguments.networks:
        batch = NETWORKS.get(network, 4)
        rounds = {way: [] for way in WAYS}
        for _ in range(arguments.rounds):
            for way, settings in WAYS.items():
                rounds[way].append(statistics.median(updates(network, batch, settings, arguments.updates)))
        medians = {way: statistics.median(each) for way, each in rounds.items()}
        ratios = [slow / fast for slow, fast in zip(rounds["reference"], rounds["auto"], strict=True)]
        cells = " | ".join(f"{1000 * medians[way]:.0f}" for way in WAYS)
        spread = f"{statistics.median(ratios):.2f}x ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"| `{network}` | {batch} | {cells} | {spread} |", flush=True)


if __name__ == "__main__":
    main()
