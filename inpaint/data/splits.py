"""Which photographs train and which validate, by a hash of their names: each keeps its side when others are added."""

import hashlib
from collections.abc import Sequence
from typing import Literal

from inpaint.pictures.names import composed
from inpaint.settings import Refused, whole

Split = Literal["train", "validation"]


def place(name: str) -> float:
    """A number in [0, 1) that only the name decides."""
    name = composed(name)
    return int.from_bytes(hashlib.sha256(name.encode(errors="surrogateescape")).digest()[:8], "big") / 2**64


def by_share(names: Sequence[str], share: float, what: str) -> dict[Split, list[int]]:
    """The places in a list of photographs of those that train, and of those that validate, a share of all.

    Args:
        names: of the photographs.
        share: of them, between 0 and 1.
        what: they are from, in a message.

    Raises:
        Refused: another share, or one that leaves one side without any, with the counts.
    """
    if not 0 < share < 1:
        raise Refused(f"data.validation: {share} is not between 0 and 1")
    split = _split([place(name) < share for name in names])
    for side, chosen in split.items():
        if not chosen:
            raise Refused(
                f"data.validation: {share} of the {len(names)} pictures in {what} leaves none for {side}; "
                "give more pictures or another share"
            )
    return split


def by_fold(names: Sequence[str], folds: int, fold: int, what: str) -> dict[Split, list[int]]:
    """The same for cross-validation: of so many folds, one validates and the others train.

    Over all folds each photograph validates once.

    Args:
        names: of the photographs.
        folds: how many, from 2 up.
        fold: the one that validates, from 0 up.
        what: they are from, in a message.

    Raises:
        Refused: other numbers, or a side without any photograph.
    """
    whole("data.folds", folds, 2)
    if whole("data.fold", fold, 0) >= folds:
        raise Refused(f"data.fold: {fold} is none of data.folds={folds}, which are 0 to {folds - 1}")
    split = _split([int(place(name) * folds) == fold for name in names])
    for side, chosen in split.items():
        if not chosen:
            raise Refused(
                f"data.folds: fold {fold} of {folds} leaves none of the {len(names)} pictures in {what} for {side}; "
                "give more pictures or fewer folds"
            )
    return split


def _split(validates: Sequence[bool]) -> dict[Split, list[int]]:
    rows = range(len(validates))
    return {
        "train": [row for row in rows if not validates[row]],
        "validation": [row for row in rows if validates[row]],
    }
