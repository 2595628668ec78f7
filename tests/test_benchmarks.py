"""`make bench`: what it compares is the same training, it ends in time, and its page and figure show what was found."""

import json
import subprocess
import sys

import pytest
import torch
from torch.utils.data import DataLoader

from tests.commands import ROOT

FOLDER = ROOT / "experiments" / "benchmarks"
sys.path.append(str(FOLDER))
import bench  # noqa: E402
import drawing  # noqa: E402
import measuring  # noqa: E402
import starts  # noqa: E402
import updates  # noqa: E402

EXACT = {"precision": "32-true", "memory_format": "contiguous", "fused": False, "compile": False}
SMALL = [*updates.TINY["tiny"], "seed=0", "data.workers=0", "data.on_small_image=skip", "trainer=reference"]
SMALL += ["trainer.accelerator=cpu", "module.r1_every=2", "scheduler@generator_scheduler=none"]


@pytest.fixture(scope="module")
def made():
    parts = measuring.run_of(*SMALL)
    parts.data.setup("fit")
    return [parts.data.to_batch(raw, "cpu") for _, raw in zip(range(3), parts.data.train_dataloader(), strict=False)]


def trained(way, made):
    loop = updates.Loop(SMALL, "cpu", **EXACT)
    for batch in made:
        way(loop, batch)
    return {name: value.detach() for name, value in loop.module.named_parameters()}


def test_the_bare_loop_trains_what_lightning_trains(made):
    """So their times can be compared; LaMa's order is another training of the same networks."""
    parts = measuring.run_of(*SMALL, f"trainer.max_steps={len(made)}")
    parts.trainer.fit(parts.module, DataLoader(made, batch_size=None))
    ours, bare = dict(parts.module.named_parameters()), trained(updates.Loop.bare, made)
    assert ours.keys() == bare.keys()
    for name, value in bare.items():
        torch.testing.assert_close(value, ours[name].detach(), atol=1e-5, rtol=1e-4)
    lama = trained(updates.Loop.lama, made)
    assert max(float((lama[name] - value).abs().max()) for name, value in bare.items() if "ema" not in name) > 1e-4


def test_the_limit_trains_nothing(made):
    before, after = trained(lambda *_: None, made), trained(updates.Loop.limit, made)
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_an_update_is_compared_in_turns_until_the_time_is_over():
    rows = updates.measured(updates.TINY, 0.0, said=lambda what: None)
    assert {figure["count"] for figure in rows[0]["seconds"].values()} == {3}, "the least number of rounds"
    assert all(figure["median"] > 0 for figure in (rows[0]["seconds"] | rows[0]["ratios"]).values())
    assert "| tiny |" in updates.shown(rows)


def test_turns_alternate_and_end():
    calls = []
    ways = {name: (lambda name=name: calls.append(name)) for name in "ab"}
    found = measuring.in_turns(ways, seconds=0.0, least=4)
    assert calls == ["a", "b"] * 5 and [len(each) for each in found.values()] == [4, 4], "the first round warms up"
    assert [len(each) for each in measuring.in_turns(ways, seconds=1e9, most=7).values()] == [7, 7]


def test_spreads_ratios_and_exponents():
    assert measuring.spread([1.0, 2.0, 3.0, 4.0, 5.0]) == {"median": 3.0, "low": 2.0, "high": 4.0, "count": 5}
    assert measuring.spread([2.0]) == {"median": 2.0, "low": 2.0, "high": 2.0, "count": 1}
    assert measuring.ratio([2.0, 9.0, 4.0], [1.0, 3.0, 4.0])["median"] == 2.0, "of the ratios, not of the medians"
    assert measuring.exponent([1, 2, 4], [3.0, 12.0, 48.0]) == pytest.approx(2.0)


def test_a_page_has_what_was_found_between_its_marks(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- results -->\nold\n<!-- end of results -->\nafter\n")
    for text in ("new", "newer"):
        bench.put(page, "results", text)
    assert page.read_text() == "before\n<!-- results -->\n\nnewer\n<!-- end of results -->\nafter\n"
    bench.put(page, "results-gpu", "nowhere to go")
    assert "nowhere" not in page.read_text()
    marks = (FOLDER / "README.md").read_text()
    assert all(
        f"<!-- {mark} -->" in marks and f"<!-- end of {mark} -->" in marks for mark in ("results", "results-gpu")
    )


def test_bars_are_as_long_as_their_medians_and_the_limit_is_drawn_in():
    def figure(value):
        return {"median": value, "low": value, "high": value, "count": 3}

    seconds = {
        "ours": figure(1.0),
        "bare": figure(1.0),
        "float32": figure(2.0),
        "lama": figure(4.0),
        "limit": figure(0.5),
    }
    picture = drawing.bars([{"case": "one", "seconds": seconds}], updates.WAYS)

    def length(way):
        colour = tuple(int(drawing.COLOURS[way][place : place + 2], 16) for place in (1, 3, 5))
        row = drawing.TOP + [*drawing.COLOURS].index(way) * (drawing.BAR + drawing.GAP) + 3
        return sum(picture.getpixel((x, row)) == colour for x in range(picture.width))

    assert length("lama") == pytest.approx(4 * length("ours"), abs=12)
    black = [x for x in range(drawing.LEFT + 1, picture.width) if picture.getpixel((x, drawing.TOP - 2)) == (0, 0, 0)]
    assert black[0] - drawing.LEFT == pytest.approx(length("lama") / 8, abs=3)


def test_every_command_that_is_clocked_has_its_functions():
    """Those whose first call begins a part; a name that is gone would fail after minutes of the benchmark."""
    import importlib

    import clocked

    assert clocked.STEPS.keys() == clocked.MODULES.keys() and {*clocked.PARTS} == {*starts.PARTS}
    for steps in clocked.STEPS.values():
        for place in steps:
            module, name = place.split(":")
            owner = importlib.import_module(module)
            for step in name.split("."):
                owner = getattr(owner, step)
            assert callable(owner)


@pytest.mark.slow
def test_all_parts_in_a_tiny_run(tmp_path):
    (tmp_path / "README.md").write_text("<!-- results -->\n<!-- end of results -->\n")
    command = [sys.executable, str(FOLDER / "bench.py"), "--tiny", "--seconds", "0", "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results, page = json.loads((tmp_path / "results.json").read_text()), (tmp_path / "README.md").read_text()
    assert {*results} == {"updates", "scaling", "crops", "fills", "rates", "device"}
    assert all(f"### {bench.TITLES[name]}" in page for name in results) and "(updates.png)" in page
    assert (tmp_path / "updates.png").is_file()
    assert all(len(line) <= 120 for line in page.splitlines() if not line.startswith("|"))
