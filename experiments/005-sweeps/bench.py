"""What sweeps cost, measured in one run: `make bench-rooms`.

1. A job of a sweep in one process, besides its own training: the time from the end of one job to the end of the next,
   less the time spent in `train.run` (what the sweep adds), and less the training loop alone (with data, networks,
   evaluation and files).
2. Throughput of two joblib workers over the basic launcher, for jobs of one thread.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from inpaint import train
from inpaint.cli.command import command
from inpaint.sweep.grid import read_jobs

SMALL = ["generator=context_encoder", "generator.width=16", "+debug=tiny", "trainer.accelerator=cpu"]


def overhead(folder, jobs):
    inside, ends = [], []

    def timed(cfg):
        start = time.perf_counter()
        figures = train.run(cfg)
        ends.append(time.perf_counter())
        inside.append((ends[-1] - start, figures["train_seconds"]))
        return figures

    sys.argv = ["inpaint-train", "-m", f"hydra.sweep.dir={folder}", *SMALL, f"seed=range(0,{jobs})"]
    command("train", timed)
    steps = [later - earlier for earlier, later in pairwise(ends)]  # without the first job, which imports
    added = [step - whole for step, (whole, _) in zip(steps, inside[1:], strict=True)]
    besides = [step - training for step, (_, training) in zip(steps, inside[1:], strict=True)]
    return statistics.median(added), statistics.median(besides)


def throughput(folder, jobs, updates):
    """Seconds of the same jobs one after the other and two at a time, each command from its start to its end."""
    seconds = {}
    for launcher, arguments in (("basic", []), ("joblib", ["+sweep=joblib", "hydra.launcher.n_jobs=2"])):
        arguments = [*SMALL, f"trainer.max_steps={updates}", f"seed=range(0,{jobs})", *arguments]
        line = [sys.executable, "-m", "inpaint.train", "-m", f"hydra.sweep.dir={folder / launcher}", *arguments]
        start = time.perf_counter()
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
        seconds[launcher] = time.perf_counter() - start
        assert {job.status for job in read_jobs(folder / launcher)} == {"finished"}
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--updates", type=int, default=300, help="of a job of the throughput")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        added, besides = overhead(Path(folder, "overhead"), arguments.jobs)
        seconds = throughput(Path(folder), arguments.jobs, arguments.updates)
    print(f"\nload of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"a sweep adds {added:.2f} s to a job; all but the training loop takes {besides:.2f} s (promised: at most 1)")
    print(
        f"{arguments.jobs} jobs: basic {seconds['basic']:.0f} s, two joblib workers {seconds['joblib']:.0f} s: "
        f"{seconds['basic'] / seconds['joblib']:.2f} x (promised: at least 1.6)"
    )


if __name__ == "__main__":
    main()
