"""Resumed on other threads, another processor or device, by other ranks or another torch: it is recorded and said.

Real: a run on one thread that goes on on two. Stand-in: another machine, by what the record says of it.
"""

import json

import pytest
import torch

from inpaint.files import checkpoint
from inpaint.training.resume import Start
from tests.checkpoints import latest_valid
from tests.reliability.runs import command, run, train

NOW = {"threads": 1, "processor": "AVX2", "device": "cpu", "ranks": 1, "torch": "2.13.0"}


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A run of one update, in this process."""
    folder = tmp_path_factory.mktemp("begun") / "run"
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    run(folder, updates=1)
    torch.set_num_threads(before)
    return folder


def test_each_checkpoint_and_the_record_have_it(begun):
    held = checkpoint.load(latest_valid(begun))["inpaint"]["arithmetic"]
    assert held == json.loads((begun / "versions.json").read_text())["arithmetic"]
    assert held["threads"] == 1 and held["device"] == "cpu" and held["ranks"] == 1
    assert set(held) == set(NOW) and held["torch"] == torch.__version__ and held["processor"]


def introduced(begun, capsys, before, now):
    start = Start(begun, "auto")
    start.checkpoint["inpaint"]["arithmetic"] = before
    start.introduce(now, {})
    return capsys.readouterr().out.splitlines()[1:]


@pytest.mark.parametrize(
    "changed", [{"threads": 8}, {"processor": "AVX512"}, {"device": "NVIDIA H100"}, {"ranks": 2}, {"torch": "2.14.0"}]
)
def test_what_is_other_is_one_line(begun, capsys, changed):
    ((key, value),) = changed.items()
    (line,) = introduced(begun, capsys, NOW, NOW | changed)
    assert f"{key} {NOW[key]!r} -> {value!r}: sums are rounded otherwise" in line


def test_all_of_it_is_one_line_too(begun, capsys):
    (line,) = introduced(begun, capsys, NOW, NOW | {"threads": 8, "ranks": 2})
    assert "threads 1 -> 8, ranks 1 -> 2: " in line


@pytest.mark.parametrize("before", [NOW, None, {}, {"threads": 1}, "words", {"threads": 1, "of a later version": 7}])
def test_nothing_is_said_of_what_is_the_same_or_not_known(begun, capsys, before):
    assert introduced(begun, capsys, before, NOW) == []


def test_no_escape_sequence_of_a_checkpoint_reaches_the_terminal(begun, capsys):
    (line,) = introduced(begun, capsys, NOW | {"device": "\x1b[2J\n"}, NOW)
    assert "\x1b" not in line and "\\x1b" in line


def test_the_command_says_it(tmp_path, capfd, two_threads):
    small = [
        *("generator.width=4", "generator.levels=1", "discriminator=none", "adversarial=none", "baselines=[]"),
        *("data.crop=32", "data.crops_per_image=1", "data.validation_crops=1", "data.batch_size=4", "logger=csv"),
        *("callbacks.panel=null", "trainer.num_sanity_val_steps=0", "trainer.val_check_interval=100"),
        f"hydra.run.dir={tmp_path}/run",
    ]
    assert command(train, *small, "trainer.max_steps=1") == 0
    torch.set_num_threads(1)
    capfd.readouterr()
    assert command(train, *small, "trainer.max_steps=2") == 0
    assert "  threads 2 -> 1: sums are rounded otherwise, so it goes on nearly" in capfd.readouterr().out
