"""What each option of a grid is worth, held against scipy's paired t test and hand-made grids."""

import json
from itertools import product

import numpy as np
import pytest
from scipy.stats import ttest_rel

from inpaint.compare import compare, print_leaderboard, write_html
from inpaint.compare.choices import DEFAULT, choices
from inpaint.compare.configs import differences
from inpaint.compare.paired import shown_digits
from tests.compare.folders import add_validation, changed, make_run


def make_grid(folder, grid, psnr):
    """A run for each combination of a grid; `psnr` of its settings."""
    for number, values in enumerate(product(*grid.values())):
        settings = dict(zip(grid, values, strict=True))
        run = make_run(folder / str(number), psnr(settings), changed(seed=int(settings.get("seed", 1))))
        summary = json.loads((run / "summary.json").read_text())
        summary["overrides"] = ["trainer.max_steps=5", *(f"{key}={value}" for key, value in settings.items())]
        (run / "summary.json").write_text(json.dumps(summary))
        add_validation(run)
    return folder


def found(folder, figure="hole_psnr"):
    (block,) = compare([folder], seeds="separate").blocks
    return {(choice.setting, choice.option): choice for choice in block.choices(figure)}


def test_differences_are_those_of_a_paired_t_test(tmp_path):
    draws = iter(np.random.default_rng(0).normal(size=99))
    noise = {}

    def psnr(settings):
        base = 20 + 2 * int(settings["seed"]) + (0.5 if settings["losses"] == "[l2]" else 0)
        noise[tuple(settings.values())] = base + next(draws)
        return noise[tuple(settings.values())]

    grid = {"losses": ["[l1]", "[l2]"], "adversarial": ["hinge", "none"], "seed": ["0", "1", "2"]}
    choice = found(make_grid(tmp_path, grid, psnr))
    assert len(choice) == 4, "a seed is no choice, and what all runs share is none"
    for place, setting in enumerate(("losses", "adversarial")):
        one, two = ([v for k, v in noise.items() if k[place] == option] for option in grid[setting])
        best, other = grid[setting] if np.mean(one) > np.mean(two) else grid[setting][::-1]
        worse = np.array(two if best == grid[setting][0] else one)
        better = np.array(one if best == grid[setting][0] else two)
        interval = ttest_rel(worse, better).confidence_interval(0.95)
        shown = choice[setting, other]
        assert choice[setting, best].is_best and choice[setting, best].difference == 0
        assert shown.difference == pytest.approx(np.mean(worse - better), abs=1e-9)
        assert (shown.low, shown.high) == pytest.approx(tuple(interval), abs=1e-9)
        assert shown.pairs == 6 and shown.runs == 6 and shown.mean == pytest.approx(np.mean(worse))
        assert shown.is_real == (interval.high < 0 or interval.low > 0)


def test_a_steady_effect_is_real_though_other_settings_matter_more(tmp_path):
    effect = {("[l1]", "a"): 0.0, ("[l2]", "a"): -0.3, ("[l1]", "b"): 9.0, ("[l2]", "b"): 8.6}
    grid = {"losses": ["[l1]", "[l2]"], "generator": ["a", "b"]}
    choice = found(make_grid(tmp_path, grid, lambda s: 20 + effect[s["losses"], s["generator"]]))
    assert choice["losses", "[l2]"].difference == pytest.approx(-0.35)
    assert choice["losses", "[l2]"].pairs == 2


def test_lower_is_better_where_it_is(tmp_path):
    folder = make_grid(tmp_path, {"losses": ["[l1]", "[l2]"], "seed": ["0", "1"]}, lambda s: 20.0)
    for number, run in enumerate(sorted(folder.iterdir())):
        table = (run / "results.csv").read_text().replace(",5.0,", f",{5.0 + (number >= 2)},")
        (run / "results.csv").write_text(table)
    choice = found(folder, "hole_l1")
    assert choice["losses", "[l1]"].is_best and choice["losses", "[l2]"].difference == pytest.approx(1.0)


def test_a_failed_job_leaves_its_pair_out(tmp_path):
    grid = {"losses": ["[l1]", "[l2]"], "seed": ["0", "1", "2"]}
    folder = make_grid(tmp_path, grid, lambda s: 20 + 10 * int(s["seed"]) - (s["losses"] == "[l2]"))
    (folder / "5" / "results.csv").unlink()  # [l2] with seed 2
    choice = found(folder)
    assert choice["losses", "[l1]"].mean == pytest.approx(25), "the mean is over the seeds that both have"
    assert choice["losses", "[l2]"].difference == pytest.approx(-1) and choice["losses", "[l2]"].pairs == 2


def test_settings_that_only_change_together_are_one(tmp_path):
    def psnr(settings):
        return 20.0 + len(settings["adversarial"])

    folder = make_grid(tmp_path, {"adversarial": ["hinge", "none"], "seed": ["0", "1"]}, psnr)
    for run in folder.iterdir():
        summary = json.loads((run / "summary.json").read_text())
        if "adversarial=none" in summary["overrides"]:
            summary["overrides"].append("~discriminator")
            (run / "summary.json").write_text(json.dumps(summary))
    assert list(found(folder)) == [
        ("adversarial, discriminator", f"hinge, {DEFAULT}"),
        ("adversarial, discriminator", "none, none"),
    ]


def test_runs_that_were_not_crossed_say_nothing(tmp_path):
    folder = make_grid(tmp_path, {"losses": ["[l1]"], "seed": ["0"]}, lambda s: 20.0)
    make_grid(tmp_path / "more", {"losses": ["[l2]"], "seed": ["1"]}, lambda s: 21.0)
    assert found(folder) == {}
    assert choices([], "hole_psnr") == []


def test_trials_of_a_search_are_no_grid(tmp_path):
    """Each has a rate of its own, so all else was equal: forty options, each tried once."""
    folder = make_grid(tmp_path, {"generator_optimizer.lr": ["1e-3", "2e-4"], "sweep.trial": ["0"]}, lambda s: 20.0)
    assert found(folder) == {}
    assert differences([{"sweep": {"trial": 0}}, {"sweep": {"trial": 1}}]) == [{}, {}]


def test_it_is_printed_and_in_the_report(tmp_path, capsys):
    folder = make_grid(
        tmp_path,
        {"losses": ["[l1]", "[l2]"], "seed": ["0", "1", "2"]},
        lambda s: 20 + int(s["seed"]) - (0.5 + 0.01 * int(s["seed"])) * (s["losses"] == "[l2]"),
    )
    report = compare([folder])
    print_leaderboard(report)
    printed = capsys.readouterr().out
    assert "which choice mattered" in printed and "-0.51 [-0.53, -0.49]" in printed
    write_html(report, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    effects = {choice["option"]: choice["difference"] for choice in data["blocks"][0]["choices"]["hole_psnr"]}
    assert effects == {"[l1]": 0, "[l2]": pytest.approx(-0.51)}


def test_a_real_difference_does_not_read_as_zero(tmp_path, capsys):
    """As small as it may be; and of a single pair there is no interval to print."""
    grid = {"losses": ["[l1]", "[l2]"], "seed": ["0", "1", "2"]}
    make_grid(tmp_path / "a", grid, lambda s: 20 + int(s["seed"]) - 0.002 * (s["losses"] == "[l2]"))
    print_leaderboard(compare([tmp_path / "a"]))
    assert "-0.002 [-0.002, -0.002]" in capsys.readouterr().out
    make_grid(tmp_path / "b", {"losses": ["[l1]", "[l2]"]}, lambda s: 20 - (s["losses"] == "[l2]"))
    print_leaderboard(compare([tmp_path / "b"]))
    printed = capsys.readouterr().out
    assert "~ -1.00 " in printed and "nan" not in printed


@pytest.mark.parametrize(
    ("low", "high", "digits"),
    [(-0.3, -0.004, 3), (0.006, 0.3, 2), (-0.3, 0.1, 2), (-0.3, 0.0, 2), (1e-12, 1, 6), (np.nan, np.nan, 2)],
)
def test_digits_show_what_the_interval_leaves_out(low, high, digits):
    assert shown_digits(low, high, usual=2) == digits


def test_jobs_are_named_by_what_they_set(tmp_path):
    grid = {"adversarial": ["hinge", "none"], "losses.l1.weight": ["1", "10"], "seed": ["0", "1"]}
    folder = make_grid(tmp_path / "sweep", grid, lambda s: 20.0)
    for place, run in enumerate(sorted(folder.iterdir(), key=lambda run: int(run.name))):
        adversarial, weight = ("hinge", "none")[place // 4], (1.0, 10.0)[place // 2 % 2]
        config = changed(seed=place % 2, losses__l1__weight=weight, discriminator__width=64 if adversarial else 0)
        config["adversarial"] = adversarial
        (run / "config.yaml").write_text(json.dumps(config))
    names = {entry.name for entry in compare([folder]).entries}
    assert names == {f"{game}, l1.weight={weight}" for game in ("hinge", "none") for weight in (1, 10)}
    renamed = folder.rename(tmp_path / "other")
    (renamed / "0").rename(renamed / "mine")
    assert not any("l1.weight" in entry.name for entry in compare([renamed]).entries)
