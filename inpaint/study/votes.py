"""The votes of a study in SQLite: what `Votes.add` has returned from is on disk, and counts once.

Write-ahead log and synchronous=FULL: a commit is flushed before it is answered, and a server killed in the middle of
one leaves the vote out, whole; the browser then sends it again. The primary key (participant, trial) makes the second
copy of a vote that had arrived nothing. Stored are choice, response time and second of arrival, no address, no name.
"""

import hashlib
import secrets
import sqlite3
import threading
from pathlib import Path
from typing import NamedTuple

from inpaint.settings import Refused

SCHEMA = """
CREATE TABLE IF NOT EXISTS study (digest TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS participant (
    number INTEGER PRIMARY KEY,               -- from 1; decides the schedule
    token  TEXT NOT NULL UNIQUE               -- sha256 of the cookie's
);
CREATE TABLE IF NOT EXISTS vote (
    participant INTEGER NOT NULL REFERENCES participant (number),
    trial       INTEGER NOT NULL,             -- place in the participant's schedule, from 0
    choice      TEXT NOT NULL CHECK (choice IN ('left', 'right')),
    ms          INTEGER NOT NULL,             -- from both pictures on the screen to the choice
    arrived     TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (participant, trial)
) WITHOUT ROWID;
"""


class Vote(NamedTuple):
    """One answer; `trial` is the place in the participant's schedule, from 0, `ms` the response time."""

    participant: int
    trial: int
    choice: str
    ms: int


class Votes:
    """The votes of one study, from any number of threads.

    Args:
        path: the SQLite file, made if it is not there.
        study: the study's digest.

    Raises:
        Refused: the file is something else, or holds the votes of another study.
    """

    def __init__(self, path: Path, study: str) -> None:
        self.lock = threading.Lock()
        try:
            self.connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise Refused(f"{path}: cannot be opened ({error})") from None
        try:
            self._run("PRAGMA journal_mode = WAL")
            self._run("PRAGMA synchronous = FULL")
            self._run("PRAGMA foreign_keys = ON")
            self.connection.executescript(SCHEMA)
            self._run("INSERT INTO study SELECT ? WHERE NOT EXISTS (SELECT * FROM study)", study)
            (owner,) = self._run("SELECT digest FROM study")
        except sqlite3.Error as error:
            self.close()
            raise Refused(f"{path}: not a file of votes ({error})") from None
        if owner != (study,):
            self.close()
            raise Refused(f"{path}: its votes were given for another study.json; they count for that alone")

    def _run(self, statement: str, *values: int | str) -> list[tuple]:
        """One statement, which is one transaction."""
        with self.lock:
            return self.connection.execute(statement, values).fetchall()

    def join(self) -> str:
        """A new participant's token."""
        token = secrets.token_urlsafe(32)
        self._run("INSERT INTO participant (token) VALUES (?)", _hidden(token))
        return token

    def participant(self, token: str) -> int | None:
        """The number that belongs to a token."""
        found = self._run("SELECT number FROM participant WHERE token = ?", _hidden(token))
        return found[0][0] if found else None

    def add(self, vote: Vote) -> None:
        """Store a vote, durably; if there is one of this participant on this trial, that one stands."""
        columns = "(participant, trial, choice, ms) VALUES (?, ?, ?, ?)"
        self._run(f"INSERT INTO vote {columns} ON CONFLICT (participant, trial) DO NOTHING", *vote)

    def answered(self, participant: int) -> list[int]:
        """The trials a participant has voted on."""
        return [trial for (trial,) in self._run("SELECT trial FROM vote WHERE participant = ?", participant)]

    def all(self) -> list[Vote]:
        """All votes."""
        return [Vote(*row) for row in self._run("SELECT participant, trial, choice, ms FROM vote")]

    def close(self) -> None:
        """Let go of the file."""
        self.connection.close()


def _hidden(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
