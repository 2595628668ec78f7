"""`inpaint-evaluate` in this process, without checkpoints: results of other tools, frozen sets, networks, bad input."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from inpaint import preview
from inpaint.evaluate import _load, run
from inpaint.evaluation import intervals, table
from inpaint.files import checkpoint
from inpaint.files.folder import LOCK, only_one
from inpaint.settings import ConfigError
from tests.conftest import smooth_picture
from tests.options import compose


def evaluate(*overrides, into="out"):
    """Run the command here; the rows over all pictures, and what results.json says was measured."""
    cfg = compose(*overrides, name="evaluate")
    cfg.paths.run = into
    run(cfg)
    rows = [row for row in table.read_csv(Path(into) / "results.csv") if row.area == intervals.ALL]
    return rows, json.loads((Path(into) / "results.json").read_text())["measured"]


@pytest.fixture
def compared(tmp_path, monkeypatch):
    """The working folder, with pictures, their masks, and what two tools made of them."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    for number in range(8):
        picture = smooth_picture(number, 48, 56 + 8 * (number // 4))
        hole = np.zeros(picture.shape[:2], np.uint8)
        hole[8 : 20 + 2 * number, 10:30] = 255
        painted = {"images": picture, "masks": hole}
        for tool, noise in (("lama", 10), ("mine", 30)):
            noisy = picture + generator.normal(0, noise, picture.shape)
            painted[tool] = np.where(hole[..., None] > 0, noisy, picture).clip(0, 255).astype(np.uint8)
        for folder, pixels in painted.items():
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / folder / f"p{number}.png")
    return tmp_path


FOLDERS = ["results={lama: lama, mine: mine}", "images=images", "holes=masks"]


def test_what_does_not_fit_is_left_out_for_all_alike(compared):
    (compared / "lama" / "p0.png").unlink()
    Image.new("RGB", (5, 5)).save(compared / "mine" / "p1.png")
    rows, said = evaluate(*FOLDERS, "baselines=[mean]", "missing=skip")
    assert [(row.method, row.images) for row in rows] == [("lama", 6), ("mine", 6), ("mean", 6)]
    assert said["missing"]["of"] == 8 and said["missing"]["left_out"] == 2 and len(said["missing"]["problems"]) == 2
    for text in (said["notes"][0], (compared / "out" / "results.md").read_text()):
        assert "missing=skip: 2 of 8 pictures are left out for all methods alike; results.lama: 1 missing: p0" in text


def test_results_of_other_pictures_are_noted(compared, capsys):
    for path in (compared / "mine").iterdir():
        Image.fromarray(255 - np.array(Image.open(path))).save(path)
    _, said = evaluate(*FOLDERS, "baselines=[]")
    assert said["notes"][0].startswith("mine: 8 results differ from the truth outside the hole by more than JPEG")
    assert said["notes"][0] in " ".join(capsys.readouterr().out.split())


def test_a_frozen_set_is_evaluated_as_its_data_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few = ["data.validation_crops=2", "masks=centre"]
    preview.run(compose(*few, "freeze=frozen", "images=true", "samples=2", "measured=2", name="preview"))
    (direct,), theirs = evaluate(*few, "baselines=[mean]", into="one")
    arguments = ["results={copies: frozen/images}", "frozen=frozen", "baselines=[mean]"]
    (copies, mean), ours = evaluate(*arguments, into="two")
    same = [name for name in direct.means if name != "ms"]
    assert [mean.means[n] for n in same] == pytest.approx([direct.means[n] for n in same], nan_ok=True)
    assert copies.method == "copies" and copies.perfect == 8 == copies.images
    assert ours["manifest_sha256"] == theirs["manifest_sha256"] and ours["frozen"] == "frozen"


def test_crops_that_a_frozen_set_was_not_made_of_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few, frozen = ["data.validation_crops=2", "baselines=[mean]"], ["masks=files", "masks.root=frozen"]
    preview.run(compose(few[0], "masks=centre", "freeze=frozen", "samples=2", "measured=2", name="preview"))
    evaluate(*few, *frozen, into="one")
    with pytest.raises(ValueError, match=r"^masks\.root: frozen was made of other .*: it has 8, the data 4; give"):
        evaluate("data.validation_crops=1", few[1], *frozen)
    with (tmp_path / "frozen" / "manifest.csv").open(newline="") as file:
        digest = next(csv.DictReader(file))["image_sha256"]
    manifest = tmp_path / "frozen" / "manifest.csv"
    manifest.write_text(manifest.read_text().replace(digest, "0" * 64))
    with pytest.raises(ValueError, match=r"^masks\.root: frozen was .*: 1 of 8 that were compared differ"):
        evaluate(*few, *frozen)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [LOCK]


def written(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_results_are_replaced_as_a_whole_or_refused(compared):
    """No picture of an evaluation before stays; what another process or a run writes there is not touched."""
    out = compared / "out"
    evaluate(*FOLDERS, "baselines=[mean]", "pictures=6")
    _, said = evaluate(*FOLDERS, "baselines=[]", "pictures=2")
    names = {path.name for path in (out / "pictures").rglob("*.png")}
    assert len(names) == 2 and {path.name for path in (out / "pictures").iterdir()} == {
        *("input", "truth", "mask"),
        *said["folders"].values(),
    }
    (out / LOCK).unlink()
    before = written(out)
    with only_one(out / LOCK, ""), pytest.raises(ValueError, match=r"^hydra\.run\.dir: an evaluation in .* at work"):
        evaluate(*FOLDERS, "baselines=[mean]")
    assert before == {path: text for path, text in written(out).items() if path.name != LOCK}
    (out / "config.yaml").write_text("of a run")
    with pytest.raises(ConfigError, match=r"^hydra\.run\.dir: out holds a training run and its results; choose"):
        evaluate(*FOLDERS, "baselines=[mean]")


class Means(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(2, 3))


def test_networks_are_named_with_their_figures(compared, monkeypatch, capsys):
    monkeypatch.setenv("TORCH_HOME", str(compared))
    torch.jit.save(torch.jit.script(Means()), "means.pt")
    (lama, _), said = evaluate(*FOLDERS, "features=means.pt", "recogniser=means.pt", "set_draws=20", "baselines=[]")
    text = " ".join(capsys.readouterr().out.split())
    for word in ("FID", "KID", "P-IDS", "recognised", "features of means.pt (sha256"):
        assert word in text
    assert lama.low["fid"] <= lama.means["fid"] <= lama.high["fid"] and 0 <= lama.means["recognised"] <= 100
    assert said["networks"]["features"].startswith("means.pt (sha256")
    _, said = evaluate(*FOLDERS, "features=auto", "metrics=[psnr]", "baselines=[]", "pictures=0", into="auto")
    assert said["networks"] == {} and said["notes"][0].startswith("features=auto: left out, features: put https://")
    assert list((compared / "auto" / "pictures" / "truth").iterdir()) == []


@pytest.fixture
def checkpoints(tmp_path):
    """Three checkpoints of two runs, both called unet."""
    for name, update in (("one", 2), ("one", 4), ("two", 4)):
        path = tmp_path / name / "checkpoints" / f"update_{update:08d}.ckpt"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"state_dict": {}}
        checkpoint.stamp(content, {"name": "unet"}, update)
        torch.save(content, path)
    return tmp_path


def test_checkpoints_of_one_name_are_told_apart_by_their_runs(checkpoints):
    one, two = str(checkpoints / "one"), str(checkpoints / "two")
    files = [f"{one}/checkpoints/update_{update:08d}.ckpt" for update in (2, 4)]
    assert list(_load(None)) == [] and list(_load(one)) == list(_load(files[0])) == ["unet"]
    assert list(_load(OmegaConf.create([one, two]))) == ["unet one", "unet two"]
    assert list(_load(OmegaConf.create(files))) == ["unet one update_00000002", "unet one update_00000004"]
    assert list(_load(OmegaConf.create({"a": one, "b": one}))) == ["a", "b"]
    with pytest.raises(ConfigError, match=r"^checkpoint: two are called unet one; name them"):
        _load(OmegaConf.create([one, one]))


BAD = [
    (["baselines=[]"], "nothing to evaluate"),
    (["columns=[pnsr]"], "columns: there is no figure pnsr; did you mean psnr?"),
    (["metrics=[lpips]"], "metrics: there is no figure lpips"),
    (["metrics=psnr"], "metrics: give a list of figures"),
    (["pictures=-1"], "pictures: give a whole number from 0 up; got -1"),
    (["missing=some"], "missing: give error or skip; got some"),
    (["results={lama: lama}"], "results: folders of results are paired by name"),
    (["results=lama", *FOLDERS[1:]], "results: give names and folders"),
    (["results={telea: lama}", *FOLDERS[1:]], "results.telea: another method is called telea"),
    (["results={lama: empty}", *FOLDERS[1:]], "results.lama: no images"),
    (["images=images"], "images, holes: one needs the other"),
    (["images=empty", "holes=masks"], "images: no images"),
    (["images=images", "holes=masks", "frozen=frozen"], "frozen: a frozen set has images and holes"),
    (["frozen=empty"], "frozen: empty/manifest.csv is not the manifest of a frozen set"),
    (["lpips=vvg"], "lpips: give some of alex, vgg, squeeze, or auto; got vvg"),
    (["features=vgg61:relu4_3"], "features: 'vgg61:relu4_3' is neither inception, nor a file"),
    (["recogniser=none.pt"], "recogniser: there is no file none.pt"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_input_is_one_line_before_any_work(arguments, message, compared, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(compared))
    (compared / "empty").mkdir()
    with pytest.raises(ValueError) as error:
        evaluate(*arguments)
    assert message in str(error.value) and len(str(error.value).splitlines()) == 1
    assert not (compared / "out").exists()
