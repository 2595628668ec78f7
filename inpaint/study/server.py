"""Shows a study in the browser and takes votes: `inpaint-study serve`.

    GET  /, /study.css, /study.js, /icon.svg    the page, from the package
    GET  /images/NAME.png                       a picture of the study
    GET  /state                                 what the page shows; to a participant also the trials and a token
    POST /start                                 makes the visitor a participant, answers as /state
    POST /votes                                 {"trial": 0, "choice": "left", "ms": 1234}; again is as good as once

Nothing else is served; study.json is not, for it names the methods. A participant is known by a cookie that scripts
cannot read. A post must come from a page of this server (Origin), and a vote must carry the token that only such a
page can have read. Everything a visitor sends is checked here; what they see is set as text by the page. How much a
visitor may take of the server is in `limits`.
"""

import hashlib
import json
import logging
import socket
import sqlite3
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inpaint.settings import Refused
from inpaint.study.limits import BACKLOG, FewLines, KnownHosts, protocol
from inpaint.study.trials import DAMAGED, Study, image_file, is_link, load
from inpaint.study.votes import PATIENCE, Vote, Votes

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
log = logging.getLogger("inpaint.study.server")
LARGEST_BODY = 1024  # bytes; a vote has about 60
LONGEST_MS = 24 * 3600 * 1000  # a page left open over night answers with this
COOKIE_SECONDS = 30 * 24 * 3600
PAGE = {"/": "index.html", "/study.css": "study.css", "/study.js": "study.js", "/icon.svg": "icon.svg"}
TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def application(folder: Path, study: Study, votes: Votes, hosts: Sequence[str], numbers: bool = False) -> ASGIApp:
    """The web application. What could not be stored or read is answered with 503, upon which the page tries again.

    Args:
        folder: where the study is.
        study: what is in it.
        votes: where answers go.
        hosts, numbers: how the server may be addressed, as `limits.KnownHosts` takes them.
    """
    cookie = f"study-{study.digest[:12]}"  # cookies know no ports, so two studies on one machine need two names
    names = study.names
    turn = anyio.CapacityLimiter(1)  # writes wait for each other here, and take no thread meanwhile

    async def written(write: Callable[..., Any], *arguments: Any) -> Any:
        try:
            with anyio.fail_after(2 * PATIENCE):
                async with turn:
                    return await anyio.to_thread.run_sync(write, *arguments, limiter=None)
        except TimeoutError:
            raise HTTPException(503, "the votes are busy") from None

    page = {path: files("inpaint.study").joinpath("page", file).read_bytes() for path, file in PAGE.items()}

    def show(request: Request) -> Response:
        path = request.url.path
        return Response(page[path], media_type=TYPES[PAGE[path].rpartition(".")[2]], headers=_cached("no-cache"))

    def image(request: Request) -> Response:
        name = request.path_params["name"]
        path = image_file(folder, name)
        if name not in names or is_link(folder, name) or not path.is_file():
            raise HTTPException(404)
        return FileResponse(path, media_type="image/png", headers=_cached("private, max-age=86400, immutable"))

    def state(request: Request) -> Response:
        token = request.cookies.get(cookie, "")
        return answer(token, votes.participant(token))

    def answer(token: str, participant: int | None) -> JSONResponse:
        fields: dict[str, Any] = {"title": study.title, "question": study.question}
        if participant is None:
            fields |= {"count": len(study.schedules[0])}
        else:
            trials = study.schedule(participant)
            fields |= {"token": _post_token(token), "answered": votes.answered(participant), "count": len(trials)}
            fields |= {
                "trials": [
                    {
                        "left": study.files[trial.left][trial.picture],
                        "right": study.files[trial.right][trial.picture],
                        "damaged": study.files.get(DAMAGED, {}).get(trial.picture),
                    }
                    for trial in trials
                ]
            }
        return JSONResponse(fields, headers=_cached("no-store"))

    async def start(request: Request) -> Response:
        _refuse_foreign(request)
        await _body(request)
        token = request.cookies.get(cookie, "")
        participant = await run_in_threadpool(votes.participant, token)
        if participant is None:
            token = await written(votes.join)
            participant = await run_in_threadpool(votes.participant, token)
        response = await run_in_threadpool(answer, token, participant)
        response.set_cookie(cookie, token, max_age=COOKIE_SECONDS, httponly=True, samesite="strict")
        return response

    async def vote(request: Request) -> Response:
        _refuse_foreign(request)
        token = request.cookies.get(cookie, "")
        participant = await run_in_threadpool(votes.participant, token)
        if participant is None or request.headers.get("x-study-token") != _post_token(token):
            raise HTTPException(403, "no participant of this study; load the page again")
        if request.headers.get("content-type") != "application/json":
            raise HTTPException(415, "give application/json")
        given = _read_vote(participant, await _body(request))
        if given.trial >= len(study.schedule(participant)):
            raise HTTPException(404, "no such trial")
        await written(votes.add, given)
        return Response(status_code=204)

    routes = [
        *(Route(path, show, methods=["GET"]) for path in PAGE),
        Route("/images/{name}.png", image, methods=["GET"]),
        Route("/state", state, methods=["GET"]),
        Route("/start", start, methods=["POST"]),
        Route("/votes", vote, methods=["POST"]),
    ]
    app = Starlette(routes=routes, exception_handlers={sqlite3.Error: _not_stored})
    app.router.redirect_slashes = False  # nothing is at another address than it says
    return _with_headers(KnownHosts(app, {host.lower() for host in hosts}, numbers))


def _not_stored(request: Request, error: Exception) -> Response:
    log.warning(f"{request.method} {request.url.path}: {error}")
    return PlainTextResponse("the votes cannot be read or stored now", 503, _cached("no-store"))


def _cached(policy: str) -> dict[str, str]:
    return {"Cache-Control": policy}


def _post_token(token: str) -> str:
    """What a page of this server knows and a foreign one cannot: derived from the cookie that only we are sent."""
    return hashlib.blake2b(token.encode(), person=b"study post", digest_size=16).hexdigest()


def _refuse_foreign(request: Request) -> None:
    host = request.headers.get("host", "").lower()
    if request.headers.get("origin", "").lower() not in (f"http://{host}", f"https://{host}"):
        raise HTTPException(403, "foreign origin")


async def _body(request: Request) -> bytes:
    """The body, refused as soon as it is too long, whatever its length is said to be."""
    body = b""
    try:
        async for part in request.stream():
            body += part
            if len(body) > LARGEST_BODY:
                raise HTTPException(413, f"more than {LARGEST_BODY} bytes", {"Connection": "close"})
    except ClientDisconnect:
        raise HTTPException(400, "half a body") from None  # which nobody reads
    return body


def _read_vote(participant: int, body: bytes) -> Vote:
    """A vote as sent.

    Raises:
        HTTPException: 400, it is anything else.
    """
    try:
        fields = json.loads(body)
        trial, choice, ms = fields["trial"], fields["choice"], fields["ms"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise HTTPException(400, "not a vote") from None
    whole = type(trial) is int and type(ms) is int  # True is an int too
    if not whole or choice not in ("left", "right") or trial < 0 or ms < 0 or len(fields) != 3:
        raise HTTPException(400, "not a vote")
    return Vote(participant, trial, choice, min(ms, LONGEST_MS))


def _with_headers(app: ASGIApp) -> ASGIApp:
    """The application with `HEADERS` on every answer, errors included."""
    headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *headers]}
            await send(message)

        await app(scope, receive, send_with_headers)

    return wrapped


def _names_of_this_machine() -> list[str]:
    name = socket.gethostname()
    short = name.partition(".")[0]
    return [name, short, f"{short}.local", socket.getfqdn()]


def serve(folder: Path, host: str, port: int, names: Sequence[str], say: Callable[[str], None]) -> None:
    """Serve until interrupted.

    Args:
        folder: the study.
        host: address to listen on.
        port: 0 for any free one.
        names: further names the server is addressed by, as behind a proxy. On this machine alone it has the names of
            `LOOPBACK`, elsewhere those of the machine, `host` and any address in numbers.
        say: told the address, once the server can be reached, and a warning if others can reach it too.

    Raises:
        Refused: no study, or the address cannot be had.
    """
    study = load(folder)
    votes = Votes(folder / "votes.sqlite", study.digest)
    try:
        try:
            listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        except (OSError, OverflowError) as error:
            raise Refused(f"--host, --port: cannot listen on {host} port {port} ({error})") from None
        local = host in ("127.0.0.1", "localhost", "::1")
        shown = f"[{host}]" if ":" in host else host
        hosts = [*LOOPBACK, *names] if local else [*LOOPBACK, shown, *_names_of_this_machine(), *names]
        if not local:
            say(f"careful: other machines can reach {host}; anyone who does can take part, and nothing is encrypted")
        say(f"{len(study.schedules[0])} trials a participant at http://{shown}:{listener.getsockname()[1]}/")
        config = uvicorn.Config(
            application(folder, study, votes, hosts, numbers=not local),
            http=protocol(), backlog=BACKLOG,  # type: ignore[arg-type]
            log_level=logging.WARNING, access_log=False, server_header=False, lifespan="off", ws="none",
            timeout_graceful_shutdown=5,
        )  # fmt: skip
        few = FewLines()
        for name in ("asyncio", "uvicorn.error", log.name):
            logging.getLogger(name).addFilter(few)
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        votes.close()
