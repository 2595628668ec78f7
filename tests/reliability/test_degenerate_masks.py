"""Masks without a hole, or of nothing else: losses stay finite, hole figures leave empty holes out."""

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from inpaint.batch import compose
from inpaint.metrics.image import measure
from tests.options import SIZE, generator_for, option, options, others, samples
from tests.reliability.ranks import fit, loader
from tests.training.gan import tiny

KINDS = {"empty": [0.0] * 3, "full": [1.0] * 3, "one of each": [0.0, None, 1.0]}


def masked(kind):
    """Three pictures under such masks; None leaves a mask as it is."""
    found = samples(3)
    for sample, value in zip(found, KINDS[kind], strict=True):
        if value is not None:
            sample["mask"] = torch.full((1, SIZE, SIZE), value)
    return found


class Finite(Callback):
    """Counts updates in which everything was finite."""

    count = 0

    def on_train_batch_end(self, trainer, module, *_):
        assert module.refused is None and all(value.isfinite() for value in module.figures.values()), module.figures
        self.count += 1


def train(**parts):
    """An update on each kind of batch."""
    module, finite = tiny(**parts), Finite()
    fit(module, loader([row for kind in KINDS for row in masked(kind)], 3), len(KINDS), [finite])
    assert finite.count == len(KINDS) and all(parameter.isfinite().all() for parameter in module.parameters())


@pytest.mark.parametrize("name", options("losses"))
def test_losses(name):
    regions = {"region": "hole"} if name in ("l1", "l2", "charbonnier") else {}
    term = option("losses", name, weights="random", **regions)
    train(losses={name: term}, **generator_for(term))


@pytest.mark.parametrize("name", others("adversarial"))
def test_games(name):
    train(adversarial=option("adversarial", name))


@pytest.mark.parametrize("name", others("discriminator"))
def test_discriminators(name):
    train(discriminator=option("discriminator", name, width=4, hidden=8))


@pytest.mark.parametrize("kind", KINDS)
def test_hole_figures_leave_empty_holes_out(kind):
    rows = masked(kind)
    image, mask = (torch.stack([row[name] for row in rows]) for name in ("image", "mask"))
    figures = measure(compose(-image, image, mask), image, mask)
    for name in ("hole_l1", "hole_psnr"):
        assert figures[name].isnan().tolist() == [value == 0.0 for value in KINDS[kind]]

    module = tiny()
    trainer = fit(module, loader(rows, 2), 1)  # batches of two, so that means of batches would weigh wrongly
    trainer.validate(module, loader(rows, 2), verbose=False)
    expected = measure(module.repair({"image": image, "mask": mask, "index": torch.arange(len(image))}), image, mask)[
        "hole_l1"
    ].nanmean()
    found = trainer.callback_metrics["val/hole_l1"]
    assert torch.allclose(found, expected, rtol=1e-4, equal_nan=True)
    assert found.isnan() == (kind == "empty")
