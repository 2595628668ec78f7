"""What does `generator.checkpointing=true` save in memory, and what does it cost in time?

    python experiments/benchmarks/checkpointing.py
    python experiments/benchmarks/checkpointing.py --recipes lama_fourier --precisions 32-true

Whole updates of a recipe are measured: generator, losses, game and discriminator. The most memory that an update holds
at once, beyond weights, averages and optimizers, is read from torch's record of every allocation. Above the size of
the gradients it is linear in the number of pixels, so that two sizes give that of a third.
"""

import argparse
import itertools
import json
import statistics
import tempfile
import time
from pathlib import Path

import lightning as L
from measuring import GIB, run_of, settle
from torch.profiler import ProfilerActivity, profile


class Watch(L.Callback):
    """Processor seconds of each update, and the bytes that one of them held at most."""

    def __init__(self, recorded):
        self.recorded, self.seconds, self.most = recorded, [], 0

    def on_train_batch_start(self, trainer, module, batch, number):
        """Start the clock or the record."""
        self.record = None
        if number == self.recorded:
            self.record = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
            self.record.start()
        self.started = time.process_time()

    def on_train_batch_end(self, *_):
        """Stop it."""
        if self.record is None:
            self.seconds.append(time.process_time() - self.started)
            return
        self.record.stop()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "trace.json")
            self.record.export_chrome_trace(str(path))
            events = [e for e in json.loads(path.read_text())["traceEvents"] if e.get("name") == "[memory]"]
        held = 0
        for event in sorted(events, key=lambda event: event["ts"]):
            held += event["args"]["Bytes"]
            self.most = max(self.most, held)


def measured(recipe, precision, checkpointing, side, batch, updates=0):
    """Processor seconds of so many updates, or the bytes that one held at most, and those that stay between updates."""
    parts = run_of(
        f"+experiment={recipe}",
        "data=photos",
        f"data.crop={side}",
        "data.on_small_image=skip",
        f"data.batch_size={batch}",
        f"trainer.precision={precision}",
        f"generator.checkpointing={str(checkpointing).lower()}",
        f"trainer.max_steps={updates + 1}",
        "seed=0",
    )
    watch = Watch(None if updates else 0)
    parts.trainer.callbacks.append(watch)
    parts.trainer.fit(parts.module, parts.data)
    stays = sum(4 * t.numel() for t in (*parts.module.parameters(), *parts.module.buffers()))
    moments = sum(8 * p.numel() for p in parts.module.parameters() if p.requires_grad)
    return watch.seconds[1:], watch.most, stays + moments


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", default=["lama_fourier", "mat_small"])
    parser.add_argument("--precisions", nargs="+", default=["32-true", "bf16-mixed"])
    parser.add_argument("--sides", type=int, nargs=2, default=[320, 448], help="of crops, for the memory")
    parser.add_argument("--timed", type=int, default=96, help="side of crops, for the time")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3, help="of the time, in turns")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    settle(arguments.threads)
    small, large = arguments.sides
    print(
        f"batch {arguments.batch}; the last two columns are for 512 px at batch 8\n\n"
        f"| recipe | precision | checkpointing | update at {arguments.timed} px "
        f"| held at most at {small}, {large} px | activations | with weights, gradients, optimizers |\n"
        "|---|---|---|---:|---:|---:|---:|"
    )
    for recipe, precision in itertools.product(arguments.recipes, arguments.precisions):
        times = {False: [], True: []}
        for _ in range(arguments.rounds):
            for way, found in times.items():
                seconds, *_ = measured(recipe, precision, way, arguments.timed, arguments.batch, updates=3)
                found.append(statistics.median(seconds))
        ratio = statistics.median(twice / once for once, twice in zip(*times.values(), strict=True))
        for way, found in times.items():
            (_, least, stays), (_, most, _) = (
                measured(recipe, precision, way, side, arguments.batch) for side in arguments.sides
            )
            a_pixel = (most - least) / (large**2 - small**2)
            at_512, fixed = a_pixel * 512**2 * 8 / arguments.batch, most - a_pixel * large**2
            print(
                f"| `{recipe}` | {precision} | {str(way).lower()} | {statistics.median(found):.2f} s"
                f"{f' ({ratio:.2f}x)' if way else ''} | {least / GIB:.2f}, {most / GIB:.2f} GiB "
                f"| {at_512 / GIB:.1f} GiB | {(at_512 + fixed + stays) / GIB:.1f} GiB |",
                flush=True,
            )


if __name__ == "__main__":
    main()
