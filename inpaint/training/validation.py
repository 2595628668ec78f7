"""What validation measures: the model's composites and, once, those of what costs nothing on the same crops."""

import logging
import math

import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn
from torchmetrics import MeanMetric, MetricCollection, SumMetric

from inpaint.batch import Batch, Outputs, finite, is_blank, paint
from inpaint.fills import Harmonic
from inpaint.metrics.columns import COLUMNS
from inpaint.metrics.image import measure
from inpaint.metrics.lpips import LPIPS
from inpaint.restoration import Bicubic

log = logging.getLogger("inpaint.training.validation")

FIGURES = ("hole_l1", "hole_psnr", "psnr", "ssim", "texture")  # of `metrics.image.MEASURES`
HARMONIC = ("harmonic", "harmonic fill")  # begins the names of the fill's figures; for a reader
BICUBIC = ("bicubic", "given picture")


class Validation(nn.Module):
    """Means over the validation crops of all ranks, as `metrics.columns` defines each figure.

    A curve means something beside what costs nothing, so the figures of the harmonic fill of the same holes, or of the
    given pictures where they are restored as a whole, stand beside the model's at each validation. The crops never
    change, so this fill is measured at the first one only.

    Where the model leaves NaN or infinite pixels in a composite, all of its figures are NaN, which nothing takes for
    the best, and a warning counts such composites: means of the others would say that the model got better.

    Args:
        lpips: a variant of LPIPS that is measured too; None is none.
        whole: whether degraded pictures are restored as a whole.
    """

    def __init__(self, lpips: LPIPS | None = None, whole: bool = False) -> None:
        super().__init__()
        self.lpips = lpips
        self.names: tuple[str, ...] = tuple(FIGURES)
        if lpips is not None:
            self.names += (f"lpips_{lpips.variant}",)
        self.fill = Bicubic() if whole else Harmonic()
        self.prefix, self.fill_title = BICUBIC if whole else HARMONIC
        self.of_model, self.of_fill = (
            MetricCollection({name: MeanMetric("ignore") for name in self.names}) for _ in range(2)
        )
        self.seen_broken = MetricCollection({"broken": SumMetric(), "composites": SumMetric()})
        self.seen_known = MetricCollection({"known": SumMetric()})  # batches of which something is
        self.blank = False  # whether nothing is known of any picture; found with the fill's figures
        self.fill_figures: dict[str, float] = {}  # once they are measured
        self.figures: dict[str, float] = {}  # of the model, in the latest validation

    @property
    def seen(self) -> str:
        """The figure that tells best what people see: LPIPS, or texture error where there is none."""
        return self.names[-1]

    def start(self) -> None:
        """Begin a validation; forget what the sanity check left behind."""
        self.of_model.reset()
        self.seen_broken.reset()
        self.seen_known.reset()
        self.of_fill.reset()

    def update(self, outputs: Outputs, batch: Batch) -> None:
        """Measure a batch: composites ``(B, 3, H, W)`` of the model and, the first time, of the fill."""
        self._take(self.of_model, outputs, batch)
        self.seen_broken["broken"].update((~finite(outputs.composite)).sum())
        self.seen_broken["composites"].update(len(outputs.composite))
        if not self.fill_figures:
            self._take(self.of_fill, paint(self.fill, batch), batch)
            self.seen_known["known"].update(float(not is_blank(batch)))

    def compute(self) -> dict[str, float]:
        """The figures of the model and, with names such as ``harmonic_hole_psnr``, of the fill."""
        self.figures = _values(self.of_model)
        if (counts := _values(self.seen_broken))["broken"]:
            self.figures = dict.fromkeys(self.figures, math.nan)
            _warn(int(counts["broken"]), int(counts["composites"]))
        if not self.fill_figures:
            self.fill_figures = _values(self.of_fill)
            self.blank = _values(self.seen_known)["known"] == 0
        return self.figures | {f"{self.prefix}_{name}": value for name, value in self.fill_figures.items()}

    def gain(self, name: str) -> float:
        """By how much the model is better than the fill in a figure; positive is better, whichever way it counts."""
        difference = self.figures[name] - self.fill_figures[name]
        return difference if COLUMNS[name].higher_is_better else -difference

    def line(self) -> str:
        """The latest validation beside the fill, for a reader: ``hole PSNR 26.10 dB (harmonic 25.66), ...``."""
        parts = []
        for name in ("hole_psnr", self.seen):
            column, mine, fill = COLUMNS[name], self.figures[name], self.fill_figures[name]
            unit = f" {column.unit}" if column.unit else ""
            parts.append(f"{column.title} {mine:.{column.digits}f}{unit} ({self.fill_title} {fill:.{column.digits}f})")
        return ", ".join(parts)

    def _take(self, means: MetricCollection, outputs: Outputs, batch: Batch) -> None:
        image = batch["image"]
        values = measure(outputs, image, batch["mask"], FIGURES)
        if self.lpips is not None:
            values[self.seen] = self.lpips(outputs.composite, image)
        for name, value in values.items():
            means[name].update(torch.where(value.isfinite(), value, torch.nan))


@rank_zero_only
def _warn(broken: int, composites: int) -> None:
    log.warning(f"{broken} of {composites} composites have NaN or infinite pixels: this validation has no figures")


def _values(means: MetricCollection) -> dict[str, float]:
    """Over all ranks."""
    values: dict[str, Tensor] = means.compute()
    return {name: float(value) for name, value in values.items()}
