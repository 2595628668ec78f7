"""A study on disk: `study.json` (which pictures, which trials) and `images/`, pictures under names that say nothing.

    {
      "format": "inpaint-study 1",
      "title": "...", "question": "...",             shown to participants
      "seed": 0,
      "contestants": ["ours", "lama", "original"],
      "files": {                                     picture -> name of its PNG in images/, for
        "ours": {"hall/01": "9f0c...", ...},         each contestant, and for
        "destroyed": {...},                          the wrong answers of the catch trials
        "damaged": {...}                             the pictures with their holes, if there were masks
      },
      "schedules": [                                 one a participant, in the order they are shown; participant
        [["hall/01", "lama", "ours"], ...], ...      number n is given schedule (n - 1) modulo how many there are
      ]                                              each trial: picture, left contestant, right contestant
    }

A file is named by a digest of its pixels, so that neither an address nor its order gives the method away.
"""

import hashlib
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from inpaint.files.untrusted import read_json
from inpaint.files.writing import json_text
from inpaint.settings import Refused

FORMAT = "inpaint-study 1"
ORIGINAL, DESTROYED, DAMAGED = "original", "destroyed", "damaged"
RESERVED = (ORIGINAL, DESTROYED, DAMAGED)


class Trial(NamedTuple):
    """One picture by two contestants; in a catch trial one of them is `DESTROYED`."""

    picture: str
    left: str
    right: str

    @property
    def is_catch(self) -> bool:
        """Whether there is a wrong answer."""
        return DESTROYED in (self.left, self.right)


@dataclass(frozen=True)
class Study:
    """What `study.json` holds; see above."""

    title: str
    question: str
    seed: int
    contestants: list[str]
    files: dict[str, dict[str, str]]
    schedules: list[list[Trial]]

    @property
    def names(self) -> set[str]:
        """All files of `images/`, without suffix."""
        return {name for files in self.files.values() for name in files.values()}

    @property
    def digest(self) -> str:
        """Tells this study from any other, and from itself after a change."""
        return hashlib.sha256(self.text().encode()).hexdigest()

    def schedule(self, participant: int) -> list[Trial]:
        """The trials of a participant; they are numbered from 1."""
        return self.schedules[(participant - 1) % len(self.schedules)]

    def text(self) -> str:
        """The study as JSON, a line a trial."""
        fields: dict[str, Any] = {"format": FORMAT, **asdict(self)}
        head = json_text({name: value for name, value in fields.items() if name != "schedules"}, indent=1)
        rows = (",\n".join(f"  {json_text(trial, None)}" for trial in schedule) for schedule in self.schedules)
        schedules = ",\n".join(f" [\n{lines}\n ]" for lines in rows)
        return f'{head[:-2]},\n "schedules": [\n{schedules}\n ]\n}}\n'


def image_file(folder: Path, name: str) -> Path:
    """Where the picture called `name` is in the study folder."""
    return folder / "images" / f"{name}.png"


def is_link(folder: Path, name: str) -> bool:
    """Whether that picture, or the folder of pictures, is a link: even one within the study may show its study.json."""
    path = image_file(folder, name)
    return path.is_symlink() or path.parent.is_symlink()


def refuse_unsayable(setting: str, text: object) -> None:
    """What no page can show, as it is no text or holds bytes that were not UTF-8 on a command line, is refused.

    Raises:
        Refused: it is such; the message begins with `setting`.
    """
    try:
        str(text).encode()
    except UnicodeEncodeError:
        raise Refused(f"{setting}: {text!r} is not UTF-8, so no page can show it") from None
    if not isinstance(text, str):
        raise Refused(f"{setting}: {text!r} is no text")


def load(folder: Path) -> Study:
    """Read a study. It may come from anyone, so its pictures are its own files: what is shown is no link to others.

    Raises:
        Refused: one line that says why `folder` holds none, or an incomplete one.
    """
    path = folder / "study.json"
    try:
        fields = read_json(path)
        if fields.pop("format", None) != FORMAT:
            raise ValueError(f"its format is not {FORMAT!r}")
        schedules = [[Trial(*trial) for trial in schedule] for schedule in fields.pop("schedules")]
        study = Study(**fields, schedules=schedules)
        needed = {(side, trial.picture) for trials in schedules for trial in trials for side in trial[1:]}
        unknown = sorted(key for key in needed if key[1] not in study.files[key[0]])
        if unknown or not all(schedules) or not schedules:
            raise ValueError("it has trials without pictures, or no trials")
        texts = [study.title, study.question, *study.contestants]
        if not (isinstance(study.seed, int) and all(isinstance(text, str) for text in texts)):
            raise ValueError("its title, its question and its contestants are no texts")
        if any(not re.fullmatch("[0-9a-f]{32}", name) for name in study.names):
            raise ValueError("a picture has a name that `inpaint-study build` does not give")
        refuse_unsayable("title", study.title)
        refuse_unsayable("question", study.question)
        for name in study.contestants:
            refuse_unsayable("contestants", name)
    except FileNotFoundError:
        raise Refused(f"{folder}: no study (no study.json); inpaint-study build makes one") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}" if isinstance(error, KeyError | TypeError) else error
        raise Refused(f"{path}: not a study ({reason})") from None
    if links := sorted(name for name in study.names if is_link(folder, name)):
        raise Refused(f"{folder}: {len(links)} of its pictures are links, {links[0]}.png first; they must be files")
    if lacking := sorted(name for name in study.names if not image_file(folder, name).is_file()):
        raise Refused(f"{folder}: incomplete study, {len(lacking)} files of images/ are gone, {lacking[0]}.png first")
    return study
