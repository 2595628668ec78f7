"""The help of a command, and the papers of the recipes."""

import re

import pytest

from inpaint import evaluate, predict, preview, probe, train
from inpaint.cli.explain import _settings as _all_settings
from inpaint.cli.explain import groups, options
from inpaint.cli.manual import _settings, keys, manual, papers
from inpaint.config import conf_dir
from inpaint.settings import Refused

RECIPES = [file for file in sorted((conf_dir() / "experiment").glob("*.yaml")) if not file.name.startswith("_")]


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_a_recipe_names_its_paper(file):
    text = file.read_text()
    (key,) = keys(text)
    author, year = re.search(r"([A-Z]\w+) et al\. (20\d\d)", text).groups()
    entry = papers()[key]
    assert f"author = {{{author}," in re.sub(" +", " ", entry) and f"{{{year}}}" in entry
    assert text.splitlines()[2] == f"# Paper: {key}, in papers.bib"


def test_every_entry_is_used_and_whole():
    assert {key for file in RECIPES for key in keys(file.read_text())} == {*papers()}
    text = (conf_dir() / "papers.bib").read_text()
    assert text.count("@") == len(papers()) and text.count("{") == text.count("}")
    for entry in papers().values():
        assert {"author", "title", "year"} <= set(re.findall(r"^  (\w+) +=", entry, re.MULTILINE))


def test_what_a_command_is_and_what_there_is_to_choose():
    text = manual("train")
    assert text.startswith("inpaint-train: trains one model") and max(map(len, text.splitlines())) <= 120
    for group in ("losses", "experiment", "optimizer", "sweep"):
        assert re.search(rf"^  {group} ", text, re.MULTILINE), group
    assert "aot_gan" in text and "_long" not in text
    evaluated = manual("evaluate")
    assert re.search(r"^  masks ", evaluated, re.MULTILINE) and "losses" not in evaluated.partition("\n\n")[2]
    assert manual("predict").startswith("inpaint-predict: repairs")


@pytest.mark.parametrize("words", [["help", "aot_gan"], ["help=aot_gan"], ["help", "+experiment=aot_gan"]])
def test_a_recipe_and_its_paper(command, words):
    printed = command(train, *words)
    assert printed.startswith("+experiment=aot_gan\n\nAOT-GAN (Zeng et al. 2021)") and "@package" not in printed
    assert printed.strip().endswith(papers()["zeng2021aggregated"])


def test_an_option_of_several_groups():
    text = manual("train", "edge_connect")
    for line in ("generator=edge_connect", "module=edge_connect", "+experiment=edge_connect"):
        assert line in text.splitlines()
    assert "weight: 1" in manual("evaluate", "masks=boxes") or "_target_: inpaint.masks" in manual("evaluate", "boxes")


def test_what_is_not_there_is_refused(command):
    with pytest.raises(Refused, match=r"help: there is no option, group or setting aot_gun; did you mean aot_gan\?"):
        manual("train", "aot_gun")
    with pytest.raises(Refused, match="no option, group or setting losses=aot"):
        manual("train", "losses=aot")
    assert "did you mean boxes?" in command(evaluate, "help", "boxs", code=2)
    assert command(predict, "help").startswith("inpaint-predict")


@pytest.mark.parametrize("topic", ["generator.aot", "generator=aot", "generator/aot", "aot"])
def test_an_option_is_its_settings_with_their_units_and_its_class(topic):
    text = manual("train", topic)
    assert text.startswith("generator=aot\n\n# AOT-GAN's generator (Zeng et al. 2021)")
    assert "rates: [1, 2, 4, 8]      # dilations of a block's branches, in positions" in text
    assert "inpaint.networks.generators.aot.AOT\n\n    The generator of AOT-GAN" in text and "    Args:\n" in text


def test_a_group_is_its_options_a_line_each():
    lines = manual("train", "losses").splitlines()
    assert {line.split()[0] for line in lines[1:-2]} == {*options("losses")}
    assert any(line.split() == ["l1", "Mean", "absolute", "difference", "of", "pixels."] for line in lines)


SETTINGS = {
    ("train", "data.cache"): "# decoded photographs: device | ram | none",
    ("train", "callbacks.checkpoint.best"): "best: 0                # how many more stay",
    ("train", "seed"): "seed: 0                  # keys the weights",
    ("train", "generator_optimizer.lr"): "lr: 1e-3                 # step size\n    (adam)",
    ("train", "sweep.trials"): "trials: 40                # of the study",
    ("train", "data.augmentation"): "  hue: 0.0               # greatest turn",
    ("train", "losses.l1.per"): "with hole, thin and wide\n                       # holes weigh alike",
    ("evaluate", "lpips"): "# alex | squeeze | vgg, a list",
    ("predict", "mask_threshold"): "# grey level, 1..255",
    ("preview", "freeze"): "# a new folder for the frozen set",
    ("probe", "layer"): "# layer whose output is probed",
}


@pytest.mark.parametrize(("name", "key"), SETTINGS)
def test_a_setting_is_its_line_with_its_comment(name, key):
    text = manual(name, key)
    assert text.startswith(f"{key}\n\n") and SETTINGS[name, key] in text, text


@pytest.mark.parametrize("name", ["train", "evaluate", "predict", "preview", "probe", "sample", "stylise"])
def test_every_setting_of_a_command_has_help(name):
    known = _settings(name)
    lacking = [key for key in _all_settings(name) if key not in known and not key.endswith(("_target_", "_partial_"))]
    # What only holds others, as a group does, is described by them.
    lacking = [key for key in lacking if not any(other.startswith(f"{key}.") for other in known)]
    assert not [
        key for key in lacking if key.partition(".")[0] not in {*groups(), "hydra", "paths", "validation_masks"}
    ]
    assert not [key for key in lacking if "." in key and not key.startswith(("hydra.", "paths."))]


@pytest.mark.parametrize("module", [predict, preview, probe, evaluate])
def test_help_with_dashes_says_whose_it_is_and_where_more_is(command, module):
    name = f"inpaint-{module.__name__.split('.')[-1]}"
    printed = command(module, "--help")
    assert printed.startswith(f"{name} GROUP=OPTION SETTING=VALUE") and f"{name} help says what it does" in printed


def test_parts_of_options_are_not_listed(command):
    """There are ``conf/data/_batches.yaml``, ``conf/experiment/_long.yaml`` and others, with which nothing begins."""
    lines = dict(line.split(": ", 1) for line in command(train, "--help").splitlines() if re.match(r"\w+: \w", line))
    assert lines["data"].split(", ") == options("data") and lines["experiment"].split(", ") == options("experiment")
    assert not [name for listed in lines.values() for name in listed.split(", ") if name.startswith("_")]


@pytest.mark.parametrize(
    ("line", "completed"), [("generator=aot", ["generator=aot"]), ("data=_", []), ("data=dead", ["data=dead_leaves"])]
)
def test_a_shell_completes_options(command, monkeypatch, line, completed):
    """What bash asks after ``eval "$(inpaint-train -sc install=bash)"``, and which function it is told to call."""
    assert "complete -o nospace" in command(train, "-sc", "install=bash")
    line = f"inpaint-train {line}"
    for name, value in {"COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_WORDBREAKS": " "}.items():
        monkeypatch.setenv(name, value)
    assert command(train, "-sc", "query=bash").split() == completed
