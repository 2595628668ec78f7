"""How a run is stopped from outside: by a scheduler, by Ctrl-C; and how it is asked what it is doing.

Lightning's own handlers are switched off: they save nothing, talk to the other ranks from within a handler, and give
SIGUSR1 to SLURM. Here a handler only takes down that it was called, and `deadline` ends what does not leave.
"""

import faulthandler
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only

from inpaint.settings import Refused
from inpaint.system import KILL, STOPPING, USR1, USR2
from inpaint.training import seams
from inpaint.training.deadline import Deadline
from inpaint.training.saving import SaveCheckpoint

log = logging.getLogger("inpaint.training.signals")


class Stopped(SystemExit):
    """A run that a signal ended; its exit code is 128 + signal: 143 for SIGTERM, 130 for SIGINT, 140 for SIGUSR2.

    Ranks other than 0 exit with 0: what launched them would take another code for a crash, and kill rank 0.
    """


class StopOnSignal(Callback):
    """Ends a run after the update in hand, saved, when SIGTERM, SIGINT (Ctrl-C) or SIGUSR2 comes.

    Whichever rank gets the signal, all leave after the same update. A second SIGINT stops at once and saves nothing.
    SIGUSR2 also puts the job back into the queue, by the handler that was there before: submitit's, or that of
    `requeue_on_sigusr2`. SIGTERM does not: SLURM does so itself for what it preempts, and a cancelled job
    shall not return. A validation is interrupted and made up for on resume, but for the last one of a run.

    Args:
        grace: seconds after which a rank that has not left dumps the stacks of its threads and is gone, with its
            readers and with the ranks that it started, exit code 1; also where it waits for a rank that is stuck.

    Raises:
        Stopped: in every rank.
    """

    def __init__(self, grace: float = 120.0) -> None:
        if grace <= 0:
            raise Refused(f"callbacks.signals.grace: {grace} is not more than 0")
        self.grace = grace
        self.received = self.agreed = 0
        self.former: dict[signal.Signals, Any] = {}
        self.deadline: Deadline | None = None
        self.trainer: L.Trainer | None = None
        self.group: dist.ProcessGroup | None = None
        self.shared_batches = 0

    # ---- handlers ---------------------------------------------------------------------------------------------------

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Switch Lightning's handlers off."""
        seams.silence_signals(trainer)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Install the handlers; signals before this end the process as usual, there is nothing to save."""
        self.trainer, self.received, self.agreed = trainer, 0, 0
        if trainer.world_size > 1:
            # On the CPU, so that asking waits for no GPU.
            self.group = dist.new_group(backend="gloo")
        if _in_main_thread():  # Python allows no other
            self.former = {number: signal.signal(number, self._receive) for number in STOPPING}
            self.deadline = Deadline(STOPPING, self.grace, lambda: seams.started(trainer))

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.received:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            launcher = self.trainer.strategy.launcher if self.trainer is not None else None
            if launcher is not None:
                launcher.kill(KILL)
            raise Stopped(self._code(number))
        if not self.received:
            self.received = number

    def _restore(self) -> None:
        if self.deadline is not None:
            self.deadline.close()
        for number, handler in self.former.items():
            signal.signal(number, handler)
        self.former, self.deadline, self.trainer = {}, None, None

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Give the handlers back."""
        self._restore()

    # ---- stopping ---------------------------------------------------------------------------------------------------

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Agree whether this is the last update."""
        if self._agree(trainer):
            for saver in _savers(trainer):
                saver.take(trainer, due=True)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Leave before the next update if a signal came and all ranks know of it; the update before is over."""
        self._leave_if_agreed(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave between two epochs if a signal came and all ranks know of it."""
        self._leave_if_agreed(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave at the end of training, before an evaluation would begin, if a signal came to any rank."""
        self._agree(trainer)
        self._leave_if_agreed(trainer)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Give the handlers back, and to them what came since."""
        late = self.received
        self._restore()
        if late:
            signal.raise_signal(late)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Not another validation."""
        if trainer.sanity_checking:
            return
        self._leave_if_agreed(trainer, validation_due=True)
        # Ranks may have different numbers of batches: they can agree as long as all have one.
        self.shared_batches = int(min(trainer.num_val_batches))
        if self.group is not None:
            batches = torch.tensor(self.shared_batches)
            dist.all_reduce(batches, dist.ReduceOp.MIN, self.group)
            self.shared_batches = int(batches)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Leave the validation."""
        if not trainer.sanity_checking and batch_idx < self.shared_batches:
            self._agree(trainer)
            self._leave_if_agreed(trainer, validation_due=True)

    def _agree(self, trainer: L.Trainer) -> int:
        """The signal that any rank has received; 0 is none."""
        self.agreed = self.received
        if self.group is not None:
            number = torch.tensor(self.received)
            dist.all_reduce(number, dist.ReduceOp.MAX, self.group)
            self.agreed = int(number)
        return self.agreed

    def _leave_if_agreed(self, trainer: L.Trainer, validation_due: bool = False) -> None:
        last = trainer.global_step == trainer.max_steps
        if not self.agreed or (validation_due and last):  # Lightning would not go back to the last validation
            return
        for saver in _savers(trainer):
            saver.write(trainer, validation_due)
        number = signal.Signals(self.agreed)
        if trainer.is_global_zero:
            saved = "; the same command goes on from there" if _savers(trainer) else "; nothing saves checkpoints here"
            log.warning(f"{number.name}: stopped after update {trainer.global_step}{saved}")
        code, requeue = self._code(number), self.former.get(USR2) if USR2 is not None else None
        self._restore()
        if number == USR2 and callable(requeue):
            requeue(number, None)
        raise Stopped(code)

    def _code(self, number: int) -> int:
        return 128 + number if self.trainer is None or self.trainer.is_global_zero else 0


def _savers(trainer: L.Trainer) -> list[SaveCheckpoint]:
    return [c for c in trainer.callbacks if isinstance(c, SaveCheckpoint)]  # type: ignore[attr-defined]


def _requeue() -> None:
    """Put this SLURM job, or this task of an array, back into the queue."""
    job = os.environ["SLURM_JOB_ID"]
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True)
        problem = done.stderr.strip() if done.returncode else None
    except OSError as error:
        problem = str(error)
    log.warning(f"job {job} was not requeued: {problem}" if problem else f"job {job} requeued")


@contextmanager
def requeue_on_sigusr2() -> Iterator[None]:
    """Under SLURM, SIGUSR2 puts the job back into the queue and ends it, also where nothing is trained or saved.

    Not where a handler is there already, submitit's, which does the same; nor in a thread, where Python allows none.
    """

    def requeue(number: int, frame: FrameType | None) -> None:
        if rank_zero_only.rank:  # type: ignore[attr-defined]
            raise Stopped(0)
        _requeue()
        raise Stopped(128 + number)

    scheduled = "SLURM_JOB_ID" in os.environ and _in_main_thread()
    if USR2 is None or not scheduled or signal.getsignal(USR2) != signal.SIG_DFL:
        yield
        return
    signal.signal(USR2, requeue)
    try:
        yield
    finally:
        signal.signal(USR2, signal.SIG_DFL)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


# ---- the others ------------------------------------------------------------------------------------------------------


@contextmanager
def stacks_on_sigusr1() -> Iterator[None]:
    """SIGUSR1 writes the stacks of all threads to standard error, wherever they are, and everything goes on."""
    if USR1 is None or not hasattr(faulthandler, "register"):
        yield
        return
    faulthandler.register(USR1, file=sys.__stderr__ or sys.stderr, all_threads=True)
    try:
        yield
    finally:
        faulthandler.unregister(USR1)
