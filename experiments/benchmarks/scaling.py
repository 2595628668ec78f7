"""How does the time of an update grow with the batch, with the size, and with processes?

    python experiments/benchmarks/scaling.py --seconds 60

The default run, in short trainings that take turns. The exponent is the slope of the logarithm of the time over that of
the number of pictures, or of pixels: 1 is as much time as there is more work. Processes have one thread each, and as
many pictures each as one alone.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import lightning as L
from measuring import exponent, now, run_of, settle, spread, table

BATCHES = (2, 4, 8, 16, 32)
SIZES = (64, 128, 256, 512)
WARM = 2


class Clock(L.Callback):
    """Seconds of each update."""

    def __init__(self, device):
        self.device, self.seconds = device, []

    def on_train_start(self, *_):
        """Start."""
        self.last = now(self.device)

    def on_train_batch_end(self, *_):
        """Stop, and start again."""
        self.seconds.append(now(self.device) - self.last)
        self.last = now(self.device)


def trained(overrides, updates, device="cpu"):
    """Seconds of an update, a median over a short training."""
    accelerator = "gpu" if device == "cuda" else "cpu"
    fixed = [
        f"trainer.accelerator={accelerator}",
        "data=photos",
        "data.on_small_image=skip",
        "data.workers=0",
        "seed=0",
    ]
    parts = run_of(*fixed, f"trainer.max_steps={updates + WARM}", *overrides)
    clock = Clock(device)
    parts.trainer.callbacks.append(clock)
    parts.trainer.fit(parts.module, parts.data)
    return statistics.median(clock.seconds[WARM:])


def in_processes(count, overrides):
    """Seconds of an update in so many processes of one thread, which a fresh interpreter starts."""
    # Ranks of several processes find each other by such variables, which a process of its own must not inherit.
    environment = {name: value for name, value in os.environ.items() if name not in ("LOCAL_RANK", "WORLD_SIZE")}
    line = [sys.executable, str(Path(__file__)), "--ranks", str(count), *overrides]
    done = subprocess.run(line, env=environment | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measured(seconds, device="cpu", batches=BATCHES, sizes=SIZES, processes=(1, 2), fixed=(), updates=3, said=print):
    """Seconds of an update by what is scaled, in turns until the time is over; two rounds at least."""
    some = 16 if device == "cuda" else 1
    points = {("batch", count): [*fixed, "data.crop=64", f"data.batch_size={count * some}"] for count in batches} | {
        ("size", side): [*fixed, f"data.crop={side}", f"data.batch_size={2 * some}"] for side in sizes
    }
    ranks = {("processes", count): [*fixed, "data.crop=64", "data.batch_size=8"] for count in processes}
    found = {point: [] for point in (*points, *ranks)}
    begun = time.perf_counter()
    for turn in range(20):
        if turn >= 2 and time.perf_counter() - begun > seconds * turn / (turn + 1):
            break
        said(f"scaling, round {turn + 1}")
        for point, overrides in points.items():
            found[point].append(trained(overrides, updates, device))
        for (_, count), overrides in ranks.items():
            found["processes", count].append(in_processes(count, overrides))
    rows = []
    for what in ("batch", "size", "processes"):
        sizes_ = [size for kind, size in found if kind == what]
        if len(sizes_) < 2:
            continue
        medians = [spread(found[what, size]) for size in sizes_]
        work = [size**2 if what == "size" else size for size in sizes_]
        scaled = exponent(work, [median["median"] for median in medians])
        factor = some if what == "batch" else 1
        rows.append({"what": what, "of": [factor * size for size in sizes_], "seconds": medians, "exponent": scaled})
    return rows


NAMES = {"batch": "pictures of 64 px", "size": "side in pixels, batch of 2", "processes": "processes of 8 pictures"}


def shown(rows):
    """A line for each of what is scaled."""
    lines = [
        [
            NAMES[row["what"]],
            ", ".join(str(size) for size in row["of"]),
            ", ".join(f"{1e3 * figure['median']:.0f}" for figure in row["seconds"]),
            f"{row['exponent']:.2f}",
        ]
        for row in rows
    ]
    rounds = rows[0]["seconds"][0]["count"]
    return f"Medians of {rounds} rounds:\n\n" + table(
        ["of", "which", "milliseconds of an update", "exponent"], lines, 3
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120, help="of all rounds, roughly")
    parser.add_argument("--ranks", type=int, help="only one training with so many processes, with OVERRIDES")
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    settle()
    if arguments.ranks is None:
        print(shown(measured(arguments.seconds)))
        return
    ranks = [f"trainer.devices={arguments.ranks}", *(["trainer.strategy=ddp"] if arguments.ranks > 1 else [])]
    seconds = trained([*arguments.overrides, *ranks], updates=6)
    if os.environ.get("LOCAL_RANK", "0") == "0":
        print(json.dumps(seconds))


if __name__ == "__main__":
    main()
