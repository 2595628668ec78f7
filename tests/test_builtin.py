"""The model in the box: its files are whole, what it says of itself is so, and every command takes it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inpaint import builtin, evaluate, predict, train
from inpaint.builtin.network import Builtin
from inpaint.exchange import card, models
from inpaint.files import checkpoint
from inpaint.predict.predictor import Predictor
from inpaint.settings import Refused
from tests.conftest import smooth_picture

ROOT = Path(__file__).parents[1]
SHIPPED = ["generator=builtin", "baselines=[harmonic]", "data=photos", "masks=damage"]


def hole(height=40, width=56):
    mask = np.zeros((height, width), bool)
    mask[10:13, 5:50] = True
    return mask


def test_it_reaches_the_figures_that_it_came_with(command, tmp_path):
    command(evaluate, *SHIPPED, "data.crop=64", "data.validation_crops=2", "hydra.run.dir=out")
    stated = json.loads(builtin.content("builtin", "config.json"))["figures"]
    found, fill = (card.figures_of(tmp_path / "out", name) for name in ("builtin", "harmonic"))
    assert found["pictures"] == stated["pictures"] == 8
    assert found["values"]["hole_psnr"]["mean"] == pytest.approx(stated["values"]["hole_psnr"]["mean"], abs=0.02)
    assert found["values"]["hole_psnr"]["mean"] > fill["values"]["hole_psnr"]["mean"]


def test_its_files_are_small_and_name_nothing_of_anybodys_machine():
    assert sum(path.stat().st_size for path in builtin.FOLDER.rglob("*.safetensors")) <= 2_000_000
    rows = (ROOT / "experiments" / "014-model-in-the-box" / "photographs.csv").read_text().splitlines()[1:]
    for name, folder in builtin.MODELS.items():
        assert "/" not in json.dumps(json.loads(builtin.content(name, "config.json"))["config"])
        described = (builtin.FOLDER / folder / "MODEL_CARD.md").read_text()
        for heading in ("## Data", "## Figures", "## Limits", "## Licence and credits"):
            assert heading in described
        assert all(row.split(",")[0] in described for row in rows)


@pytest.mark.parametrize("file", builtin.SHA256)
def test_a_file_that_was_changed_is_refused(file, tmp_path, monkeypatch):
    folder = tmp_path / "builtin"
    shutil.copytree(builtin.FOLDER, folder)
    monkeypatch.setattr(builtin, "FOLDER", folder)
    (name,) = (name for name, inside in builtin.MODELS.items() if file.startswith(f"{inside}/"))
    Builtin(name)
    content = bytearray((folder / file).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / file).write_bytes(content)
    with pytest.raises(Refused, match=f"{name}: .*{file} is not what"):
        Builtin(name)
    with pytest.raises(Refused, match="install the package again"):
        models.load(name)
    (folder / file).unlink()
    with pytest.raises(Refused, match="cannot be read"):
        builtin.weights(name)


def test_every_way_to_it_is_the_same_network():
    picture, mask = smooth_picture(1, 40, 56), hole()
    repaired = Predictor.load("builtin", device="cpu")(picture, mask)
    assert np.array_equal(repaired, Predictor(Builtin(), "cpu")(picture, mask))
    assert np.array_equal(repaired[~mask], picture[~mask]) and not np.array_equal(repaired, picture)
    assert not any(parameter.requires_grad for parameter in Builtin().parameters())


def test_it_repairs_where_nothing_else_is_named(command, tmp_path):
    Image.fromarray(smooth_picture(1, 40, 56)).save(tmp_path / "a.png")
    Image.fromarray(hole()).save(tmp_path / "mask.png")
    said = command(predict, "images=a.png", "holes=mask.png", "output=out")
    assert "checkpoint=builtin: the model in the box repairs" in said
    expected = Predictor(Builtin(), "cpu")(smooth_picture(1, 40, 56), hole())
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "a.png")), expected)


@pytest.mark.parametrize(("height", "wide"), [(builtin.WIDE, False), (builtin.WIDE + 2, True)])
def test_where_a_fill_may_be_nearer_is_said(command, tmp_path, height, wide):
    mask = np.zeros((40, 56), bool)
    mask[10 : 10 + height, 5:50] = True
    Image.fromarray(smooth_picture(1, 40, 56)).save(tmp_path / "a.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    arguments = ["images=a.png", "holes=mask.png"]
    assert ("generator=harmonic paints smoothly" in command(predict, *arguments, "output=out")) == wide
    assert "generator=harmonic" not in command(predict, *arguments, "generator=telea", "output=telea")


def test_it_is_fine_tuned_in_one_line(command, tmp_path):
    small = ["trainer.max_steps=1", "baselines=[]", "data.validation_crops=1", "data.batch_size=2", "seed=3",
             "discriminator=none", "adversarial=none", "generator_optimizer.lr=0", "hydra.run.dir=run"]  # fmt: skip
    said = command(train, "init_from=builtin", *small)
    assert "init_from=builtin: the generator has the settings of the model in the box" in said
    state = checkpoint.generator_state(models.load(tmp_path / "run"))
    own = Builtin().network.state_dict()
    assert state.keys() == own.keys() and all(torch.equal(state[name], own[name]) for name in own)


def test_it_is_no_generator_to_train_from_nothing(command):
    said = command(train, "generator=builtin", code=2)
    assert "generator: builtin is trained already; init_from=builtin trains it further" in said


def test_as_a_checkpoint_it_stands_in_the_table_once(command, tmp_path):
    command(evaluate, "checkpoint=builtin", "baselines=[mean,builtin]", "data=photos", "masks=boxes",
            "data.validation_crops=1", "hydra.run.dir=out")  # fmt: skip
    rows = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    assert {row["method"] for row in rows} == {"builtin", "mean"}
