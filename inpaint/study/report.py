"""What the votes of a study say: `inpaint-study report`.

`summarise` returns what `report.json` holds, for other commands to join:

    {
      "format": "inpaint-study report 1",
      "study": "3fd1...",                     digest of study.json
      "title": "...", "question": "...",
      "contestants": ["ours", "lama"],        as in the study
      "votes": 480,                           that count, without catch trials
      "confidence": 0.95,                     of every "low" and "high"
      "participants": {
        "voted": 12, "finished": 11,          gave a vote, answered all their trials
        "left_out": [3],                    numbers of those who failed too many catch trials; their votes do not count
        "unchecked": 1,                       count, though they met no catch trial
        "max_failures": 0.2,                  the share of catch trials that is too many if exceeded
        "too_fast": [7]                       numbers of those with answers faster than the page can send; they count
      },
      "catch": {
        "trials": 6,                          a participant
        "shown": 70, "failed": 5,             all participants
        "guess_passes": 0.109                 chance that one who guesses all is not left out
      },
      "left": {"votes": 480, "preferred": 251, "share": 0.52, "low": 0.48, "high": 0.57},   were sides balanced?
      "median_ms": 2140,                      response time; null without votes
      "pairs": [                              every pair that was voted on; share and bounds of those who preferred a
        {"a": "ours", "b": "lama", "votes": 480, "preferred": 301, "share": 0.63, "low": 0.58, "high": 0.67}
      ],
      "half_votes": 0,                        added to each side of each pair before scoring: 0, or 0.5
      "scores": [                             Bradley-Terry, best first, mean 0, natural logarithm of odds
        {"method": "ours", "score": 0.26, "low": 0.17, "high": 0.35, "votes": 480, "preferred": 301}
      ]                                       null if some contestants never met the others
    }

Shares are in [0, 1]. Intervals take votes as independent, which votes of one person are not quite: with few
participants they are too narrow.
"""

import sqlite3
from collections import Counter
from collections.abc import Collection, Sequence
from html import escape
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from inpaint.evaluation.terminal import Cell, print_blocks
from inpaint.files.folder import write_whole
from inpaint.files.writing import write_json, write_table
from inpaint.settings import Refused
from inpaint.study.preference import (
    CONFIDENCE,
    Z,
    bradley_terry,
    fails_too_many,
    guess_passes,
    has_maximum,
    is_connected,
    wilson,
)
from inpaint.study.trials import DESTROYED, Study, load
from inpaint.study.votes import Vote, Votes

FORMAT = "inpaint-study report 1"
PAIR_COLUMNS = ("a", "b", "votes", "preferred", "share", "low", "high")
Report = dict[str, Any]


def summarise(study: Study, votes: Sequence[Vote], max_failures: float = 0.2, too_fast: Collection[int] = ()) -> Report:
    """Count the votes; the format is above.

    Args:
        study: what was asked.
        votes: what was answered.
        max_failures: share in [0, 1] of a participant's catch trials; who fails more is left out.
        too_fast: participants some of whose answers no page can have sent (`Votes.too_fast`).
    """
    shown: Counter[int] = Counter()
    failed: Counter[int] = Counter()
    for vote in votes:
        winner, _ = _winner_and_loser(study, vote)
        shown[vote.participant] += study.schedule(vote.participant)[vote.trial].is_catch
        failed[vote.participant] += winner == DESTROYED
    left_out = sorted(number for number in shown if fails_too_many(failed[number], shown[number], max_failures))
    counted = [
        vote
        for vote in votes
        if vote.participant not in left_out and not study.schedule(vote.participant)[vote.trial].is_catch
    ]

    places = {name: place for place, name in enumerate(study.contestants)}
    wins = np.zeros((len(places), len(places)))
    for vote in counted:
        winner, loser = _winner_and_loser(study, vote)
        wins[places[winner], places[loser]] += 1
    pairs = [
        {"a": a, "b": b} | _share(int(wins[places[a], places[b]]), int(wins[places[b], places[a]]))
        for a, b in combinations(study.contestants, 2)
        if wins[places[a], places[b]] + wins[places[b], places[a]]
    ]
    half_votes, scores = _scores(study.contestants, wins)

    answered = Counter(vote.participant for vote in votes)
    trials = sum(trial.is_catch for trial in study.schedules[0])
    left = sum(vote.choice == "left" for vote in counted)
    return {
        "format": FORMAT,
        "study": study.digest,
        "title": study.title,
        "question": study.question,
        "contestants": study.contestants,
        "votes": len(counted),
        "confidence": CONFIDENCE,
        "participants": {
            "voted": len(answered),
            "finished": sum(answered[number] == len(study.schedule(number)) for number in answered),
            "left_out": left_out,
            "unchecked": sum(not shown[number] for number in answered),
            "max_failures": max_failures,
            "too_fast": sorted(too_fast),
        },
        "catch": {
            "trials": trials,
            "shown": shown.total(),
            "failed": failed.total(),
            "guess_passes": guess_passes(trials, max_failures),
        },
        "left": _share(left, len(counted) - left),
        "median_ms": median(vote.ms for vote in counted) if counted else None,
        "pairs": pairs,
        "half_votes": half_votes,
        "scores": scores,
    }


def _is_vote(study: Study, vote: Vote) -> bool:
    """Whether it answers a trial; the file may be anyone's, and SQLite stores what it is given."""
    whole = all(isinstance(number, int) for number in (vote.participant, vote.trial, vote.ms))
    if not (whole and vote.participant >= 1 and vote.ms >= 0 and vote.choice in ("left", "right")):
        return False
    return 0 <= vote.trial < len(study.schedule(vote.participant))


def _winner_and_loser(study: Study, vote: Vote) -> tuple[str, str]:
    trial = study.schedule(vote.participant)[vote.trial]
    return (trial.left, trial.right) if vote.choice == "left" else (trial.right, trial.left)


def _share(preferred: int, other: int) -> dict[str, float | None]:
    votes = preferred + other
    low, high = wilson(preferred, votes)
    return {
        "votes": votes,
        "preferred": preferred,
        "share": preferred / votes if votes else None,
        "low": low,
        "high": high,
    }


def _scores(names: Sequence[str], wins: np.ndarray) -> tuple[float, list[dict[str, Any]] | None]:
    """Half votes added, and the scores; without the former who won or lost all votes has an infinite one."""
    if not is_connected(wins):
        return 0, None
    half_votes = 0 if has_maximum(wins) else 0.5
    scores, errors = bradley_terry(wins + half_votes * (wins + wins.T > 0))
    rows = [
        {
            "method": name,
            "score": float(scores[place]),
            "low": float(scores[place] - Z * errors[place]),
            "high": float(scores[place] + Z * errors[place]),
            "votes": int(wins[place].sum() + wins[:, place].sum()),
            "preferred": int(wins[place].sum()),
        }
        for place, name in enumerate(names)
    ]
    return half_votes, sorted(rows, key=lambda row: -row["score"])


def notes(report: Report) -> list[str]:
    """What a reader must know beside the figures, a sentence each."""
    people, catch, left = report["participants"], report["catch"], report["left"]
    said = [f"{people['voted']} participants, {people['finished']} of them answered everything"]
    if report["median_ms"] is not None:
        said[0] += f"; median response time {report['median_ms'] / 1000:.1f} s"
    if catch["shown"]:
        said += [
            f"catch trials: {catch['failed']} of {catch['shown']} failed; one who guesses stays in with a chance of "
            f"{_percent(catch['guess_passes'])}",
            f"left out for failing more than {_percent(people['max_failures'])} of theirs: "
            f"{len(people['left_out'])} participants"
            + (f" (number {', '.join(map(str, people['left_out']))})" if people["left_out"] else ""),
        ]
    if people["unchecked"]:
        said.append(f"{people['unchecked']} participants met no catch trial; their votes count")
    if fast := people.get("too_fast"):
        said.append(
            f"{len(fast)} participants (number {', '.join(map(str, fast))}) answered faster than the page lets one: a "
            "program did, at least in part; their votes count"
        )
    if left["votes"]:
        said.append(
            f"the left picture was preferred in {_percent(left['share'])} of votes (95 % interval {_interval(left)}); "
            "sides are balanced, so a habit of choosing one does not decide a pair"
        )
    if report["half_votes"]:
        said.append("a contestant won or lost all its votes: scores with half a vote added to each side of each pair")
    if report["scores"] is None and report["votes"]:
        said.append("no scores yet: some contestants have not met the others")
    return said


def _percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f} %"


def _interval(row: Report) -> str:
    return f"{100 * row['low']:.0f} to {_percent(row['high'])}"


def print_report(report: Report) -> None:
    """Print pairs and scores with their definitions, and the notes."""
    lines = [
        [
            Cell(row["a"]),
            Cell(row["b"]),
            Cell(_percent(row["share"], 1), best=_is_decided(row)),
            Cell(_interval(row)),
            Cell(str(row["preferred"])),
            Cell(str(row["votes"])),
        ]
        for row in report["pairs"]
    ]
    definitions = {
        "prefer a": "share of votes for a; in bold where the interval leaves 50 % out",
        "95 %": "Wilson's interval; takes votes as independent, so with few participants it is too narrow",
    }
    print_blocks(["a", "b", "prefer a", "95 %", "votes for a", "votes"], [lines], definitions, labels=2)
    print()
    if report["scores"]:
        lines = [
            [
                Cell(row["method"]),
                Cell(f"{row['score']:+.2f}"),
                Cell(f"{row['low']:+.2f} to {row['high']:+.2f}"),
                Cell(_percent(row["preferred"] / row["votes"], 1)),
                Cell(str(row["votes"])),
            ]
            for row in report["scores"]
        ]
        definitions = {
            "score": "Bradley-Terry, natural logarithm of odds, mean 0: a difference of 1 is a preference of 73 %",
            "95 %": "from the Fisher information",
        }
        print_blocks(["method", "score", "95 %", "preferred", "votes"], [lines], definitions, labels=1)
        print()
    for note in notes(report):
        print(note)


def _is_decided(row: Report) -> bool:
    return row["low"] > 0.5 or row["high"] < 0.5


# ---- chart ----------------------------------------------------------------------------------------------------------

LINE, LEFT, RIGHT, PLOT = 30, 210, 210, 380  # pixels: height of a line, margins, width of the plot
INK, FAINT, SURE, UNSURE = "#1d2329", "#d5dade", "#0f6e84", "#8a949c"


def chart(report: Report) -> str:
    """Preferences of all pairs with their intervals as a self-contained SVG: a left, b right, the dot on a's side."""
    pairs = report["pairs"]
    bottom = 64 + LINE * len(pairs)
    width, height = LEFT + PLOT + RIGHT, bottom + 34

    def x(share: float) -> float:
        """Preference for a grows to the left, where its name is."""
        return LEFT + PLOT * (1 - share)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="system-ui, sans-serif" font-size="13" fill="{INK}">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="{width / 2}" y="26" text-anchor="middle" font-weight="600">{escape(report["question"])}</text>',
    ]
    for share in (0, 0.25, 0.5, 0.75, 1):
        stroke = f'stroke="{INK if share == 0.5 else FAINT}"' + (' stroke-dasharray="3 3"' if share == 0.5 else "")
        parts.append(f'<line x1="{x(share)}" x2="{x(share)}" y1="44" y2="{bottom}" {stroke}/>')
        label = _percent(max(share, 1 - share))
        parts.append(f'<text x="{x(share)}" y="{bottom + 18}" text-anchor="middle" fill="{UNSURE}">{label}</text>')
    for place, row in enumerate(pairs):
        y = 64 + LINE * place
        colour = SURE if _is_decided(row) else UNSURE
        bold = [' font-weight="600"' if sure else "" for sure in (row["low"] > 0.5, row["high"] < 0.5)]
        parts += [
            "<g>",
            f"<title>{escape(row['a'])} {_percent(row['share'], 1)}, {_interval(row)}, {row['votes']} votes</title>",
            f'<line x1="{x(row["high"]):.1f}" x2="{x(row["low"]):.1f}" y1="{y}" y2="{y}" stroke="{colour}" '
            'stroke-width="3" stroke-linecap="round"/>',
            f'<circle cx="{x(row["share"]):.1f}" cy="{y}" r="5.5" fill="{colour}"/>',
            f'<text x="{LEFT - 14}" y="{y + 4}" text-anchor="end"{bold[0]}>{_short(row["a"])}</text>',
            f'<text x="{LEFT + PLOT + 14}" y="{y + 4}"{bold[1]}>{_short(row["b"])}</text>',
            "</g>",
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _short(name: str) -> str:
    return escape(name if len(name) <= 26 else f"{name[:25]}…")


def write(folder: Path, max_failures: float) -> Report:
    """Read the votes of a study, also while it is served, and write report.json, report.csv and report.svg beside them.

    Raises:
        Refused: no study, or no votes.
    """
    if not 0 <= max_failures <= 1:
        raise Refused(f"--max-failures: give a share from 0 to 1; got {max_failures}")
    study = load(folder)
    if not (folder / "votes.sqlite").is_file():
        raise Refused(f"{folder}: no votes yet; inpaint-study serve {folder} asks for them")
    votes = Votes(folder / "votes.sqlite", study.digest)
    try:
        given, too_fast = votes.all(), votes.too_fast()
    except sqlite3.Error as error:
        raise Refused(f"{folder / 'votes.sqlite'}: the votes cannot be read ({error})") from None
    finally:
        votes.close()
    if other := [vote for vote in given if not _is_vote(study, vote)]:
        raise Refused(f"{folder / 'votes.sqlite'}: {str(other[0])[:120]} is no vote on this study")
    if not given:
        raise Refused(f"{folder}: no votes yet; inpaint-study serve {folder} asks for them")
    report = summarise(study, given, max_failures, too_fast)
    # Whole files in the place of what is there, so that nothing is written through a link of a study that was sent.
    write_json(folder / "report.json", report)
    write_table(folder / "report.csv", PAIR_COLUMNS, report["pairs"])
    write_whole(folder / "report.svg", chart(report))
    return report
