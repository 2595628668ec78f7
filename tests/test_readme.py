"""What the README says is so: its commands run, its options are those that exist."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
SMALL = "trainer.max_steps=2 baselines=[mean] data.validation_crops=1 generator.width=8"


def make(*arguments, cwd=ROOT, timeout=900, **environment):
    done = subprocess.run(
        ["make", *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_make_train_in_the_environment_of_this_test(tmp_path):
    venv = sys.prefix
    if not Path(venv, "bin", "inpaint-train").exists():
        pytest.skip("inpaint is not installed in this environment")
    printed = make(
        *("-o", f"{venv}/.ready", "train", f"VENV={venv}"),
        f"ARGS={SMALL} hydra.run.dir={tmp_path}/run",
    )
    assert "next:" in printed and (tmp_path / "run" / "results.md").is_file()


def test_make_test_is_what_ci_runs():
    assert "exec make test" in (ROOT / ".ci" / "run").read_text()
    printed = make("-n", "test")
    for word in ("ruff check", "ruff format --check", "mypy", "pytest"):
        assert word in printed


def test_make_help_lists_every_target():
    printed = make("help")
    for target in re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE):
        assert f"make {target}" in printed


def test_the_option_table_is_complete():
    rows = dict(re.findall(r"^\| (`[^|]+`) \| (.+) \|$", README.split("## Options")[1].split("##")[0], re.MULTILINE))
    stated = {}
    for groups, text in rows.items():
        for group in re.findall(r"`\+?([a-z]+)[^`]*`", groups):
            stated.setdefault(group, set()).update(re.findall(r"`([a-z0-9_]+)`", text))
    for group in ("generator", "discriminator", "adversarial", "losses", "masks", "data", "optimizer", "scheduler",
                  "logger", "experiment", "sweep"):  # fmt: skip
        options = {path.stem for path in (ROOT / "conf" / group).glob("[a-z]*.yaml")}
        assert stated[group] == options, group


def test_pictures_and_files_that_the_readme_names_exist():
    for name in re.findall(r"\]\(((?!http)[^)]+)\)", README):
        assert (ROOT / name).is_file(), name
    for name in re.findall(r"`((?:inpaint|conf|tests|experiments)/[a-z0-9_./-]+)`", README):
        assert (ROOT / name.rstrip("/")).exists(), name


@pytest.mark.slow
def test_the_two_commands_on_an_empty_machine(tmp_path):
    """Clone, train (which installs), train again (which does not), and the tests' own commands."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    clean = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    clean["PATH"] = os.pathsep.join(p for p in clean["PATH"].split(os.pathsep) if not p.startswith(sys.prefix))
    python = shutil.which("python3", path=clean["PATH"])
    for expected in ("pip install", ""):
        done = subprocess.run(
            ["make", "train", f"PYTHON={python}", f"ARGS={SMALL}"],
            cwd=clone, env=clean, capture_output=True, text=True, timeout=1800,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        assert "next:" in done.stdout
        assert ("pip install" in done.stdout) == bool(expected)
