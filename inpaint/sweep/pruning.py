"""The study that the trials of a search share, and the callback that ends hopeless ones."""

import os
from collections.abc import Mapping
from typing import Any

import lightning as L
import optuna
from lightning.pytorch.callbacks import Callback
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import RandomSampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from inpaint.files.folder import expanded
from inpaint.settings import Refused


def open_storage(address: str) -> BaseStorage:
    """Where a study is kept, for this and other processes and machines.

    Args:
        address: ``sqlite:///FILE``, any other URL of SQLAlchemy, or the path of a journal file, which unlike SQLite
            is safe on a network drive. ``$NAME`` stands for a variable of the environment.

    Raises:
        Refused: a variable is not set, or the URL has a password, which would be written into every config.
    """
    full = os.path.expandvars(address)
    if full.startswith("$"):
        raise Refused(f"sweep.storage: the environment has no {full}; give it the URL of the storage")
    if "://" not in full:
        file = expanded(full)
        file.parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(str(file)))
    user = full.partition("://")[2].rpartition("@")[0]
    if address == full and ":" in user:
        raise Refused(
            "sweep.storage: has a password, which every config and dashboard would show; put the whole URL into a "
            "variable of the environment and give its name: 'sweep.storage=$NAME'"
        )
    # Jobs of several processes report into one file; SQLite's own patience is 5 seconds.
    settings = {"connect_args": {"timeout": 60}} if full.startswith("sqlite") else {}
    return RDBStorage(full, engine_kwargs=settings)


class Pruning(Callback):
    """Tells the study ``val/FIGURE`` after each validation, and gives up a trial that its pruner finds hopeless.

    A search for several figures at once is not pruned: Optuna has no order of unfinished trials then.

    Args:
        storage, study: where the study is, and its name.
        trial: number of the trial; None in a run by itself, which is left alone.
        objectives: figure to ``maximize`` or ``minimize``.
        pruner: of Optuna, which counts updates as steps; None never prunes.
    """

    def __init__(
        self,
        storage: str,
        study: str,
        trial: int | None,
        objectives: Mapping[str, str],
        pruner: BasePruner | None = None,
    ) -> None:
        self.storage, self.study, self.number, self.pruner = storage, study, trial, pruner
        self.metric = f"val/{next(iter(objectives))}" if len(objectives) == 1 and trial is not None else None
        self.trial: optuna.Trial | None = None

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Report, and raise `optuna.TrialPruned` on all ranks or on none.

        Raises:
            optuna.TrialPruned: the study has seen enough.
        """
        if trainer.sanity_checking or self.metric not in trainer.callback_metrics:
            return
        hopeless = False
        if trainer.is_global_zero:
            self.trial = self.trial or self._open()
            # After a resume a step may be reported again; the study keeps the first.
            if trainer.global_step not in self.trial.study.trials[self.trial.number].intermediate_values:
                self.trial.report(trainer.callback_metrics[self.metric].item(), trainer.global_step)
            hopeless = self.trial.should_prune()
        if trainer.strategy.broadcast(hopeless):
            raise optuna.TrialPruned(f"given up at update {trainer.global_step}")

    def _open(self) -> Any:
        study = optuna.load_study(
            study_name=self.study,
            storage=open_storage(self.storage),
            sampler=RandomSampler(),  # samples nothing: the sweep has chosen
            pruner=self.pruner or NopPruner(),
        )
        assert self.number is not None, "a metric is watched"
        return optuna.Trial(study, study.trials[self.number]._trial_id)
