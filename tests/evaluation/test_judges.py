"""What an evaluation asks of networks: each picture once, the truth once for all methods, sets by hole area."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from inpaint.batch import Batch, from_uint8, to_uint8
from inpaint.evaluation import judges as module
from inpaint.evaluation.intervals import ALL, aggregate, drawn
from inpaint.evaluation.judges import Judges
from inpaint.metrics.columns import COLUMNS
from inpaint.metrics.distribution import SET_FIGURES, frechet_distance, resampled
from inpaint.settings import Refused

PICTURES = 40


class Means(nn.Module):
    """Features or classes of a picture: the mean of each channel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(2, 3))


@pytest.fixture
def means(tmp_path):
    torch.jit.save(torch.jit.script(Means()), str(tmp_path / "means.pt"))
    return str(tmp_path / "means.pt")


def batches():
    """Truth of `PICTURES` small pictures in batches of eight."""
    generator = torch.Generator().manual_seed(0)
    image = from_uint8(torch.randint(0, 256, (PICTURES, 3, 4, 4), generator=generator).to(torch.uint8))
    for index in torch.arange(PICTURES).split(8):
        yield Batch(image=image[index], mask=torch.ones(len(index), 1, 4, 4), index=index)


def composite(batch, shift):
    generator = torch.Generator().manual_seed(int(batch["index"][0]))
    noise = torch.randn(batch["image"].shape, generator=generator) * 0.2
    return (batch["image"] + noise + shift).clamp(-1, 1)


def look(judges, *shifts):
    """Measure a method for each shift; the records so far."""
    records = []
    for number, shift in enumerate(shifts):
        for batch in batches():
            found = judges.of_pictures(f"m{number}", composite(batch, shift), batch)
            for row, index in enumerate(batch["index"].tolist()):
                area = 0.05 if index < 30 else 0.45
                values = {name: value[row].item() for name, value in found.items()}
                records.append({"method": f"m{number}", "index": index, "area": area, **values})
    return records


def test_figures_of_sets_are_those_of_all_features(means):
    judges = Judges(features=means, draws=20)
    sets = judges.of_sets(look(judges, 0.0, 0.3))
    real, fake = (
        torch.cat([judges.features(from_uint8(to_uint8(picture(batch)))) for batch in batches()])
        for picture in (lambda batch: batch["image"], lambda batch: composite(batch, 0.3))
    )
    found = {(each.figure, each.method): each for each in sets if each.area == ALL}
    assert (
        {figure for figure, _ in found}
        == set(SET_FIGURES)
        == {n for n, c in COLUMNS.items() if c.per == "set"} - {"swd"}
    )
    assert found["fid", "m1"].value == pytest.approx(frechet_distance(real, fake))
    for figure in SET_FIGURES:
        whole = resampled(figure, real, fake, torch.ones(1, PICTURES)).item()
        assert found[figure, "m1"].value == pytest.approx(whole)
    assert all(each.draws.shape == (20,) for each in sets)


def test_the_intervals_of_sets_hold_their_figures_and_show_what_is_worse(means):
    judges = Judges(features=means)
    results = aggregate(records := look(judges, 0.0, 0.3), judges.of_sets(records))
    for row in results.rows:
        for name in row.low:
            assert row.low[name] <= row.means[name] <= row.high[name]
    found = results.difference(ALL, "fid", "m1", "m0")
    assert found is not None and found.is_real and found.mean > 0


def test_hole_areas_have_figures_where_there_are_pictures_enough(means, monkeypatch):
    judges = Judges(features=means, draws=0)
    sets = judges.of_sets(look(judges, 0.0))
    assert {each.area for each in sets} == {"0-10 %", "40-50 %", ALL} and not any(len(each.draws) for each in sets)
    monkeypatch.setattr(module, "caution", lambda figure, pictures, _: "few" if pictures < 20 else "")
    assert {each.area for each in judges.of_sets(look(judges, 0.0))} == {"0-10 %", ALL}
    monkeypatch.setattr(module, "caution", lambda figure, pictures, _: f"{figure}: few")
    assert {each.area for each in judges.of_sets(look(judges, 0.0))} == {ALL}
    assert judges.notes[-4:] == [f"{figure}: few" for figure in SET_FIGURES]


def test_crops_of_one_photograph_are_drawn_together(means):
    """Ten photographs of four crops: the draws are those of the features, each crop as often as its photograph."""
    judges = Judges(features=means, draws=20)
    records = [record | {"photograph": record["index"] // 4} for record in look(judges, 0.0)]
    found = {(each.area, each.figure): each.draws for each in judges.of_sets(records)}
    real, fake = (torch.stack([kept[index] for index in range(PICTURES)]) for kept in (judges.real, judges.fake["m0"]))
    counts = torch.from_numpy(drawn(np.arange(20), 10).repeat(4, axis=1))
    for figure in SET_FIGURES:
        np.testing.assert_allclose(found[ALL, figure], resampled(figure, real, fake, counts).numpy())
    assert not len(found["40-50 %", "fid"])  # crops of three photographs


def test_a_failure_of_one_figure_costs_no_other(means, monkeypatch):
    def failing(figure, *arguments):
        if figure == "fid":
            raise torch.linalg.LinAlgError("no convergence")
        return resampled(figure, *arguments)

    monkeypatch.setattr(module, "resampled", failing)
    judges = Judges(features=means, draws=0)
    found = {each.figure: each.value for each in judges.of_sets(look(judges, 0.0)) if each.area == ALL}
    assert math.isnan(found["fid"]) and all(math.isfinite(found[name]) for name in SET_FIGURES if name != "fid")
    assert "fid of m0, hole area all: not computed, no convergence" in judges.notes


def test_features_that_are_not_finite_are_named(means):
    judges = Judges(features=means, draws=0)
    records = look(judges, 0.0, 0.1)
    judges.fake["m1"][7] = torch.full((3,), torch.inf)
    sets = judges.of_sets(records)
    assert {each.method for each in sets if math.isnan(each.value)} == {"m1"}
    assert judges.notes[-1] == "features that are not finite, hence no figures of sets: m1: 1 of 40 pictures"


def test_the_truth_is_looked_at_once(means, monkeypatch):
    judges = Judges(features=means, recogniser=means, draws=0)
    seen = []
    for network in (judges.features, judges.recogniser):
        original = network.forward
        monkeypatch.setattr(network, "forward", lambda x, original=original: (seen.append(len(x)), original(x))[1])
    look(judges, 0.0, 0.1, 0.2)
    assert sum(seen) == 2 * (3 + 1) * PICTURES


def test_recognition_is_in_percent(means):
    judges = Judges(recogniser=means)
    (batch, *_) = batches()
    assert judges.of_pictures("same", batch["image"], batch)["recognised"].tolist() == [100] * 8
    turned = batch["image"].clone()
    turned[:5] = turned[:5].roll(1, dims=1)

    def classes(images):
        unit = to_uint8(images).double().mean(dim=(2, 3)).numpy() / 255
        return ((unit - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).argmax(axis=1)

    expected = 100.0 * (classes(turned) == classes(batch["image"]))
    assert 0 < expected.mean() < 100
    assert np.array_equal(judges.of_pictures("turned", turned, batch)["recognised"], expected)
    assert judges.networks["recogniser"].startswith("means.pt") and "sha256" in judges.networks["recogniser"]


def test_lpips_is_asked_by_variant(monkeypatch):
    class Distance(nn.Module):
        def __init__(self, variant, weights):
            super().__init__()

        def forward(self, painted, truth):
            return (painted - truth).square().mean(dim=(1, 2, 3))

    monkeypatch.setattr(module, "LPIPS", Distance)
    judges = Judges(["alex", "squeeze"])
    assert judges.columns == ("lpips_alex", "lpips_squeeze") and judges.of_sets([]) == []
    large = Batch(image=torch.zeros(1, 3, 32, 40), mask=torch.ones(1, 1, 32, 40), index=torch.tensor([0]))
    found = judges.of_pictures("a", large["image"] + 0.5, large)["lpips_squeeze"]
    assert found.item() == pytest.approx(0.25, abs=0.01)


def test_what_is_not_there_is_an_error_or_left_out_aloud(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def nothing(variant, weights):
        raise Refused("lpips.heads: there is no file")

    monkeypatch.setattr(module, "LPIPS", nothing)
    with pytest.raises(ValueError, match=r"^lpips\.heads: there is no"):
        Judges(["alex"])
    with pytest.raises(ValueError, match=r"^features: put https://"):
        Judges(features="inception")
    with pytest.raises(ValueError, match=r"^recogniser: there is no file"):
        Judges(recogniser=str(tmp_path / "none.pt"))
    with pytest.raises(ValueError, match=r"^lpips: give some of alex, .*; got vvg"):
        Judges(["vvg"])
    judges = Judges(["auto"], "auto")
    assert judges.columns == () and judges.networks == {}
    assert [note.split(",")[0] for note in judges.notes] == ["lpips=auto: left out", "features=auto: left out"]
    assert "put torchvision's AlexNet at" in judges.notes[0], "auto downloads nothing"


def test_lpips_takes_the_file_that_is_named(monkeypatch):
    made = []

    class Distance(nn.Module):
        def __init__(self, variant, weights):
            super().__init__()
            made.append((variant, weights))

    monkeypatch.setattr(module, "LPIPS", Distance)
    assert Judges(["auto"], lpips_weights="alexnet.pth").columns == ("lpips_alex",)
    assert Judges(["squeeze"], lpips_weights="squeeze.pth").columns == ("lpips_squeeze",)
    assert made == [("alex", "alexnet.pth"), ("squeeze", "squeeze.pth")]
    with pytest.raises(ValueError, match=r"^lpips_weights: one file is of one network, but lpips asks for alex, vgg"):
        Judges(["alex", "vgg"], lpips_weights="alexnet.pth")
