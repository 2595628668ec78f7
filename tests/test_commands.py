"""The commands as a user types them: real processes, real photographs, small settings."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2  # noqa: F401  it sets a variable of its own when it is imported
import numpy as np
import pytest
from PIL import Image

from inpaint import table
from tests.wandb_records import sessions

ROOT = Path(__file__).parents[1]
SMALL = [
    "trainer.max_steps=4",
    "trainer.val_check_interval=2",
    "trainer.log_every_n_steps=1",
    "callbacks.checkpoint.every=2",
    "callbacks.panel.every=2",
    "data.validation_crops=4",
    "data.batch_size=4",
    "generator.width=8",
    "discriminator.width=8",
]


def run(command, *arguments, cwd, code=0, **environment):
    """`inpaint-<command>` in `cwd`; returns the finished process after checking its exit code."""
    done = subprocess.run(
        [sys.executable, "-m", f"inpaint.{command}", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


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
        "results.md",
        "summary.json",
        "validation.csv",
    ):
        assert (folder / name).stat().st_size > 0, name
    assert sorted(p.name for p in (folder / "panels").iterdir()) == ["update_00000002.png", "update_00000004.png"]
    assert [p.name for p in sorted((folder / "checkpoints").glob("*.ckpt"))][-1] == "update_00000004.ckpt"
    lines = list(csv.DictReader((folder / "metrics.csv").open()))
    columns = {name for line in lines for name, value in line.items() if value}
    assert {"train/l1", "train/adversarial", "train/discriminator", "val/hole_psnr", "test/hole_psnr"} <= columns
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["updates"] == 4 and summary["method"] == "residual_unet"


def test_the_last_lines_say_where_it_is_and_what_to_try_next(trained):
    folder, printed = trained
    last = printed.strip().splitlines()[-5:]
    assert f"the run is in runs/{folder.name}" in last[0] and last[1] == "next:"
    assert [line.split()[0] for line in last[2:]] == ["inpaint-evaluate", "inpaint-predict", "inpaint-train"]
    assert "Traceback" not in printed and "Warning" not in printed


def test_the_table_has_every_method_in_every_row_of_hole_area(trained):
    folder, printed = trained
    rows = table.read_csv(folder / "results.csv")
    methods = ["residual_unet", "mean", "harmonic"]
    for area in {row.area for row in rows}:
        assert [row.method for row in rows if row.area == area] == methods
    whole = {row.method: row for row in rows if row.area == table.ALL}
    assert whole["harmonic"].images == 16 and whole["harmonic"].means["hole_psnr"] > whole["mean"].means["hole_psnr"]
    assert sum(row.images for row in rows if row.method == "mean") == 2 * 16
    for method in methods:
        assert method in printed
    assert "| all | harmonic | 16 |" in (folder / "results.md").read_text()


def test_the_same_run_again_goes_on_where_it_stopped(tmp_path):
    # At a constant rate: a cosine of two updates is not the beginning of a cosine of four.
    constant = [*SMALL, "baselines=[]", "scheduler@generator_scheduler=none"]
    run("train", *constant, "hydra.run.dir=one", "trainer.max_steps=2", cwd=tmp_path)
    again = run("train", *constant, "hydra.run.dir=one", cwd=tmp_path)
    assert "going on from one/checkpoints/update_00000002.ckpt" in again.stdout
    run("train", *constant, "hydra.run.dir=whole", cwd=tmp_path)
    curves = []
    for place in ("one", "whole"):
        rows = list(csv.DictReader((tmp_path / place / "metrics.csv").open()))
        curves.append([(row["step"], row["train/l1"], row["val/hole_psnr"]) for row in rows if row["train/l1"]])
        curves[-1] += [row.means["hole_psnr"] for row in table.read_csv(tmp_path / place / "results.csv")]
    assert curves[0] == curves[1] and [row[0] for row in curves[0][:4]] == list("0123")

    done = run("train", *constant, "hydra.run.dir=one", "generator.width=4", cwd=tmp_path, code=2)
    assert "belongs to another run (generator.width 8 -> 4)" in done.stderr
    done = run("train", *constant, "hydra.run.dir=one", "resume=never", cwd=tmp_path, code=2)
    assert "resume: never, but one holds a run" in done.stderr


def test_a_folder_of_photographs(photo_folder, tmp_path):
    arguments = ["data=folder", f"data.root={photo_folder}", "data.validation=0.4", "data.crops_per_image=4"]
    done = run("train", *SMALL, *arguments, "baselines=[]", "data.crop=48", cwd=tmp_path)
    assert " to train, " in done.stdout and "crops of 48 px" in done.stdout


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
    "number": (["data.batch_size=0"], "data.batch_size: 0 is no whole number from 1 up"),
    "resume": (["resume=nothing.ckpt"], "nothing.ckpt does not exist"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_settings(case, tmp_path):
    arguments, message = BAD[case]
    done = run("train", *arguments, cwd=tmp_path, code=2)
    assert message in done.stderr and done.stderr.startswith("inpaint-train: ")
    assert len(done.stderr.strip().splitlines()) == 1 and "update" not in done.stdout


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("empty", "data.root: no images"),
        ("small", "p3.png (90x20) is smaller than data.crop=64"),
        ("unreadable", "p3.png: not a readable jpg, png or webp picture"),
    ],
)
def test_bad_photographs(content, message, tmp_path):
    folder = bad_folder(tmp_path, content)
    done = run("train", "data=folder", f"data.root={folder}", "data.validation=0.4", cwd=tmp_path, code=2)
    assert message in done.stderr and len(done.stderr.strip().splitlines()) == 1


# ---- inpaint-evaluate -------------------------------------------------------------------------------------------


def test_evaluate_prints_the_training_runs_table_from_the_checkpoint_alone(trained, tmp_path):
    folder, _ = trained
    newest = sorted((folder / "checkpoints").glob("*.ckpt"))[-1]
    arguments = [f"checkpoint={newest}", "baselines=[mean,harmonic]", f"hydra.run.dir={tmp_path}"]
    done = run("evaluate", *arguments, cwd=tmp_path)
    ours, theirs = (table.read_csv(place / "results.csv") for place in (tmp_path, folder))
    for row, other in zip(ours, theirs, strict=True):
        assert (row.area, row.method, row.images) == (other.area, other.method, other.images)
        for name in ("hole_l1", "hole_psnr", "psnr", "ssim"):
            assert row.means[name] == other.means[name]
    assert "residual_unet" in done.stdout


def test_evaluate_other_holes_and_crops_says_so(trained, tmp_path):
    folder, _ = trained
    arguments = [f"checkpoint={folder}", "baselines=[]", "masks=centre", "data.crop=48", f"hydra.run.dir={tmp_path}"]
    done = run("evaluate", *arguments, cwd=tmp_path)
    assert "data: data.crop=48, not as in training" in done.stdout
    assert "masks: masks=centre, not as in training" in done.stdout
    assert [row.area for row in table.read_csv(tmp_path / "results.csv")] == ["20-30 %", "all"]


def test_evaluate_a_fill_alone(tmp_path):
    run(
        "evaluate", "generator=telea", "baselines=[mean]", "data.validation_crops=2", f"hydra.run.dir={tmp_path}",
        cwd=tmp_path,
    )  # fmt: skip
    assert {row.method for row in table.read_csv(tmp_path / "results.csv")} == {"telea", "mean"}


def test_evaluate_bad_input(tmp_path):
    (tmp_path / "page.ckpt").write_text("<html>")
    for arguments, message in (
        (["checkpoint=page.ckpt"], "page.ckpt is not a checkpoint"),
        (["generator=residual_unet"], "ResidualUNet must be trained first"),
        (["baselines=[]"], "nothing to evaluate"),
        (["chekpoint=x"], "did you mean checkpoint?"),
    ):
        done = run("evaluate", *arguments, cwd=tmp_path, code=2)
        assert message in done.stderr and len(done.stderr.strip().splitlines()) == 1


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
    done = run("predict", f"checkpoint={folder}", "images=images", "masks=masks", "output=out", cwd=pictures)
    assert done.stdout.strip().splitlines()[-1] == "4 pictures repaired, in out"
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
        "predict", "generator=mean", "images=images/a.png", "masks=masks/a.png", "output=out", cwd=pictures
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
    "name": ("z", GREY, "masks: 1 of 1 pictures have no mask"),
}


@pytest.mark.parametrize("case", BAD_MASKS)
def test_predict_bad_masks_are_found_before_work_starts(case, pictures):
    name, content, message = BAD_MASKS[case]
    path = pictures / "other" / f"{name}.png"
    path.parent.mkdir()
    if isinstance(content, str):
        path.write_text(content)
    else:
        Image.fromarray(content).save(path)
    arguments = ["generator=mean", "images=images/a.png", "masks=other", "output=out"]
    done = run("predict", *arguments, cwd=pictures, code=2)
    assert message in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not (pictures / "out").exists()


def test_predict_bad_settings(pictures):
    arguments = ["images=images", "masks=masks", "output=out"]
    done = run("predict", *arguments, cwd=pictures, code=2)
    assert "give checkpoint=... or a fill" in done.stderr
    done = run("predict", "generator=mean", *arguments[:-1], "output=images", cwd=pictures, code=2)
    assert "is an input and would be overwritten" in done.stderr
    done = run("predict", "generator=mean", "masks=masks", "output=out", cwd=pictures, code=2)
    assert "images: needs a value" in done.stderr


# ---- a sweep and its leaderboard --------------------------------------------------------------------------------


def test_the_readmes_sweep_and_its_leaderboard(tmp_path):
    run(
        "train", "-m", "generator=context_encoder,residual_unet", "losses=[l1],[l2]", "adversarial=hinge,none",
        "baselines=[]", "trainer.max_steps=2", "data.validation_crops=2", "hydra.sweep.dir=multirun/one",
        cwd=tmp_path,
    )  # fmt: skip
    assert sorted(p.name for p in (tmp_path / "multirun" / "one").iterdir() if p.is_dir()) == list("01234567")
    done = run("compare", "multirun/one", cwd=tmp_path)
    for word in ("ContextEncoder", "ResidualUNet", "l1", "l2", "Hinge", "none"):
        assert word in done.stdout
    ranks = [line.split()[0] for line in done.stdout.splitlines() if line[:1].isdigit()]
    assert ranks == [str(rank) for rank in range(1, 9)]
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


def test_the_wheel_works_from_another_folder(tmp_path):
    """Build it, unpack it elsewhere, and run from there: the configs travel inside."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*install, "--target", str(site), str(wheel)], check=True, capture_output=True, timeout=300)
    assert (site / "inpaint" / "conf" / "train.yaml").is_file()
    assert (site / "inpaint" / "study" / "page" / "index.html").is_file()
    code = (
        "import sys, inpaint\nassert inpaint.__file__.startswith(sys.argv.pop(1))\n"
        "from inpaint.train import main\nmain()"
    )
    arguments = [*SMALL, "baselines=[mean]", "trainer.max_steps=1"]
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(site), *arguments],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "next:" in done.stdout
