"""Where does an update through Lightning spend its time, beside the networks' passes?

    python experiments/benchmarks/where.py                              # the default run, one thread, processor time
    python experiments/benchmarks/where.py +experiment=lama_fourier data=photos data.crop=64 data.batch_size=8

Clocks on single functions, medians over updates; what a function calls is in its time.
"""

import argparse
import statistics
import time

import lightning as L
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from measuring import run_of, settle, table
from torch.utils.data import DataLoader

from inpaint import rng
from inpaint.networks.ema import MovingAverage
from inpaint.training import finite, seams
from inpaint.training.gan import InpaintingGAN

PLACES = {
    "the whole update": (InpaintingGAN, "training_step"),
    "passes forward": (InpaintingGAN, "_painted"),
    "discriminator's terms": (InpaintingGAN, "_discriminator_terms"),
    "generator's terms": (InpaintingGAN, "_generator_terms"),
    "passes backward": (InpaintingGAN, "manual_backward"),
    "optimizers": (LightningOptimizer, "step"),
    "moving average": (MovingAverage, "update"),
    "copies for a refused update": (InpaintingGAN, "before"),
    "norms of the gradients": (torch.nn.utils, "get_total_norm"),
    "is it finite": (finite, "check"),
    "figures, by `log` of Lightning": (InpaintingGAN, "log"),
    "figures, past it": (seams, "log"),
    "seed": (rng, "seed_all"),
}
WARM = 4


class Places(L.Callback):
    """Seconds of each place in each update."""

    def __init__(self):
        self.sums, self.updates = dict.fromkeys(PLACES, 0.0), []

    def clocked(self, place, called):
        """The same function with a clock on it."""

        def timed(*arguments, **settings):
            start = time.process_time()
            try:
                return called(*arguments, **settings)
            finally:
                self.sums[place] += time.process_time() - start

        return timed

    def on_train_batch_end(self, *_):
        """Begin anew."""
        self.updates.append(self.sums)
        self.sums = dict.fromkeys(PLACES, 0.0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=12)
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    settle(1)
    places = Places()
    for place, (owner, name) in PLACES.items():
        if hasattr(owner, name):
            setattr(owner, name, places.clocked(place, getattr(owner, name)))
    count = arguments.updates + WARM
    parts = run_of(*arguments.overrides, "trainer.accelerator=cpu", f"trainer.max_steps={count}", watched=True)
    parts.trainer.callbacks.append(places)
    parts.data.setup("fit")
    raw = next(iter(parts.data.train_dataloader()))
    made = [parts.data.to_batch(raw, "cpu")] * count
    parts.trainer.fit(parts.module, DataLoader(made, batch_size=None))
    rows = [
        [place, f"{1e3 * statistics.median(update[place] for update in places.updates[WARM:]):.2f}"] for place in PLACES
    ]
    print(table(["place", "ms of an update"], rows))


if __name__ == "__main__":
    main()
