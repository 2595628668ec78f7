"""What the benchmarks of this folder share: a run from a config, on small crops, without loggers and validation."""

import logging
import warnings

import hydra
import torch
from omegaconf import OmegaConf

from inpaint.config import build, conf_dir
from inpaint.training.launching import quiet

SHORT = ["logger={}", "callbacks={}", "lpips=null", "+trainer.limit_val_batches=0", "trainer.num_sanity_val_steps=0"]
GIB = 2**30


def settle(threads):
    """Threads of torch, and no line but those of the benchmark."""
    torch.set_num_threads(threads)
    quiet()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")


def run_of(*overrides):
    """Module, data and trainer of a config."""
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = hydra.compose("train", [*SHORT, *overrides])
    OmegaConf.set_struct(cfg, False)
    cfg.name, cfg.paths.run = "bench", "."  # what Hydra fills in when a command runs
    parts = build(cfg)
    kept = [callback for callback in parts.trainer.callbacks if type(callback).__name__ == "Arithmetic"]
    parts.trainer.callbacks = kept
    return parts


def exponent(sizes, costs):
    """The slope of costs over sizes, both in logarithms, by least squares."""
    x, y = torch.tensor(sizes).double().log(), torch.tensor(costs).double().log()
    return float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())
