"""What visitors may take of the study's server: connections, time and lines of its log.

uvicorn waits for ever for the rest of a request and for a client that reads no more of its answer. Where all
descriptors are taken, asyncio's accept loop writes a traceback for each connection that waits, again and again.
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from inpaint.system import most_descriptors

REQUEST_SECONDS = 10.0  # from the connection, or from the answer before, to the end of a request
ANSWER_SECONDS = 300.0  # from there to the end of its answer; a large picture through a slow line
MOST = 512  # connections at a time; a browser has six
RESERVE = 64  # descriptors for everything else, connections that are accepted and not yet counted among it
BACKLOG = 32  # connections that are accepted at once
LINES = 20  # of the log, a minute
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^][:/?#@\\\s]+)(:\d{0,5})?")  # RFC 3986, 3.2.2 and 3.2.3
TEXT = b"this server is not called by that name; inpaint-study serve --name NAME says that it is"


def most_connections() -> int:
    """As many as there are descriptors for, each with the file that it is sent."""
    descriptors = most_descriptors()
    return MOST if descriptors is None else max(8, min(MOST, (descriptors - RESERVE) // 2))


class Protocol(H11Protocol):
    """uvicorn's, with a time for each request and each answer, and an end to the number of connections.

    One more takes the place of the connection that has waited longest for its visitor, to ask or to read, so that who
    opens many and does neither is in nobody's way; where all are being answered, it is closed.
    """

    def __init__(self, *arguments: Any, most: int, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.most = most
        self.since = 0.0
        self.deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room, and begin to wait for a request."""
        super().connection_made(transport)
        self._within(REQUEST_SECONDS)
        if len(self.connections) > self.most:
            waiting = [other for other in self.connections if isinstance(other, Protocol) and other.is_idle]
            min(waiting, key=lambda other: other.since).drop()

    def connection_lost(self, exc: Exception | None) -> None:
        """No time is measured any more."""
        self._within(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """A request that is there, whole, has its time to be answered."""
        before = self.waits
        super().data_received(data)
        if before and not self.waits and self.deadline is not None:
            self._within(ANSWER_SECONDS)

    def on_response_complete(self) -> None:
        """Wait for the next request; uvicorn closes the connection sooner where nothing comes at all."""
        super().on_response_complete()
        self._within(REQUEST_SECONDS if self.waits else ANSWER_SECONDS)

    @property
    def waits(self) -> bool:
        """Whether it is the visitor's turn to send."""
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    @property
    def is_idle(self) -> bool:
        """Whether it is the visitor's turn, to send or to read."""
        return self.waits or self.flow.write_paused

    def drop(self) -> None:
        """End the connection now."""
        self.connections.discard(self)
        self.transport.abort()

    def _within(self, seconds: float | None) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
        self.since = self.loop.time()
        self.deadline = self.loop.call_later(seconds, self.drop) if seconds is not None else None


def protocol() -> Callable[..., Protocol]:
    """What uvicorn makes for each connection."""
    return partial(Protocol, most=most_connections())


class FewLines(logging.Filter):
    """At most `LINES` a minute, one of them with a traceback; the first of the next says how many there were more."""

    def __init__(self) -> None:
        super().__init__()
        self.begin, self.count, self.traced = time.monotonic(), 0, False

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is written."""
        now = time.monotonic()
        if now - self.begin >= 60:
            if self.count > LINES:
                record.msg, record.args = f"{record.getMessage()} ({self.count - LINES} lines were left out)", ()
            self.begin, self.count, self.traced = now, 0, False
        if record.exc_info and self.traced:
            record.msg, record.args = f"{record.getMessage().strip()}: {record.exc_info[1]!r}", ()
            record.exc_info = record.exc_text = None
        self.traced |= bool(record.exc_info)
        self.count += 1
        return self.count <= LINES


class KnownHosts:
    """Answers only what is addressed by a name of this server, or by the numbers of an address.

    A foreign site whose name is made to point at this machine could else read the page as its own; no site has numbers
    for a name.

    Args:
        app: what is asked then.
        names: lower case, IPv6 addresses in brackets.
        numbers: whether any address in numbers is a name, which of a server on this machine alone none is.
    """

    def __init__(self, app: ASGIApp, names: set[str], numbers: bool) -> None:
        self.app, self.names, self.numbers = app, names, numbers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse with 400."""
        given = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"]
        if len(given) == 1 and self._is_known(given[0]):
            return await self.app(scope, receive, send)
        headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(TEXT)).encode())]
        await send({"type": "http.response.start", "status": 400, "headers": headers})
        await send({"type": "http.response.body", "body": TEXT})

    def _is_known(self, host: str) -> bool:
        if (match := HOST.fullmatch(host)) is None:
            return False
        if match[1] in self.names:
            return True
        try:
            return self.numbers and bool(ip_address(match[1].strip("[]")))
        except ValueError:
            return False
