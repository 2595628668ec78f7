"""TensorBoard: scalars and panels of a run, in event files in its folder, which need no server and no account."""

import logging
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_only

from inpaint.settings import Refused
from inpaint.training.run_logger import End, RunLogger

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

log = logging.getLogger("inpaint.training.tensorboard_logger")


class TensorBoardLogger(RunLogger):
    """Writes what `tensorboard --logdir RUNS` shows: figures, panels, and the settings as a table.

    The x-axis is the update. A run that goes on writes a further file, which takes back what the one before had logged
    beyond the checkpoint. A failure, of a disk perhaps, is said once, and the run goes on without.

    Args:
        folder: of the event files.
        flush: seconds between two writes to the disk.

    Raises:
        Refused: tensorboard is not installed.
    """

    takes_pictures = True

    def __init__(self, folder: str, flush: float = 30.0) -> None:
        super().__init__()
        if find_spec("tensorboard") is None:
            raise Refused("logger: tensorboard is not installed; pip install tensorboard, or choose logger=csv")
        if flush <= 0:
            raise Refused(f"logger.tensorboard.flush: {flush} is no time to wait; give seconds")
        self.folder, self.flush = Path(folder), flush
        self.update = 0  # the last one that was logged
        self.failed = False
        self._writer: SummaryWriter | None = None

    @property
    def name(self) -> str:
        """Part of Lightning's interface."""
        return "tensorboard"

    @property
    def version(self) -> str:
        """Part of Lightning's interface."""
        return ""

    @rank_zero_only
    def begin(self, update: int, validation_due: bool = False) -> None:
        """Take back what the run had logged of updates after `update`, from which it goes on."""
        self.update = update
        self._write(lambda writer: writer.flush())

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """A point of each figure's curve; `step` counts updates from 0."""
        self.update = self.update if step is None else step + 1

        def points(writer: "SummaryWriter") -> None:
            for name, value in metrics.items():
                writer.add_scalar(name, float(value), self.update)

        self._write(points)

    @rank_zero_only
    def log_config(self, config: Mapping[str, Any]) -> None:
        """The settings as a table of Markdown, on the page of texts."""
        rows = "\n".join(f"| `{key}` | `{value}` |" for key, value in config.items())
        self._write(lambda writer: writer.add_text("settings", f"| setting | value |\n|---|---|\n{rows}", self.update))

    @rank_zero_only
    def log_panel(self, name: str, page: Any, update: int) -> None:
        """A picture, as ``PIL.Image``."""
        pixels = np.asarray(page.convert("RGB"))
        self._write(lambda writer: writer.add_image(name, pixels, update + 1, dataformats="HWC"))

    @rank_zero_only
    def alert(self, title: str, text: str) -> None:
        """A line on the page of texts."""
        self._write(lambda writer: writer.add_text("alerts", f"**{title}** {text}", self.update))

    @rank_zero_only
    def save(self) -> None:
        """Write what waits in memory."""
        self._write(lambda writer: writer.flush())

    @rank_zero_only
    def end(self, how: End) -> None:
        """Close the file."""
        if self._writer is not None:
            self._write(lambda writer: writer.close())
        self._writer = None

    def _write(self, task: Callable[["SummaryWriter"], None]) -> None:
        if self.failed:
            return
        try:
            if self._writer is None:
                from torch.utils.tensorboard import SummaryWriter

                self._writer = SummaryWriter(str(self.folder), purge_step=self.update + 1, flush_secs=int(self.flush))
            task(self._writer)
        except Exception as error:
            self.failed = True
            log.warning(f"tensorboard: {self.folder}: {error or type(error).__name__}; the run goes on without")
