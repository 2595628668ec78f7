"""What ``inpaint-NAME help`` prints: what the command is and what there is to choose from, or what one option is.

A recipe names its paper by a BibTeX key, in a line ``# Paper: KEY, in papers.bib`` of its header; the entries are in
``conf/papers.bib``.
"""

import re
import textwrap
from pathlib import Path

from inpaint import config
from inpaint.cli.explain import groups, options
from inpaint.config import conf_dir
from inpaint.settings import Refused, nearest

WIDTH = 120  # characters of a line
PAPER = re.compile(r"^# Paper: (.+), in papers\.bib$", re.MULTILINE)
ENTRY = re.compile(r"^@\w+\{([^,\s]+),\n.*?^\}$", re.MULTILINE | re.DOTALL)


def papers() -> dict[str, str]:
    """The BibTeX entries by their keys."""
    text = (conf_dir() / "papers.bib").read_text(encoding="utf-8")
    return {entry[1]: entry[0] for entry in ENTRY.finditer(text)}


def keys(text: str) -> list[str]:
    """The BibTeX keys that an option's file names."""
    return [key for line in PAPER.findall(text) for key in line.split(", ")]


def manual(name: str, topic: str | None = None) -> str:
    """The help of a command, or of an option.

    Args:
        name: of the command, ``train``.
        topic: an option, ``aot_gan`` or ``experiment=aot_gan``; None: the command as a whole.

    Raises:
        Refused: there is no such option.
    """
    return _of_command(name) if topic is None else _of_option(name, topic)


def _of_command(name: str) -> str:
    lines, choices = [_header(conf_dir() / f"{name}.yaml"), ""], _choices(name)
    for group, names in choices.items():
        listed = textwrap.wrap(", ".join(names), WIDTH - 18, break_on_hyphens=False)
        lines += [f"  {group if not place else '':<14}  {line}" for place, line in enumerate(listed)]
    if choices:
        lines += ["", f"inpaint-{name} help OPTION     what an option is, and the paper of a recipe"]
    lines.append(f"inpaint-{name} --help          all settings with their values")
    return "\n".join(lines)


def _of_option(name: str, topic: str) -> str:
    group, _, option = topic.lstrip("+").rpartition("=")
    choices = _choices(name)
    places = [place for place, names in choices.items() if option in names and group in ("", place)]
    if not places:
        known = [option for names in choices.values() for option in names]
        raise Refused(f"help: there is no option {topic}{nearest(option, known)} (inpaint-{name} help lists all)")
    return "\n\n".join(_explained(place, option) for place in places)


def _explained(group: str, option: str) -> str:
    """A recipe's header with its papers; of other options, which are short, the whole file."""
    file = config.options(group)[option]
    if group != "experiment":
        return f"{group}={option}\n\n{file.read_text(encoding='utf-8').strip()}"
    entries = papers()
    named = [entries[key] for key in keys(file.read_text(encoding="utf-8")) if key in entries]
    return "\n\n".join([f"+{group}={option}", _header(file), *named])


def _choices(name: str) -> dict[str, list[str]]:
    """The options of each group that a command has."""
    text = (conf_dir() / f"{name}.yaml").read_text(encoding="utf-8")
    return {
        group: options(group)
        for group in groups()
        if name == "train" or re.search(rf"^  - {group}(@\w+)?: ", text, re.MULTILINE)
    }


def _header(file: Path) -> str:
    """The comment at the top of a config, without the line that is meant for Hydra."""
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            lines.append(line[2:])
    return "\n".join(lines)
