"""What `inpaint` gives a notebook: the examples of its docstrings, and what they do not show."""

import doctest
import math
import os
import pkgutil
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

import inpaint
from inpaint import api, train
from inpaint.batch import Batch, from_uint8, paint, to_uint8
from inpaint.cli import explain
from inpaint.config import conf_dir
from inpaint.config.sent import load_generator
from inpaint.files import checkpoint
from inpaint.fills import Mean
from inpaint.predict import predictor
from inpaint.settings import ConfigError
from inpaint.training.gan import InpaintingGAN
from tests.conftest import smooth_picture

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """A folder in which all examples have run one after the other, as in a notebook, and how they went."""
    folder = tmp_path_factory.mktemp("notebook")
    before = Path.cwd()
    os.chdir(folder)
    try:
        finder, runner = doctest.DocTestFinder(exclude_empty=True), doctest.DocTestRunner(optionflags=FLAGS)
        for module in (api, predictor, explain):
            for example in finder.find(module):
                runner.run(example)
    finally:
        os.chdir(before)
    return folder, runner


def test_the_examples_in_the_docstrings(notebook):
    _, runner = notebook
    assert runner.tries > 20 and not runner.failures
    for name in {*inpaint.__all__} - {"Refused", "__version__"}:
        assert ">>> " in getattr(inpaint, name).__doc__, name


# ---- the face -------------------------------------------------------------------------------------------------------


def test_it_is_listed_and_no_module_of_the_package_takes_one_of_its_names():
    assert {*inpaint.__all__} <= {*dir(inpaint)} and {*inpaint.__all__} == {*api.__all__, "__version__"}
    assert not {*inpaint.__all__} & {module.name for module in pkgutil.iter_modules(inpaint.__path__)}
    assert inpaint.Refused is ConfigError.__mro__[1]
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = inpaint.trian


@pytest.mark.parametrize(
    ("code", "light"),
    [
        ("import inpaint; dir(inpaint)", "torch lightning hydra omegaconf numpy"),
        ("from inpaint import options, rows; options('losses')", "torch lightning kornia wandb"),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_used(code, light, tmp_path):
    code = f"{code}\nimport sys\nheavy = {{*{light.split()}}} & {{*sys.modules}}\nassert not heavy, heavy"
    environment = {**os.environ, "PYTHONPATH": str(Path(inpaint.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# ---- runs -----------------------------------------------------------------------------------------------------------


def test_a_process_is_after_a_run_as_it_was_before(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tiny = ("+debug=tiny", "trainer.max_steps=1", "generator=context_encoder")
    with pytest.raises(inpaint.Refused, match="one needs the other"):
        inpaint.fit(*tiny, adversarial="none", discriminator="patch")
    state, draws, handler = torch.get_rng_state(), random.getstate(), signal.getsignal(signal.SIGINT)
    # A name that Hydra's grammar would take apart, and a list in which it would see a sweep.
    run = inpaint.fit(*tiny, folder="a run, of=mine [1]", losses=["l1", "l2"], name="a, b: c")
    assert run == Path("a run, of=mine [1]") and (run / "summary.json").is_file()
    assert torch.equal(torch.get_rng_state(), state) and random.getstate() == draws
    assert signal.getsignal(signal.SIGINT) is handler and not GlobalHydra.instance().is_initialized()
    assert [row["method"] for row in inpaint.rows(run) if row["area"] == "all"] == ["a, b: c"]
    config = OmegaConf.load(run / "config.yaml")
    assert [*config.losses] == ["l1", "l2"] and config.generator["_target_"].endswith("ContextEncoder")
    capsys.readouterr()
    inpaint.fit(*tiny, folder=run, losses=["l1", "l2"], name="a, b: c")
    assert capsys.readouterr().out == "a run, of=mine [1] is finished, nothing to do\n"


def test_a_run_is_the_commands(notebook, command, tmp_path):
    folder, _ = notebook
    command(train, "+debug=tiny", "trainer.max_steps=2", "losses=[l1,ssim]", "hydra.run.dir=one")
    ours, theirs = (
        checkpoint.generator_state(checkpoint.load(run)) for run in (folder / "runs/mine", tmp_path / "one")
    )
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_what_is_built_trains(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parts = inpaint.build("+debug=tiny", "trainer.max_steps=1", generator="context_encoder", discriminator="none",
                          adversarial="none")  # fmt: skip
    assert isinstance(parts.module, InpaintingGAN) and parts.module.discriminator is None
    parts.trainer.fit(parts.module, parts.data)
    assert parts.trainer.global_step == 1


def test_a_hydra_that_is_at_work_in_the_process_stays(tmp_path, monkeypatch):
    import hydra

    monkeypatch.chdir(tmp_path)
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        theirs = GlobalHydra.instance().hydra
        assert "l1" in inpaint.options("losses")
        assert GlobalHydra.instance().hydra is theirs


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: inpaint.build(losses="l3"), "losses=l3: no such option"),
        (lambda: inpaint.build("seed=1,2"), "seed"),
        (lambda: inpaint.build(seed=object()), "seed: give texts, numbers, lists and dicts; got object"),
        (lambda: inpaint.build("x" * 20_000), "an argument of 20000 characters"),
        (lambda: inpaint.measure(baselines=[]), "checkpoint: nothing to evaluate"),
        (lambda: inpaint.load("nowhere"), "checkpoint: nowhere does not exist"),
        (lambda: inpaint.load("here", generator="mean"), "give checkpoint=... or a fill"),
        (lambda: inpaint.load(generator="telia"), "generator: give one of .*did you mean telea?"),
        (lambda: inpaint.load(generator="mat"), "must be trained first"),
        (lambda: inpaint.options("loses"), "loses: no such group; did you mean losses?"),
        (lambda: inpaint.rows("nowhere"), "nowhere: no such folder"),
        (lambda: inpaint.rows("."), ".: no run folder"),
        (lambda: inpaint.rows("nowhere", table="metric"), "table: give one of results.*did you mean metrics?"),
    ],
)
def test_bad_input_is_refused(call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(inpaint.Refused, match=message.replace("[", r"\[").replace("?", r"\?")) as caught:
        call()
    assert len(str(caught.value).splitlines()) == 1


def test_the_options_are_those_of_the_configs():
    files = {path.stem for path in (conf_dir() / "losses").glob("*.yaml")}
    assert inpaint.options("losses") == sorted(files)
    assert "aot_gan" in inpaint.options("experiment") and "_long" not in inpaint.options("experiment")


# ---- tables ---------------------------------------------------------------------------------------------------------


def test_rows_of_several_runs(notebook, monkeypatch):
    folder, _ = notebook
    monkeypatch.chdir(folder)
    found = inpaint.rows("runs/mine", "runs/mean")
    assert {row["run"] for row in found} == {"runs/mine", "runs/mean"} and [*found[0]][:3] == ["run", "area", "method"]
    logged = inpaint.rows("runs", table="metrics")
    assert {row["run"] for row in logged} == {"runs/mine"}  # evaluations have none
    assert {type(row["step"]) for row in logged} == {int}
    assert math.isfinite(logged[0]["test/hole_psnr"]) and math.isnan(logged[0]["test/ms_ssim"])
    for row in inpaint.rows("runs/mean", table="validation"):
        assert len(row["image_sha256"]) == 64 and 0 < row["hole_area"] < 1
    with pytest.raises(inpaint.Refused, match=r"table: runs/mean has no metrics\.csv"):
        inpaint.rows("runs/mean", table="metrics")


def test_a_line_that_is_being_written_is_left_out(tmp_path):
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    (tmp_path / "metrics.csv").write_text("step,train/l1\n0,0.5\n1")
    assert [row["step"] for row in inpaint.rows(tmp_path, table="metrics")] == [0]


# ---- repairing ------------------------------------------------------------------------------------------------------


class Shift(torch.nn.Module):
    """Paints everything, the known pixels too, a little off and partly out of range."""

    def forward(self, image, mask):
        from inpaint.batch import Outputs

        painted = image * 0 + torch.linspace(-1.5, 1.5, image.shape[-1])
        return Outputs(output=painted, composite=painted)


HEIGHT, WIDTH = 37, 53
PICTURE = smooth_picture(3, HEIGHT, WIDTH)
HOLE = np.zeros((HEIGHT, WIDTH), dtype=bool)
HOLE[5:30, 10:40] = True


def as_tensor(picture):
    return torch.from_numpy(picture).permute(2, 0, 1)


KINDS = {
    "uint8": PICTURE,
    "float32": PICTURE.astype(np.float32) / 255,
    "float64": PICTURE / 255,
    "reversed": PICTURE[:, ::-1],
    "uint8 tensor": as_tensor(PICTURE),
    "tensor": from_uint8(as_tensor(PICTURE)),
    "batch": from_uint8(torch.stack([as_tensor(PICTURE), as_tensor(PICTURE).flip(0)])),
    "half": from_uint8(as_tensor(PICTURE)).half(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_known_stays_and_the_kind_too(kind):
    image = KINDS[kind]
    before = image.clone() if isinstance(image, torch.Tensor) else image.copy()
    array = isinstance(image, np.ndarray)
    result = predictor.Predictor(Shift())(image, HOLE if array else torch.from_numpy(HOLE))
    assert type(result) is type(image) and result.dtype == image.dtype and result.shape == image.shape
    same = (result == image).all(-1) if array else (result == image).movedim(-3, -1).all(-1)
    assert bool(same[..., ~torch.from_numpy(HOLE)].all()) if not array else same[~HOLE].all()
    assert (image == before).all()
    low, high = (0, 255) if "uint8" in kind else (0, 1) if array else (-1, 1)
    low = 0 if kind in ("uint8", "uint8 tensor", "reversed") else low
    high = 255 if kind == "reversed" else high
    painted = result[HOLE] if array else result[..., torch.from_numpy(HOLE)]
    assert low <= painted.min() < painted.max() <= high and painted.max() - painted.min() > 0.5 * (high - low)


def test_all_kinds_are_repaired_alike():
    """By hand for bytes; floats are the bytes' to the rounding."""
    image = from_uint8(as_tensor(PICTURE))[None]
    batch = Batch(image=image, mask=torch.from_numpy(HOLE)[None, None].float(), index=torch.zeros(1, dtype=torch.int64))
    expected = to_uint8(paint(Mean(), batch).composite)[0].permute(1, 2, 0).numpy()
    repair = predictor.Predictor(Mean())
    assert np.array_equal(repair(PICTURE, HOLE), expected)
    assert np.abs(repair(KINDS["float64"], HOLE) * 255 - expected).max() <= 0.5 + 1e-4
    painted = repair(KINDS["batch"], torch.from_numpy(HOLE))
    assert torch.equal(to_uint8(painted)[0].permute(1, 2, 0), torch.from_numpy(expected))


@pytest.mark.parametrize("mask", [HOLE.astype(np.uint8), HOLE * np.uint8(255), HOLE.astype(float), HOLE[None]])
def test_masks_of_every_kind(mask):
    repair = inpaint.load(generator="mean", device="cpu")
    assert np.array_equal(repair(PICTURE, mask), repair(PICTURE, HOLE))


def test_each_picture_of_a_batch_may_have_its_own_hole():
    repair = predictor.Predictor(Mean())
    holes = torch.stack([torch.from_numpy(HOLE), torch.from_numpy(HOLE).flip(1)])[:, None]
    both = repair(KINDS["batch"], holes)
    for place in (0, 1):
        assert torch.equal(both[place], repair(KINDS["batch"][place], holes[place]))


def test_a_trained_generator_repairs_as_the_checkpoint_says(notebook):
    folder, _ = notebook
    network = load_generator(checkpoint.load(folder / "runs/mine"))
    image = from_uint8(as_tensor(PICTURE))
    mask = torch.from_numpy(HOLE)[None]
    batch = Batch(image=image[None], mask=mask[None].float(), index=torch.zeros(1, dtype=torch.int64))
    assert torch.equal(
        inpaint.load(folder / "runs/mine")(image, mask)[None], paint(network, batch).composite.clamp(-1, 1)
    )


@pytest.mark.parametrize(
    ("image", "mask", "message"),
    [
        ("photo.png", HOLE, "image: give a picture of Pillow, an array of numpy or a tensor; got str"),
        (PICTURE[..., 0], HOLE, r"image: give RGB, \(H, W, 3\) or \(B, H, W, 3\); got \(37, 53\)"),
        (PICTURE[:0], HOLE[:0], "image: give RGB"),
        (torch.from_numpy(PICTURE), HOLE, r"image: give RGB, \(3, H, W\) or \(B, 3, H, W\)"),
        (PICTURE.astype(int), HOLE, "image: give uint8, uint16 or floats; got int64"),
        (PICTURE.astype(float), HOLE, r"image: floats are in \[0, 1\]; they lie in"),
        (PICTURE / 127.5 - 1, HOLE, r"image: floats are in \[0, 1\]"),
        (np.full((37, 53, 3), np.nan), HOLE, r"image: floats are in \[0, 1\]"),
        (PICTURE, HOLE[:-1], "mask: give one number for each pixel of 37 x 53"),
        (PICTURE, HOLE * 0.5, "mask: give true and false, 1 and 0, or 255 and 0"),
        (PICTURE, HOLE.astype(object), "mask: an array of object holds no pixels"),
    ],
)
def test_bad_arrays_are_refused(image, mask, message):
    with pytest.raises(inpaint.Refused, match=message):
        predictor.Predictor(Mean())(image, mask)
