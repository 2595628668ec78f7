"""`inpaint-compare` as a command."""

import argparse
import sys

from inpaint.compare.comparison import compare
from inpaint.compare.html import common_folder, write_html
from inpaint.compare.leaderboard import print_leaderboard, write_csv
from inpaint.files.folder import expanded
from inpaint.settings import Refused, printable


def main(argv: list[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="inpaint-compare", description="One leaderboard of many runs, and a report with curves and pictures."
    )
    add = parser.add_argument
    add("paths", nargs="+", metavar="PATH", help="run or evaluation folder, folder that holds some, or a glob pattern")
    add("--sort", default="hole_psnr", metavar="FIGURE", help="best first by this (default: %(default)s)")
    add("--seeds", choices=("average", "separate"), default="average",
        help="of runs that differ by nothing but the seed (default: %(default)s)")  # fmt: skip
    add("--html", metavar="FILE", help="the report (default: comparison.html in OUTPUT); `none` for no report")
    add("--output", type=expanded, metavar="OUTPUT", help="folder of the report (default: the folder the runs share)")
    add("--csv", type=expanded, metavar="FILE", help="write the leaderboard, every digit kept, here too")
    add("--study", type=expanded, metavar="STUDY", help="folder of a study: what people preferred, beside the figures")
    add(
        "--max-mb",
        type=float,
        default=24,
        metavar="MB",
        help="most that the report's pictures take (default: %(default)s)",
    )
    add("--wandb", action="store_true", help="log the report and the table to the wandb project of the runs")
    arguments = parser.parse_args(argv)
    try:
        if not arguments.max_mb >= 0:
            raise Refused(f"--max-mb: give a number of megabytes, 0 for no pictures; got {arguments.max_mb}")
        report = compare(arguments.paths, sort=arguments.sort, seeds=arguments.seeds, study=arguments.study)
        print_leaderboard(report)
        if arguments.csv:
            write_csv(report, arguments.csv)
        page = None
        if arguments.html != "none":
            folder = arguments.output or common_folder(report)
            page = expanded(arguments.html) if arguments.html else folder / "comparison.html"
            page.parent.mkdir(parents=True, exist_ok=True)
            for line in write_html(report, page, max_bytes=int(arguments.max_mb * 1e6)):
                print(printable(line))
        if arguments.wandb:
            from inpaint.compare.dashboard import log_to_wandb

            print(log_to_wandb(report, page))
    except BrokenPipeError:  # the reader of a pipe has seen enough
        raise SystemExit(1) from None
    except (Refused, OSError) as error:
        print(f"inpaint-compare: {printable(str(error))}", file=sys.stderr)
        raise SystemExit(2) from None
