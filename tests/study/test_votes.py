"""A vote that was answered is on disk, once, whatever happens to the server."""

import socket
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from inpaint.study.trials import load
from inpaint.study.votes import Vote, Votes


def stored(study: Path) -> list[tuple[int, int, str]]:
    connection = sqlite3.connect(study / "votes.sqlite")
    try:
        return connection.execute("SELECT participant, trial, choice FROM vote").fetchall()
    finally:
        connection.close()


def participant(study: Path, cookie: str) -> int:
    votes = Votes(study / "votes.sqlite", load(study).digest)
    try:
        number = votes.participant(cookie.partition("=")[2])
    finally:
        votes.close()
    assert number is not None
    return number


def choice(participant: int, trial: int) -> str:
    return ("left", "right")[(3 * participant + trial) % 2]


def test_killed_and_started_again_while_people_vote(study: Path, start_server, visit) -> None:
    """Five people vote as fast as they can and try again until they are answered; the server is killed three times."""
    server = start_server(study)
    visitors = [visit(server.port) for _ in range(5)]
    acknowledged: list[tuple[int, int, str]] = []
    problems: list[BaseException] = []

    def take_part(visitor) -> None:
        try:
            state = visitor.start()
            number = participant(study, visitor.cookie)
            for trial in range(state["count"]):
                vote = {"trial": trial, "choice": choice(number, trial), "ms": 500}
                assert visitor.persist("POST", "/votes", vote)[0] == 204
                acknowledged.append((number, trial, vote["choice"]))
                if trial % 3 == 0:  # as after a lost answer, with a change of mind that comes too late
                    vote["choice"] = choice(number, trial + 1)
                    assert visitor.persist("POST", "/votes", vote)[0] == 204
                time.sleep(0.01)
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=take_part, args=(visitor,)) for visitor in visitors]
    for thread in threads:
        thread.start()
    for enough in (4, 17, 31):
        while len(acknowledged) < enough:
            assert not problems and any(thread.is_alive() for thread in threads)
            time.sleep(0.001)
        assert server.end("kill") == -9
        before = list(acknowledged)
        assert set(before) <= set(stored(study))
        server = start_server(study, port=server.port)
    for thread in threads:
        thread.join(timeout=60)
    assert not problems
    assert len(acknowledged) == 5 * 10
    assert sorted(stored(study)) == sorted(acknowledged)


def test_a_vote_whose_answer_nobody_waits_for_counts_once(study: Path, server, visitor) -> None:
    """The connection is cut right after the vote is sent, again and again."""
    visitor.start()
    body = b'{"trial": 4, "choice": "right", "ms": 700}'
    head = (
        f"POST /votes HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nOrigin: http://127.0.0.1:{server.port}\r\n"
        f"Cookie: {visitor.cookie}\r\nX-Study-Token: {visitor.token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head.encode() + body)
    assert visitor.send("POST", "/votes", body)[0] == 204
    assert stored(study) == [(1, 4, "right")]


def test_half_a_vote_is_none(study: Path, server, visitor) -> None:
    visitor.start()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"POST /votes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60\r\n\r\n{")
    assert visitor.send("GET", "/state")[0] == 200
    assert stored(study) == []


def test_every_commit_is_flushed(study: Path) -> None:
    """Killing a process loses nothing that its machine still holds; only these settings survive a power cut."""
    votes = Votes(study / "votes.sqlite", "x")
    assert votes.writer.run("PRAGMA journal_mode") == [("wal",)]
    assert votes.writer.run("PRAGMA synchronous") == [(2,)]
    votes.join()
    votes.add(Vote(1, 0, "left", 9))
    votes.add(Vote(1, 0, "right", 9))
    votes.add(Vote(1, 1, "right", 9))
    assert not votes.writer.connection.in_transaction
    assert stored(study) == [(1, 0, "left"), (1, 1, "right")] == [vote[:3] for vote in votes.all()]
    assert votes.answered(1) == [0, 1] and votes.answered(2) == []
    for wrong in (Vote(2, 0, "left", 9), Vote(1, 2, "both", 9)):
        with pytest.raises(sqlite3.IntegrityError):
            votes.add(wrong)
    votes.close()


def test_tokens_are_not_stored(study: Path) -> None:
    votes = Votes(study / "votes.sqlite", load(study).digest)
    first, second = votes.join(), votes.join()
    assert (votes.participant(first), votes.participant(second)) == (1, 2)
    assert votes.participant("") is None and votes.participant(first + "x") is None
    votes.close()
    content = b"".join(path.read_bytes() for path in study.glob("votes.sqlite*"))
    assert first.encode() not in content


def test_votes_of_another_study_are_refused(study: Path) -> None:
    Votes(study / "votes.sqlite", "one").close()
    Votes(study / "votes.sqlite", "one").close()
    with pytest.raises(ValueError, match=r"another study\.json"):
        Votes(study / "votes.sqlite", "two")
    with pytest.raises(ValueError, match="cannot be opened"):
        Votes(study / "nowhere" / "votes.sqlite", "one")
