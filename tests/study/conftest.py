"""A small study of three contestants, and a server of it in a process of its own."""

import http.client
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inpaint.study.build import build
from inpaint.study.trials import load
from inpaint.study.votes import Votes

METHODS = ("lama", "ours", "original")
PICTURES = ("hall/one", "hall/two", "three", "four", "fünf & <b>")
HEIGHT, WIDTH = 40, 56


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A folder with one of pictures for each method, the originals and the masks."""
    for number, picture in enumerate(PICTURES):
        for place, method in enumerate(METHODS):
            save(tmp_path / method / f"{picture}.png", pixels(10 * number + place))
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[8:30, 10 : 20 + number] = 255
        save(tmp_path / "masks" / f"{picture}.png", mask)
    return tmp_path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 8 comparisons and 2 catch trials; not to be written to."""
    root = tmp_path_factory.mktemp("study")
    for number, picture in enumerate(PICTURES):
        for place, method in enumerate(METHODS):
            save(root / method / f"{picture}.png", pixels(10 * number + place))
        save(root / "masks" / f"{picture}.png", np.full((HEIGHT, WIDTH), 255 * (number % 2), np.uint8))
    build(
        root / "study", {"lama": root / "lama", "ours": root / "ours"}, root / "original", root / "masks",
        trials=8, catch=2, participants=10, title='<img src=x onerror="alert(1)"> & more',
    )  # fmt: skip
    return root / "study"


@pytest.fixture
def study(built: Path, tmp_path: Path) -> Path:
    """A copy of the study, for votes."""
    return Path(shutil.copytree(built, tmp_path / "study"))


class Server:
    """`inpaint-study serve` as a process."""

    def __init__(self, study: Path, *arguments: str, port: int = 0, **process: Any) -> None:
        command = [sys.executable, "-m", "inpaint.study", "serve", str(study), "--port", str(port), *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **process)
        self.said: list[str] = []
        while not self.said or "http://" not in self.said[-1]:
            line = self.process.stdout.readline()
            assert line, "".join(self.said)
            self.said.append(line)
        self.url = self.said[-1].split()[-1]
        self.port = int(self.url.rstrip("/").rpartition(":")[2])

    def end(self, signal_name: str = "terminate") -> int:
        getattr(self.process, signal_name)()
        self.said += self.process.stdout.readlines() if not self.process.stdout.closed else []
        self.process.stdout.close()
        return self.process.wait(timeout=20)


class Visitor:
    """A browser without a screen: keeps the cookie, sends Origin and token, tries again while nobody answers."""

    def __init__(self, port: int) -> None:
        self.port, self.cookie, self.token = port, "", ""

    def send(self, method: str, path: str, body: Any = None, **changed: str | None) -> tuple[int, dict, bytes]:
        """One request; a header is changed by its name with underscores, or left out with None."""
        host = f"127.0.0.1:{self.port}"
        headers = {"host": host, "cookie": self.cookie}
        if method == "POST":
            headers |= {"origin": f"http://{host}", "content-type": "application/json", "x-study-token": self.token}
        headers |= {name.replace("_", "-"): value for name, value in changed.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                if value is not None:
                    connection.putheader(name, value)
            if data is not None and "transfer-encoding" not in headers and "content-length" not in headers:
                connection.putheader("content-length", str(len(data)))
            connection.endheaders(data)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def persist(self, *arguments: Any) -> tuple[int, dict, bytes]:
        """`send`, as often as it takes."""
        for _ in range(600):
            try:
                return self.send(*arguments)
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)
        raise AssertionError("no answer")

    def votes(self, study: Path) -> list[tuple[int, str, int]]:
        """What is stored of this participant: trial, choice, response time."""
        votes = Votes(study / "votes.sqlite", load(study).digest)
        try:
            number = votes.participant(self.cookie.partition("=")[2])
            return sorted(vote[1:] for vote in votes.all() if vote.participant == number)
        finally:
            votes.close()

    def start(self) -> dict:
        status, headers, body = self.persist("POST", "/start")
        assert status == 200, body
        self.cookie = headers["set-cookie"].partition(";")[0]
        state = json.loads(body)
        self.token = state["token"]
        return state


@pytest.fixture(scope="session")
def serve():
    """Starts a server, which whoever asks for it must end."""
    return Server


@pytest.fixture
def start_server():
    """Starts servers, and ends those that still run."""
    running = []

    def start(*arguments, **options) -> Server:
        running.append(Server(*arguments, **options))
        return running[-1]

    yield start
    for server in running:
        server.end()


@pytest.fixture
def server(study: Path, start_server) -> Server:
    return start_server(study)


@pytest.fixture
def visitor(server: Server) -> Visitor:
    return Visitor(server.port)


@pytest.fixture
def visit():
    """Makes visitors of any server."""
    return Visitor
