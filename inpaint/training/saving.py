"""When checkpoints are taken, written and deleted; `checkpoint.py` says how."""

import logging
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
from lightning.pytorch.callbacks import Callback

from inpaint.files import checkpoint
from inpaint.files.checkpoint import CheckpointError
from inpaint.metrics.columns import COLUMNS
from inpaint.settings import Refused, choice
from inpaint.training import seams

log = logging.getLogger("inpaint.training.saving")


class Taken(NamedTuple):
    """The state at the end of an update, until it is written."""

    update: int
    state: dict[str, Any]
    due: bool  # by the number of updates


class SaveCheckpoint(Callback):
    """Writes ``update_00000500.ckpt`` every `every` updates and at the end, keeps the newest `keep` and the `best`.

    The state is taken when an update's batch is done and written when the update is over: its losses logged, its
    validation done. A run that goes on from it neither repeats nor leaves out a row of metrics. On resume,
    checkpoints of later updates than the one resumed from are renamed to ``*.aside``.

    Args:
        folder: where the checkpoints are.
        every: updates between two saves.
        keep: how many of them stay.
        best: how many more stay for what validation measured, ``best_hole_psnr_25.31_update_00000400.ckpt``.
        monitor: by which figure, as in `metrics.columns`.

    Raises:
        Refused: an impossible number, or a figure that is not there.
        CheckpointError: in `setup`, a folder that takes no checkpoint; in training, a disk that has become full. It is
            raised on every rank, and what was saved before stays whole.
    """

    def __init__(
        self, folder: str, every: int = 1000, keep: int = 2, best: int = 0, monitor: str = "hole_psnr"
    ) -> None:
        if keep < 1:
            raise Refused(f"callbacks.checkpoint.keep: {keep} would keep no checkpoint")
        if every < 1:
            raise Refused(f"callbacks.checkpoint.every: {every} is less than 1")
        if best < 0:
            raise Refused(f"callbacks.checkpoint.best: {best} is less than 0")
        choice("callbacks.checkpoint.monitor", monitor, COLUMNS)
        self.folder, self.every, self.keep, self.best, self.monitor = Path(folder), every, keep, best, monitor
        self.taken: Taken | None = None
        self.last = -1  # update of the newest file
        self.validation_due = False
        self.epoch = 0  # that it belongs to

    def path(self, update: int) -> Path:
        """Where the checkpoint of an update is."""
        return self.folder / f"update_{update:08d}.ckpt"

    # ---- the beginning of a run -------------------------------------------------------------------------------------

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Find out before the first batch whether the folder takes a checkpoint, and validation measures the figure."""
        if stage == "fit":
            if self.best:
                choice("callbacks.checkpoint.monitor", self.monitor, pl_module.validation.names)
            tensors = [*pl_module.state_dict().values(), *(p for p in pl_module.parameters() if p.requires_grad)]
            # Adam has two moments for each trained parameter.
            size = sum(t.nbytes for t in tensors) + sum(p.nbytes for p in pl_module.parameters() if p.requires_grad)
            what = f"callbacks.checkpoint.folder: {self.folder} cannot take a checkpoint of about {size / 1e6:.1f} MB"
            _on_rank_zero(trainer, lambda: checkpoint.prepare(self.folder, size), what)

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, state: dict[str, Any]) -> None:
        """Remember whether the run was stopped before a validation."""
        self.validation_due = state["inpaint"].get("validation_due", False)
        self.epoch = seams.epoch_of(state)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Set aside what lies behind, and make up for a validation that the run was stopped in."""
        update = trainer.global_step

        def tidy() -> None:
            for path in checkpoint.set_aside(self.folder, update):
                log.warning(f"{path.name}: set aside, as the run goes on from update {update}")

        _on_rank_zero(trainer, tidy, f"callbacks.checkpoint.folder: nothing can be renamed in {self.folder}")
        self.last = trainer.strategy.broadcast(update if self.path(update).is_file() else -1)
        if self.validation_due:
            seams.validate_now(trainer, self.epoch)
            self.validation_due = False

    # ---- taking -----------------------------------------------------------------------------------------------------

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take the state when it is time and after the last update.

        In `on_train_end` it would be too late: by then Lightning counts the epoch that `max_steps` cut short as done,
        and a run that is continued with a larger `max_steps` would leave out the rest of it.
        """
        last = trainer.is_last_batch and trainer.current_epoch + 1 == trainer.max_epochs
        if trainer.global_step % self.every == 0 or trainer.global_step == trainer.max_steps or last:
            self.take(trainer, due=True)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take the state in case it is one of the best, or the run is stopped in its validation."""
        if not trainer.sanity_checking:
            self.take(trainer)

    def take(self, trainer: L.Trainer, due: bool = False, epoch_is_over: bool = False) -> None:
        """Take the state of this update, once; nothing is copied, so it must be written or dropped before the next."""
        if (self.taken is None or self.taken.update != trainer.global_step) and self.last != trainer.global_step:
            state = seams.state_of(trainer)
            seams.count(state, epoch_is_over, int(trainer.num_training_batches))
            self.taken = Taken(trainer.global_step, state, due)

    # ---- writing ----------------------------------------------------------------------------------------------------

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the state if it is one of the best, or due."""
        if not trainer.sanity_checking:
            if self.taken is not None:
                seams.renew_rates(trainer, self.taken.state)
            self._write_if_due(trainer, best=self._path_of_best(trainer) if self.best else None)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """The update before is over."""
        self._write_if_due(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The update before is over; also save a run that `max_time` or another callback has ended."""
        if trainer.should_stop and self.taken is None:
            self.take(trainer, due=True, epoch_is_over=True)
        self._write_if_due(trainer)

    def _write_if_due(self, trainer: L.Trainer, best: Path | None = None) -> None:
        if best is not None or (self.taken is not None and self.taken.due):
            self.write(trainer, best=best)
        self.taken = None

    def write(self, trainer: L.Trainer, validation_due: bool = False, best: Path | None = None) -> None:
        """Write the taken state, and delete what is no longer kept.

        Args:
            trainer: whose state it is.
            validation_due: whether a validation belongs to this update and was not finished.
            best: its name as one of the best; None if it is not.
        """
        path = self.path(trainer.global_step)
        if self.taken is not None:
            self.last = self.taken.update
            self.taken.state["inpaint"]["validation_due"] = validation_due
            for logger in trainer.loggers:
                logger.save()  # the rows up to this update are on disk before it
            taken = self.taken
            _on_rank_zero(trainer, lambda: self._write(taken, path, best), _not_written(path))
        elif best is not None and self.last == trainer.global_step:  # measured after the run was resumed
            _on_rank_zero(trainer, lambda: checkpoint.duplicate(path, best), _not_written(best))
        self.taken = None

    def _write(self, taken: Taken, path: Path, best: Path | None) -> None:
        """Write one file, linked if it has two names, and delete those that it takes the place of."""
        if best is None:
            checkpoint.write(taken.state, path)
        else:
            checkpoint.write(taken.state, best)
            if taken.due:
                checkpoint.duplicate(best, path)
        # Files of later updates are damaged, or they would have been set aside: they do not count.
        updates = [p for p in checkpoint.files(self.folder) if p == self.path(checkpoint.update_of(p))]
        kept = [p for p in updates if checkpoint.update_of(p) <= taken.update]
        _delete(kept[self.keep :])
        if best is not None:
            _delete(self._ranked()[self.best :])

    def _path_of_best(self, trainer: L.Trainer) -> Path | None:
        """The name of this update as one of the best; None if it is not."""
        value = float(trainer.callback_metrics[f"val/{self.monitor}"])
        path = self.folder / f"best_{self.monitor}_{value:.6g}_{self.path(trainer.global_step).name}"
        ranked = self._ranked()
        good = math.isfinite(value) and path not in ranked
        if len(ranked) >= self.best:
            good = good and self._score(path) > self._score(ranked[self.best - 1])
        return path if trainer.strategy.broadcast(good) else None  # rank 0 has looked before it writes

    def _ranked(self) -> list[Path]:
        """The best, the first is the best of all."""
        name = re.compile(rf"best_{self.monitor}_[^_]+_update_\d+\.ckpt")
        found = [path for path in checkpoint.files(self.folder) if name.fullmatch(path.name)]
        return sorted(found, key=self._score, reverse=True)

    def _score(self, path: Path) -> float:
        value = float(path.name.split("_update_")[0].rpartition("_")[2])
        return value if COLUMNS[self.monitor].higher_is_better else -value


def _on_rank_zero(trainer: L.Trainer, work: Callable[[], object], problem: str) -> None:
    """Do what only rank 0 does; if the disk refuses it, every rank raises, so that none waits for the others."""
    reason = None
    if trainer.is_global_zero:
        try:
            work()
        except OSError as error:
            reason = error.strerror or str(error)
    if (reason := trainer.strategy.broadcast(reason)) is not None:
        raise CheckpointError(f"{problem} ({reason})")


def _not_written(path: Path) -> str:
    return f"checkpoint: {path} could not be written, those before it are whole; the same command goes on from there"


def _delete(paths: list[Path]) -> None:
    """Delete checkpoints that are no longer kept; one that cannot be deleted does no harm."""
    for path in paths:
        try:
            checkpoint.delete(path)
        except OSError as error:
            log.warning(f"{path} could not be deleted ({error.strerror})")
