"""As much of a wandb server as its client needs, on this machine, and servers that are in a bad way."""

import gzip
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ACCOUNT = "0123456789abcdef0123456789abcdef01234567"  # has the form of a key


class Server:
    """Takes what is sent to it, by run id, and counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.history: dict[str, list[dict[str, Any]]] = {}
        self.connections: list[socket.socket] = []
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"server_state": self}))
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def environment(self) -> dict[str, str]:
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": ACCOUNT}

    def die(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        for connection in self.connections:  # those that are kept open would be served on
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def graphql(self, name: str, variables: dict[str, Any]) -> dict[str, Any]:
        place = {"id": "p", "name": "p", "entity": {"id": "e", "name": "e"}}
        if name == "UpsertBucket":
            bucket = {"id": "r", "name": variables["name"], "displayName": "r", "config": "{}", "project": place}
            bucket |= {"historyLineCount": len(self.history.get(variables["name"], []))}
            return {"upsertBucket": {"bucket": bucket, "inserted": variables["name"] not in self.history}}
        if name == "CreateRunFiles":
            files = [{"name": file, "uploadUrl": f"{self.url}/upload/{file}"} for file in variables["files"]]
            return {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}}
        if name == "RunResumeStatus" and variables["name"] in self.history:
            rows = self.history[variables["name"]]
            empty: dict[str, Any] = dict.fromkeys(("logLineCount", "eventsLineCount"), 0)
            tails = {"historyTail": json.dumps([json.dumps(rows[-1])]), "eventsTail": "[]", "summaryMetrics": "{}"}
            bucket = {"id": "r", "name": variables["name"], "displayName": "r", "config": "{}", "tags": []}
            bucket |= empty | tails | {"historyLineCount": len(rows), "wandbConfig": '{"t": 1}'}
            return {"model": place | {"bucket": bucket}}
        return {}

    def take(self, run: str, files: dict[str, Any]) -> None:
        if stream := files.get("wandb-history.jsonl"):
            rows = self.history.setdefault(run, [])
            rows[stream["offset"] :] = [json.loads(line) for line in stream["content"]]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: Server

    def setup(self) -> None:
        super().setup()
        self.server_state.connections.append(self.connection)

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer({}, 404)

    def do_PUT(self) -> None:
        self._body()
        self._answer({})

    def do_POST(self) -> None:
        body, state = self._body(), self.server_state
        if self.path == "/graphql":
            question = json.loads(body)
            name = question["operationName"] or question["query"].split("(")[0].split()[-1]
            state.asked.append(name)
            self._answer({"data": state.graphql(name, question.get("variables") or {})})
            return
        state.asked.append(self.path)
        if self.path.endswith("/file_stream"):
            state.take(self.path.split("/")[-2], json.loads(body).get("files") or {})
        self._answer({})

    def _body(self) -> bytes:
        body = b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline().strip(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _answer(self, content: dict[str, Any], code: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    try:
        yield server
    finally:
        server.die()


@contextmanager
def silent() -> Iterator[str]:
    """The address of a server that takes every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def black_hole() -> Iterator[str]:
    """An address from where nothing comes back: its queue of connections is full, so the system drops what knocks."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        knocks = [socket.socket() for _ in range(4)]
        for knock in knocks:
            knock.setblocking(False)
            knock.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        for knock in knocks:
            knock.close()


def closed() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"http://127.0.0.1:{listening.getsockname()[1]}"
