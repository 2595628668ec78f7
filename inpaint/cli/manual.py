"""What ``inpaint-NAME help`` prints: what the command is and what there is to choose from, or what one option is.

A recipe names its paper by a BibTeX key, in a line ``# Paper: KEY, in papers.bib`` of its header; the entries are in
``conf/papers.bib``.
"""

import inspect
import itertools
import pydoc
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from inpaint import config
from inpaint.cli.explain import groups, options
from inpaint.config import conf_dir
from inpaint.parts import conf_dirs
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
    """The help of a command, of a group, of an option or of a setting.

    Args:
        name: of the command, ``train``.
        topic: a group, ``generator``; an option, ``aot``, ``generator.aot`` or ``generator=aot``; a setting,
            ``data.cache``; None: the command as a whole.

    Raises:
        Refused: there is none of that name.
    """
    return _of_command(name) if topic is None else _of_topic(name, topic.lstrip("+").strip())


def _of_command(name: str) -> str:
    lines, choices = [_header(conf_dir() / f"{name}.yaml"), ""], _choices(name)
    for group, names in choices.items():
        listed = textwrap.wrap(", ".join(names), WIDTH - 18, break_on_hyphens=False)
        lines += [f"  {group if not place else '':<14}  {line}" for place, line in enumerate(listed)]
    if choices:
        lines += ["", f"inpaint-{name} help GROUP.OPTION   an option: its settings, its class, the paper of a recipe"]
    lines.append(f"inpaint-{name} help SETTING        what its values mean, as in: help {EXAMPLE[name]}")
    lines.append(f"inpaint-{name} --help              all settings with their values")
    return "\n".join(lines)


EXAMPLE = {
    "train": "data.cache",
    "evaluate": "missing",
    "predict": "holes",
    "preview": "freeze",
    "probe": "layer",
    "export": "formats",
    "import": "name",
    "sample": "truncation",
    "stylise": "strength",
}


def _of_topic(name: str, topic: str) -> str:
    choices = _choices(name)
    group, _, option = re.sub("[/=]", ".", topic).rpartition(".")
    if places := [place for place, names in choices.items() if option in names and group in ("", place)]:
        return "\n\n".join(_explained(place, option) for place in places)
    if topic in choices:
        lines = [f"  {option:<{max(map(len, choices[topic]))}}  {_first(topic, option)}" for option in choices[topic]]
        return "\n".join([f"{topic}:", *lines, "", f"inpaint-{name} help {topic}.OPTION   all of one"])
    settings = _settings(name)
    if blocks := settings.get(topic):
        said = [f"{textwrap.dedent(text)}\n    ({', '.join(files)})" for text, files in blocks.items()]
        return "\n\n".join([topic, *said])
    known = [*choices, *(option for names in choices.values() for option in names), *settings]
    raise Refused(
        f"help: there is no option, group or setting {topic}{nearest(topic, known)} (inpaint-{name} help lists all)"
    )


def _explained(group: str, option: str) -> str:
    """A recipe's header with its papers; of other options the whole file, and what its classes say of themselves."""
    file = config.options(group)[option]
    text = file.read_text(encoding="utf-8").strip()
    if group == "experiment":
        entries = papers()
        named = [entries[key] for key in keys(text) if key in entries]
        return "\n\n".join([f"+{group}={option}", _header(file), *named])
    return "\n\n".join([f"{group}={option}", text, *_docstrings(text)])


def _docstrings(text: str) -> list[str]:
    """What the classes of an option say of themselves, those of torch left out."""
    said = []
    for target in dict.fromkeys(re.findall(r"_target_: (\S+)", text)):
        if not target.startswith(("torch.", "lightning.", "optuna.", "hydra_plugins.")):
            said.append(f"{target}\n\n{textwrap.indent(inspect.getdoc(pydoc.locate(target)) or '', '    ')}")
    return said


def _first(group: str, option: str) -> str:
    """The first line of an option's comment, or its class."""
    text = config.options(group)[option].read_text(encoding="utf-8")
    comments = [line for line in _lines_of(text) if line]
    found = re.search(r"_target_: (\S+)", text)
    return comments[0] if comments else found[1].rpartition(".")[2] if found else ""


def _settings(name: str) -> dict[str, dict[str, list[str]]]:
    """By the dotted key of each setting: its lines with their comments, and in which files they stand so."""
    found: dict[str, dict[str, list[str]]] = {}
    main = (conf_dir() / f"{name}.yaml").read_text(encoding="utf-8")
    places = [(conf_dir() / f"{name}.yaml", [""])]
    groups = {*_choices(name), *(("callbacks", "trainer") if name == "train" else ())}
    for group in sorted(groups - {"debug", "experiment"}):  # whose values are those of a recipe
        prefixes = [f"{alias}." for alias in dict.fromkeys([*re.findall(rf" {group}@(\w+):", main), group])]
        files = [file for folder in (conf_dir(), *conf_dirs()) for file in sorted((folder / group).glob("*.yaml"))]
        for file in files:
            places.append((file, prefixes))
            for option, part in re.findall(r"^  - (\w+)@([\w.]+)", file.read_text(encoding="utf-8"), re.MULTILINE):
                places.append((file.with_name(f"{option}.yaml"), [f"{prefix}{part}." for prefix in prefixes]))
    for file, prefixes in places:
        text = file.read_text(encoding="utf-8")
        prefixes = [""] if text.startswith("# @package _global_") else prefixes
        for key, block in _blocks(text):
            for prefix in prefixes:
                files_of = found.setdefault(prefix + key, {}).setdefault(block, [])
                files_of += [file.stem] if file.stem not in files_of else []
    return found


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """Each key of a yaml, dotted, with its lines: comments right above it, and all that stands below it."""
    lines = text.splitlines()
    path: list[tuple[int, str]] = []
    for place, line in enumerate(lines):
        found = re.match(r"( *)([\w@.-]+):(?: |$)", line)
        if found is None or found[2] in ("defaults", "_target_", "_partial_"):
            continue
        depth = len(found[1])
        path = [(indent, key) for indent, key in path if indent < depth] + [(depth, found[2])]
        first, last = place, place + 1
        while first and re.match(rf" {{{depth}}}#", lines[first - 1]) and path[1:]:
            first -= 1
        while last < len(lines) and re.match(rf" {{{depth + 1},}}\S", lines[last]):
            last += 1
        yield ".".join(key for _, key in path), "\n".join(lines[first:last])


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
    return "\n".join(_lines_of(file.read_text(encoding="utf-8")))


def _lines_of(text: str) -> list[str]:
    lines = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    return [line[2:] for line in lines if not line.startswith("# @package")]
