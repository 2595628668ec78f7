"""Whose fault an error is: what is `Refused` is told in a line with exit code 2, all else shows its traceback."""

import copy
import errno
import os
import subprocess
import sys

import pytest
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.utils import create_config_search_path
from hydra.errors import InstantiationException
from torch.utils.data import DataLoader, Dataset

from inpaint.cli.command import _for_the_user, hidden_parts
from inpaint.config import conf_dir
from inpaint.files.folder import Busy
from inpaint.pictures.reading import BadImage
from inpaint.settings import ConfigError, Refused, SweepError

BUG = "[*zip([1], [1, 2], strict=True)]"  # of ours, last raised in a file of this package


def process(tmp_path, body, *arguments):
    """A command of the package whose `run` does `body`: exit code and what it printed as errors."""
    code = f"""
import inpaint.preview
from inpaint.cli.command import command
from inpaint.settings import Refused

def run(cfg):
    exec(compile({body!r}, inpaint.preview.__file__, "exec"))

command("preview", run)
"""
    environment = {**os.environ, "PYTHONPATH": str(conf_dir().parent)}
    program = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(program, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stderr


def test_an_error_of_our_own_code_shows_its_traceback(tmp_path):
    code, errors = process(tmp_path, BUG)
    assert code == 1 and "Traceback (most recent call last):" in errors
    assert errors.strip().endswith("ValueError: zip() argument 2 is longer than argument 1")


def test_what_is_refused_is_one_line(tmp_path):
    code, errors = process(tmp_path, "raise Refused('images: there are none')")
    assert (code, errors) == (2, "inpaint-preview: images: there are none\n")


def test_a_setting_that_refers_to_nothing_is_one_line(tmp_path):
    code, errors = process(tmp_path, "cfg.masks.text", "+masks.text='${paths.outputs}'")
    assert code == 2 and errors.splitlines() == [errors.strip()] and "masks.text: it refers to paths.outputs" in errors


@pytest.mark.parametrize("kind", [Refused, ConfigError, SweepError, BadImage, Busy])
def test_all_that_is_refused_is_the_users(kind):
    assert _for_the_user(kind("width: no")) == "width: no"


@pytest.mark.parametrize("error", [ValueError("zip() argument 2"), KeyError("width"), TypeError("width")])
def test_other_errors_are_not(error):
    assert _for_the_user(error) is None


def test_what_a_constructor_refuses_comes_through_hydra():
    error = InstantiationException("Error in call to target")
    error.__cause__ = Refused("generator.width: 0 is no whole number from 1 up")
    assert _for_the_user(error) == "generator.width: 0 is no whole number from 1 up"
    error.__cause__ = ValueError("zip()")
    assert _for_the_user(error) is None


def test_a_full_disk_is_the_users():
    assert _for_the_user(OSError(errno.ENOSPC, "No space left on device", "a.png")) == "a.png: No space left on device"
    assert _for_the_user(OSError(errno.EIO, "Input/output error")) is None


@pytest.mark.parametrize(("kind", "told"), [(Refused, True), (BadImage, True), (ValueError, False)])
def test_what_a_worker_refuses_is_one_line_for_the_user(kind, told):
    class Broken(Dataset):
        def __len__(self):
            return 1

        def __getitem__(self, row):
            raise kind("a b.png: broken picture (image file is truncated: 3 bytes)")

    with pytest.raises(kind) as caught:
        next(iter(DataLoader(Broken(), num_workers=1)))
    line = "a b.png: broken picture (image file is truncated: 3 bytes)"
    assert _for_the_user(caught.value) == (line if told else None)


def test_a_list_of_options_copies_no_place_of_configs_and_leaves_hydra_as_it_was(monkeypatch):
    monkeypatch.delattr(ConfigRepository, "__deepcopy__", raising=False)  # as the suite has it for all tests
    changed = ("get_group_options", "__deepcopy__")
    before = [vars(ConfigRepository).get(name) for name in changed]
    with hidden_parts():
        repository = ConfigRepository(create_config_search_path(str(conf_dir())))
        copied = copy.deepcopy(repository)
        assert all(own is other for own, other in zip(copied.sources, repository.sources, strict=True))
        copied.initialize_sources(create_config_search_path(None))
        assert len(copied.sources) < len(repository.sources)
        assert "_long" not in copied.get_group_options("experiment")
    assert [vars(ConfigRepository).get(name) for name in changed] == before
