"""The study's server under visitors that send half a request, read no answer, come in crowds or under other names."""

import json
import logging
import os
import resource
import shutil
import socket
import sqlite3
import threading
import time
from pathlib import Path

import pytest
import uvicorn

from inpaint.settings import Refused
from inpaint.study import limits, server, votes
from inpaint.study.__main__ import main
from inpaint.study.report import notes, summarise
from inpaint.study.trials import load
from inpaint.study.votes import SHORTEST_MS, Vote, Votes
from tests.study.conftest import Visitor, built, folders, start_server  # noqa: F401

VOTE = {"trial": 0, "choice": "left", "ms": 900}
SECONDS = 0.5  # of the limits here
CROWD = 12


@pytest.fixture(scope="module")
def study(built, tmp_path_factory):  # noqa: F811
    return Path(shutil.copytree(built, tmp_path_factory.mktemp("load") / "study"))


class Served:
    """`serve` in a thread of this process, with limits that a test can wait for."""

    def __init__(self, study: Path, *host: str) -> None:
        self.config: uvicorn.Config | None = None
        said: list[str] = []

        def make(config, original=uvicorn.Server):
            self.server, self.config = original(config), config
            return self.server

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(server.uvicorn, "Server", make)
            arguments = (study, host[0] if host else "127.0.0.1", 0, host[1:], said.append)
            self.thread = threading.Thread(target=server.serve, args=arguments, daemon=True)
            self.thread.start()
            while self.config is None or not self.server.started:
                assert self.thread.is_alive()
                time.sleep(0.01)
        self.port = int(said[-1].rstrip("/").rpartition(":")[2])

    def end(self) -> None:
        self.server.should_exit = True
        self.thread.join(20)
        assert not self.thread.is_alive()


@pytest.fixture(scope="module")
def served(study):
    """One server for all of this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "REQUEST_SECONDS", SECONDS)
        patch.setattr(limits, "ANSWER_SECONDS", 5 * SECONDS)
        patch.setattr(server, "PATIENCE", SECONDS)
        patch.setattr(votes, "PATIENCE", SECONDS)
        with pytest.MonkeyPatch.context() as start:
            start.setattr(limits, "MOST", CROWD)
            running = Served(study, "0.0.0.0", "study.example")
        yield running
        running.end()


@pytest.fixture
def visitor(served):
    return Visitor(served.port)


def is_closed(connection: socket.socket) -> bool:
    """By the other side, in time; what it still sends is read."""
    connection.settimeout(20)
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


POST = b"POST /start HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n"
HALVES = {
    "nothing": b"",
    "half a line": b"GET / HT",
    "half a header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ",
    "half a body": POST + b"Content-Length: 60\r\n\r\n{",
    "half a second request": b"GET /icon.svg HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nHo",
}


def test_half_a_request_has_a_deadline(served):
    """However slowly it goes on: a byte now and then is no reason to wait."""
    opened = {}
    for name, begun in HALVES.items():
        opened[name] = socket.create_connection(("127.0.0.1", served.port))
        opened[name].sendall(begun)
    dripping = opened["half a header"]
    with pytest.raises(OSError):
        for _ in range(400):
            dripping.sendall(b"a")
            time.sleep(0.05)
    assert {name: is_closed(connection) for name, connection in opened.items()} == dict.fromkeys(HALVES, True)


@pytest.fixture
def large(study, visitor):
    """A request for a picture larger than all buffers on the way."""
    name = visitor.start()["trials"][0]["right"]
    picture = study / "images" / f"{name}.png"
    size = picture.stat().st_size
    os.truncate(picture, 64_000_000)
    yield f"GET /images/{name}.png HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    os.truncate(picture, size)


def deaf(served):
    """How many connections have something to say that nobody reads."""
    connections = [*served.server.server_state.connections]
    return sum(connection.flow is not None and connection.flow.write_paused for connection in connections)


def test_who_reads_no_answer_has_a_deadline(served, large):
    """Not a byte read."""
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        connection.sendall(large)
        while not deaf(served):
            time.sleep(0.01)
        while deaf(served):
            time.sleep(0.01)
        assert is_closed(connection)


def test_a_crowd_that_reads_nothing_starves_nobody(served, large, visitor, monkeypatch):
    """All connections there are have asked for a large picture, and nobody reads it; more of them all the time."""
    monkeypatch.setattr(limits, "ANSWER_SECONDS", 600)
    for _ in range(2):
        crowd = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(CROWD)]
        for connection in crowd:
            connection.sendall(large)
        while deaf(served) < CROWD:
            time.sleep(0.01)
        assert visitor.send("GET", "/")[0] == 200
    for connection in crowd:
        connection.close()


def test_a_crowd_starves_nobody(served, visitor):
    """Five times as many half-open connections as there may be, and new ones all the time."""
    crowd = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(5 * CROWD)]
    for connection in crowd:
        connection.send(b"GET / HTTP/1.1\r\n")
    assert visitor.send("GET", "/")[0] == 200
    assert len(served.server.server_state.connections) <= CROWD
    for connection in crowd:
        connection.close()


def test_connections_are_fewer_than_descriptors(monkeypatch):
    for soft, most in ((128, 32), (1024, 480), (65536, limits.MOST), (resource.RLIM_INFINITY, limits.MOST), (40, 8)):
        monkeypatch.setattr(resource, "getrlimit", lambda which, soft=soft: (soft, soft))
        assert limits.most_connections() == most


def test_the_log_is_bounded(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    few = limits.FewLines()
    written = []
    for second in (0, 30, 61, 62):
        now[0] = second
        for _ in range(1000):
            record = logging.LogRecord("asyncio", logging.ERROR, "", 0, "no %s", ("descriptors",), None)
            if few.filter(record):
                written.append(record.getMessage())
    assert len(written) == 2 * limits.LINES
    assert written[0] == "no descriptors" and written[limits.LINES] == "no descriptors (1980 lines were left out)"


def test_a_traceback_is_written_once_a_minute(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    few = limits.FewLines()
    records = []
    for second in (0, 1, 61):
        now[0] = second
        try:
            raise OSError("no room")
        except OSError as error:
            about = (type(error), error, error.__traceback__)
        records.append(logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, "in the application\n", (), about))
        assert few.filter(records[-1])
    assert [record.exc_info is not None for record in records] == [True, False, True]
    assert records[1].getMessage() == "in the application: OSError('no room')"


def test_who_leaves_in_the_middle_is_no_line_of_the_log(served, caplog):
    """A traceback has seventy."""
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", served.port)) as connection:
            connection.sendall(POST + b"Content-Length: 60\r\n\r\n{")
    while served.server.server_state.connections:
        time.sleep(0.01)
    assert caplog.text == ""


def test_the_servers_log_is_bounded(served):
    for name in ("asyncio", "uvicorn.error", "inpaint.study.server"):
        assert any(isinstance(each, limits.FewLines) for each in logging.getLogger(name).filters)


@pytest.mark.slow
def test_with_few_descriptors(study, start_server):  # noqa: F811
    """A process with 128 of them, 200 half-open connections, and at most a page of log."""

    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))

    running = start_server(study, preexec_fn=few)
    crowd = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(200)]
    for _ in range(20):
        assert Visitor(running.port).send("GET", "/")[0] == 200
    time.sleep(3)
    for connection in crowd:
        connection.close()
    running.end()
    assert len("".join(running.said)) < 20_000


# ---- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200), ("localhost", 200), ("[::1]", 200), ("192.0.2.7", 200), ("[2001:db8::1]:8000", 200),
        ("study.example", 200), ("STUDY.example:80", 200), (socket.gethostname(), 200),
        ("evil.example", 400), ("127.0.0.1.evil.example", 400), ("", 400), ("[::1", 400), ("[evil.example]", 400),
        ("localhost:", 200), ("localhost:/evil", 400), ("localhost:80@evil.example", 400), ("localhost:80?", 400),
        ("[::1].evil.example", 400), ("[::1]evil.example:80", 400), ("localhost:evil", 400), ("localhost#", 400),
        ("192.0.2.7 evil.example", 400), ("2130706433", 400), ("0x7f.1", 400), ("study.example.", 400), (None, 400),
    ],
)  # fmt: skip
def test_whoever_can_reach_it_addresses_it_by_its_names(visitor, host, status):
    """That of a foreign site, made to point here, would be of one origin with it."""
    assert visitor.send("GET", "/", host=host)[0] == status
    if status == 400 and host is not None:
        assert visitor.send("POST", "/start", host=host, origin=f"http://{host}")[0] == 400


def test_two_names_are_none(served):
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: evil.example\r\nHost: localhost\r\n\r\n")
        assert b" 400 " in connection.recv(100)


def test_alone_it_has_no_other_numbers(study):
    running = Served(study)
    try:
        assert [Visitor(running.port).send("GET", "/", host=host)[0] for host in ("127.0.0.1", "192.0.2.7")] == [
            200,
            400,
        ]
    finally:
        running.end()


# ---- texts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--title", "--question", "METHOD"])
def test_what_is_not_utf8_is_refused_before_work(option, folders, capsys):  # noqa: F811
    """Bytes of another encoding on a command line reach Python as half a pair of surrogates."""
    methods = [str(folders / "lama"), f"{'ours' if option != 'METHOD' else chr(0xDCFF)}={folders / 'ours'}"]
    texts = [option, "Fl\udce4che"] if option != "METHOD" else []
    with pytest.raises(SystemExit) as ended:
        main(["build", *methods, "--output", str(folders / "study"), *texts])
    assert ended.value.code == 2
    assert f"{option}: " in (said := capsys.readouterr().err) and "is not UTF-8" in said
    assert not (folders / "study").exists()


@pytest.mark.parametrize("title", ["Fl\udce4che", 7, None, {"a": 1}])
def test_a_study_with_such_a_text_is_not_served(title, built, tmp_path):  # noqa: F811
    study = Path(shutil.copytree(built, tmp_path / "study"))
    fields = json.loads((study / "study.json").read_text())
    (study / "study.json").write_text(json.dumps(fields | {"title": title}))
    with pytest.raises(Refused, match="not a study"):
        load(study)


# ---- votes ----------------------------------------------------------------------------------------------------------


def test_a_picture_that_became_a_link_is_not_served(study, visitor):
    name = visitor.start()["trials"][0]["left"]
    picture = study / "images" / f"{name}.png"
    picture.rename(study / "aside.png")
    picture.symlink_to(study / "study.json")
    try:
        assert visitor.send("GET", f"/images/{name}.png")[0] == 404
    finally:
        (study / "aside.png").replace(picture)


def test_reading_does_not_wait_for_a_write_and_a_write_not_for_ever(study, visitor):
    """Another program holds the file for writing."""
    visitor.start()
    other = sqlite3.connect(study / "votes.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = [threading.Thread(target=visitor.send, args=("POST", "/votes", VOTE)) for _ in range(4)]
    for thread in waiting:
        thread.start()
    assert visitor.send("GET", "/state")[0] == 200
    assert any(thread.is_alive() for thread in waiting), "they were there first, and are not answered yet"
    for thread in waiting:
        thread.join()
    assert visitor.send("POST", "/votes", VOTE)[0] == 503, "upon which the page tries again"
    other.execute("ROLLBACK")
    other.close()
    assert visitor.send("POST", "/votes", VOTE)[0] == 204
    assert visitor.votes(study) == [(0, "left", 900)]


@pytest.mark.parametrize("names", [["votes.sqlite"], ["votes.sqlite-wal"], ["votes.sqlite", "votes.sqlite-wal"]])
@pytest.mark.parametrize("replaced", [False, True])
def test_no_vote_goes_into_a_file_that_is_gone(names, replaced, built, tmp_path):  # noqa: F811
    """SQLite writes on into a file without a name, and says that all is well."""
    study = Path(shutil.copytree(built, tmp_path / "study"))
    file, digest = study / "votes.sqlite", load(study).digest
    Votes(file, digest).close()
    kept = Votes(file, digest)
    token = kept.join()
    kept.add(Vote(1, 0, "left", 900))
    for name in names:
        content = (study / name).read_bytes()
        (study / name).unlink()
        if replaced:
            (study / name).write_bytes(content)
    for work in (lambda: kept.add(Vote(1, 1, "left", 900)), kept.join, lambda: kept.participant(token), kept.all):
        with pytest.raises(sqlite3.OperationalError, match="deleted or replaced"):
            work()
    kept.close()


def test_such_a_vote_is_answered_with_an_error(built, tmp_path):  # noqa: F811
    study = Path(shutil.copytree(built, tmp_path / "study"))
    running = Served(study)
    try:
        visitor = Visitor(running.port)
        visitor.start()
        assert visitor.send("POST", "/votes", VOTE)[0] == 204
        (study / "votes.sqlite").unlink()
        assert visitor.send("POST", "/votes", {**VOTE, "trial": 1})[0] == 503
        assert visitor.send("GET", "/state")[0] == 503 and visitor.send("POST", "/start")[0] == 503
    finally:
        running.end()


def test_answers_that_no_page_sends_are_flagged(built, tmp_path):  # noqa: F811
    """By what they say of themselves, or because more arrive in a second than the page lets through."""
    study = Path(shutil.copytree(built, tmp_path / "study"))
    kept = Votes(study / "votes.sqlite", load(study).digest)
    for _ in range(4):
        kept.join()
    for trial in range(8):
        kept.add(Vote(1, trial, "left", SHORTEST_MS))  # in one second, all of them
        kept.add(Vote(2, trial, "left", SHORTEST_MS - (trial == 3)))
        kept.add(Vote(3, trial, "left", SHORTEST_MS))
        if trial < votes.A_SECOND:
            kept.add(Vote(4, trial, "left", SHORTEST_MS))
    for participant in (2, 3):
        kept.writer.run("UPDATE vote SET arrived = '2026-01-01 10:00:' || trial WHERE participant = ?", participant)
    kept.writer.run("UPDATE vote SET arrived = '2026-01-01 10:00:00' WHERE participant in (1, 4)")
    assert kept.too_fast() == [1, 2]
    report = summarise(load(study), kept.all(), 1.0, kept.too_fast())
    assert report["participants"]["too_fast"] == [1, 2]
    assert any("2 participants (number 1, 2) answered faster than the page" in note for note in notes(report))
    kept.close()


def test_the_page_takes_no_answer_before_that():
    page = (Path(server.__file__).parent / "page" / "study.js").read_text()
    assert f"const SHORTEST_MS = {SHORTEST_MS};" in page
