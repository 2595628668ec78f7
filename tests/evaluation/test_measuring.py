"""The loop over methods and pictures: same inputs for all, composites with the truth's known pixels, honest notes."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from inpaint import rng
from inpaint.batch import Outputs, compose
from inpaint.data.datamodule import InpaintingData, PhotosData
from inpaint.data.sources import Photos
from inpaint.data.video import PanAndZoomData
from inpaint.degradations import GaussianNoise
from inpaint.evaluation import measuring as module
from inpaint.evaluation import pairs as module_of_pairs
from inpaint.evaluation.measuring import JPEG, ValidationCrops, evaluate, validation_crops
from inpaint.evaluation.pairs import Pairs, find_pairs
from inpaint.evaluation.results import publish
from inpaint.evaluation.shown import GIVEN
from inpaint.files.untrusted import TEXT, read_table
from inpaint.masks import Full, Strokes
from inpaint.masks.frozen import described
from inpaint.metrics.image import MEASURES
from inpaint.pictures import layers
from inpaint.progress import Tracked
from inpaint.restoration import Bicubic
from tests.evaluation.pictures import Grey, Pictures


def test_every_method_sees_every_picture_without_the_truth_in_its_hole():
    pictures, method = Pictures(), Grey()
    measured = evaluate({"grey": method, "other": Grey()}, pictures)
    assert [(record["method"], record["index"]) for record in measured.records] == [
        (name, index) for name in ("grey", "other") for index in range(6)
    ]
    assert [record["photograph"] for record in measured.records[:4]] == ["photograph 0"] * 3 + ["photograph 1"]
    given = torch.cat(method.given)
    assert (given * pictures.mask == 0).all()
    assert torch.equal(given * (1 - pictures.mask), pictures.image * (1 - pictures.mask))
    record = measured.records[5]
    assert record["area"] == pytest.approx(12 * 12 / 576) and record["ms"] > 0 and set(MEASURES) <= set(record)
    truth = (pictures.image[5] + 1) * 127.5
    error = (truth - 128).abs()[:, :12, :12].mean().item()  # grey 0 is 127.5, rounded to 128
    assert record["hole_l1"] == pytest.approx(100 * error / 255, rel=1e-4)


def test_only_the_figures_that_are_asked_for():
    (first, *_) = evaluate({"grey": Grey()}, Pictures(), figures=["psnr"]).records
    assert set(first) == {"method", "photograph", "index", "area", "broken", "ms", "psnr"}


def test_another_tools_result_is_pasted_into_the_truth():
    pictures = Pictures()
    pictures.painted = (pictures.image + 0.05).clamp(-1, 1)  # 6 levels off everywhere, as JPEG may be
    measured = evaluate({"tool": None, "grey": Grey()}, pictures)
    record = measured.records[2]
    composite = torch.where(pictures.mask > 0.5, pictures.painted, pictures.image)[2]
    mse = ((composite - pictures.image[2]) * 127.5).square().mean().item()
    assert record["psnr"] == pytest.approx(10 * math.log10(255**2 / mse), rel=0.02)
    assert record["raw_psnr"] < record["psnr"] and "ms" not in record and measured.notes == []


def test_results_of_other_pictures_are_noted():
    pictures = Pictures()
    pictures.painted = pictures.image.flip(0)
    measured = evaluate({"tool": None}, pictures)
    (note,) = measured.notes
    assert note.startswith("tool: 6 results differ from the truth outside the hole by more than JPEG's noise (picture ")
    pictures.painted = pictures.image.clone()
    pictures.painted[4] = (pictures.image[4] + 2 * JPEG / 127.5).clamp(-1, 1)
    (note,) = evaluate({"tool": None}, pictures).notes
    assert note.startswith("tool: 1 results differ") and "picture 4 24 of 255 levels" in note
    pictures.painted = torch.where(pictures.mask > 0.5, 1.0, pictures.image)  # the hole may hold anything
    assert evaluate({"tool": None}, pictures).notes == []


def test_an_empty_and_a_full_hole_make_no_trouble():
    pictures = Pictures()
    pictures.mask[0], pictures.mask[1] = 0, 1
    pictures.painted = -pictures.image
    measured = evaluate({"tool": None}, pictures)
    assert measured.records[0]["psnr"] == math.inf and math.isnan(measured.records[0]["hole_psnr"])
    assert "5 results" not in measured.notes[0] or "picture 1" not in measured.notes[0]


def test_chosen_pictures_are_kept_in_8_bits():
    pictures = Pictures()
    measured = evaluate({"grey": Grey(), "tool": None}, pictures, shown=2)
    assert {name: list(kept) for name, kept in measured.given.items()} == {name: [0, 5] for name in GIVEN}
    assert {name: list(kept) for name, kept in measured.composites.items()} == {"grey": [0, 5], "tool": [0, 5]}
    hole = pictures.mask[5].bool()
    levels = ((pictures.image[5] + 1) * 127.5).round().to(torch.uint8)
    assert torch.equal(measured.given["truth"][5], levels) and torch.equal(measured.composites["tool"][5], levels)
    assert torch.equal(measured.given["mask"][5], hole.to(torch.uint8) * 255)
    assert (measured.given["input"][5][hole.expand(3, -1, -1)] == 128).all()
    assert torch.equal(measured.composites["grey"][5], torch.where(hole, 128, levels))


class Seen:
    """Stands for the figures of networks."""

    notes, lpips = ("seen",), None

    def of_pictures(self, method, composite, batch):
        return {"lpips_alex": torch.arange(len(composite)).float()}

    def of_sets(self, records):
        return [len(records)]


def test_networks_are_asked_about_every_batch_and_in_the_end_about_all():
    measured = evaluate({"grey": Grey()}, Pictures(), judges=Seen())
    assert [record["lpips_alex"] for record in measured.records] == [0, 1, 2, 3, 0, 1]
    assert measured.sets == [6] and measured.notes == ["seen"]


def test_validation_crops_are_what_the_loop_measures():
    data = PhotosData(Strokes(), validation_crops=2, batch_size=3, crop=32)
    data.setup("validate")
    pictures = ValidationCrops(data)
    crops = list(validation_crops(data))
    measured = evaluate({"grey": Grey()}, pictures, figures=["psnr"])
    records = measured.records
    assert [record["index"] for record in records] == [crop.index for crop in crops] == list(range(8))
    assert [record["area"] for record in records] == [crop.area for crop in crops]
    assert measured.crops == [
        described(crop.index, pictures.name(crop.index), crop.area, crop.image, crop.mask) for crop in crops
    ]


def test_clips_have_figures_of_their_frames_together(tmp_path):
    """In the tables, beside the truth's own, which is the same for all; and videos are what intervals draw."""
    settings = {"frames": 3, "clips": 2, "crop": 32, "batch_size": 3, "validation_crops": 1}
    data = PanAndZoomData(Full(), degradation=GaussianNoise(20.0), **settings)
    data.setup("validate")
    published = publish(tmp_path, {"given": Bicubic(), "grey": Grey()}, ValidationCrops(data), "cpu", {}, shown=1)
    assert {"warping_error", "warping_error_of_truth", "tof"} <= {*published.columns}
    given, grey = (row.means for row in published.results.rows if row.area == "all")
    assert given["warping_error"] > 2 * given["warping_error_of_truth"] > 0 == grey["warping_error"]
    assert given["warping_error_of_truth"] == grey["warping_error_of_truth"] and grey["tof"] > 0.3
    records = read_table(tmp_path / "records.csv", TEXT)
    assert len(records) == 2 * 4 * 2 * 3
    blank = [record["index"] for record in records if record["tof"] == ""]
    assert blank == [str(index) for index in range(0, 24, 3)] * 2
    assert "truth's warping error (levels)" in (tmp_path / "results.md").read_text()


class Counted(Photos):
    """The bundled photographs, which note when one is read."""

    def __init__(self) -> None:
        super().__init__()
        self.read_rows: list[int] = []

    def read(self, split, row):
        if split == "validation":
            self.read_rows.append(row)
        return super().read(split, row)


@pytest.mark.parametrize("methods", [1, 4])
def test_each_picture_is_read_cut_and_masked_once_whatever_the_number_of_methods(methods, monkeypatch, tmp_path):
    source, painted, batches = Counted(), [], []
    data = InpaintingData(source, Strokes(), validation_crops=2, batch_size=3, crop=32, cache="none", workers=0)
    data.setup("validate")
    source.read_rows.clear()  # its header was
    to_batch, paint = data.to_batch, Strokes.__call__
    monkeypatch.setattr(
        Strokes, "__call__", lambda self, keys, size: (painted.extend(keys.tolist()), paint(self, keys, size))[1]
    )
    monkeypatch.setattr(data, "to_batch", lambda *given: (batches.append(given), to_batch(*given))[1])
    named = {f"grey {number}": Grey() for number in range(methods)}
    publish(tmp_path, named, ValidationCrops(data), "cpu", {}, figures=["psnr"], shown=3)
    crops = len(data.tiles["validation"])
    assert len(source.read_rows) == crops and len(painted) == len(set(painted)) == crops
    assert len(batches) == -(-crops // 3)
    assert all(sum(len(given) for given in method.given) == crops for method in named.values())


def test_the_files_of_a_pair_are_read_once_after_the_check(tmp_path, monkeypatch):
    for number in range(3):
        for folder in ("images", "holes", "tool"):
            pixels = np.full((16, 16, 3) if folder != "holes" else (16, 16), 255 * (folder == "holes"), np.uint8)
            pixels[number + 4 :] = 0
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / folder / f"{number}.png")
    pairs, _ = find_pairs(tmp_path / "images", tmp_path / "holes")
    pictures, read = Pairs(pairs, {"tool": tmp_path / "tool"}), []
    for where, name in ((module_of_pairs, "read_image"), (layers, "open_image")):
        original = getattr(where, name)
        monkeypatch.setattr(
            where,
            name,
            lambda path, *more, original=original, **named: (read.append(path), original(path, *more, **named))[1],
        )
    evaluate({"one": Grey(), "tool": None, "two": Grey()}, pictures, shown=2)
    assert sorted(read) == sorted(path for path in tmp_path.rglob("*.png"))


def test_progress_names_all_methods_and_the_one_at_work(monkeypatch):
    said = []

    class Heard(Tracked):
        def at_work(self, what):
            said.append(what)

    monkeypatch.setattr(module, "track", lambda items, label: (said.append(label), Heard(items, label, ""))[1])
    evaluate({"grey": Grey(), "tool": None}, Pictures())
    assert said[0] == "evaluating grey, tool" and said[1:3] == ["grey", "tool"] and {*said[1:]} == {"grey", "tool"}


class OnGPU(Grey):
    """Stands for a network on a GPU, where there is none."""

    def to(self, device):
        return self


def test_a_method_on_a_gpu_is_warmed_up_on_its_first_batch(monkeypatch):
    monkeypatch.setattr(Tensor, "to", lambda self, device: self)
    one, other = OnGPU(), OnGPU()
    measured = evaluate({"one": one, "other": other}, Pictures(), "cuda")
    for method in (one, other):
        assert [len(given) for given in method.given] == [4, 4, 2]
    assert len(measured.records) == 2 * 6


class Noisy(nn.Module):
    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        return compose(rng.normal_for(image, *image.shape[1:]).clamp(-1, 1), image, mask)


def test_what_a_network_draws_does_not_depend_on_the_others():
    alone = evaluate({"noisy": Noisy()}, Pictures(), figures=["psnr"]).records
    both = evaluate({"first": Noisy(), "grey": Grey(), "noisy": Noisy()}, Pictures(), figures=["psnr"]).records
    assert [record["psnr"] for record in both[-6:]] == [record["psnr"] for record in alone]
    assert len({record["psnr"] for record in alone}) == 6
