"""Fills of one hole by several noises, and pictures made of nothing: their figures by hand, and who has none."""

import math

import pytest
import torch
from torch import nn

from inpaint import rng
from inpaint.batch import compose, stored, to_uint8
from inpaint.evaluation.intervals import ALL, aggregate
from inpaint.evaluation.measuring import evaluate
from inpaint.evaluation.synthesis import of_fills
from inpaint.evaluation.table import OF_NOISE
from inpaint.metrics.columns import COLUMNS
from inpaint.metrics.sliced import patches, sliced_wasserstein
from tests.evaluation.pictures import Grey, Pictures


class Noisy(nn.Module):
    """Paints one number of noise as a grey."""

    needs, latent = ("latent",), 1

    def __init__(self, strength=0.5):
        super().__init__()
        self.strength = strength

    def forward(self, image, mask, latent=None):
        latent = rng.normal_for(image, 1) if latent is None else latent
        return compose(self.strength * latent.clamp(-1, 1)[:, :, None, None].expand_as(image), image, mask)


class Typical(Noisy):
    """Paints the mean of its noise when it is given none, as MAT does."""

    def forward(self, image, mask, latent=None):
        return super().forward(image, mask, image.new_zeros(len(image), 1) if latent is None else latent)


class Blank(Pictures):
    """The same pictures, all of them hole."""

    def __init__(self):
        super().__init__()
        self.mask = torch.ones_like(self.mask)


def greys(count):
    """What `Noisy` paints of each picture, in 8 bits: by itself, and that many fills, ``(1 + count, pictures)``."""
    keys = rng.fold(torch.arange(6), "evaluation")
    first = rng.normal(rng.fold(keys, "draw 1"), 1)
    others = [rng.normal(rng.fold(rng.fold(keys, f"sample {n}"), "latent"), 1) for n in range(1, count + 1)]
    return to_uint8(0.5 * torch.stack([first, *others]).clamp(-1, 1))[..., 0].double()


def test_diversity_and_the_best_fill_by_hand():
    pictures = Pictures()
    measured = evaluate({"noisy": Noisy(), "grey": Grey()}, pictures, samples=3)
    records = {(record["method"], record["index"]): record for record in measured.records}
    painted = greys(3)
    for index in range(6):
        pairs = [(painted[a, index] - painted[b, index]) ** 2 for a, b in ((1, 2), (1, 3), (2, 3))]
        found = records["noisy", index]
        assert found["diversity"] == pytest.approx(100 / 255 * math.sqrt(sum(pairs) / 3), rel=1e-4)
        hole = pictures.mask[index, 0] > 0
        truth = (pictures.image[index] + 1)[:, hole].double() * 127.5
        errors = [(truth - grey).square().mean().item() for grey in painted[:, index]]
        assert found["best_hole_psnr"] == pytest.approx(10 * math.log10(255**2 / min(errors[1:])), rel=1e-5)
        assert found["hole_psnr"] == pytest.approx(10 * math.log10(255**2 / errors[0]), rel=1e-5), "by itself"
        assert "diversity" not in records["grey", index]
    assert measured.notes == ["noisy: diversity and best hole PSNR are of 3 fills of each hole"]
    row = {row.method: row for row in aggregate(measured.records).rows if row.area == ALL}
    assert row["noisy"].means["diversity"] > 0 and math.isnan(row["grey"].means["diversity"])


def test_what_is_painted_without_noise_is_no_fill_among_others():
    """How far two fills differ is the same of a method that paints a mean picture then, however many are looked at."""
    for samples in (2, 5):
        drawn, typical = evaluate({"a": Noisy(), "b": Typical()}, Pictures(), samples=samples).records[::6]
        for name in ("diversity", "best_hole_psnr"):
            assert drawn[name] == typical[name] > 0
        assert drawn["hole_psnr"] != typical["hole_psnr"]


def test_one_fill_has_no_diversity_and_noise_that_changes_nothing_has_none_either():
    assert "diversity" not in evaluate({"noisy": Noisy()}, Pictures(), samples=1).records[0]
    assert {record["diversity"] for record in evaluate({"noisy": Noisy(0.0)}, Pictures()).records} == {0.0}


def test_networks_look_at_each_fill_and_the_next():
    """A distance that a judge would have, by hand: here the mean difference of the whole composites."""

    def distance(first, second):
        return (first - second).abs().mean(dim=(1, 2, 3))

    pictures, keys = Pictures(), rng.fold(torch.arange(6), "evaluation")
    batch = {"image": pictures.image, "mask": pictures.mask, "index": torch.arange(6)}
    found = of_fills(Noisy(), batch, keys, 3, {"lpips_alex": distance})["diversity_lpips_alex"]
    others = [rng.normal(rng.fold(rng.fold(keys, f"sample {n}"), "latent"), 1)[:, 0] for n in range(1, 4)]
    greys = 0.5 * torch.stack(others).clamp(-1, 1)
    by_hand = (greys.diff(dim=0).abs().mean(dim=0)) * pictures.mask.mean(dim=(1, 2, 3))
    assert torch.allclose(found, by_hand, atol=1e-5) and (found > 0).all()
    assert "diversity_lpips_alex" in OF_NOISE and "diversity_lpips_alex" in COLUMNS


def test_made_pictures_are_measured_as_a_set():
    pictures = Blank()
    measured = evaluate({"noisy": Noisy(), "grey": Grey()}, pictures)
    found = {(each.area, each.method): each.value for each in measured.sets}
    assert {*found} == {(area, name) for area in ("90-100 %", ALL) for name in ("noisy", "grey")}
    index = torch.arange(6)
    grey = stored(torch.zeros_like(pictures.image))
    real, made = patches(stored(pictures.image), index), patches(grey, index)
    assert found[ALL, "grey"] == pytest.approx(sliced_wasserstein(real, made, torch.ones(1, 6)).item())
    assert {each.figure for each in measured.sets} == {"swd"}
    rows = [row for row in aggregate(measured.records, measured.sets).rows if row.area == ALL]
    assert all(row.means["swd"] > 0 and row.low["swd"] <= row.means["swd"] <= row.high["swd"] for row in rows)


def test_repaired_pictures_are_no_such_set():
    assert evaluate({"noisy": Noisy()}, Pictures()).sets == []
