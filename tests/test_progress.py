import io
import re

import pytest
from rich.console import Console

from inpaint import progress


@pytest.fixture
def clock(monkeypatch):
    """Time that goes by only when the test says so."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_plain_lines_with_rate_and_remaining_time(clock, capsys):
    reporter = progress.Reporter("update", "updates", total=100, done=20, seconds=10)
    assert reporter.bar is None and not reporter.due
    clock[0] = 10.0
    assert reporter.due
    reporter.show(40, "l1 0.1234")
    assert capsys.readouterr().out == "update 40/100  2.0 updates/s  30 s left  l1 0.1234\n"
    assert not reporter.due
    reporter.close()


def test_a_live_bar_on_a_terminal(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(progress, "Console", lambda **_: Console(file=out, force_terminal=True, width=120))
    reporter = progress.Reporter("update", "updates", total=4)
    reporter.show(3, "l1 0.5000")
    reporter.close()
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out.getvalue())
    assert "3/4" in text and "updates/s" in text and "l1 0.5000" in text


def test_work_inside_a_bar_is_in_its_notes(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(progress, "Console", lambda **_: Console(file=out, force_terminal=True, width=120))
    around = progress.Reporter("repairing", "pictures", total=4)
    inner = progress.Reporter("refining", "steps", total=15, transient=True)
    inner.show(3, "energy 0.5")
    around.show(1, "so far refining 3/15")
    assert inner.bar is None and around.bar is not None
    inner.close()
    assert around.bar.tasks[0].fields["notes"] == ""
    inner.show(4, "energy 0.4")
    assert around.bar.tasks[0].fields["notes"] == "refining 4/15  energy 0.4"
    around.close()
    inner.show(5)  # the bar is gone
    assert progress.Reporter.shown is None


def test_track_hands_everything_through_and_is_silent_when_quick(capsys):
    assert list(progress.track([1, 2, 3], "work")) == [1, 2, 3]
    assert capsys.readouterr().out == ""


def test_track_speaks_when_it_takes_long(clock, capsys):
    for _ in progress.track(range(3), "repairing", "pictures"):
        clock[0] += 30.0
    assert capsys.readouterr().out.splitlines()[0] == "repairing 1/3  0.0 pictures/s  60 s left"


def test_track_names_what_is_at_work(clock, capsys, monkeypatch):
    tracked = progress.track([1, 2], "evaluating", "batches")
    for _ in tracked:
        tracked.at_work("quick")
        clock[0] += 15
        tracked.at_work("slow")
    assert capsys.readouterr().out == "evaluating 1/2  0.0 batches/s  30 s left  slow\n"
    out = io.StringIO()
    monkeypatch.setattr(progress, "Console", lambda **_: Console(file=out, force_terminal=True, width=120))
    tracked = progress.track([1], "evaluating", "batches")
    for _ in tracked:
        tracked.at_work("nearest_patch")
    assert "nearest_patch" in out.getvalue()


def test_threads_keep_the_order_and_are_given_work_in_parts():
    given, taken = [], 0

    def work(item):
        given.append(item)
        return 2 * item

    for result in progress.in_threads(work, range(9000), 4, "doubling", "numbers"):
        assert result == 2 * taken
        taken += 1
        assert max(given) < 4096 * (1 + (taken - 1) // 4096 + 1), "all the work was handed out at once"
    assert taken == 9000 and sorted(given) == list(range(9000))


def test_an_error_in_a_thread_is_the_callers():
    def work(item):
        if item == 3:
            raise ValueError("number 3")
        return item

    with pytest.raises(ValueError, match="number 3"):
        list(progress.in_threads(work, range(5), 2, "working", "numbers"))
