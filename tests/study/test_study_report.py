"""From votes to figures: who counts, what is preferred, and that it is written as documented."""

import csv
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from inpaint.study.__main__ import main
from inpaint.study.preference import wilson
from inpaint.study.report import chart, notes, summarise
from inpaint.study.trials import DESTROYED, Study, Trial, load
from inpaint.study.votes import Vote, Votes


def answer(study: Study, participant: int, ranking: list[str], trials: int | None = None) -> list[Vote]:
    """The votes of somebody who always prefers the earlier in `ranking`."""
    votes = []
    for place, trial in enumerate(study.schedule(participant)[:trials]):
        left = ranking.index(trial.left) < ranking.index(trial.right)
        votes.append(Vote(participant, place, "left" if left else "right", 1000 + participant))
    return votes


CAREFUL = ["original", "ours", "lama", DESTROYED]
CONTRARY = ["original", "lama", "ours", DESTROYED]
CARELESS = [DESTROYED, "lama", "ours", "original"]


def pair(report: dict, a: str, b: str) -> dict:
    (row,) = [row for row in report["pairs"] if (row["a"], row["b"]) == (a, b)]
    return row


def test_who_fails_catch_trials_is_left_out(built: Path) -> None:
    study = load(built)
    votes = [vote for number in (1, 2, 3) for vote in answer(study, number, CAREFUL)]
    votes += answer(study, 4, CONTRARY) + answer(study, 5, CARELESS)
    report = summarise(study, votes)
    assert report["participants"] == {
        "voted": 5, "finished": 5, "left_out": [5], "unchecked": 0, "max_failures": 0.2, "too_fast": [],
    }  # fmt: skip
    assert report["catch"] == {"trials": 2, "shown": 10, "failed": 2, "guess_passes": 0.25}
    assert report["votes"] == 32 == sum(row["votes"] for row in report["pairs"])
    assert pair(report, "lama", "original")["preferred"] == 0
    expected = sum({t.left, t.right} == {"lama", "ours"} for t in study.schedule(4))
    assert pair(report, "lama", "ours")["preferred"] == expected
    row = pair(report, "ours", "original")
    assert (row["low"], row["high"]) == wilson(0, row["votes"])

    lenient = summarise(study, votes, max_failures=1)
    assert lenient["participants"]["left_out"] == [] and lenient["votes"] == 40
    assert any("left out" in note and "(number 5)" in note and "20 %" in note for note in notes(report))


def test_one_catch_failure_may_be_within_the_share(built: Path) -> None:
    study = load(built)
    votes = answer(study, 1, CAREFUL)
    first = next(place for place, trial in enumerate(study.schedule(1)) if trial.is_catch)
    votes[first] = votes[first]._replace(choice={"left": "right", "right": "left"}[votes[first].choice])
    assert summarise(study, votes, 0.5)["participants"]["left_out"] == []
    assert summarise(study, votes, 0.4)["participants"]["left_out"] == [1]


def test_who_left_early_counts_and_it_is_said(built: Path) -> None:
    study = load(built)
    early = next(place for place, trial in enumerate(study.schedule(1)) if trial.is_catch) or 1
    votes = answer(study, 1, CAREFUL, trials=early)
    report = summarise(study, votes)
    if not study.schedule(1)[0].is_catch:
        assert report["participants"]["unchecked"] == 1
        assert any("no catch trial" in note for note in notes(report))
    assert report["participants"]["finished"] == 0 and report["participants"]["voted"] == 1


def test_sides_and_times(built: Path) -> None:
    study = load(built)
    votes = [Vote(1, place, "left", 100 * place) for place in range(10)] + answer(study, 2, CAREFUL)
    report = summarise(study, votes, max_failures=1)
    counted = [vote for vote in votes if not study.schedule(vote.participant)[vote.trial].is_catch]
    lefts = sum(vote.choice == "left" for vote in counted)
    assert report["left"]["preferred"] == lefts and report["left"]["votes"] == 16
    times = sorted(vote.ms for vote in counted)
    assert report["median_ms"] == (times[7] + times[8]) / 2


def test_an_undefeated_contestant_has_a_finite_score_and_it_is_said(built: Path) -> None:
    study = load(built)
    votes = [vote for number in (1, 2) for vote in answer(study, number, CAREFUL)]
    report = summarise(study, votes)
    assert [row["method"] for row in report["scores"]] == ["original", "ours", "lama"]
    assert report["half_votes"] == 0.5 and any("half a vote" in note for note in notes(report))
    json.dumps(report, allow_nan=False)
    assert all(row["low"] < row["score"] < row["high"] for row in report["scores"])
    assert all(0 <= row["preferred"] <= row["votes"] for row in report["scores"])

    mixed = summarise(study, votes + answer(study, 3, CARELESS), max_failures=1)
    assert mixed["half_votes"] == 0


def test_contestants_that_never_met_have_no_scores(built: Path) -> None:
    study = load(built)
    place = next(place for place, trial in enumerate(study.schedule(1)) if not trial.is_catch)
    report = summarise(study, [Vote(1, place, "left", 5)])
    assert report["scores"] is None and len(report["pairs"]) == 1
    assert any("no scores yet" in note for note in notes(report))


def test_only_votes_that_do_not_count(built: Path) -> None:
    study = load(built)
    report = summarise(study, answer(study, 1, CARELESS))
    assert report["votes"] == 0 and report["pairs"] == [] and report["median_ms"] is None
    ElementTree.fromstring(chart(report))
    assert notes(report)


def test_the_command(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    votes = Votes(study / "votes.sqlite", load(study).digest)
    for number, ranking in ((1, CAREFUL), (2, CAREFUL), (3, CONTRARY), (4, CARELESS)):
        votes.join()
        for vote in answer(load(study), number, ranking):
            votes.add(vote)
    votes.close()
    main(["report", str(study)])
    printed = capsys.readouterr().out
    report = json.loads((study / "report.json").read_text())
    assert report["format"] == "inpaint-study report 1" and report["participants"]["left_out"] == [4]
    assert set(report) == set(summarise(load(study), []))  # the documented fields
    for row in report["pairs"]:
        assert f"{100 * row['share']:.1f} %" in printed
    for row in report["scores"]:
        assert f"{row['score']:+.2f}" in printed
    assert "3 participants" not in printed and "4 participants, 4 of them answered everything" in printed
    with (study / "report.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["a"], line["b"], int(line["votes"])) for line in lines] == [
        (row["a"], row["b"], row["votes"]) for row in report["pairs"]
    ]
    assert [float(line["low"]) for line in lines] == [row["low"] for row in report["pairs"]]
    ElementTree.parse(study / "report.svg")


def test_without_votes_there_is_one_line(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*arguments: str) -> str:
        with pytest.raises(SystemExit) as stop:
            main(["report", *arguments])
        assert stop.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert "no votes yet" in refused(str(study))
    Votes(study / "votes.sqlite", load(study).digest).close()
    assert "no votes yet" in refused(str(study))
    assert "--max-failures: give a share from 0 to 1; got 20.0" in refused(str(study), "--max-failures", "20")
    assert "no study" in refused(str(tmp_path))
    text = (study / "study.json").read_text()
    (study / "study.json").write_text(text.replace("more natural", "better"))
    assert "another study.json" in refused(str(study))
    (study / "study.json").write_text(text)
    (study / "votes.sqlite").write_bytes(b"something else" * 100)
    assert "not a file of votes" in refused(str(study))


def test_names_are_escaped_in_the_chart() -> None:
    names = ["<script>alert(1)</script>", 'a & "b"', "x" * 60]
    files = {name: {"p": "0" * 32} for name in names}
    trials = [Trial("p", a, b) for a in names for b in names if a < b]
    study = Study("t", "<b>?</b>", 0, names, files, [trials])
    report = summarise(study, [Vote(1, place, "left", 5) for place in range(3)])
    root = ElementTree.fromstring(chart(report))
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "<b>?</b>" in texts and 'a & "b"' in texts and "x" * 25 + "…" in texts
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))
