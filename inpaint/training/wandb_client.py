"""Starting wandb's client, waiting for it no longer than it is worth, and leaving it."""

import os
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import HTTPSHandler, ProxyHandler, build_opener, getproxies

PROBE_SECONDS = 3.0  # for the connection, and for each further answer


def why_no_account(url: str) -> str:
    """Why there is no account for the server at `url`; empty if there is one. Asks nobody, on no terminal either."""
    from wandb.errors import AuthenticationError
    from wandb.sdk.lib.wbauth import authenticate_session

    try:
        account = authenticate_session(host=url, source="inpaint", prompt=False, update_session=False)
    except AuthenticationError as error:
        return str(error)
    return "" if account else "no account here; wandb login or WANDB_API_KEY gives one"


def why_unreachable(url: str, proxies: Mapping[str, str | None], seconds: float = PROBE_SECONDS) -> str:
    """Why nothing answers at `url`; empty if something does. Returns within ``seconds + 1``, whatever is in the way.

    Args:
        url: of the server; any answer to a GET below 500 will do.
        proxies: by scheme; those of the environment apply where there is none.
        seconds: for each step of the way.
    """
    answers: list[str] = []

    def ask() -> None:
        anyone = ssl.create_default_context()
        anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE  # nothing is told; the client checks
        known = getproxies() | {scheme: proxy for scheme, proxy in proxies.items() if proxy}
        try:
            build_opener(ProxyHandler(known), HTTPSHandler(context=anyone)).open(f"{url}/graphql", timeout=seconds)
            answers.append("")
        except HTTPError as error:
            answers.append("" if error.code < 500 else f"{url} answers {error.code} {error.reason}")
        except (OSError, HTTPException, ValueError) as error:
            answers.append(f"{url} cannot be reached: {getattr(error, 'reason', None) or error}")

    # In a thread, as looking up a name knows no time limit.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds + 1)
    return answers[0] if answers else f"{url} does not answer within {seconds:.0f} s"


def within(seconds: float, action: Callable[[], object]) -> None:
    """Do what asks the server, as artifacts do (tables are some), and pass on its error; leave it behind after a time.

    Raises:
        TimeoutError: it is not done yet. Should it log a row later, the client drops that, as later rows have come.
    """
    errors: list[Exception] = []

    def attempt() -> None:
        try:
            action()
        except Exception as error:
            errors.append(error)

    acting = threading.Thread(target=attempt, daemon=True)
    acting.start()
    acting.join(seconds)
    if acting.is_alive():
        raise TimeoutError(f"no answer within {seconds:.0f} s")
    if errors:
        raise errors[0]


@contextmanager
def no_reports() -> Iterator[None]:
    """The client reports its own use to its maker, offline too, unless the environment forbids it when it starts."""
    said = "WANDB_ERROR_REPORTING" in os.environ
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    try:
        yield
    finally:
        if not said:
            del os.environ["WANDB_ERROR_REPORTING"]


def led_by_agent() -> bool:
    """Whether an agent of one of wandb's own sweeps started this process."""
    return bool(os.environ.get("WANDB_SWEEP_ID"))


def leave_client() -> None:
    """Leave a client that has failed behind, so that the next run gets another one."""
    import wandb

    with suppress(Exception, SystemExit):  # it would end the process with the code of a client that was killed
        wandb.teardown()
    wandb.run = None
