"""inpaint-probe as a user calls it: on textures that a random encoder tells apart, on random labels, on bad input."""

import csv
import json

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from inpaint import probe
from inpaint.files import checkpoint
from inpaint.networks.generators.context_encoder import ContextEncoder
from inpaint.networks.generators.global_local import CompletionNetwork
from inpaint.probe import classifiers
from inpaint.probe.classifiers import resampled_interval, stratified_split
from inpaint.probe.command import load_encoders, measure
from inpaint.rng import key, seed_all

SMALL = ["data.crop=32", "splits=3", "penalties=[0.01,1]", "neighbours=3", "queries=3", "data.batch_size=16"]
CLASSES = {"blue": (40, 60, 200), "green": (50, 190, 60), "red": (210, 50, 40)}


def coloured(root, label):
    """Thirty textures of three colours, in the folders that `label` names for (colour, number)."""
    generator = np.random.default_rng(0)
    for colour, rgb in CLASSES.items():
        for number in range(10):
            folder = root / label(colour, number)
            folder.mkdir(parents=True, exist_ok=True)
            noise = generator.normal(0, 15, (36, 40, 3))
            Image.fromarray((np.array(rgb) + noise).clip(0, 255).astype("u1")).save(folder / f"{colour}{number}.png")
    return root


@pytest.fixture
def textures(tmp_path):
    """Classes that are colours."""
    return coloured(tmp_path / "textures", lambda colour, number: colour)


def saved(path, network, target, name, **settings):
    """A checkpoint of a network as inpaint-train writes it."""
    content = {"state_dict": {f"ema.network.{key}": value for key, value in network.state_dict().items()}}
    checkpoint.stamp(content, {"name": name, "generator": {"_target_": target, **settings}}, update=1)
    torch.save(content, path)
    return path


def context_encoder(path, name="learnt", seed=1):
    torch.manual_seed(seed)
    target = "inpaint.networks.generators.context_encoder.ContextEncoder"
    return saved(path, ContextEncoder(8, 3, 16), target, name, width=8, levels=3, bottleneck=16)


@pytest.fixture
def run_file(tmp_path):
    return context_encoder(tmp_path / "learnt.ckpt")


def lines_of(folder):
    with (folder / "results.csv").open(newline="", encoding="utf-8") as file:
        return {(line["features"], line["minus"]): line for line in csv.DictReader(file)}


# ---- what it finds ----------------------------------------------------------------------------------------------


def test_classes_that_the_features_separate(command, textures, run_file, tmp_path):
    printed = command(probe, *SMALL, f"checkpoint={run_file}", f"data.root={textures}", "hydra.run.dir=out")
    lines = lines_of(tmp_path / "out")
    kinds = ["hog", "hog pooled", "pixels", "learnt", "learnt random"]
    assert list(lines) == [(kind, "") for kind in kinds] + [
        ("learnt", other) for other in ("hog", "hog pooled", "learnt random")
    ]
    for kind in ("pixels", "learnt"):
        for figure in ("linear", "neighbours"):
            assert [lines[kind, ""][f"{figure}{end}"] for end in ("", "_low", "_high")] == ["100.0"] * 3
    assert float(lines["hog", ""]["linear"]) < 80  # HOG does not see colour
    assert (
        lines["learnt", ""]["dimensions"] == "16" and "results.csv, results.json, results.md, retrieval.png" in printed
    )
    assert "chance    " in printed and "33.3 %: always the largest of 3 classes, 30 pictures of 32 x 32" in printed
    with Image.open(tmp_path / "out" / "retrieval.png") as page:
        assert page.width >= 5 * 4 * 64


def test_random_labels_are_near_chance(command, run_file, tmp_path):
    shuffled = np.random.default_rng(3).permutation(30)
    numbers = {colour: 10 * place for place, colour in enumerate(CLASSES)}
    root = coloured(tmp_path / "shuffled", lambda colour, number: f"class{shuffled[numbers[colour] + number] % 3}")
    command(probe, *SMALL, "splits=10", "test=0.4", f"checkpoint={run_file}", f"data.root={root}", "hydra.run.dir=out")
    lines = lines_of(tmp_path / "out")
    for kind in ("pixels", "learnt", "learnt random"):
        for figure in ("linear", "neighbours"):
            assert 15 < float(lines[kind, ""][figure]) < 55
            assert float(lines[kind, ""][f"{figure}_low"]) < 100 / 3 < float(lines[kind, ""][f"{figure}_high"])


def test_the_figures_are_those_of_the_splits(command, textures, run_file, tmp_path):
    command(probe, *SMALL, f"checkpoint={run_file}", f"data.root={textures}", "test=0.25", "hydra.run.dir=out")
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    values = {}
    for record in found["splits"]:
        values.setdefault(record["features"], []).append(record["neighbours"])
        assert record["penalty"] in (0.01, 1)
    assert {len(each) for each in values.values()} == {3}
    lines = lines_of(tmp_path / "out")
    for kind, other in (("hog", ""), ("learnt", "hog"), ("learnt", "learnt random")):
        each = values[kind] if not other else [a - b for a, b in zip(values[kind], values[other], strict=True)]
        expected = resampled_interval(each, 6 / 24)  # a quarter of 10 is rounded to 2
        low, high = (expected.low, expected.high) if other else (max(expected.low, 0), min(expected.high, 100))
        line = lines[kind, other]
        assert [float(line[f"neighbours{end}"]) for end in ("", "_low", "_high")] == pytest.approx(
            [expected.mean, low, high]
        )
    text = (tmp_path / "out" / "results.md").read_text()
    assert "| learnt | 16 | **100.0** |" in text and "| learnt - hog |  | " in text and "- chance: 33.3 %" in text


def test_the_same_again_and_another_seed(command, textures, run_file, tmp_path):
    texts = []
    for folder, seed, batch in (("one", 0, 16), ("two", 0, 5), ("three", 1, 16)):
        command(probe,
            *SMALL, f"checkpoint={run_file}", f"data.root={textures}", f"seed={seed}", f"data.batch_size={batch}",
            f"hydra.run.dir={folder}",
        )  # fmt: skip
        texts.append((tmp_path / folder / "results.csv").read_text())
    assert texts[0] == texts[1] != texts[2]


def test_all_features_are_measured_in_the_same_splits(textures, monkeypatch):
    """The rows that learn and that are held out, as the classifier is given them."""
    seen = {}
    labels = torch.arange(3).repeat_interleave(10)
    numbered = torch.arange(30, dtype=torch.float64)[:, None]
    monkeypatch.setattr(classifiers, "standardise", lambda train, test: (train, test))

    def record(train, labels, test, penalties, key):
        seen.setdefault(key, []).append((train[:, -1].tolist(), test[:, -1].tolist()))
        return classifiers.Probe(torch.zeros(len(test), dtype=torch.int64), 1.0)

    monkeypatch.setattr(classifiers, "linear_probe", record)
    splits = [stratified_split(labels, 0.2, key(0, number)) for number in range(4)]
    features = {"one": numbered, "two": torch.cat([torch.rand(30, 2, dtype=torch.float64), numbered], dim=1)}
    cfg = OmegaConf.create({"penalties": [1.0], "seed": 0, "neighbours": 1})
    measure(features, labels, splits, cfg, "cpu")
    assert len(seen) == 4
    for split, (one, two) in zip(splits, seen.values(), strict=True):
        assert one == two == (split.train.tolist(), split.test.tolist())


def test_several_checkpoints_and_layers(command, textures, tmp_path):
    first, second = context_encoder(tmp_path / "first.ckpt"), context_encoder(tmp_path / "second.ckpt", seed=2)
    command(probe,
        *SMALL, f"checkpoint=[{first},{second}]", "layer=[encoder.0,encoder.5]", f"data.root={textures}",
        "hydra.run.dir=out",
    )  # fmt: skip
    lines = lines_of(tmp_path / "out")
    kinds = [kind for kind, other in lines if not other]
    # The second has the name of the first, and its random weights.
    assert kinds[3:] == [
        *("learnt encoder.0", "learnt encoder.0 random", "learnt encoder.5", "learnt encoder.5 random"),
        *(f"{second} encoder.0", f"{second} encoder.5"),
    ]
    assert (f"{second} encoder.5", "learnt encoder.5 random") in lines


def test_random_weights_are_those_that_a_run_begins_with(run_file):
    cfg = OmegaConf.create(
        {"checkpoint": str(run_file), "layer": None, "trust_paths": False, "seed": 5, "data": {"crop": 32}}
    )
    encoders = load_encoders(cfg)
    assert {name: encoder.random for name, encoder in encoders.items()} == dict.fromkeys(encoders, "learnt random")
    seed_all(key(5, "weights"))
    fresh = ContextEncoder(8, 3, 16).state_dict()
    trained = checkpoint.generator_state(checkpoint.load(run_file))
    for name, expected in (("learnt", trained), ("learnt random", fresh)):
        network = encoders[name].network
        assert not network.training and all(torch.equal(v, expected[k]) for k, v in network.state_dict().items())
    assert not torch.equal(fresh["encoder.0.weight"], trained["encoder.0.weight"])


def test_without_a_checkpoint_the_classical_features_are_measured(command, textures, tmp_path):
    command(probe, *SMALL, f"data.root={textures}", "hydra.run.dir=out")
    assert list(lines_of(tmp_path / "out")) == [("hog", ""), ("hog pooled", ""), ("pixels", "")]


# ---- bad input --------------------------------------------------------------------------------------------------

BAD = {
    "splits=1": "splits: give a whole number from 2 up; got 1",
    "neighbours=0": "neighbours: give a whole number from 1 up; got 0",
    "neighbours=40": "neighbours: 40 of 24 training pictures; give fewer",
    "test=1.5": "test: give a share between 0 and 1; got 1.5",
    "penalties=[]": "penalties: give a list of numbers above 0; got []",
    "penalties=[0]": "penalties: give a list of numbers above 0; got [0]",
    "data.crop=8": "data.crop: give 16 pixels or more, as HOG needs; got 8",
    "test=0.9": "data.label: with test=0.9 each class needs 16 pictures; too few in blue (10), green (10), red (10)",
    "checkpoint=nothing.ckpt": "checkpoint: nothing.ckpt does not exist",
    "data.label=null": "data.label: a probe needs classes; data.label=folder takes",
    "neighbors=3": "neighbors: no such setting; did you mean neighbours?",
}


@pytest.mark.parametrize("setting", BAD)
def test_bad_settings(setting, command, textures):
    message = command(probe, *SMALL, f"data.root={textures}", setting, code=2)
    assert message.startswith(f"inpaint-probe: {BAD[setting]}") and len(message.splitlines()) == 1


def test_bad_checkpoints(command, textures, run_file, tmp_path):
    target = "inpaint.networks.generators.global_local.CompletionNetwork"
    other = saved(tmp_path / "other.ckpt", CompletionNetwork(4), target, "other", width=4)
    for arguments, expected in (
        ([f"checkpoint={other}"], "declares no features; give layer=NAME, one of layers.0 (4x32x32)"),
        ([f"checkpoint=[{run_file},{other}]", "layer=encoder.0"], "has no layer encoder.0; give layer=NAME, one of"),
    ):
        message = command(probe, *SMALL, f"data.root={textures}", *arguments, code=2)
        assert message.startswith(f"inpaint-probe: layer: CompletionNetwork {expected}")
        assert len(message.splitlines()) == 1
    broken = ContextEncoder(8, 3, 16)
    broken.encoder[0].weight.data.fill_(float("nan"))
    path = saved(tmp_path / "nan.ckpt", broken, "inpaint.networks.generators.context_encoder.ContextEncoder", "nan",
                 width=8, levels=3, bottleneck=16)  # fmt: skip
    message = command(probe, *SMALL, f"data.root={textures}", f"checkpoint={path}", code=2)
    assert message == "inpaint-probe: checkpoint: the features of nan are not finite; it cannot be probed\n"


def test_bad_folders(command, textures, tmp_path):
    def refused(root, *arguments):
        message = command(probe, *SMALL, f"data.root={root}", *arguments, code=2)
        assert len(message.splitlines()) == 1
        return message

    (textures / "few").mkdir()
    for number in range(2):
        (textures / "red" / f"red{number}.png").rename(textures / "few" / f"{number}.png")
    assert "each class needs 3 pictures; too few in few (2)" in refused(textures)
    for path in (textures / "few").iterdir():
        path.rename(textures / "red" / f"red{path.name}")
    (textures / "few").rmdir()

    (textures / "green" / "broken.png").write_text("not a picture")
    message = refused(textures)
    assert "skip leaves them out" in message and "broken.png: not a readable" in message
    printed = command(probe, *SMALL, f"data.root={textures}", "data.on_bad_image=skip", "data.max_bad_fraction=0.5")
    assert "1 of" in printed and "left out" in printed and "3 classes, 30 pictures" in printed

    assert "data.label: all 10 pictures are of class red; give two or more" in refused(one_class(textures, tmp_path))
    assert "pictures are in no sub-folder" in refused(textures / "red")
    assert "is not a folder" in refused(tmp_path / "nowhere")


def one_class(textures, tmp_path):
    (tmp_path / "one").mkdir()
    (textures / "red").rename(tmp_path / "one" / "red")
    (textures / "red").mkdir()
    for path in (textures / "blue").glob("*.png"):
        (textures / "red" / path.name).write_bytes(path.read_bytes())
    return tmp_path / "one"
