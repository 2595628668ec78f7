"""The site of the documentation: the READMEs, every option of conf/ with its numbers, and the classes' docstrings.

    make docs                             # dist/docs-site/index.html
    python experiments/site.py FOLDER     # FOLDER/docs-site/index.html, of sources in FOLDER/docs

Nothing is written by hand for it: pages keep the paths that they have in the repository, so that their links hold; the
tables of options are read from the yaml files and their comments, the classes by mkdocstrings. A dead
link fails the build. Pages open from disk; only the search wants a server (`python -m http.server`).
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
MANUAL = ("training", "sweep", "evaluation", "masks", "data", "compare", "study", "probe", "exchange")
COMMANDS = "commands"  # the page of the settings that are in no group
LINE = re.compile(r"( *)([\w@/.-]+):( +(?P<value>[^#\s].*?))?( +# (?P<comment>.*))?$")
CONFIG = {
    "site_name": "inpaint",
    "site_description": "Experiments in repairing images with generative networks",
    "docs_dir": "docs",
    "site_dir": "docs-site",
    "use_directory_urls": False,  # pages open from disk
    "theme": {
        "name": "material",
        "font": False,  # those of the reader's system; nothing is loaded from elsewhere
        "features": ["navigation.indexes", "navigation.top", "content.code.copy", "toc.follow", "search.highlight"],
        "palette": [
            {"media": f"(prefers-color-scheme: {name})", "scheme": scheme, "primary": "teal", "accent": "teal"}
            for name, scheme in (("light", "default"), ("dark", "slate"))
        ],
    },
    "extra_css": ["tables.css"],
    "markdown_extensions": ["tables", "admonition", "pymdownx.superfences", {"toc": {"permalink": True}}],
    "validation": {"links": {"anchors": "warn", "absolute_links": "warn", "unrecognized_links": "warn"}},
}
DOCSTRINGS = {
    "docstring_style": "google",
    "docstring_options": {"warn_unknown_params": False, "warn_missing_types": False},  # `x, y: as there` is a line
    "filters": ["!^_"],
    "members_order": "source",
    "separate_signature": True,
    "show_signature_annotations": True,
    "show_if_no_docstring": False,
    "show_root_heading": True,
    "show_root_full_path": True,
    "show_source": False,
    "merge_init_into_class": True,
    "heading_level": 2,
}


class Setting(NamedTuple):
    """A line of a yaml file: dotted key, value as it is written, comment."""

    key: str
    value: str
    comment: str


def described(text: str) -> tuple[str, list[Setting]]:
    """What the comment above the settings of a yaml file says, and its settings.

    A comment line that begins where the comment of the setting above it does goes on with that one.
    """
    lines = text.splitlines()
    while lines and lines[0].startswith("# @package"):
        del lines[0]
    head = []
    while lines and lines[0].startswith("#"):
        head.append(lines.pop(0).removeprefix("#").removeprefix(" "))
    settings: list[Setting] = []
    inside: list[tuple[int, str]] = []  # indentation and key of the nodes that the line is in
    defaults = False
    for line in lines:
        if re.match(r"\S", line):
            defaults = line.startswith("defaults:")
        if defaults or not line.strip():
            continue
        if line.lstrip().startswith("# ") and settings:
            if line.index("#") > 8:  # below a comment, not before a setting
                last = settings.pop()
                settings.append(last._replace(comment=f"{last.comment} {line.lstrip(' #')}"))
        elif found := LINE.match(line):
            indent, key = len(found[1]), found[2]
            while inside and inside[-1][0] >= indent:
                inside.pop()
            inside.append((indent, key))
            value, comment = found["value"] or "", found["comment"] or ""
            settings.append(Setting(".".join(name for _, name in inside), value, comment))
    return "\n".join(head), [setting for setting in settings if setting.value or setting.comment]


def option_section(path: Path, prefix: str) -> Iterator[str]:
    """The heading of an option, what it is, and the table of its settings."""
    head, settings = described(path.read_text())
    first, _, more = head.partition("\n")
    yield f"## {path.stem}\n"
    yield f"{escaped(first)}\n"
    if more.strip():
        yield f"```text\n{more}\n```\n"
    target = [setting.value for setting in settings if setting.key.rpartition(".")[2] == "_target_"]
    if target and target[0].startswith("inpaint."):
        module, _, name = target[0].rpartition(".")
        yield f"Class `{name}` of `{module}`.\n"
    rows = [setting for setting in settings if not setting.key.rpartition(".")[2].startswith("_")]
    if rows:
        yield "| setting | default | meaning |\n|---|---|---|"
        for key, value, comment in rows:
            yield f"| `{prefix}{key}` | {code(value)} | {escaped(comment)} |"
        yield ""


def code(value: str) -> str:
    """A value in a cell of a table."""
    return f"`{value.replace('|', chr(0xFF5C))}`" if value else ""


def escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([|<>*_\[\]])", r"\\\1", text)


def options_pages() -> dict[str, str]:
    """Path of a page to its text: one for each group of conf/, and one for the commands' own settings."""
    conf = ROOT / "conf"
    pages = {}
    for group in sorted(path for path in conf.iterdir() if path.is_dir()):
        parts = [f"# {group.name}\n"]
        for path in sorted(group.glob("*.yaml")):
            overlay = "# @package _global_" in path.read_text()
            parts += option_section(path, "" if overlay else f"{group.name}.")
        pages[f"options/{group.name}.md"] = "\n".join(parts)
    parts = ["# Commands\n"]
    for path in sorted(conf.glob("*.yaml")):
        parts += option_section(path, "")
    pages[f"options/{COMMANDS}.md"] = "\n".join(parts)
    return pages


def class_pages() -> dict[str, str]:
    """Path of a page to its text: one for each room, and one for the files that are in none."""
    package = ROOT / "inpaint"
    pages = {}
    for room in [package, *sorted(path.parent for path in package.glob("*/__init__.py"))]:
        files = sorted(room.glob("*.py") if room == package else room.rglob("*.py"))
        modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files]
        name = room.name
        lines = [f"# {'inpaint.' if room != package else ''}{name}\n"]
        for module in modules:
            if not module.endswith("__main__"):
                lines.append(f"::: {module.removesuffix('.__init__')}\n")
                if module.endswith("__init__"):
                    lines.append("    options:\n      members: false\n")
        pages[f"classes/{name}.md"] = "\n".join(lines)
    return pages


def write_sources(docs: Path) -> list[Path]:
    """Fill `docs` with pages and the files that they show; returns the pages that are copies."""
    pages = [
        ROOT / "README.md",
        ROOT / "SECURITY.md",
        *sorted(ROOT.glob("inpaint/*/README.md")),
        *sorted(ROOT.glob("experiments/**/README.md")),
        *sorted(ROOT.glob("inpaint/builtin/*/MODEL_CARD.md")),
    ]
    pages.append(ROOT / "tests" / "reliability" / "README.md")
    for page in pages:
        place = docs / page.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        text = page.read_text()
        place.write_text(text)
        for target in re.findall(r"\]\(((?!http|#)[^)#]+)", text):
            shown = (page.parent / target).resolve()
            if shown.suffix != ".md" and shown.is_file():
                beside = docs / shown.relative_to(ROOT)
                beside.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(shown, beside)
    for name, text in (options_pages() | class_pages()).items():
        (docs / name).parent.mkdir(exist_ok=True)
        (docs / name).write_text(text)
    return pages


def navigation(docs: Path, pages: list[Path]) -> list[dict[str, object]]:
    """What the site lists, in the order of reading."""

    def heading(page: str) -> str:
        return (docs / page).read_text().partition("\n")[0].lstrip("# ")

    rooms = [f"inpaint/{room}/README.md" for room in MANUAL]
    others = [page.relative_to(ROOT).as_posix() for page in pages if page.parent != ROOT]
    rooms += [page for page in others if page.startswith("inpaint/") and page not in rooms]
    experiments = [page for page in others if page.startswith("experiments/")]
    return [
        {"inpaint": "README.md"},
        {"Manual": [{heading(page): page} for page in rooms]},
        {"Options": [{Path(page).stem: page} for page in options_pages()]},
        {"Classes": [{heading(page): page} for page in class_pages()]},
        {"Experiments": [{heading(page): page} for page in experiments]},
        {"Faults that are tried": "tests/reliability/README.md"},
        {"Security": "SECURITY.md"},
    ]


def main(folder: Path) -> None:
    """Write the sources and build the site."""
    docs = folder / "docs"
    shutil.rmtree(docs, ignore_errors=True)
    pages = write_sources(docs)
    handlers = {"python": {"paths": [str(ROOT)], "options": DOCSTRINGS}}
    config = CONFIG | {
        "plugins": ["search", {"mkdocstrings": {"handlers": handlers}}],
        "nav": navigation(docs, pages),
    }
    (folder / "mkdocs.yml").write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    (docs / "tables.css").write_text(".md-typeset td:first-child code { white-space: nowrap; }\n")
    build = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--config-file",
        str(folder / "mkdocs.yml"),
    ]
    if subprocess.run(build, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}).returncode != 0:
        raise SystemExit(1)
    print(f"site: {folder / 'docs-site' / 'index.html'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "dist").resolve())
