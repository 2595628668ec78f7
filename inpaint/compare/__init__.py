"""One leaderboard of many runs, what their configs differ in, and a report with curves and pictures.

    inpaint-compare runs/                       # every finished run below runs/
    inpaint-compare multirun/2026-03-01/*       # the jobs of a Hydra sweep
    inpaint-compare 'runs/*_l1' --sort ssim --csv leaderboard.csv --html report.html

From code: ``report = compare(["runs"])``, then `print_leaderboard`, `write_csv`, `write_html`. Runs that differ by
nothing but their seed are one line, with the deviation; runs that were measured on different pictures or holes are
never in one table. Exit code 2 when there is no finished run. Imports no torch, so that it answers at once.
"""

from inpaint.compare.command import main
from inpaint.compare.comparison import Block, Entry, Report, compare
from inpaint.compare.html import common_folder, write_html
from inpaint.compare.leaderboard import print_leaderboard, write_csv

__all__ = [
    "Block",
    "Entry",
    "Report",
    "common_folder",
    "compare",
    "main",
    "print_leaderboard",
    "write_csv",
    "write_html",
]
