"""The help of a command, and the papers of the recipes."""

import re

import pytest

from inpaint import evaluate, predict, train
from inpaint.cli.manual import keys, manual, papers
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
    with pytest.raises(Refused, match=r"help: there is no option aot_gun; did you mean aot_gan\?"):
        manual("train", "aot_gun")
    with pytest.raises(Refused, match="no option losses=aot"):
        manual("train", "losses=aot")
    assert "did you mean boxes?" in command(evaluate, "help", "boxs", code=2)
    assert command(predict, "help").startswith("inpaint-predict")
