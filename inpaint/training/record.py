"""The record of a run: what is needed to repeat it, in its folder, in each checkpoint and at its loggers."""

import time
from pathlib import Path
from typing import Any

import lightning as L
import yaml
from lightning.pytorch.callbacks import Callback

from inpaint.files import checkpoint
from inpaint.files.folder import write_whole
from inpaint.files.writing import write_json
from inpaint.groups import OPTIMIZATION
from inpaint.parts import used
from inpaint.provenance import flat, versions, without_secrets
from inpaint.training.arithmetic import arithmetic
from inpaint.training.resume import follow_config
from inpaint.training.run_logger import told


class RunRecord(Callback):
    """Writes down what is needed to repeat a run: resolved config, versions, commit, command line, arithmetic.

    A run that goes on has what was written before until its first update, which may never come.

    Args:
        folder: the run folder.
        config: the resolved config as a plain dict; stored in each checkpoint and sent to the loggers, without the
            secrets of the environment.
        environment: digests of the variables that it refers to (`references.fingerprints`).
    """

    def __init__(self, folder: str, config: dict[str, Any], environment: dict[str, str] | None = None) -> None:
        self.folder, self.config, self.environment = Path(folder), without_secrets(config), environment or {}
        self.before = 0.0
        self.started: float | None = None
        self.goes_on = self.written = False

    @property
    def seconds(self) -> float:
        """Time spent in training, what was spent before a resume included."""
        return self.before + (time.monotonic() - self.started if self.started is not None else 0.0)

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, state: dict[str, Any]) -> None:
        """Take over the time that was spent before, and the optimizers' settings from the config of now."""
        self.goes_on = True
        self.before = float(state["inpaint"].get("seconds", 0.0))
        before = checkpoint.config_of(state)
        others = any(before.get(key) != self.config.get(key) for key in OPTIMIZATION)
        functions = [schedule for schedule in state["lr_schedulers"] if "lr_lambdas" in schedule]  # of the update alone
        counted = all(schedule["last_epoch"] == state["inpaint"]["update"] for schedule in functions)
        if others or (functions and not (counted and _length(before) == _length(self.config))):
            follow_config(state, pl_module)  # type: ignore[arg-type]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self.started = time.monotonic()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the clock."""
        self.before, self.started = self.seconds, None

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the record of a run that is new."""
        if not self.goes_on:
            self.write(trainer)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Write that of a run that goes on."""
        self.write(trainer)

    def write(self, trainer: L.Trainer) -> None:
        """Write ``config.yaml`` and ``versions.json``, once."""
        if self.written or not trainer.is_global_zero:
            return
        self.written = True
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / "config.yaml", yaml.safe_dump(self.config, sort_keys=False))
        code = versions() | {"arithmetic": arithmetic(trainer), "parts": used(self.config)}
        write_json(self.folder / "versions.json", code)
        for logger in told(trainer):
            logger.log_config(flat(self.config | {"versions": code}))

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, state: dict[str, Any]) -> None:
        """Say in the file what it is."""
        checkpoint.stamp(state, self.config, trainer.global_step, self.seconds)
        state["inpaint"] |= {"arithmetic": arithmetic(trainer), "environment": self.environment}


def _length(config: dict[str, Any]) -> list[Any]:
    """What decides how many updates a run has, beside `max_steps`, to which the schedules refer."""
    trainer = config.get("trainer") or {}
    return [trainer.get(key) for key in ("max_epochs", "limit_train_batches")]
