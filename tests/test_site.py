"""The site of the documentation: each setting of conf/ is in a table, with its comment, and no link is dead."""

import importlib.util
import re
import subprocess
import sys

import pytest
from omegaconf import DictConfig, OmegaConf

from inpaint.config import conf_dir
from tests.commands import ROOT

spec = importlib.util.spec_from_file_location("site_of_documentation", ROOT / "experiments" / "site.py")
site = importlib.util.module_from_spec(spec)
spec.loader.exec_module(site)


CONFIGS = sorted(conf_dir().rglob("*.yaml"))


def leaves(node, path=""):
    for key in node:
        inner = node._get_node(key)
        if isinstance(inner, DictConfig) and len(inner):
            yield from leaves(inner, f"{path}{key}.")
        else:
            yield f"{path}{key}"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_setting_is_described(path):
    _, settings = site.described(path.read_text())
    config = OmegaConf.load(path)
    config.pop("defaults", None)
    assert {*leaves(config)} <= {setting.key for setting in settings}


def test_a_comment_may_go_on():
    head, settings = site.described((conf_dir() / "losses" / "l1.yaml").read_text())
    assert head == "Mean absolute difference of pixels."
    per = {setting.key: setting for setting in settings}["l1.per"]
    assert per.value == "hole" and per.comment.endswith("thin and wide holes weigh alike beside the adversarial loss")


def test_pages_keep_their_paths_and_what_they_show(tmp_path):
    pages = site.write_sources(tmp_path)
    assert all((tmp_path / page.relative_to(ROOT)).is_file() for page in pages)
    assert (tmp_path / "experiments" / "001-first-light" / "panel.png").is_file()
    listed = str(site.navigation(tmp_path, pages))
    for page in tmp_path.rglob("*.md"):
        assert f"'{page.relative_to(tmp_path).as_posix()}'" in listed, "no page is out of reach"
    assert "::: inpaint.training.gan\n" in (tmp_path / "classes" / "training.md").read_text()
    assert "| `masks.width` | `[0.04, 0.25]` | thinnest" in (tmp_path / "options" / "masks.md").read_text()


def test_arguments_stand_in_one_line_with_their_description():
    """mkdocstrings looks for the colon in the line that the names begin, and a warning ends the build."""
    names = re.compile(r"^ {8}(\w+, )+\w+,\n {12}(\w+, )*\w+: ", re.MULTILINE)
    for path in (ROOT / "inpaint").rglob("*.py"):
        assert not (split := names.search(path.read_text())), f"{path.name}: {split[0].strip()}"


def test_examples_are_read_as_such():
    """Below ``Example:`` a doctest would be text, in which brackets are links."""
    for path in (ROOT / "inpaint").rglob("*.py"):
        assert "Example:" not in [line.strip() for line in path.read_text().splitlines()], f"{path.name}: say Examples:"


@pytest.mark.slow
def test_it_builds_and_a_dead_link_fails(tmp_path, monkeypatch):
    pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")
    pytest.importorskip("mkdocstrings")
    done = subprocess.run([sys.executable, site.__file__, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The alternating update" in (tmp_path / "docs-site" / "classes" / "training.html").read_text()
    pages = site.class_pages() | {"classes/dead.md": "# dead\n\n[nowhere](nowhere.md)\n"}
    monkeypatch.setattr(site, "class_pages", lambda: pages)
    with pytest.raises(SystemExit):
        site.main(tmp_path)
