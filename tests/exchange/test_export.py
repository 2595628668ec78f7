"""The command and its readers, on a small generator; the long formats are in test_formats.py."""

import json
import shutil
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from inpaint import evaluate
from inpaint.cli.command import call
from inpaint.exchange import export, formats, int8, models, weights
from inpaint.files import checkpoint
from inpaint.networks.generators.residual_unet import ResidualUNet
from inpaint.networks.generators.super_resolution import SRVGG
from inpaint.predict.predictor import Predictor
from inpaint.settings import Refused
from tests.conftest import smooth_picture

SETTINGS = {"width": 4, "levels": 1, "blocks": 0}
CONFIG = {
    "name": "small",
    "generator": {"_target_": "inpaint.networks.generators.residual_unet.ResidualUNet", **SETTINGS},
    "data": {"_target_": "inpaint.data.datamodule.PhotosData", "crop": 64},
    "masks": {"_target_": "inpaint.masks.Boxes"},
}
FIGURE = {"title": "hole PSNR", "unit": "dB", "digits": 2, "definition": "of the hole"}
RESULTS = {
    "definitions": {"hole_psnr": FIGURE},
    "rows": [
        {"area": "0-10 %", "method": "small", "images": 3, "hole_psnr": {"mean": 1.0}},
        {"area": "all", "method": "harmonic", "images": 9, "hole_psnr": {"mean": 2.0}},
        {"area": "all", "method": "small", "images": 9, "hole_psnr": {"mean": 27.125}},
    ],
}
PICTURE = smooth_picture(3, 70, 90)
HOLE = np.zeros((70, 90), bool)
HOLE[20:50, 30:70] = True


SHORT = "formats=[safetensors,torchscript]"


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """A run folder with a checkpoint and its table, and what one export of it made and printed."""
    place = tmp_path_factory.mktemp("once")
    torch.manual_seed(0)
    generator = ResidualUNet(**SETTINGS).eval().requires_grad_(False)
    for parameter in generator.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.1)
    (place / "run" / "checkpoints").mkdir(parents=True)
    checkpoint.save_generator(place / "run" / "checkpoints" / "update_00000007.ckpt", generator, CONFIG, 7)
    (place / "run" / "results.json").write_text(json.dumps(RESULTS))
    with redirect_stdout(StringIO()) as printed:
        settings = [f"checkpoint={place / 'run'}", f"output={place / 'out'}", SHORT, "licence=cc-by-4.0"]
        call("export", export.run, settings)
    return place / "run", place / "out", printed.getvalue()


@pytest.fixture
def trained(once):
    """The run folder."""
    return once[0]


def exported(command, trained, *arguments, code=0):
    return command(export, f"checkpoint={trained}", "output=out", *arguments, code=code)


def test_what_was_exported_repairs_as_the_run_does(command, once, tmp_path):
    trained, _, printed = once
    folder = Path(shutil.copytree(once[1], tmp_path / "out"))
    assert "model.safetensors" in printed and "model.pt" in printed and "largest difference" in printed
    names = {"model.safetensors", "config.json", "model.pt", "README.md", ".inpaint-export.lock"}
    assert {path.name for path in folder.iterdir()} == names
    expected = Predictor.load(trained)(PICTURE, HOLE)
    assert np.array_equal(Predictor.load(folder)(PICTURE, HOLE), expected)
    assert np.array_equal(Predictor.load(folder / "model.safetensors")(PICTURE, HOLE), expected)
    traced = Predictor.load(folder / "model.pt")(PICTURE, HOLE)
    assert np.abs(traced.astype(int) - expected).max() <= 1 and np.array_equal(traced[~HOLE], PICTURE[~HOLE])

    _, head, text = (folder / "README.md").read_text().split("---\n", 2)
    head = yaml.safe_load(head)
    assert head["license"] == "cc-by-4.0" and head["pipeline_tag"] == "image-to-image"
    (metric,) = head["model-index"][0]["results"][0]["metrics"]
    assert metric == {"type": "hole_psnr", "name": "hole PSNR", "value": 27.125}
    assert "27.12 dB" in text and "after 7 updates" in text and "`model.pt`" in text and "model.onnx" not in text
    said = json.loads((folder / "config.json").read_text())
    assert said["config"] == {"degradation": {}} | CONFIG  # a group that runs have had since
    assert said["licence"] == "cc-by-4.0" and said["figures"]["pictures"] == 9

    (folder / "model.onnx").write_text("old")  # of the export before
    exported(command, trained, "formats=[safetensors]")
    assert {path.name for path in folder.iterdir()} == names - {"model.pt"}
    assert "not stated" in (folder / "README.md").read_text()


def test_an_exported_folder_is_exported_again(command, trained, tmp_path):
    exported(command, trained, "formats=[safetensors]")
    command(export, "checkpoint=out", "output=again", "formats=[safetensors]")
    first, second = ((tmp_path / name / "README.md").read_text() for name in ("out", "again"))
    assert first == second


def test_evaluate_takes_graphs_beside_the_run(command, once, tmp_path):
    trained, folder, _ = once
    for name, pixels in (("images", PICTURE), ("holes", HOLE.astype(np.uint8) * 255)):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "a.png")
    given = f"checkpoint={{run: {trained}, traced: {folder / 'model.pt'}}}"
    command(evaluate, given, "images=images", "holes=holes", "baselines=[]", "hydra.run.dir=table", "pictures=0")
    rows = json.loads((tmp_path / "table" / "results.json").read_text())["rows"]
    figures = {row["method"]: row["hole_l1"]["mean"] for row in rows if row["area"] == "all"}
    assert figures["traced"] == pytest.approx(figures["run"], abs=1e-2)


def test_a_format_that_a_network_cannot_have(command, trained, monkeypatch, tmp_path):
    monkeypatch.setattr(formats, "draws_noise", lambda generator, scale: True)
    assert "opset" in exported(command, trained)  # asked for none: what there is is written
    assert (tmp_path / "out" / "model.safetensors").is_file() and not (tmp_path / "out" / "model.pt").exists()
    exported(command, trained, SHORT, code=1)
    assert (tmp_path / "out" / "model.safetensors").is_file()


LOSS = int8.Loss(16, 30.0, 29.75, 1_500_000)


def test_what_whole_numbers_cost_is_printed_and_stands_in_the_card(command, trained, monkeypatch, tmp_path):
    def write(name, generator, folder, scale):
        (folder / "model.onnx").touch()
        return formats.Written(name, "model.onnx", 6_000_000, 20, 1e-6)

    monkeypatch.setattr(formats, "write", write)
    monkeypatch.setattr(int8, "write", lambda source, folder: LOSS)
    printed = exported(command, trained, "formats=[safetensors,onnx]", "int8=true")
    assert "model.int8.onnx" in printed and "1.50" in printed and "int8 loses 0.25 dB of the hole PSNR" in printed
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| `model.int8.onnx` | ONNX for processors" in card and LOSS.line in card
    assert json.loads((tmp_path / "out" / "config.json").read_text())["int8"] == LOSS.line
    exported(command, trained, "formats=[safetensors]")
    assert "int8" not in (tmp_path / "out" / "README.md").read_text()
    exported(command, trained, SHORT, "int8=true", code=2)  # there would be no ONNX file to make it of


def test_a_graph_that_differs_is_exit_code_1(command, trained, monkeypatch, tmp_path):
    monkeypatch.setattr(formats, "TOLERANCE", -1)
    exported(command, trained, SHORT, code=1)
    assert (tmp_path / "out" / "model.safetensors").is_file() and not (tmp_path / "out" / "model.pt").exists()


def test_what_is_refused(command, trained, tmp_path):
    for arguments in (["formats=[tflite]"], ["formats=onnx"], ["licence=[a]"]):
        exported(command, trained, *arguments, code=2)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").write_text("mine")
    exported(command, trained, code=2)
    assert (tmp_path / "out" / "README.md").read_text() == "mine"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "config.json does not exist"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json cannot be read"),
        (lambda folder: (folder / "config.json").write_text("{}"), "was not written by inpaint-export"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"\xff" * 100), "no file of safetensors"),
        (lambda folder: rewrite(folder, "generator", {"_target_": "os.system"}), "os.system"),
        (lambda folder: rewrite(folder, "generator", CONFIG["generator"] | {"width": 8}), "weights are not those"),
        (lambda folder: rewrite(folder, "generator", CONFIG["generator"] | {"width": 4096}), "larger network"),
    ],
)
def test_weights_from_anyone_are_checked_as_a_checkpoint_is(damage, message, once, tmp_path):
    shutil.copytree(once[1], tmp_path / "out")
    damage(tmp_path / "out")
    with pytest.raises(Refused, match=message) as refusal:
        models.generator_of(models.load(tmp_path / "out"))
    assert "\n" not in str(refusal.value)


def rewrite(folder, group, node):
    path = folder / weights.CONFIG
    content = json.loads(path.read_text())
    content["config"][group] = node
    path.write_text(json.dumps(content))


def test_a_model_that_enlarges_whole_pictures(command, tmp_path):
    config = CONFIG | {
        "masks": {"_target_": "inpaint.masks.Full"},
        "degradation": {"_target_": "inpaint.degradations.Resize", "scale": 2},
        "generator": {"_target_": f"{SRVGG.__module__}.SRVGG", "scale": 2, "width": 4, "depth": 1},
    }
    torch.manual_seed(0)
    generator = SRVGG(2, width=4, depth=1).eval().requires_grad_(False)
    generator.layers[-1].weight.normal_(std=0.05)
    checkpoint.save_generator(tmp_path / "larger.ckpt", generator, config, 7)
    command(export, "checkpoint=larger.ckpt", "output=out", SHORT)
    expected = Predictor.load(tmp_path / "larger.ckpt")(PICTURE)
    assert expected.shape == (140, 180, 3) and np.array_equal(Predictor.load("out")(PICTURE), expected)
    assert np.abs(Predictor.load("out/model.pt")(PICTURE).astype(int) - expected).max() <= 1
    card = (tmp_path / "out" / "README.md").read_text()
    assert "makes photographs 2 times as large" in card and "`(1, 3, 2 H, 2 W)`" in card and "MASKS" not in card
    refused = command(export, "checkpoint=larger.ckpt", "output=o", "int8=true", code=2)
    assert "int8: is measured on holes" in refused
