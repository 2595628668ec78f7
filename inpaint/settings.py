"""Settings that are words or numbers, and what to say of others."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence


class Refused(ValueError):
    """Bad input, said in one line that names the setting: whoever gave it reads that line alone, and exit code 2."""

    def __str__(self) -> str:
        return printable(super().__str__())


MOST_SHOWN = 24  # names in a message, which is one line
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """The text for a terminal: what would command it (escape sequences, directions of writing) is spelt out.

    Names of files, methods and settings come from anyone, and a terminal does as they say: it changes its title, writes
    over earlier lines, sets the clipboard. A line's end stays.
    """
    return CONTROL.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode(), text)


class ConfigError(Refused):
    """Everything that is wrong with a config, one line each."""


class SweepError(Refused):
    """A sweep that cannot begin."""


def nearest(name: str, candidates: Iterable[str]) -> str:
    """`; did you mean ...?` with the closest candidate, or nothing."""
    close = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""


def listed(names: Sequence[object]) -> str:
    """The first five of several names, for a message."""
    return ", ".join(map(str, names[:5])) + (", ..." if len(names) > 5 else "")


def choice(key: str, value: str, choices: Iterable[str]) -> str:
    """`value`, which is one of `choices`.

    Raises:
        Refused: it is not; the message begins with `key`, the config's key or the option that held it.
    """
    choices = list(choices)
    if value not in choices:
        shown = ", ".join(choices[:MOST_SHOWN]) + (", ..." if len(choices) > MOST_SHOWN else "")
        raise Refused(f"{key}: give one of {shown}; got {value!r}{nearest(str(value), choices)}")
    return value


def whole(key: str, value: int, least: int) -> int:
    """`value`, a whole number from `least` up; `true` is none, though Python counts it as 1.

    Raises:
        Refused: it is not; the message begins with `key`.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise Refused(f"{key}: {value!r} is no whole number from {least} up")
    return value


def whole_numbers(group: str, least: int = 1, **settings: int | Sequence[int]) -> None:
    """Check settings of a group that are whole numbers from `least` up, or lists of such numbers.

    Raises:
        Refused: one is not; the message begins with ``group.setting``.
    """
    for name, value in settings.items():
        if isinstance(value, Sequence) and not isinstance(value, str):
            for item in value:
                whole(f"{group}.{name}", item, least)
        else:
            whole(f"{group}.{name}", value, least)


def relative_weights(key: str, names: Iterable[str], weights: Mapping[str, float] | None) -> dict[str, float]:
    """The share of each of `names`, which add up to 1.

    Args:
        key: the config's key, which the message begins with.
        names: those in ``kinds``.
        weights: a number from 0 up for each, relative to one another; None is alike.

    Raises:
        Refused: there is not one for each name, or they are no such numbers, or all 0.
    """
    names = list(names)
    weights = dict.fromkeys(names, 1.0) if weights is None else dict(weights)
    if odd := sorted({*weights} ^ {*names}):
        raise Refused(f"{key}: give one for each name in kinds ({', '.join(names)}); see to {odd}")
    valid = all(isinstance(weight, int | float) and 0 <= weight < float("inf") for weight in weights.values())
    if not valid or not any(weights.values()):
        raise Refused(f"{key}: give numbers from 0 up, and not all of them 0; got {weights}")
    return {name: weights[name] / sum(weights.values()) for name in names}


def interval(key: str, value: Sequence, least: float, most: float, unit: str, whole: bool = False) -> tuple:
    """`value` as (low, high) with least <= low <= high <= most.

    Args:
        key: the config's key, which the message begins with.
        value: two numbers.
        unit: what they are, in words.
        whole: whole numbers alone.

    Raises:
        Refused: it is something else.
    """
    try:
        low, high = value
        if least <= low <= high <= most and not (whole and (low % 1 or high % 1)):
            return (int(low), int(high)) if whole else (low, high)
    except (TypeError, ValueError):
        pass
    raise Refused(f"{key}: give [low, high], {unit}, {least:g} <= low <= high <= {most:g}; got {value!r}")


def number(key: str, value: float, least: float, most: float, unit: str, whole: bool = False) -> float:
    """`value`, if least <= value <= most.

    Args: as of `interval`.

    Raises:
        Refused: it is something else.
    """
    if isinstance(value, int | float) and least <= value <= most and not (whole and value % 1):
        return value
    name = key.rpartition(".")[2]
    raise Refused(f"{key}: give {unit}, {least:g} <= {name} <= {most:g}; got {value!r}")
