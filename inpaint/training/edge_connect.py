"""EdgeConnect's own procedure: first the edges, then the pictures, one run a stage.

inpaint-train module=edge_connect generator=edge_connect module.stage=edge hydra.run.dir=runs/edge ...
inpaint-train module=edge_connect generator=edge_connect module.stage=canny init_from=runs/edge ...
inpaint-train module=edge_connect generator=edge_connect module.stage=predicted init_from=runs/canny ...
"""

from typing import Any, cast

import torch
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import BinaryPrecision, BinaryRecall

from inpaint.batch import Batch, Outputs, compose, given
from inpaint.networks.generators.edge_connect import EdgeConnect, edges_of, grey_of
from inpaint.settings import Refused, choice
from inpaint.training.gan import InpaintingGAN

STAGES = ("edge", "canny", "predicted")


class EdgeConnectGAN(InpaintingGAN):
    """The stages in which Nazeri et al. 2019 (section 3) train `EdgeConnect`; each holds one of its networks still.

    * ``edge`` trains the edge generator, by adversarial loss (published weight 1) and feature matching (10). Edges take
      the place of pictures: whatever judges or compares gets three channels in [-1, 1], the edges and twice the grey
      picture, in the hole too (published: two channels).
    * ``canny`` trains the inpainting generator along Canny's edges of the truth, those of the hole among them; where
      pictures are degraded, along those of what is given with the truth in its holes.
    * ``predicted`` trains it along the edges that it gets in use: the edge generator's.

    The published last stage, in which both learn together and which its author found no better, is `InpaintingGAN`.
    Validation measures the pictures, which mean nothing in the first stage, and precision and recall of the drawn edges
    in the hole, against Canny's of the truth, at a probability of 1/2.

    Departure: in the first stage known edges come from the known part, as in use; published: from the truth.

    Args:
        generator: an `EdgeConnect`.
        stage: edge, canny or predicted.
        settings: as for `InpaintingGAN`.

    Raises:
        Refused: another generator, a stage that does not exist, and what `InpaintingGAN` raises.
    """

    generator: EdgeConnect

    def __init__(self, generator: EdgeConnect, stage: str = "edge", **settings: Any) -> None:
        if not isinstance(generator, EdgeConnect):
            raise Refused(f"generator: {type(generator).__name__} draws no edges; choose generator=edge_connect")
        choice("module.stage", stage, STAGES)
        still = generator.painter if stage == "edge" else generator.edges
        still.requires_grad_(False)
        super().__init__(generator, **settings)
        self.stage = stage
        kinds = {"edge_precision": BinaryPrecision, "edge_recall": BinaryRecall}
        self.edge_scores = MetricCollection(
            {name: kind(ignore_index=-1, validate_args=False) for name, kind in kinds.items()}
        )

    def forward(self, batch: Batch) -> Outputs:
        """Draw or paint as the stage has it; in the first one the batch is as `of_edges` makes it.

        Of the truth come the grey that edges are shown with, in the first stage, and edges of the hole, in the second.
        """
        seen, truth, mask = given(batch), batch["image"], batch["mask"]
        if self.stage == "edge":
            grey = grey_of(seen)
            known = self.generator.known_edges(grey, mask)
            drawn = self.generator.edges(grey, known, mask)
            return compose(_edge_picture(drawn, (truth[:, 1:2] + 1) / 2), _edge_picture(known, grey), mask)
        if self.stage == "canny":
            edges = self._true_edges(grey_of(torch.where(mask > 0.5, truth, seen)))
            return self.generator.paint(seen, mask, edges)
        return super().forward(batch)

    def of_edges(self, batch: Batch) -> Batch:
        """A batch of the first stage: the same picture is given, and its true edges take the place of the truth."""
        grey = grey_of(batch["image"])
        return Batch(**{**batch, "given": given(batch), "image": _edge_picture(self._true_edges(grey), grey)})

    def realism(self, outputs: Outputs, batch: Batch) -> Tensor | None:
        """The discriminator's verdict, as in `InpaintingGAN`; None in the first stage, where it looks at edges."""
        return None if self.stage == "edge" else super().realism(outputs, batch)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of `InpaintingGAN`; in the first stage on pictures of edges."""
        super().training_step(self.of_edges(batch) if self.stage == "edge" else batch, batch_idx)

    def _true_edges(self, grey: Tensor) -> Tensor:
        return edges_of(grey, self.generator.sigma)

    def on_validation_epoch_start(self) -> None:
        """Begin anew."""
        super().on_validation_epoch_start()
        self.edge_scores.reset()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the moving average's pictures and edges."""
        super().validation_step(batch, batch_idx)
        mask, truth = batch["mask"], self._true_edges(grey_of(batch["image"]))
        drawn = cast(EdgeConnect, self.ema.network).edge_map(grey_of(given(batch)), mask)
        self.edge_scores.update(drawn.float(), torch.where(mask > 0.5, truth, -1).long())

    def on_validation_epoch_end(self) -> None:
        """Log both."""
        super().on_validation_epoch_end()
        if not self.trainer.sanity_checking:
            self.log_dict({f"val/{name}": value for name, value in self.edge_scores.compute().items()})


def _edge_picture(edges: Tensor, grey: Tensor) -> Tensor:
    """Edges and twice the grey picture, each ``(B, 1, H, W)`` in [0, 1], as ``(B, 3, H, W)`` in [-1, 1]."""
    return 2 * torch.cat([edges, grey, grey], dim=1) - 1
