"""What comes before the first update and after the last: ranks that can be started, and that all end."""

import logging
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping, Timer
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from inpaint.data.loader import deaths
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


@contextmanager
def refusals() -> Iterator[None]:
    """What Lightning itself refuses, and a worker that died, told in a line.

    Raises:
        Refused: in place of Lightning's error, or of torch's.
    """
    try:
        with deaths():
            yield
    except MisconfigurationException as error:
        raise Refused(f"trainer: {' '.join(str(error).split())}") from error


def why_it_ended(trainer: L.Trainer, updates: int) -> str | None:
    """What ended a run after so many updates, which are not all that it should have had; None where they are."""
    if updates >= trainer.estimated_stepping_batches:
        return None
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        left = callback.time_remaining() if isinstance(callback, Timer) else None
        if left is not None and left <= 0:
            return "trainer.max_time is over"
        if isinstance(callback, EarlyStopping) and callback.wait_count >= callback.patience:
            return f"callbacks: {callback.monitor} was not better for {callback.wait_count} validations"
    return "a callback ended it"


def quiet() -> None:
    """Lightning's notices about what is so by design here are for those who write a Trainer."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if logging.getLogger().handlers:  # which print it already
        for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
            logger = logging.getLogger(name)
            logger.handlers.clear()
            logger.propagate = True
    for name in ("profilers", "callbacks"):  # what was asked for: a profile, a summary, why training stopped early
        logging.getLogger(f"lightning.pytorch.{name}").setLevel(logging.INFO)
    for notice in (
        "does not have many workers",  # the bundled photographs need none
        "in eval mode at the start of training",  # the moving average
        "Experiment logs directory .* exists and is not empty",  # the run folder
        "sync_dist=True",  # metrics are computed over all ranks before they are logged
        "`isinstance\\(treespec, LeafSpec\\)` is deprecated",  # between Lightning and torch
    ):
        warnings.filterwarnings("ignore", message=f".*{notice}")
