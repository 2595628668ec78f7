"""What validation measures, the model beside the harmonic fill, against the measures themselves."""

import lightning as L
import pytest
import torch
from torch import nn

from inpaint.fills import Harmonic
from inpaint.metrics.columns import COLUMNS
from inpaint.metrics.image import measure
from inpaint.training.validation import FIGURES, Validation
from tests.reliability.ranks import loader, rows
from tests.training.gan import tiny

ALONE = {"discriminator": None, "adversarial": None, "discriminator_optimizer": None}


class Distance(nn.Module):
    """In the place of LPIPS: a mean square."""

    variant = "alex"

    def forward(self, painted, truth):
        return (painted - truth).square().mean(dim=(1, 2, 3))


def batches(count=5, size=2):
    return list(loader(rows(count), size))


def validated(validation, generator, data):
    validation.start()
    for batch in data:
        validation.update(generator(batch["image"] * (1 - batch["mask"]), batch["mask"]), batch)
    return validation.compute()


def test_the_figures_are_means_over_the_pictures():
    """Batches of two, two and one: each picture counts once."""
    data, generator = batches(), tiny().generator
    nn.init.normal_(generator.head[1].weight, std=0.1)
    found = validated(Validation(Distance()), generator, data)
    names = {*FIGURES, "lpips_alex"}
    assert found.keys() == {f"{kind}{name}" for kind in ("", "harmonic_") for name in names}
    for kind, method in (("", generator), ("harmonic_", Harmonic())):
        values = {name: [] for name in names}
        for batch in data:
            image, mask = batch["image"], batch["mask"]
            outputs = method(image * (1 - mask), mask)
            for name, value in measure(outputs, image, mask, FIGURES).items():
                values[name].append(value)
            values["lpips_alex"].append(Distance()(outputs.composite, image))
        for name, value in values.items():
            assert found[kind + name] == pytest.approx(torch.cat(value).mean().item(), rel=1e-5), kind + name


def test_the_fill_is_measured_once(monkeypatch):
    painted, forward = [], Harmonic.forward
    monkeypatch.setattr(Harmonic, "forward", lambda *given: (painted.append(1), forward(*given))[1])
    validation, data, generator = Validation(), batches(), tiny().generator
    first = validated(validation, generator, data)
    assert len(painted) == len(data)
    again = validated(validation, generator, data)
    assert len(painted) == len(data) and again == first


def test_gain_is_positive_where_the_model_is_better():
    validation = Validation()
    validation.figures = {"hole_psnr": 26.0, "texture": 3.0, "hole_l1": 5.0}
    validation.fill_figures = {"hole_psnr": 25.5, "texture": 4.0, "hole_l1": 4.0}
    assert [validation.gain(name) for name in ("hole_psnr", "texture", "hole_l1")] == [0.5, 1.0, -1.0]
    assert validation.line() == "hole PSNR 26.00 dB (harmonic fill 25.50), texture error 3.00 dB (harmonic fill 4.00)"
    assert validation.seen == "texture" and Validation(Distance()).seen == "lpips_alex"


def test_the_sanity_check_counts_for_nothing():
    """One batch of it, whose figures are those of no validation; the fill's are of all batches."""
    data = loader(rows(8), 2)
    trainer = L.Trainer(
        max_steps=2, val_check_interval=2, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=1,
    )  # fmt: skip
    module = tiny(**ALONE)
    trainer.fit(module, data, data)
    expected = validated(Validation(), module.ema.network.eval(), list(data))
    for name, value in expected.items():
        assert trainer.callback_metrics[f"val/{name}"].item() == pytest.approx(value, rel=1e-6)


def test_every_figure_is_a_column():
    assert {*FIGURES} <= {*COLUMNS}


def test_nothing_is_known_only_where_that_is_so_of_all_batches():
    data, generator = batches(), tiny().generator
    hidden = [{**batch, "mask": torch.ones_like(batch["mask"])} for batch in data]
    for shown, blank in ((hidden, True), ([data[0], *hidden[1:]], False), ([*hidden[:-1], data[-1]], False)):
        validation = Validation()
        for _ in range(2):
            validated(validation, generator, shown)
            assert validation.blank is blank
