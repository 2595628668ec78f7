"""What the README and the rooms' pages say is so: commands compose, options, paths and links exist."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import hydra
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep
from omegaconf import DictConfig, OmegaConf

from inpaint.cli.command import bounded_yaml
from inpaint.config import conf_dir
from inpaint.exchange.import_ import with_files

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = [
    *(ROOT / name for name in ("README.md", "experiments/README.md", "tests/reliability/README.md")),
    *sorted((ROOT / "inpaint").rglob("README.md")),
]
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text() for page in PAGES}
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
    for group in ("generator", "discriminator", "adversarial", "losses", "masks", "degradation", "data", "optimizer",
                  "scheduler", "logger", "refine", "experiment", "sweep"):  # fmt: skip
        options = {path.stem for path in (ROOT / "conf" / group).glob("[a-z]*.yaml")}
        assert stated[group] == options, group


# ---- all pages ---------------------------------------------------------------------------------------------------


def blocks(text):
    """The lines of a page that are typed: continued lines joined, comments left out."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    typed = "\n".join(block for language, block in fenced if not language).replace("\\\n", " ")
    return [words for line in typed.splitlines() if (words := shlex.split(line, comments=True))]


def inline(text):
    """What a page has in single backquotes, outside of its blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


HYDRA = {
    (page, " ".join(words)): words
    for page, text in TEXTS.items()
    for words in blocks(text)
    if words[0].startswith("inpaint-") and words[0] not in ("inpaint-compare", "inpaint-study")
}


def first_value(override):
    """`key=1` of ``key=1,2``, and of an interval its lower end, since only a single run can be composed."""
    if not override.is_sweep_override():
        return override.input_line
    value = override.value()
    first = value.start if isinstance(value, IntervalSweep) else next(iter(override.sweep_string_iterator()))
    return f"{override.get_key_element()}={first}"


@pytest.mark.parametrize(("page", "line"), HYDRA)
def test_a_command_composes(page, line):
    name, *arguments = HYDRA[page, line]
    overrides = [word for word in arguments if word != "-m"]
    overrides = with_files(overrides) if name == "inpaint-import" else overrides
    parsed = OverridesParser.create().parse_overrides(overrides)
    name = name.removeprefix("inpaint-")
    with bounded_yaml(), hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        hydra.compose(name, [first_value(override) for override in parsed], return_hydra_config=True)


def test_there_are_commands_of_every_kind():
    names = ("train", "evaluate", "predict", "preview", "probe", "import", "export", "sample", "stylise")
    assert {words[0] for words in HYDRA.values()} == {f"inpaint-{name}" for name in names}
    others = {words[0] for text in TEXTS.values() for words in blocks(text)}
    assert {"inpaint-compare", "inpaint-study", "make", "wandb"} <= others


@pytest.mark.parametrize(
    ("command", "source"), [("inpaint-compare", "compare/command.py"), ("inpaint-study", "study/__main__.py")]
)
def test_switches_exist(command, source):
    known = {*re.findall(r'"(--[a-z-]+)"', (ROOT / "inpaint" / source).read_text())}
    page = TEXTS[f"inpaint/{source.split('/')[0]}/README.md"]
    named = {*re.findall(r"(?<![\w-])--[a-z-]+", page)}
    assert named and named <= known
    assert any(words[0] == command for words in blocks(page))


def keys(node, path):
    """Dotted keys of a config and of all that is in it."""
    for key in node:
        yield f"{path}{key}"
        if not OmegaConf.is_missing(node, key) and isinstance(inner := node._get_node(key), DictConfig):
            yield from keys(inner, f"{path}{key}.")


def known_keys():
    found = {"hydra"}
    for file in conf_dir().rglob("*.yaml"):
        group = file.relative_to(conf_dir()).parent.as_posix()
        anywhere = group in (".", "predict") or "# @package _global_" in file.read_text()
        for key in keys(OmegaConf.load(file), "" if anywhere else f"{group}."):
            found.add(key)
            if group in ("optimizer", "scheduler"):
                found |= {key.replace(group, f"{network}_{group}", 1) for network in ("generator", "discriminator")}
    return found


def test_settings_and_options_exist():
    known = known_keys()
    lasts = {key.rpartition(".")[2] for key in known} | {"key", "group", "end"}  # a sentence on grammar, and a tag
    groups = {path.name for path in conf_dir().iterdir() if path.is_dir()}
    for page, text in TEXTS.items():
        for code in inline(text):
            for added, key, value in re.findall(r"(?<![\w.+$/@-])(\+?)([a-z_][\w.@]*)=([\w,\[\]]*)", code):
                group = key.partition("@")[0]
                if group in groups:
                    chosen = {option for option in re.findall(r"\w+", value) if not option.isupper()}
                    options = {path.stem for path in (conf_dir() / group).glob("*.yaml")}
                    assert chosen <= options | {"mine", "name", "option"}, f"{page}: {code}"
                elif not added and not key.startswith("hydra."):  # Hydra has keys of its own, and + adds new ones
                    assert key in known or ("." not in key and key in lasts), f"{page}: {code}"


def test_links_resolve():
    for page, text in TEXTS.items():
        for target in re.findall(r"\]\(((?!http)[^)]+)\)", text):
            name, _, anchor = target.partition("#")
            file = (ROOT / page).parent / name
            assert file.is_file() and file.resolve().is_relative_to(ROOT), f"{page}: {target}"
            headings = [line.lstrip("# ").lower() for line in file.read_bytes().decode(errors="ignore").splitlines()]
            assert not anchor or anchor in (heading.replace(" ", "-") for heading in headings), f"{page}: {target}"


def test_paths_exist():
    room = {page: (ROOT / page).parent for page in TEXTS}
    for page, text in TEXTS.items():
        for name in inline(text):
            if re.fullmatch(r"(?:inpaint|conf|tests|experiments)/[\w./-]+", name) and not name.endswith("mine.yaml"):
                exists = (ROOT / name).exists() or name.endswith("/X.yaml")
                assert exists, f"{page}: {name}"
            elif re.fullmatch(r"\w+\.py", name):
                assert (room[page] / name).is_file(), f"{page}: {name}"


def test_make_targets_exist():
    targets = {*re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)}
    for page, text in TEXTS.items():
        for code in [*inline(text), *(" ".join(words) for words in blocks(text))]:
            if code.startswith("make "):
                words = [word for word in code.split()[1:] if "=" not in word]
                assert {*words} <= targets, f"{page}: {code}"


def test_every_room_with_a_page_is_linked_and_the_door_is_short():
    linked = {*re.findall(r"\]\(([^)#]+)\)", README)}
    assert {page.relative_to(ROOT).as_posix() for page in PAGES} - {"README.md"} <= linked
    assert len(README.splitlines()) <= 160
    for page, text in TEXTS.items():
        assert all(len(line) <= 120 for line in text.splitlines() if not line.startswith("|")), page


def test_every_file_of_faults_is_in_their_list():
    listed = {*re.findall(r"`(test_\w+\.py)`", TEXTS["tests/reliability/README.md"])}
    assert listed == {path.name for path in (ROOT / "tests" / "reliability").glob("test_*.py")}


def test_nobody_is_told_to_install_the_program_of_somebody_else():
    """`inpaint` on PyPI is another program: what is installed is a checkout, a wheel or what is needed beside it."""
    libraries = {
        "pre-commit",
        "av",
        "wandb",
        "datasets",
        "fsspec",
        "pycocotools",
        "onnxruntime",
        "onnxscript",
        "rapidocr-onnxruntime",
        "starlette",
        "tensorboard",
    }
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    named = []
    for name in tracked.splitlines():
        if name.endswith((".py", ".md", ".yaml", ".ipynb")) and not name.startswith("tests/"):
            named += re.findall(r"pip install ((?:-c \S+ |--no-deps |-e )*)'?([\w./-]+)", (ROOT / name).read_text())
    assert len(named) > 5
    for options, what in named:
        assert (
            what in (".", "experiments/008-own-parts")
            or what.endswith(".whl")
            or (what in libraries and "-e" not in options)
        ), what


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
