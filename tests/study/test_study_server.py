"""Visitors get the study's pictures and nothing else, and leave votes and nothing else."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from inpaint.study.server import HEADERS, LARGEST_BODY
from inpaint.study.trials import load
from inpaint.study.votes import Votes

VOTE = {"trial": 0, "choice": "left", "ms": 900}


@pytest.fixture(scope="module")
def study(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One study and one server for all of this file; each test is another participant."""
    return Path(shutil.copytree(built, tmp_path_factory.mktemp("served") / "study"))


@pytest.fixture(scope="module")
def server(study: Path, serve):
    running = serve(study)
    yield running
    running.end()


def test_the_page_the_pictures_and_a_vote(study: Path, visitor) -> None:
    for path, kind in (("/", "html"), ("/study.css", "css"), ("/study.js", "javascript"), ("/icon.svg", "svg")):
        status, headers, body = visitor.send("GET", path)
        assert status == 200 and kind in headers["content-type"] and body
    before = json.loads(visitor.send("GET", "/state")[2])
    assert set(before) == {"title", "question", "count"} and before["count"] == 10

    state = visitor.start()
    assert set(state) == {"title", "question", "count", "token", "answered", "trials"} and state["answered"] == []
    for side, name in state["trials"][0].items():
        status, headers, body = visitor.send("GET", f"/images/{name}.png")
        assert (status, headers["content-type"]) == (200, "image/png"), side
        assert body == (study / "images" / f"{name}.png").read_bytes()
    assert visitor.send("POST", "/votes", VOTE)[0] == 204
    assert visitor.send("POST", "/votes", {**VOTE, "trial": 3, "ms": 10**12})[0] == 204
    assert visitor.votes(study) == [(0, "left", 900), (3, "left", 24 * 3600 * 1000)]
    assert json.loads(visitor.send("GET", "/state")[2])["answered"] == [0, 3]
    assert visitor.start()["answered"] == [0, 3]  # starting again is going on


def test_participants_are_shown_their_own_schedules(built: Path, tmp_path: Path, start_server, visit) -> None:
    server = start_server(shutil.copytree(built, tmp_path / "study"))
    shown = [visit(server.port).start()["trials"] for _ in range(3)]
    expected = load(built)
    for number, trials in enumerate(shown, start=1):
        assert [(trial["left"], trial["right"]) for trial in trials] == [
            (expected.files[trial.left][trial.picture], expected.files[trial.right][trial.picture])
            for trial in expected.schedule(number)
        ]
    assert shown[0] != shown[1]


def test_nothing_that_is_sent_names_a_method_or_a_picture(visitor) -> None:
    state = visitor.start()
    sent = json.dumps(state) + "".join(
        visitor.send("GET", path)[2].decode() for path in ("/", "/study.js", "/study.css", "/state")
    )
    for name in ("lama", "ours", "original", "destroyed", "hall", "three"):
        assert name not in sent
    assert all(re.fullmatch("[0-9a-f]{32}", name) for trial in state["trials"] for name in trial.values())


@pytest.mark.parametrize(
    "path",
    [
        "/study.json", "/votes.sqlite", "/images/", "/images", "/images/study.png", "/page/index.html", "/docs",
        "/images/../study.json", "/images/..%2fstudy.json", "/images/%2e%2e/study.json", "/images/%2e%2e%5cstudy.json",
        "/images/..%2f..%2fstudy.json.png", "/images/....//study.json", "/images/%00.png", "/images//etc/passwd",
        "//etc/passwd", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/static/server.py", "/favicon.ico",
    ],
)  # fmt: skip
def test_nothing_else_is_served(visitor, path: str) -> None:
    status, headers, body = visitor.send("GET", path)
    assert status == 404 and len(body) < 40
    for name, value in HEADERS.items():
        assert headers[name.lower()] == value


def test_a_file_that_was_put_among_the_pictures_is_not_served(study: Path, visitor) -> None:
    (study / "images" / f"{'a' * 32}.png").write_bytes(b"private")
    assert visitor.send("GET", f"/images/{'a' * 32}.png")[0] == 404


def test_a_picture_that_is_gone_is_not_found(study: Path, visitor) -> None:
    name = visitor.start()["trials"][0]["left"]
    picture, aside = study / "images" / f"{name}.png", study / "aside.png"
    picture.rename(aside)
    try:
        assert visitor.send("GET", f"/images/{name}.png")[0] == 404
        os.mkfifo(picture)
        assert visitor.send("GET", f"/images/{name}.png")[0] == 404
    finally:
        aside.replace(picture)


def test_headers_are_on_every_answer(visitor) -> None:
    state = visitor.start()
    answers = [
        visitor.send("GET", path) for path in ("/", "/state", "/nothing", f"/images/{state['trials'][0]['left']}.png")
    ]
    answers += [
        visitor.send("POST", "/votes", VOTE),
        visitor.send("POST", "/votes", b"{"),
        visitor.send("PUT", "/votes"),
    ]
    answers += [visitor.send("GET", "/", host="evil.example")]
    assert [status for status, _, _ in answers] == [200, 200, 404, 200, 204, 400, 405, 400]
    for _, headers, _ in answers:
        for name, value in HEADERS.items():
            assert headers[name.lower()] == value
        assert "server" not in headers
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "*" not in policy
    page = visitor.send("GET", "/")[2].decode()
    assert not re.search(r"<script(?![^>]*src=)|<style|style=|\son\w+=|https?://", page)


def test_the_cookie_is_out_of_reach_of_scripts_and_sites(visitor) -> None:
    headers = visitor.send("POST", "/start")[1]
    cookie = headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"origin": None}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:1"}, 403),
        ({"origin": "http://localhost"}, 403),
        ({"x_study_token": None}, 403),
        ({"x_study_token": ""}, 403),
        ({"x_study_token": "0" * 32}, 403),
        ({"cookie": None}, 403),
        ({"cookie": "study=1"}, 403),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/x-www-form-urlencoded"}, 415),
        ({"host": "evil.example"}, 400),
        ({"host": "127.0.0.1.evil.example"}, 400),
        ({"host": "evil.example", "origin": "http://evil.example"}, 400),
    ],
)
def test_foreign_posts_are_refused(study: Path, visitor, changed: dict, status: int) -> None:
    visitor.start()
    assert visitor.send("POST", "/votes", VOTE, **changed)[0] == status
    assert visitor.votes(study) == []


def test_nobody_joins_from_a_foreign_page(study: Path, visitor) -> None:
    def count() -> int:
        votes = Votes(study / "votes.sqlite", load(study).digest)
        try:
            return votes.reader.run("SELECT count(*) FROM participant")[0][0]
        finally:
            votes.close()

    before = count()
    for origin in (None, "null", "http://evil.example"):
        status, headers, _ = visitor.send("POST", "/start", origin=origin)
        assert status == 403 and "set-cookie" not in headers
    assert count() == before


def test_a_token_is_of_one_participant(study: Path, server, visit) -> None:
    one, two = visit(server.port), visit(server.port)
    one.start()
    two.start()
    assert one.send("POST", "/votes", VOTE, x_study_token=two.token)[0] == 403
    assert one.send("POST", "/votes", VOTE, cookie=two.cookie)[0] == 403
    assert one.votes(study) == two.votes(study) == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400), (b"{", 400), (b"null", 400), (b"[]", 400), (b'"vote"', 400), (b"[" * 1000, 400), (b"\xff\xfe", 400),
        ({**VOTE, "trial": 10}, 404), ({**VOTE, "trial": 10**30}, 404), ({**VOTE, "trial": -1}, 400),
        ({**VOTE, "trial": "0"}, 400), ({**VOTE, "trial": True}, 400), ({**VOTE, "trial": 0.0}, 400),
        ({**VOTE, "trial": None}, 400), ({**VOTE, "choice": "both"}, 400), ({**VOTE, "choice": ["left"]}, 400),
        ({**VOTE, "ms": -1}, 400), ({**VOTE, "ms": 1.5}, 400), ({**VOTE, "ms": "1"}, 400), ({"trial": 0}, 400),
        ({**VOTE, "participant": 2}, 400),
    ],
)  # fmt: skip
def test_what_is_no_vote_is_refused(study: Path, visitor, body, status: int) -> None:
    visitor.start()
    assert visitor.send("POST", "/votes", body)[0] == status
    assert visitor.votes(study) == []
    assert visitor.send("POST", "/votes", VOTE)[0] == 204  # and the server goes on


def test_oversized_bodies_are_refused_however_they_are_sent(study: Path, server, visitor) -> None:
    visitor.start()
    assert visitor.send("POST", "/votes", b" " * (LARGEST_BODY + 1))[0] == 413
    assert visitor.send("POST", "/start", b" " * (LARGEST_BODY + 1))[0] == 413
    chunk = b"200\r\n" + b" " * 512 + b"\r\n"
    assert visitor.send("POST", "/votes", chunk * 4, transfer_encoding="chunked")[0] == 413
    padded = json.dumps(VOTE).encode()
    assert visitor.send("POST", "/votes", padded + b" " * (LARGEST_BODY - len(padded)))[0] == 204
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:  # a gigabyte is only announced
        head = f"POST /start HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nContent-Length: {10**9}\r\n\r\n"
        connection.sendall(head.encode() + b" " * 4096)
        assert b" 413 " in connection.recv(100)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n")
        assert b" 400 " in connection.recv(100)
    assert len(visitor.votes(study)) == 1


def test_it_listens_on_this_machine_alone_unless_told_otherwise(study: Path, start_server, visit) -> None:
    alone = start_server(study)
    assert alone.url.startswith("http://127.0.0.1:") and len(alone.said) == 1
    listening = Path("/proc/net/tcp").read_text() if Path("/proc/net/tcp").exists() else ""
    assert not listening or f"0100007F:{alone.port:04X}" in listening
    for name in ("localhost", f"localhost:{alone.port}", "[::1]"):
        assert visit(alone.port).send("GET", "/", host=name)[0] == 200

    everybody = start_server(study, "--host", "0.0.0.0", "--name", "study.example")
    assert "careful" in everybody.said[0]
    reached = visit(everybody.port)
    assert reached.send("GET", "/", host="study.example")[0] == 200
    assert reached.send("GET", "/", host="evil.example")[0] == 400


def refused(*arguments: object) -> str:
    command = [sys.executable, "-m", "inpaint.study", "serve", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


def test_what_cannot_be_served_is_one_line(study: Path, server, tmp_path: Path) -> None:
    assert f"cannot listen on 127.0.0.1 port {server.port}" in refused(study, "--port", server.port)
    assert "cannot listen on 127.0.0.1 port 99999" in refused(study, "--port", 99999)
    assert "no study" in refused(tmp_path)


def test_ctrl_c_ends_it_in_one_line(study: Path, start_server) -> None:
    server = start_server(study)
    urlopen(server.url).close()  # it serves; before, Python itself has something to say
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(timeout=20) == 0
    assert server.process.stdout.read() == "stopped; every vote that was answered is stored\n"


def test_torch_is_not_imported() -> None:
    code = (
        "import sys, inpaint.study.__main__, inpaint.study.server, inpaint.study.report\n"
        "sys.exit(bool({'torch', 'lightning', 'hydra', 'pandas', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0
