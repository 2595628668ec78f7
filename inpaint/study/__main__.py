"""Ask people which picture they prefer.

    inpaint-study build results/lama ours=results/2026-03-01 --original photos --masks masks --output study
    inpaint-study serve study                   # on this machine alone; --host 0.0.0.0 lets others in
    inpaint-study report study                  # tables, report.json, report.csv, report.svg

Exit code 2 after a line for each thing that is wrong. Only `build` imports torch.
"""

import argparse
import shlex
import sys
from pathlib import Path

from inpaint.files.folder import expanded
from inpaint.settings import Refused, printable


def main(argv: list[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="inpaint-study", description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(required=True, metavar="build | serve | report")
    _add_build(commands.add_parser("build", help="make trials of folders of results"))
    _add_serve(commands.add_parser("serve", help="show them in the browser and take votes"))
    _add_report(commands.add_parser("report", help="say what the votes mean"))
    arguments = parser.parse_args(argv)
    try:
        arguments.run(arguments)
    except BrokenPipeError:  # the reader of a pipe has seen enough
        raise SystemExit(1) from None
    except (Refused, OSError) as error:
        for line in printable(str(error)).splitlines():
            print(f"inpaint-study: {line}", file=sys.stderr)
        raise SystemExit(2) from None


def _add_build(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("methods", nargs="+", metavar="[NAME=]DIR", help="folder of one method's results")
    parser.add_argument("--output", type=expanded, required=True, metavar="STUDY", help="folder to make")
    parser.add_argument("--original", type=expanded, metavar="DIR", help="true pictures, as one more contestant")
    parser.add_argument("--masks", type=expanded, metavar="DIR", help="lets participants see the damaged picture")
    parser.add_argument("--polarity", choices=("white", "black"), help="what the hole is in the masks (default: white)")
    parser.add_argument("--against", metavar="NAME", help="only pairs with this contestant, as `original`")
    parser.add_argument("--trials", type=int, metavar="N", help="comparisons a participant (default: 40, or all)")
    parser.add_argument("--catch", type=int, default=6, metavar="N", help="catch trials beside them: %(default)s")
    parser.add_argument("--participants", type=int, default=100, metavar="N", help="schedules, even: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="decides everything that is drawn: %(default)s")
    parser.add_argument("--title", default="Comparing pictures", help="shown to participants: %(default)s")
    parser.add_argument("--question", default="Which picture looks more natural?", help="likewise: %(default)s")
    parser.add_argument(
        "--missing", choices=("refuse", "skip"), default="refuse",
        help="skip leaves out the pictures that are missing, resized or unreadable somewhere: %(default)s",
    )  # fmt: skip
    parser.set_defaults(run=_build)


def _build(arguments: argparse.Namespace) -> None:
    from inpaint.study.build import build

    methods: dict[str, Path] = {}
    for given in arguments.methods:
        name, _, folder = ("", "", given) if expanded(given).exists() or "=" not in given else given.partition("=")
        name = name or expanded(folder).resolve().name
        if name in methods:
            raise Refused(f"METHOD: two methods are called {name}; give NAME=DIR with different names")
        methods[name] = expanded(folder)
    study, sources = build(
        arguments.output, methods, arguments.original, arguments.masks,
        against=arguments.against, trials=arguments.trials, catch=arguments.catch, participants=arguments.participants,
        seed=arguments.seed, title=arguments.title, question=arguments.question, skip=arguments.missing == "skip",
        polarity=arguments.polarity,
    )  # fmt: skip
    catch = sum(trial.is_catch for trial in study.schedules[0])
    print(printable(f"{len(sources.pictures)} pictures by {', '.join(study.contestants)}"))
    print(f"{len(study.schedules)} schedules of {len(study.schedules[0]) - catch} comparisons and {catch} catch trials")
    if sources.left_out:
        print(printable(f"left out: {'; '.join(sources.left_out)}"))
    print(f"next: {shlex.join(['inpaint-study', 'serve', str(arguments.output)])}")


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", type=expanded, metavar="STUDY", help="folder that build made")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on: %(default)s")
    parser.add_argument("--port", type=int, default=8000, help="0 for any free one: %(default)s")
    parser.add_argument(
        "--name", action="append", default=[], metavar="HOST",
        help="name the page is reached by, as behind a proxy; may be repeated",
    )  # fmt: skip
    parser.set_defaults(run=_serve)


def _serve(arguments: argparse.Namespace) -> None:
    try:
        from inpaint.study.server import serve
    except ModuleNotFoundError as error:
        raise Refused(f"{error.name} is not installed; pip install starlette uvicorn") from None
    try:
        serve(arguments.study, arguments.host, arguments.port, arguments.name, lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        print("stopped; every vote that was answered is stored")


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", type=expanded, metavar="STUDY", help="folder that build made and serve has filled")
    parser.add_argument(
        "--max-failures", type=float, default=0.2, metavar="SHARE",
        help="who fails more than this share of their catch trials is left out: %(default)s",
    )  # fmt: skip
    parser.set_defaults(run=_report)


def _report(arguments: argparse.Namespace) -> None:
    from inpaint.study.report import print_report, write

    report = write(arguments.study, arguments.max_failures)
    print_report(report)
    print(f"written: {', '.join(f'{arguments.study / name}' for name in ('report.json', 'report.csv', 'report.svg'))}")


if __name__ == "__main__":
    main()
