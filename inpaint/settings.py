"""Settings that are words or numbers, and what to say of others."""

import difflib
from collections.abc import Iterable


def nearest(name: str, candidates: Iterable[str]) -> str:
    """`; did you mean ...?` with the closest candidate, or nothing."""
    close = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""


def choice(key: str, value: str, choices: Iterable[str]) -> str:
    """`value`, which is one of `choices`.

    Raises:
        ValueError: it is not; the message begins with `key`, the config's key or the option that held it.
    """
    choices = list(choices)
    if value not in choices:
        raise ValueError(f"{key}: give one of {', '.join(choices)}; got {value!r}{nearest(str(value), choices)}")
    return value


def whole(key: str, value: int, least: int) -> int:
    """`value`, a whole number from `least` up.

    Raises:
        ValueError: it is not; the message begins with `key`.
    """
    if not isinstance(value, int) or value < least:
        raise ValueError(f"{key}: {value!r} is no whole number from {least} up")
    return value
