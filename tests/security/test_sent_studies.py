"""A study that is deleted, read-only, or somebody's own making ends in a line and exit code 2."""

import json
import os
import shutil
import sqlite3
import stat
from contextlib import closing

import pytest

from inpaint.settings import Refused
from inpaint.study.__main__ import main
from inpaint.study.trials import load
from inpaint.study.votes import SCHEMA, Vote, Votes
from tests.study.conftest import built, study  # noqa: F401  fixtures


@pytest.fixture
def voted(study):  # noqa: F811
    """The folder of a study with a few votes."""
    votes = Votes(study / "votes.sqlite", load(study).digest)
    number = votes.participant(votes.join())
    for trial in range(3):
        votes.add(Vote(number, trial, "left", 900))
    votes.close()
    return study


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main(list(map(str, arguments)))
    said = capsys.readouterr().err
    assert end.value.code == 2 and len(said.splitlines()) == 1 and said.strip().isprintable(), said
    return said


def change(folder, **fields):
    content = json.loads((folder / "study.json").read_text()) | fields
    (folder / "study.json").write_text(json.dumps(content))


def fifo(path):
    path.unlink()
    os.mkfifo(path)


def vote(folder, statement):
    with sqlite3.connect(folder / "votes.sqlite") as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(statement)
    connection.close()


def forged(folder):
    """A file whose votes are made when they are read, without end."""
    (folder / "votes.sqlite").unlink()
    with sqlite3.connect(folder / "forged.sqlite") as connection:
        connection.execute("CREATE TABLE study (digest TEXT PRIMARY KEY)")
        connection.execute("CREATE TABLE participant (number INTEGER PRIMARY KEY, token TEXT NOT NULL UNIQUE)")
        connection.execute(
            "CREATE VIEW vote AS WITH RECURSIVE c(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM c) "
            "SELECT 1 AS participant, x AS trial, 'left' AS choice, 900 AS ms, '' AS arrived FROM c"
        )
        connection.execute("INSERT INTO study VALUES (?)", (load(folder).digest,))
    connection.close()
    return folder / "forged.sqlite"


BROKEN = {
    "deleted": shutil.rmtree,
    "without study.json": lambda folder: (folder / "study.json").unlink(),
    "a pipe": lambda folder: fifo(folder / "study.json"),
    "3 GB": lambda folder: os.truncate(folder / "study.json", 3 << 30),
    "deep": lambda folder: (folder / "study.json").write_text("[" * 100_000),
    "a title that is a number": lambda folder: change(folder, title=7),
    "contestants that are none": lambda folder: change(folder, contestants=[[], {}]),
    "an unknown field": lambda folder: change(folder, **{"\x1b[2J": 1}),
    "no schedules": lambda folder: change(folder, schedules=7),
    "without pictures": lambda folder: shutil.rmtree(folder / "images"),
    "without votes": lambda folder: (folder / "votes.sqlite").unlink(),
    "votes that are none": lambda folder: (folder / "votes.sqlite").write_bytes(b"x" * 5000),
    "a trial that is not there": lambda folder: vote(folder, "UPDATE vote SET trial = 10000 WHERE trial = 0"),
    "a negative trial": lambda folder: vote(folder, "UPDATE vote SET trial = -1 WHERE trial = 0"),
    "a time that is a text": lambda folder: vote(folder, "UPDATE vote SET ms = 'long'"),
    "a choice that is none": lambda folder: vote(folder, "UPDATE vote SET choice = 'up'"),
    "a trigger that drops votes": lambda folder: vote(
        folder, "CREATE TRIGGER t AFTER INSERT ON vote BEGIN DELETE FROM vote; END"
    ),
    "a trigger called as SQLite's own": lambda folder: vote(  # only names with an underscore are
        folder, "CREATE TRIGGER sqlitex AFTER INSERT ON vote BEGIN DELETE FROM vote; END"
    ),
    "a view that never ends": lambda folder: vote(
        folder, "CREATE VIEW v AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c"
    ),
    "votes that are a view": lambda folder: shutil.move(forged(folder), folder / "votes.sqlite"),
    "votes of another study": lambda folder: change(folder, title="another"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_report_of_it(kind, voted, capsys):
    BROKEN[kind](voted)
    refused(capsys, "report", voted)


def test_a_folder_that_takes_nothing(voted, capsys, monkeypatch):
    """A disk that is full or read-only; the tests may run as root, whom no mode stops."""

    def full(*arguments, **settings):
        raise OSError(30, "Read-only file system", str(voted / "report.json"))

    monkeypatch.setattr("inpaint.study.report.write_whole", full)
    assert "Read-only file system" in refused(capsys, "report", voted)
    if os.geteuid():
        voted.chmod(stat.S_IRUSR | stat.S_IXUSR)
        refused(capsys, "report", voted)
        voted.chmod(stat.S_IRWXU)


def test_a_report_is_written_over_no_file_of_the_users(voted, tmp_path):
    (tmp_path / "precious").write_text("mine")
    for name in ("report.json", "report.csv", "report.svg"):
        (voted / name).symlink_to(tmp_path / "precious")
    main(["report", str(voted)])
    assert (tmp_path / "precious").read_text() == "mine"
    assert json.loads((voted / "report.json").read_text())["votes"] >= 0


def test_a_file_that_a_program_has_analysed_is_still_one(voted):
    vote(voted, "ANALYZE")
    main(["report", str(voted)])


@pytest.mark.parametrize(
    ("words", "others"),
    [("ms          INTEGER NOT NULL", "ms AS (zeroblob(1e9)) STORED"), ("trial)\n", "trial) ON CONFLICT REPLACE\n")],
)
def test_tables_that_do_more_than_to_store(words, others, tmp_path):
    """A column that takes a gigabyte for each vote, and votes that replace the one before."""
    assert words in SCHEMA
    with closing(sqlite3.connect(tmp_path / "votes.sqlite")) as connection:
        connection.executescript(SCHEMA.replace(words, others))
    with pytest.raises(Refused, match="it holds the table vote, declared otherwise"):
        Votes(tmp_path / "votes.sqlite", "digest")
