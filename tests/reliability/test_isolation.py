"""Job k alone equals job k after jobs 1 .. k - 1, to the bit."""

import csv
import logging
import os
import warnings
from pathlib import Path

import torch

from inpaint.files import checkpoint
from inpaint.train import run
from tests.sweeps import TINY


def careless(cfg):
    """Trains, and leaves its process changed in every way that a library or a user's callback might."""
    figures = run(cfg)
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.set_grad_enabled(False)
    os.environ["PL_GLOBAL_SEED"], os.environ["OMP_NUM_THREADS"] = "77", "77"
    os.chdir("/")
    warnings.simplefilter("error")
    logging.getLogger().setLevel(logging.CRITICAL)
    return figures


def test_a_job_is_the_same_alone_and_after_others(start):
    arguments = (*TINY, "baselines=[]")
    assert start(careless, *arguments, "+trainer.deterministic=warn,false").code == 0
    assert start(run, *arguments, "+trainer.deterministic=false", "hydra.sweep.dir=alone").code == 0
    last, alone = (checkpoint.load(folder)["state_dict"] for folder in (Path("sweep/1"), Path("alone/0")))
    assert last.keys() == alone.keys() and all(torch.equal(last[name], alone[name]) for name in alone)
    rows = [
        list(csv.DictReader(Path(where, "metrics.csv").read_text().splitlines())) for where in ("sweep/1", "alone/0")
    ]
    for row in [*rows[0], *rows[1]]:
        row.pop("test/ms")  # a time
    assert rows[0] == rows[1]
