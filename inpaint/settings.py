"""Settings that are words."""

from collections.abc import Iterable


def choice(key: str, value: str, choices: Iterable[str]) -> str:
    """`value`, which is one of `choices`.

    Raises:
        ValueError: it is not; the message begins with `key`, the config's key or the option that held it.
    """
    choices = list(choices)
    if value not in choices:
        raise ValueError(f"{key}: give one of {', '.join(choices)}; got {value!r}")
    return value
