"""What shows a run: progress and pictures."""

import math
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from inpaint.batch import Batch, given
from inpaint.files.folder import replacing
from inpaint.pictures.sheet import as_large, panel
from inpaint.progress import Reporter
from inpaint.settings import Refused
from inpaint.training.run_logger import told
from inpaint.training.validation import Validation


class ProgressBar(Callback):
    """Updates done, updates a second, remaining time and the named losses; see `progress.Reporter`.

    Each validation is a line of its own, the model's figures beside those of the harmonic fill; from then on the
    progress shows by how much the model is better.

    Args:
        seconds: between two lines where the output is no terminal.
    """

    def __init__(self, seconds: float = 20.0) -> None:
        self.seconds = seconds
        self.reporter: Reporter | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the bar."""
        if trainer.is_global_zero:
            length = trainer.estimated_stepping_batches
            total = int(length) if math.isfinite(length) else None
            self.reporter = Reporter("update", "updates", total, trainer.global_step, self.seconds)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move on. Reading a loss waits for the device, so only when there is something to show."""
        if self.reporter is not None and (self.reporter.due or trainer.global_step == trainer.max_steps):
            notes = [
                f"{name.removeprefix('train/')} {value:.4f}" for name, value in trainer.progress_bar_metrics.items()
            ]
            validation: Validation = pl_module.validation  # type: ignore[assignment]
            if validation.figures and math.isfinite(gain := validation.gain("hole_psnr")):  # the truth may be given
                notes.append(f"hole PSNR {gain:+.2f} dB on the {validation.fill_title}")
            self.reporter.show(trainer.global_step, "  ".join(notes))

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say what was measured, beside the fill."""
        validation: Validation = pl_module.validation  # type: ignore[assignment]
        if self.reporter is not None and not trainer.sanity_checking:
            self.reporter.say(f"validation at update {trainer.global_step}: {validation.line()}")

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the bar."""
        if self.reporter is not None:
            self.reporter.close()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Give the terminal back."""
        self.on_train_end(trainer, pl_module)


PANEL_COLUMNS = ("hole", "output", "composite", "truth")


class ImagePanel(Callback):
    """Shows the same validation samples every `every` updates, as PNG in the run folder and to the logger.

    Columns: the picture with its hole in grey, the raw output, the composite, the truth; by the moving average. A table
    of the same at wandb has what the discriminator makes of the composite as well (`InpaintingGAN.realism`).

    Args:
        folder: where ``update_00000500.png`` is written.
        every: updates between two panels; one also at the end.
        samples: rows, spread evenly over the validation set.
    """

    def __init__(self, folder: str, every: int = 500, samples: int = 8) -> None:
        if every < 1:
            raise Refused(f"callbacks.panel.every: {every} is less than 1")
        self.folder, self.every, self.samples = Path(folder), every, samples
        self.batch: Batch | None = None

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draw, when it is time."""
        if trainer.global_step % self.every == 0 and trainer.global_step != trainer.max_steps:
            self._draw(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw the finished model."""
        self._draw(trainer, pl_module)

    @torch.no_grad()
    def _draw(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        if self.batch is None:
            self.batch = self._fixed_samples(trainer, pl_module)
        image, mask = self.batch["image"], self.batch["mask"]
        outputs = pl_module.repair(self.batch)  # type: ignore[operator]
        pictures = (as_large(given(self.batch), image.shape[2]), outputs.output, outputs.composite, image)
        columns = dict(zip(PANEL_COLUMNS, pictures, strict=True))
        page = panel(columns)
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self.folder / f"update_{trainer.global_step:08d}.png") as scratch:
            page.save(scratch)
        update = trainer.global_step - 1
        if loggers := [logger for logger in told(trainer) if logger.takes_pictures]:
            realism = pl_module.realism(outputs, self.batch)  # type: ignore[operator]
            shown = columns | ({"discriminator": realism} if realism is not None else {})
            for logger in loggers:
                logger.log_panel("panel", page, update)
                logger.log_samples("samples", self.batch["index"], mask, shown, update)

    def _fixed_samples(self, trainer: L.Trainer, pl_module: L.LightningModule) -> Batch:
        data = trainer.datamodule  # type: ignore[attr-defined]
        return data.validation_batch(self.samples, pl_module.device)
