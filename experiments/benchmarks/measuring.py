"""What the benchmarks of this folder share: a run from a config, on small crops, and times that are taken in turns."""

import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence

import hydra
import torch
from omegaconf import OmegaConf

from inpaint.config import build, conf_dir
from inpaint.training.launching import quiet

SHORT = ["lpips=null", "+trainer.limit_val_batches=0", "trainer.num_sanity_val_steps=0"]
ALONE = ["logger={}", "callbacks={}"]
# What a run does now and then, and not in each of its updates.
RARE = ("ProgressBar", "ImagePanel", "SaveCheckpoint", "StopOnSignal")
GIB = 2**30

clock = time.perf_counter


def settle(threads=None, processor=False):
    """Threads of torch, and no line but those of the benchmark; `processor`: its time, for a machine that is shared."""
    global clock
    clock = time.process_time if processor else time.perf_counter
    if threads is not None:
        torch.set_num_threads(threads)
    quiet()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")


def run_of(*overrides, watched=False):
    """Module, data and trainer of a config; `watched`: with the logger and callbacks that each update meets."""
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = hydra.compose("train", [*SHORT, *([] if watched else ALONE), *overrides])
    OmegaConf.set_struct(cfg, False)
    cfg.name, cfg.paths.run = "bench", tempfile.mkdtemp() if watched else "."  # what Hydra fills in for a command
    parts = build(cfg)
    names = {type(callback).__name__: callback for callback in parts.trainer.callbacks}
    kept = [name for name in names if name == "Arithmetic" or (watched and name not in RARE)]
    parts.trainer.callbacks = [names[name] for name in kept]
    return parts


def exponent(sizes, costs):
    """The slope of costs over sizes, both in logarithms, by least squares."""
    x, y = torch.tensor(sizes).double().log(), torch.tensor(costs).double().log()
    return float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())


def now(device="cpu"):
    """Seconds, after what a GPU still has to do."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
    return clock()


def in_turns(
    ways: Mapping[str, Callable[[], object]], seconds: float, least: int = 3, most: int = 200, device: str = "cpu"
) -> dict[str, list[float]]:
    """Seconds of each way, one round after another until the time is over, after a round that warms up."""
    for way in ways.values():
        way()
    found: dict[str, list[float]] = {name: [] for name in ways}
    begun = time.perf_counter()
    for turn in range(most):
        if turn >= least and time.perf_counter() - begun > seconds:
            break
        for name, way in ways.items():
            start = now(device)
            way()
            found[name].append(now(device) - start)
    return found


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and quartiles, and how many there are."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else 3 * [values[0]]
    return {"median": middle, "low": low, "high": high, "count": len(values)}


def ratio(slow: Sequence[float], fast: Sequence[float]) -> dict[str, float]:
    """How many times as long one way took as the other in the same round."""
    return spread([a / b for a, b in zip(slow, fast, strict=True)])


def times(figure: Mapping[str, float]) -> str:
    """A ratio with its quartiles."""
    return f"{figure['median']:.2f}x ({figure['low']:.2f} to {figure['high']:.2f})"


def table(heading: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> str:
    """In Markdown; the first `texts` columns are words."""
    lines = [heading, ["---"] * texts + ["---:"] * (len(heading) - texts), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
