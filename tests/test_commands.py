"""The commands as a user types them: real processes, real photographs, small settings."""

import csv
import itertools
import json
import math
import os
import subprocess
import sys
import zipfile

import cv2  # noqa: F401  it sets a variable of its own when it is imported
import numpy as np
import pytest
from PIL import Image

from inpaint import evaluate, predict, train
from inpaint.compare.runs import read as compared_runs
from inpaint.evaluation import intervals, table
from tests.commands import ROOT, SMALL, run
from tests.conftest import smooth_picture
from tests.training.wandb_records import sessions


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small default run with two baselines: its folder and what it printed."""
    cwd = tmp_path_factory.mktemp("cwd")
    done = run("train", *SMALL, "baselines=[mean,harmonic]", "hydra.run.dir=runs/one", cwd=cwd)
    return cwd / "runs" / "one", done.stdout


# ---- inpaint-train ----------------------------------------------------------------------------------------------


def test_the_run_folder_holds_what_it_promises(trained):
    folder, _ = trained
    for name in (
        "config.yaml",
        "versions.json",
        "metrics.csv",
        "results.csv",
        "results.json",
        "results.md",
        "results.tex",
        "records.csv",
        "summary.json",
        "validation.csv",
    ):
        assert (folder / name).stat().st_size > 0, name
    assert sorted(p.name for p in (folder / "panels").iterdir()) == ["update_00000002.png", "update_00000004.png"]
    assert [p.name for p in sorted((folder / "checkpoints").glob("*.ckpt"))][-1] == "update_00000004.ckpt"
    lines = list(csv.DictReader((folder / "metrics.csv").open()))
    columns = {name for line in lines for name, value in line.items() if value}
    assert {"train/l1", "train/adversarial", "train/discriminator", "val/hole_psnr", "test/hole_psnr"} <= columns
    shown = sorted(path.relative_to(folder / "pictures").as_posix() for path in folder.glob("pictures/*/*.png"))
    assert len(shown) == (3 + 3) * 12 and shown[0].startswith("harmonic/") and len({p[-9:] for p in shown}) == 12
    assert json.loads((folder / "results.json").read_text())["measured"]["data"]["crop"] == 64
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["updates"] == 4 and summary["method"] == "residual_unet"


def test_the_last_lines_say_where_it_is_and_what_to_try_next(trained):
    folder, printed = trained
    last = printed.strip().splitlines()[-5:]
    assert f"the run is in runs/{folder.name}" in last[0] and last[1] == "next:"
    assert [line.split()[0] for line in last[2:]] == ["inpaint-evaluate", "inpaint-predict", "inpaint-train"]
    assert "Traceback" not in printed and "Warning" not in printed


def test_a_run_that_saves_nothing_says_so_and_names_no_command_that_would_read_it(command):
    without = [word for word in SMALL if not word.startswith("callbacks.")]
    bare = ["baselines=[]", "callbacks.checkpoint=null", "trainer.max_steps=1", "hydra.run.dir=bare"]
    printed = command(train, *without, *bare)
    assert "callbacks: none of them saves checkpoints" in printed and "callbacks=[default,...]" in printed
    assert "inpaint-evaluate checkpoint" not in printed and "inpaint-train -m" in printed


def test_the_table_has_every_method_in_every_row_of_hole_area(trained):
    folder, printed = trained
    rows = table.read_csv(folder / "results.csv")
    methods = ["residual_unet", "mean", "harmonic"]
    for area in {row.area for row in rows}:
        assert [row.method for row in rows if row.area == area] == methods
    whole = {row.method: row for row in rows if row.area == intervals.ALL}
    assert whole["harmonic"].images == 16 and whole["harmonic"].means["hole_psnr"] > whole["mean"].means["hole_psnr"]
    assert sum(row.images for row in rows if row.method == "mean") == 2 * 16
    for method in methods:
        assert method in printed
    assert "| all | harmonic | 16 |" in (folder / "results.md").read_text()
    shown = printed.partition("hole area")[2].partition("next:")[0]  # what follows is to be copied, on lines as long
    assert "±" in shown and max(map(len, shown.splitlines())) <= 120


def test_the_same_run_again_goes_on_where_it_stopped(command, tmp_path):
    # At a constant rate: a cosine of two updates is not the beginning of a cosine of four.
    constant = [*SMALL, "baselines=[]", "scheduler@generator_scheduler=none"]
    command(train, *constant, "hydra.run.dir=one", "trainer.max_steps=2")
    again = run("train", *constant, "hydra.run.dir=one", cwd=tmp_path)
    assert "going on from one/checkpoints/update_00000002.ckpt" in again.stdout
    command(train, *constant, "hydra.run.dir=whole")
    curves = []
    for place in ("one", "whole"):
        rows = list(csv.DictReader((tmp_path / place / "metrics.csv").open()))
        curves.append([(row["step"], row["train/l1"], row["val/hole_psnr"]) for row in rows if row["train/l1"]])
        curves[-1] += [row.means["hole_psnr"] for row in table.read_csv(tmp_path / place / "results.csv")]
    assert curves[0] == curves[1] and [row[0] for row in curves[0][:4]] == list("0123")

    other, never = ("generator.width=4", "resume=never")
    told = refused(command, train, *constant, "hydra.run.dir=one", other)
    assert "belongs to another run (generator.width 8 -> 4)" in told
    assert "resume: never, but one holds a run" in refused(command, train, *constant, "hydra.run.dir=one", never)


def test_a_folder_of_photographs(photo_folder, command):
    arguments = ["data=folder", f"data.root={photo_folder}", "data.validation=0.4", "data.crops_per_image=4"]
    printed = command(train, *SMALL, *arguments, "baselines=[]", "data.crop=48", "hydra.run.dir=out")
    assert " to train, " in printed and "crops of 48 px" in printed


# ---- bad input: one clear line, exit code 2, no traceback -------------------------------------------------------


def bad_folder(tmp_path, content):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(8):
        path = folder / f"p{number}.png"
        Image.fromarray(np.zeros((80, 80, 3), np.uint8)).save(path)
    if content == "empty":
        for path in folder.iterdir():
            path.unlink()
    elif content == "small":
        Image.new("RGB", (20, 90)).save(folder / "p3.png")
    elif content == "unreadable":
        (folder / "p3.png").write_text("not a picture")
    return folder


BAD = {
    "key": (["generator.widht=8"], "generator.widht: no such setting; did you mean generator.width?"),
    "group": (["generatr=context_encoder"], "generatr: no such setting; did you mean generator?"),
    "option": (["generator=residual_unit"], "generator=residual_unit: no such option; did you mean residual_unet?"),
    "loss": (["losses=[l3]"], "losses=l3: no such option"),
    "experiment": (["+experiment=context_encoders"], "did you mean context_encoder?"),
    "argument": (["+generator.wdth=8"], "generator.wdth: "),
    "syntax": (["seed=="], "seed=="),
    "no adversarial": (["adversarial=none", "discriminator=patch"], "one needs the other, but adversarial=none"),
    "no discriminator": (["discriminator=none"], "one needs the other, but discriminator=none"),
    "untrainable": (["generator=harmonic"], "Harmonic has nothing to train"),
    "no root": (["data=folder"], "data.root: needs a value"),
    "baseline": (["baselines=[telia]"], "baselines: there is no generator telia; did you mean telea?"),
    "zero": (["callbacks.panel.every=0"], "callbacks.panel.every: 0 is less than 1"),
    "device": (["trainer.accelerator=gpu"], "trainer: No supported gpu backend found!"),
    "clip": (["+trainer.gradient_clip_val=1"], "use module.generator_clip"),
    "null": (["discriminator=null"], "discriminator: null is no option; =none is none (there are "),
    "no callbacks": (["callbacks=null"], "callbacks: null is no option; callbacks=[] is none"),
    "overfit": (["+trainer.overfit_batches=1"], "trainer.overfit_batches: each epoch would have other crops and holes"),
    "Lightning's": (
        ["+trainer.limit_val_batches=0.01"],
        "trainer: You requested to check 0.01 of the `val_dataloader`",
    ),
    "half a channel": (["generator.width=32.5"], "generator.width: 32.5 is no whole number from 1 up"),
    "true levels": (["generator.levels=true"], "generator.levels: True is no whole number from 1 up"),
    "number": (["data.batch_size=0"], "data.batch_size: 0 is no whole number from 1 up"),
    "resume": (["resume=nothing.ckpt"], "nothing.ckpt does not exist"),
}


def refused(command, module, *arguments):
    """The one line that a command ends with, in this process; `reliability/test_typos.py` starts a process for it."""
    (line,) = command(module, *arguments, code=2).strip().splitlines()
    assert line.startswith(f"inpaint-{module.__name__.split('.')[-1]}: ")
    return line


@pytest.mark.parametrize("case", BAD)
def test_bad_settings(case, command, tmp_path):
    arguments, message = BAD[case]
    assert message in refused(command, train, *arguments)
    assert not list(tmp_path.rglob("metrics.csv"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("empty", "data.root: no images"),
        ("small", "p3.png (90x20) is smaller than data.crop=64"),
        ("unreadable", "p3.png: not a readable picture (jpg, png, webp, tif, bmp)"),
    ],
)
def test_bad_photographs(content, message, command, tmp_path):
    folder = bad_folder(tmp_path, content)
    assert message in refused(command, train, "data=folder", f"data.root={folder}", "data.validation=0.4")


# ---- inpaint-evaluate -------------------------------------------------------------------------------------------


def test_evaluate_prints_the_training_runs_table_from_the_checkpoint_alone(trained, tmp_path, command):
    folder, _ = trained
    newest = sorted((folder / "checkpoints").glob("*.ckpt"))[-1]
    arguments = [f"checkpoint={newest}", "baselines=[mean,harmonic]", f"hydra.run.dir={tmp_path}"]
    printed = command(evaluate, *arguments)
    ours, theirs = (table.read_csv(place / "results.csv") for place in (tmp_path, folder))
    for row, other in zip(ours, theirs, strict=True):
        assert (row.area, row.method, row.images) == (other.area, other.method, other.images)
        for name in ("hole_l1", "hole_psnr", "psnr", "ssim"):
            assert row.means[name] == other.means[name]
    assert "residual_unet" in printed


def test_evaluate_other_holes_and_crops_says_so(trained, tmp_path, command):
    folder, _ = trained
    arguments = [f"checkpoint={folder}", "baselines=[]", "masks=centre", "data.crop=48", f"hydra.run.dir={tmp_path}"]
    printed = command(evaluate, *arguments)
    assert "data: data.crop=48, not as in training" in printed
    assert "masks: masks=centre, not as in training" in printed
    assert [row.area for row in table.read_csv(tmp_path / "results.csv")] == ["20-30 %", "all"]


def test_evaluate_several_checkpoints_on_the_crops_of_the_first(trained, tmp_path, command):
    folder, _ = trained
    other = ["data.crop=48", "masks@validation_masks=centre", "trainer.max_steps=1", "baselines=[]"]
    command(train, *SMALL, *other, "hydra.run.dir=other")
    both = [f"checkpoint=[{folder},other]", "baselines=[mean]", f"hydra.run.dir={tmp_path / 'out'}", "pictures=1"]
    printed = command(evaluate, *both)
    said = " ".join(printed.split())
    assert "data: residual_unet other was trained with another crop; measured on those of residual_unet one" in said
    assert "masks: residual_unet other was trained with another" in said
    methods = ["residual_unet one", "residual_unet other", "mean"]
    rows = table.read_csv(tmp_path / "out" / "results.csv")
    assert [row.method for row in rows if row.area == intervals.ALL] == methods
    first = table.read_csv(folder / "results.csv")
    whole = [next(row for row in found if row.area == intervals.ALL).means["psnr"] for found in (rows, first)]
    assert whole[0] == whole[1]
    differences = json.loads((tmp_path / "out" / "results.json").read_text())["differences"]
    pairs = {(found["method"], found["reference"]) for found in differences if found["figure"] == "psnr"}
    assert pairs == set(itertools.combinations(methods, 2))
    assert len(list((tmp_path / "out" / "pictures").glob("residual_unet other/*.png"))) == 1
    size = json.loads((folder / "summary.json").read_text())["parameters"]
    counted = {each.method: (each.parameters, each.updates) for each in compared_runs(tmp_path / "out")}
    updates = json.loads((folder / "summary.json").read_text())["updates"]
    assert counted["residual_unet one"] == (size, updates) and counted["residual_unet other"] == (size, 1)
    assert all(math.isnan(number) for number in counted["mean"])


def test_evaluate_a_fill_alone(tmp_path):
    run(
        "evaluate", "generator=telea", "baselines=[mean]", "data.validation_crops=2", f"hydra.run.dir={tmp_path}",
        cwd=tmp_path,
    )  # fmt: skip
    assert {row.method for row in table.read_csv(tmp_path / "results.csv")} == {"telea", "mean"}


@pytest.fixture
def compared(tmp_path):
    """Pictures of two sizes in sub-folders, their masks, and what two tools made of them."""
    generator = np.random.default_rng(0)
    for number in range(8):
        picture = smooth_picture(number, 48, 56 + 8 * (number // 4))
        hole = np.zeros(picture.shape[:2], np.uint8)
        hole[8 : 20 + 2 * number, 10:30] = 255
        name = f"deep/p{number}" if number % 2 else f"p{number}"
        painted = {"images": picture, "masks": hole}
        for tool, noise in (("lama", 10), ("mine", 30)):
            noisy = picture + generator.normal(0, noise, picture.shape)
            painted[tool] = np.where(hole[..., None] > 0, noisy, picture).clip(0, 255).astype(np.uint8)
        for folder, pixels in painted.items():
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / folder / f"{name}.png")
    return tmp_path


FOLDERS = ["results={lama: lama, mine: mine}", "images=images", "holes=masks"]


def test_evaluate_results_of_other_tools_beside_a_checkpoint_and_a_fill(trained, compared, command):
    folder, _ = trained
    (compared / "mine" / "notes.txt").write_text("")
    printed = command(evaluate, *FOLDERS, f"checkpoint={folder}", "baselines=[mean]", "hydra.run.dir=out")
    methods = ["residual_unet", "lama", "mine", "mean"]
    rows = table.read_csv(compared / "out" / "results.csv")
    whole = {row.method: row for row in rows if row.area == intervals.ALL}
    assert list(whole) == methods and all(row.images == 8 for row in whole.values())
    l1, errors = whole["lama"].means["hole_l1"], []
    for path in sorted((compared / "lama").rglob("*.png")):
        name = path.relative_to(compared / "lama")
        truth, painted, hole = (np.array(Image.open(compared / d / name)) for d in ("images", "lama", "masks"))
        errors.append(100 / 255 * np.abs(truth.astype(float) - painted)[hole > 0].mean())
    assert l1 == pytest.approx(np.mean(errors), rel=1e-6)
    assert whole["lama"].low["hole_l1"] < l1 < whole["lama"].high["hole_l1"] < whole["mine"].low["hole_l1"]
    differences = json.loads((compared / "out" / "results.json").read_text())["differences"]
    (found,) = [each for each in differences if [*each.values()][:4] == [intervals.ALL, "hole_l1", "lama", "mine"]]
    assert found["low"] < found["high"] < 0
    assert "†" in printed and "note " not in printed
    assert printed.count("results.mine: left alone, as they are no pictures: 1 .txt") == 1
    records = list(csv.DictReader((compared / "out" / "records.csv").open()))
    assert len(records) == 4 * 8 and {record["ms"] for record in records if record["method"] == "lama"} == {""}
    shown = Image.open(compared / "out" / "pictures" / "lama" / "00000.png")
    assert np.array_equal(shown, Image.open(compared / "lama" / "deep" / "p1.png"))
    names = [line["photograph"] for line in csv.DictReader((compared / "out" / "validation.csv").open())]
    assert names[0] == "deep/p1" and len(names) == 8


def test_evaluate_results_that_do_not_fit(compared, command):
    (compared / "lama" / "p0.png").unlink()
    Image.new("RGB", (5, 5)).save(compared / "mine" / "deep" / "p1.png")
    printed = command(evaluate, *FOLDERS, "baselines=[]", "hydra.run.dir=out", code=2)
    lines = [line.removeprefix("inpaint-evaluate: ") for line in printed.strip().splitlines()]
    assert lines[:2] == [
        "results.lama: 1 missing: p0",
        "results.mine: 1 of another size: deep/p1 (5 x 5 pixels, its picture 56 x 48)",
    ]
    assert len(lines) == 3 and "missing=skip" in lines[2] and not (compared / "out" / "results.csv").exists()


def test_evaluate_bad_input(command, tmp_path):
    (tmp_path / "page.ckpt").write_text("<html>")
    for arguments, message in (
        (["checkpoint=page.ckpt"], "page.ckpt is not a checkpoint"),
        (["generator=residual_unet"], "ResidualUNet must be trained first"),
        (["chekpoint=x"], "did you mean checkpoint?"),
        (["masks=/masks", "images=images"], "masks=/masks: no such option"),
    ):
        assert message in refused(command, evaluate, *arguments)


# ---- inpaint-predict --------------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path):
    """Pictures of any size and kind with their masks."""
    generator = np.random.default_rng(0)
    kinds = {"a": ("RGB", 70, 53), "deep/b": ("RGBA", 33, 90), "deep/c": ("L", 40, 41), "d": ("LA", 20, 31)}
    for name, (mode, height, width) in kinds.items():
        for folder in ("images", "masks"):
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (height, width, 4), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(tmp_path / "images" / f"{name}.png")
        hole = np.zeros((height, width), np.uint8)
        hole[5:17, 8:20] = 255
        suffix = "_mask" if name == "d" else ""
        Image.fromarray(hole).save(tmp_path / "masks" / f"{name}{suffix}.png")
    return tmp_path


def test_predict_changes_nothing_outside_the_hole(trained, pictures):
    folder, _ = trained
    (pictures / "images" / "old.gif").touch()
    done = run("predict", f"checkpoint={folder}", "images=images", "holes=masks", "output=out", cwd=pictures)
    assert done.stdout.strip().splitlines()[-1] == "4 pictures repaired, in out"
    assert "images: left out, of other types than jpg, png, webp, tif, bmp: 1 .gif" in done.stdout
    for name in ("a", "deep/b", "deep/c", "d"):
        before, after = Image.open(pictures / "images" / f"{name}.png"), Image.open(pictures / "out" / f"{name}.png")
        assert before.mode == after.mode and before.size == after.size
        before, after = np.array(before), np.array(after)
        known = np.ones(before.shape[:2], bool)
        known[5:17, 8:20] = False
        assert np.array_equal(before[known], after[known]), name
        assert not np.array_equal(before[~known], after[~known]), name


def test_predict_with_a_fill_one_picture_and_one_mask(pictures):
    run(
        "predict", "generator=mean", "images=images/a.png", "holes=masks/a.png", "output=out", cwd=pictures
    )  # fmt: skip
    before, after = (np.array(Image.open(pictures / place / "a.png")).astype(float) for place in ("images", "out"))
    hole = np.zeros(before.shape[:2], bool)
    hole[5:17, 8:20] = True
    assert np.abs(after[hole] - before[~hole].mean(axis=0)).max() <= 1


GREY = np.tile(np.arange(53, dtype=np.uint8), (70, 1))
BAD_MASKS = {
    "size": ("a", np.zeros((70, 54), np.uint8), "the mask has 54 x 70 pixels, its picture images/a.png has 53 x 70"),
    "grey": ("a", GREY, "a.png: not a binary mask, it has 53 grey levels from 0 to 52"),
    "text": ("a", "no picture", "a.png: not a readable"),
    "name": ("z", GREY, "holes: 1 of 1 pictures have no mask"),
}


@pytest.mark.parametrize("case", BAD_MASKS)
def test_predict_bad_masks_are_found_before_work_starts(case, pictures, command):
    name, content, message = BAD_MASKS[case]
    path = pictures / "other" / f"{name}.png"
    path.parent.mkdir()
    if isinstance(content, str):
        path.write_text(content)
    else:
        Image.fromarray(content).save(path)
    arguments = ["generator=mean", "images=images/a.png", "holes=other", "output=out"]
    assert message in refused(command, predict, *arguments)
    assert not (pictures / "out").exists()


def test_predict_bad_settings(pictures, command):
    folders = ["images=images", "holes=masks"]
    for arguments, message in (
        ([*folders, "output=out", "checkpoint=run", "generator=mean"], "checkpoint: "),
        (["generator=mean", *folders, "output=images"], "is an input and would be overwritten"),
        (
            ["generator=mean", "holes=masks", "output=out"],
            "images: give pictures, images=..., or the frames of a video",
        ),
    ):
        assert message in refused(command, predict, *arguments)


# ---- a sweep and its leaderboard --------------------------------------------------------------------------------


@pytest.mark.parametrize("adversarial", ["none", pytest.param("hinge,none", marks=pytest.mark.slow)])
def test_the_readmes_sweep_and_its_leaderboard(tmp_path, adversarial):
    run(
        "train", "-m", "generator=context_encoder,residual_unet", "losses=[l1],[l2]", f"adversarial={adversarial}",
        "baselines=[]", "trainer.max_steps=2", "data.validation_crops=2", "hydra.sweep.dir=multirun/one",
        "data.batch_size=4", "generator.width=8",
        cwd=tmp_path,
    )  # fmt: skip
    games = adversarial.split(",")
    jobs = 4 * len(games)
    assert sorted(p.name for p in (tmp_path / "multirun" / "one").iterdir() if p.is_dir()) == list("01234567"[:jobs])
    done = run("compare", "multirun/one", cwd=tmp_path)
    for word in ("ContextEncoder", "ResidualUNet", "l1", "l2", *(["Hinge", "none"] if len(games) > 1 else [])):
        assert word in done.stdout
    ranks = [line.split()[0] for line in done.stdout.splitlines() if line[:1].isdigit()]
    assert len(ranks) == jobs and ranks[0] == "1" and ranks == sorted(ranks, key=int), "those that tie share a rank"
    done = run("compare", "nowhere", cwd=tmp_path, code=2)
    assert "no finished run" in done.stderr


# ---- wandb, without account and network -------------------------------------------------------------------------


def test_wandb_offline_stores_config_scalars_and_panels(tmp_path):
    arguments = [*SMALL, "baselines=[]", "logger=wandb", "hydra.run.dir=one"]
    run("train", *arguments, cwd=tmp_path, WANDB_MODE="offline", WANDB_SILENT="true", WANDB_API_KEY="x" * 40)
    (stored,) = sessions(tmp_path / "one")
    config, history = stored.config, stored.history
    assert config["generator.width"] == 8 and config["losses.l1.weight"] == 1.0
    assert "versions.commit" in config and "x" * 40 not in json.dumps(config)
    assert {"generator=residual_unet", "losses=l1", "adversarial=nonsaturating"} <= set(stored.runs[-1].tags)
    steps = [row for row in history if "train/l1" in row]
    assert len(steps) == 4 and all(np.isfinite(row["train/l1"]) for row in steps)
    for name in ("panel", "samples"):
        assert [row["update"] for row in history if name in row or f"{name}/_type" in row] == [1, 3]
    assert any("val/hole_psnr" in row for row in history) and any("test/hole_psnr" in row for row in history)
    pictures = list((tmp_path / "one").glob("wandb/offline-run-*/files/media/images/panel_*.png"))
    assert len(pictures) == 2 and Image.open(pictures[0]).size == (4 * 128, 8 * 128 + 18)
    assert (tmp_path / "one" / "metrics.csv").is_file()


# ---- starting, and the installed package ------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job"]])
def test_help_and_cfg_import_nothing_heavy(arguments, tmp_path):
    code = (
        "import sys\nfrom inpaint.train import main\n"
        f"sys.argv = ['inpaint-train', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'torch', 'lightning', 'kornia', 'wandb', 'cv2', 'skimage'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "generator" in done.stdout
    assert done.stdout.startswith("inpaint-train GROUP=OPTION") == (arguments == ["--help"])


def test_the_wheel_works_from_another_folder(tmp_path):
    """Build it, unpack it elsewhere, and run from there: the configs travel inside."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    assert (site / "inpaint" / "conf" / "train.yaml").is_file() and (site / "inpaint/conf/papers.bib").is_file()
    assert (site / "inpaint" / "study" / "page" / "index.html").is_file()
    assert (site / "hydra_plugins" / "inpaint_sweepers.py").is_file() and (site / "inpaint/conf/sweep").is_dir()
    code = (
        "import sys, inpaint\nassert inpaint.__file__.startswith(sys.argv.pop(1))\n"
        "from inpaint.train import main\nmain()"
    )
    arguments = [*SMALL, "baselines=[mean]", "trainer.max_steps=1", "data.validation_crops=1", "hydra.sweep.dir=sweep"]
    search = ["+sweep=optuna", "sweep.trials=1", "generator_optimizer.lr=interval(1e-4,1e-3)"]  # and finds its sweepers
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(site), *arguments, *search],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "the winner, trained longer:" in done.stdout and (tmp_path / "sweep" / "optuna.json").is_file()
    assert "next:" in (tmp_path / "sweep" / "0" / "job.log").read_text() and "next:" not in done.stdout
