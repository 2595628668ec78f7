"""The votes of a study in SQLite: what `Votes.add` has returned from is on disk, and counts once.

Write-ahead log and synchronous=FULL: a commit is flushed before it is answered, and a server killed in the middle of
one leaves the vote out, whole; the browser then sends it again. The primary key (participant, trial) makes the second
copy of a vote that had arrived nothing. Stored are choice, response time and second of arrival, no address, no name.

Reading has a connection of its own, so it never waits for a write; and neither waits long for another program.
"""

import hashlib
import re
import secrets
import sqlite3
import threading
from contextlib import closing, suppress
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
PATIENCE = 5.0  # seconds that a statement waits for another thread, and then for another program
SHORTEST_MS = 300  # before which the page takes no answer, and from each answer to the next
A_SECOND = 1000 // SHORTEST_MS + 1  # answers that the page can send in one, at most
DECLARED = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"  # the indexes of keys have no text of their own
COUNTS = {  # that programs for SQLite make with ANALYZE
    "sqlite_stat1": "CREATE TABLE sqlite_stat1(tbl,idx,stat)",
    "sqlite_stat4": "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)",
}
LOG, SHARED = "-wal", "-shm"  # of SQLite, behind the name of the file


class Vote(NamedTuple):
    """One answer; `trial` is the place in the participant's schedule, from 0, `ms` the response time."""

    participant: int
    trial: int
    choice: str
    ms: int


class Votes:
    """The votes of one study, from any number of threads.

    Every method raises sqlite3.Error where it could not do what it says, so a vote is stored or there is an error:
    another program holds the file for more than `PATIENCE` seconds, the disk is full, or the file, deleted or replaced
    while it was open, is no longer where the votes are looked for.

    Args:
        path: the SQLite file, made if it is not there.
        study: the study's digest.

    Raises:
        Refused: the file is something else, a link, or holds the votes of another study.
    """

    def __init__(self, path: Path, study: str) -> None:
        self.path = path
        for name in (path, *(path.with_name(path.name + end) for end in (LOG, SHARED, "-journal"))):
            if name.is_symlink():
                raise Refused(f"{name}: a link; what it leads to may be another program's, and would be changed")
        try:
            self.writer = _Connection(path)
        except sqlite3.Error as error:
            raise Refused(f"{path}: cannot be opened ({error})") from None
        try:
            self._refuse_programs()
            self.writer.run("PRAGMA journal_mode = WAL")
            self.writer.run("PRAGMA synchronous = FULL")
            self.writer.run("PRAGMA foreign_keys = ON")
            self.writer.connection.executescript(SCHEMA)
            self.writer.run("INSERT INTO study SELECT ? WHERE NOT EXISTS (SELECT * FROM study)", study)
            (owner,) = self.writer.run("SELECT digest FROM study")
            self.reader = _Connection(path)
            self.reader.run("PRAGMA query_only = ON")
            self.reader.run("SELECT digest FROM study")
        except (sqlite3.Error, Refused) as error:
            self.close()
            raise Refused(f"{path}: not a file of votes ({error})") from None
        if owner != (study,):
            self.close()
            raise Refused(f"{path}: its votes were given for another study.json; they count for that alone")
        self.files = self._files()

    def _refuse_programs(self) -> None:
        """A file may bring views and triggers, which act at each statement: forge votes, drop them, never end.

        So may a table by what it was declared with: a column that is computed, a vote that replaces the one before.

        Raises:
            Refused: it holds something else than the tables of votes, each as `SCHEMA` declares it.
        """
        self.writer.run("PRAGMA trusted_schema = OFF")
        with closing(sqlite3.connect(":memory:")) as ours:
            ours.executescript(SCHEMA)
            declared = {name: _words(text) for name, text in ours.execute(DECLARED)}
        declared |= {name: _words(text) for name, text in COUNTS.items()}
        for kind, name, text in self.writer.run("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"):
            if kind != "table" or _words(text) != declared.get(name):
                raise Refused(f"it holds the {kind} {name[:80]}" + (", declared otherwise" if name in declared else ""))

    def _files(self) -> list[tuple[int, int]]:
        """Which files the names of the database and its log stand for now; nothing where they are gone."""
        found = []
        for name in (self.path, self.path.with_name(self.path.name + LOG)):
            with suppress(OSError):
                status = name.stat()
                found.append((status.st_dev, status.st_ino))
        return found

    def _run(self, connection: "_Connection", statement: str, *values: int | str) -> list[tuple]:
        """One statement, which is one transaction, on the file that has the name of the votes."""
        rows = connection.run(statement, *values)
        if self._files() != self.files:  # SQLite goes on writing into a file that has no name any more
            raise sqlite3.OperationalError(f"{self.path} was deleted or replaced while it was open; start anew")
        return rows

    def join(self) -> str:
        """A new participant's token."""
        token = secrets.token_urlsafe(32)
        self._run(self.writer, "INSERT INTO participant (token) VALUES (?)", _hidden(token))
        return token

    def participant(self, token: str) -> int | None:
        """The number that belongs to a token."""
        found = self._run(self.reader, "SELECT number FROM participant WHERE token = ?", _hidden(token))
        return found[0][0] if found else None

    def add(self, vote: Vote) -> None:
        """Store a vote, durably; if there is one of this participant on this trial, that one stands."""
        columns = "(participant, trial, choice, ms) VALUES (?, ?, ?, ?)"
        self._run(self.writer, f"INSERT INTO vote {columns} ON CONFLICT (participant, trial) DO NOTHING", *vote)

    def answered(self, participant: int) -> list[int]:
        """The trials a participant has voted on."""
        rows = self._run(self.reader, "SELECT trial FROM vote WHERE participant = ?", participant)
        return [trial for (trial,) in rows]

    def all(self) -> list[Vote]:
        """All votes."""
        return [Vote(*row) for row in self._run(self.reader, "SELECT participant, trial, choice, ms FROM vote")]

    def too_fast(self) -> list[int]:
        """Participants some of whose votes took less time than the page does, by their own account or by arrival."""
        rows = self._run(
            self.reader,
            "SELECT participant FROM vote WHERE ms < ? UNION "
            "SELECT participant FROM vote GROUP BY participant, arrived HAVING count(*) > ?",
            SHORTEST_MS,
            A_SECOND,
        )
        return sorted(number for (number,) in rows)

    def close(self) -> None:
        """Let go of the file."""
        for connection in (getattr(self, "reader", None), self.writer):
            if connection is not None:
                connection.connection.close()


class _Connection:
    """A connection that one thread uses at a time, and none waits for long."""

    def __init__(self, path: Path) -> None:
        self.lock = threading.Lock()
        self.connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)

    def run(self, statement: str, *values: int | str) -> list[tuple]:
        if not self.lock.acquire(timeout=PATIENCE):
            raise sqlite3.OperationalError("the votes are busy")
        try:
            return self.connection.execute(statement, values).fetchall()
        finally:
            self.lock.release()


def _words(text: str) -> list[str]:
    """What a table is declared with, without comments."""
    return re.sub("--.*", "", text).split()


def _hidden(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
