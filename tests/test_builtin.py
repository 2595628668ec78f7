"""The model in the box: its files are whole, what it says of itself is so, and every command takes it."""

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import chelsea

from inpaint import builtin, evaluate, predict, train
from inpaint.batch import from_uint8
from inpaint.builtin.network import Builtin
from inpaint.exchange import card, models
from inpaint.files import checkpoint
from inpaint.predict.predictor import Predictor
from inpaint.settings import Refused
from tests.conftest import smooth_picture

ROOT = Path(__file__).parents[1]
# What each is measured on, beside what, and by which figure it is better.
SHIPPED = {
    "builtin": (["masks=damage"], "harmonic", "hole_psnr"),
    "builtin_x2": (["degradation=resize"], "bicubic", "psnr_y"),
    "builtin_denoise": (["degradation=noise"], "non_local_means", "ssim"),
}


def hole(height=40, width=56):
    mask = np.zeros((height, width), bool)
    mask[10:13, 5:50] = True
    return mask


@pytest.mark.parametrize("name", builtin.MODELS)
def test_it_reaches_the_figures_that_it_came_with(name, command, tmp_path):
    settings, other, figure = SHIPPED[name]
    command(evaluate, f"generator={name}", f"baselines=[{other}]", "data=photos", *settings, "data.crop=64",
            "data.validation_crops=2", "hydra.run.dir=out")  # fmt: skip
    stated = json.loads(builtin.content(name, "config.json"))["figures"]
    found, beside = (card.figures_of(tmp_path / "out", method) for method in (name, other))
    assert found["pictures"] == stated["pictures"] == 8
    assert found["values"][figure]["mean"] == pytest.approx(stated["values"][figure]["mean"], rel=1e-3)
    assert found["values"][figure]["mean"] > beside["values"][figure]["mean"]


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


@pytest.mark.parametrize("name", ["builtin_x2", "builtin_denoise"])
def test_one_that_restores_whole_pictures(name, command, tmp_path):
    picture, scale = smooth_picture(1, 40, 56), 2 if name == "builtin_x2" else 1
    Image.fromarray(picture).save(tmp_path / "a.png")
    said = command(predict, f"checkpoint={name}", "images=a.png", "output=out")
    assert "holes: none; this model restores whole pictures" in said
    command(predict, f"generator={name}", "images=a.png", "output=again")
    restored, again = (np.asarray(Image.open(tmp_path / folder / "a.png")) for folder in ("out", "again"))
    assert restored.shape == (40 * scale, 56 * scale, 3) and np.array_equal(restored, again)
    assert np.array_equal(Predictor.load(name, device="cpu")(picture), restored)
    with pytest.raises(Refused, match="restores whole pictures"):
        Predictor.load(name, device="cpu")(picture, hole())


def test_the_denoiser_keeps_a_clean_picture_and_smooths_the_more_the_more_it_is_told():
    network = Builtin("builtin_denoise").network
    image = from_uint8(torch.from_numpy(chelsea()[:96, :96].copy()).permute(2, 0, 1)[None])
    made = []
    for sigma in (0, 5, 10, 20, 40):
        network.sigma = sigma
        made.append(network(image, torch.ones_like(image[:, :1])).output)
    assert (made[0] - image).abs().mean() * 127.5 < 0.2  # levels
    steps = [picture.diff(dim=-1).abs().mean().item() for picture in made]
    assert all(rough > smooth for rough, smooth in pairwise(steps)) and steps[-1] < 0.7 * steps[0]


@pytest.mark.parametrize(("name", "degradation"), [("builtin_x2", "resize"), ("builtin_denoise", "noise")])
def test_one_that_restores_is_fine_tuned_in_one_line(name, degradation, command, tmp_path):
    small = ["trainer.max_steps=1", "baselines=[]", "data.validation_crops=1", "data.batch_size=2", "losses=[l1]",
             "adversarial=none", "generator_optimizer.lr=0", "hydra.run.dir=run"]  # fmt: skip
    said = command(train, f"init_from={name}", f"degradation={degradation}", *small)
    assert f"init_from={name}: the generator has the settings of the model in the box" in said
    state = checkpoint.generator_state(models.load(tmp_path / "run"))
    own = Builtin(name).network.state_dict()
    assert state.keys() == own.keys() and all(torch.equal(state[key], own[key]) for key in own)


def test_it_is_no_generator_to_train_from_nothing(command):
    for name in ("builtin", "builtin_x2"):
        said = command(train, f"generator={name}", code=2)
        assert f"generator: {name} is trained already; init_from={name} trains it further" in said


def test_as_a_checkpoint_it_stands_in_the_table_once(command, tmp_path):
    command(evaluate, "checkpoint=builtin", "baselines=[mean,builtin]", "data=photos", "masks=boxes",
            "data.validation_crops=1", "hydra.run.dir=out")  # fmt: skip
    rows = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    assert {row["method"] for row in rows} == {"builtin", "mean"}
