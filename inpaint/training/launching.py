"""What comes before the first update and after the last: ranks that can be started, and that all end."""

import logging
import subprocess
import time
import warnings

import lightning as L
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from inpaint.settings import Refused
from inpaint.training import seams

GRACE = 10  # seconds that the other ranks have after an error, to end by themselves


def refuse_to_spawn(trainer: L.Trainer, module: nn.Module) -> None:
    """What is spawned gets the networks pickled, which torch refuses for parametrizations, as spectral norm is one.

    Raises:
        Refused: networks that cannot be sent to ranks that are spawned.
    """
    if not seams.spawns(trainer):
        return
    parametrized = [name for name, network in module.named_children() if any(map(is_parametrized, network.modules()))]
    if parametrized:
        names = " and ".join(parametrized)
        raise Refused(
            f"trainer.strategy: ddp_spawn cannot send spectral norm to its ranks, and {names} has it; "
            "trainer.strategy=ddp starts them by this command line"
        )


def end_other_ranks(trainer: L.Trainer) -> None:
    """End the processes that Lightning started; one that waits for this rank, which failed, may do so for ever."""
    until = time.monotonic() + GRACE
    for process in seams.started(trainer):
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()


def quiet() -> None:
    """Lightning's notices about what is so by design here are for those who write a Trainer."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for notice in (
        "does not have many workers",  # the bundled photographs need none
        "in eval mode at the start of training",  # the moving average
        "Experiment logs directory .* exists and is not empty",  # the run folder
        "sync_dist=True",  # metrics are computed over all ranks before they are logged
        "`isinstance\\(treespec, LeafSpec\\)` is deprecated",  # between Lightning and torch
    ):
        warnings.filterwarnings("ignore", message=f".*{notice}")
