"""Arguments of thousands of characters and levels: a few lines and exit code 2, soon."""

import pytest

from inpaint.cli.explain import LINES, LONGEST, shortened, too_long
from tests.reliability.commands import finish, start

LONG = "x" * 9_000
HUGE = {
    "a megabyte would not fit": (f"name={'x' * 100_000}", "name=xxxxx"),
    "key": (f"{LONG}=1", "no file can have a name of that length"),
    "option": (f"generator={LONG}", "no file can have a name of that length"),
    "folder": (f"hydra.run.dir={LONG}", "no file can have a name of that length"),
    "depth": (f"seed={'[' * 3_000}{']' * 3_000}", "nested more deeply than can be followed"),
    "many": (f"baselines=[{','.join(['telia'] * 200)}]", "baselines: there is no generator telia"),
    "target": (f"+losses.x={{_target_: inpaint.{LONG}}}", "losses.x._target_: inpaint.xxx"),
    "not a number": ("seed=[[1]]", "seed: give a whole number; got '[[1]]'"),
}
FAST = ("a megabyte would not fit", "key", "depth", "many")


def check(cases, tmp_path):
    started = {case: start("train", HUGE[case][0], cwd=tmp_path) for case in cases}
    for case, process in started.items():
        code, printed, errors = finish(process)
        assert code == 2 and HUGE[case][1] in errors, (case, errors[-500:])
        assert len(errors) < 10_000 and "Traceback" not in printed + errors and len(errors.splitlines()) <= LINES + 1


def test_few_lines(tmp_path):
    check(FAST, tmp_path)


@pytest.mark.slow
def test_few_lines_for_the_others(tmp_path):
    check([case for case in HUGE if case not in FAST], tmp_path)


def test_what_is_too_long_is_told_without_repeating_it():
    assert too_long(["seed=1", "x" * LONGEST]) is None
    told = too_long(["seed=1", "y=" + "x" * LONGEST])
    assert told is not None and f"an argument of {LONGEST + 2} characters" in told and len(told) < 200


def test_messages_fit_a_terminal():
    assert shortened("one\ntwo") == ["one", "two"]
    assert len(shortened("x" * 10_000)[0]) < 600
    lines = shortened("\n".join(map(str, range(1_000))))
    assert len(lines) == LINES + 1 and lines[-1] == f"and {1_000 - LINES} more"
