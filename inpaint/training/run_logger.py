"""What a run tells its loggers besides figures: each takes what it has a use for."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import lightning as L
from lightning.pytorch.loggers import Logger
from torch import Tensor

End = Literal["finished", "failed", "stopped", "pruned"]


class RunLogger(Logger):
    """A logger of this project's: it is told all that a run has to say, and does nothing with it unless it says so.

    Attributes:
        takes_pictures: whether `log_panel` and `log_samples` do anything; their pictures are not made for nothing.
        log_model: whether `log_generator` does; its file is not written for nothing.
    """

    takes_pictures = False
    log_model = False

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: `log_config` has all settings, not only the module's."""

    def begin(self, update: int, validation_due: bool = False) -> None:
        """The run begins, or goes on.

        Args:
            update: those that are done.
            validation_due: whether the last of them is validated once more.
        """

    def log_config(self, config: Mapping[str, Any]) -> None:
        """The settings by their dotted keys, with the versions of what they are run by."""

    def log_panel(self, name: str, page: Any, update: int) -> None:
        """A picture, as ``PIL.Image``."""

    def log_samples(self, name: str, index: Tensor, mask: Tensor, pictures: Mapping[str, Tensor], update: int) -> None:
        """Validation samples.

        Args:
            name: of the table.
            index: int64 ``(B,)``, by which tables of several runs can be joined.
            mask: ``(B, 1, H, W)``, 1 = hole.
            pictures: ``(B, 3, H, W)`` in [-1, 1] by column.
            update: the update that made them.
        """

    def log_generator(self, path: Path, metadata: Mapping[str, Any]) -> None:
        """A file with the trained generator, a checkpoint that all commands read."""

    def alert(self, title: str, text: str) -> None:
        """A message to whoever follows the run."""

    def end(self, how: End) -> None:
        """The run is over: ``finished``, ``failed``, ``stopped`` by a signal, to be continued, or ``pruned``."""


def told(trainer: L.Trainer) -> Iterator[RunLogger]:
    """The loggers that are told more than figures; those of other packages take figures alone."""
    for logger in trainer.loggers:
        if isinstance(logger, RunLogger):
            yield logger
