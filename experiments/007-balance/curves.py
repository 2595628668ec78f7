"""Draws the validation curves of runs beside each other, as differences to the harmonic fill on the same crops.

    python experiments/007-balance/curves.py "NAME=RUN FOLDER" ...

takes the validations of each run into `curves.csv`, in the place of what stood there under its name, and draws all that
the file holds as `curves.png`.
"""

import argparse
import csv
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).parent
COLOURS = ["#888888", "#1f5fa8", "#c4501b", "#2f8f4e", "#7a4fa3"]
WIDTH, HEIGHT, MARGIN = 560, 360, 64
PSNR, LPIPS = "hole PSNR to the harmonic fill (dB)", "LPIPS to the harmonic fill (%)"
COLUMNS = ["run", "updates", PSNR, LPIPS]


def validations(name: str, run: Path) -> list[dict[str, str]]:
    """A row of `curves.csv` for each validation in a run's metrics.csv."""
    with (run / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["val/hole_psnr"]]
    return [
        {
            "run": name,
            "updates": str(int(row["step"]) + 1),
            PSNR: str(round(float(row["val/hole_psnr"]) - float(row["val/harmonic_hole_psnr"]), 3)),
            LPIPS: str(round(100 * (float(row["val/lpips_alex"]) / float(row["val/harmonic_lpips_alex"]) - 1), 1)),
        }
        for row in rows
    ]


def ticks(low: float, high: float) -> list[float]:
    """Four to eight round numbers that cover the span."""
    step = next(s for s in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 1000, 2000, 5000) if (high - low) / s <= 8)
    return [step * place for place in range(int(low // step), int(-(-high // step)) + 1)]


def draw(panel: ImageDraw.ImageDraw, left: int, title: str, curves: dict[str, list[tuple[float, float]]]) -> None:
    """One panel: axes with ticks, a curve a run."""
    font = ImageFont.load_default(14)
    values = [value for curve in curves.values() for _, value in curve] + [0.0]
    across, up = ticks(0, max(x for curve in curves.values() for x, _ in curve)), ticks(min(values), max(values))
    width, height = WIDTH - MARGIN - 28, HEIGHT - 2 * 40

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            left + MARGIN + width * x / across[-1],
            40 + height * (1 - (y - up[0]) / (up[-1] - up[0])),
        )

    for y in up:
        panel.line([place(0, y), place(across[-1], y)], "#bbbbbb" if abs(y) < 1e-9 else "#eeeeee", 1)
        panel.text((left + MARGIN - 8, place(0, y)[1]), f"{y:.2g}", "black", font, anchor="rm")
    for x in across:
        panel.text((place(x, up[0])[0], HEIGHT - 34), f"{x:g}", "black", font, anchor="mt")
    panel.text((left + MARGIN, 12), title, "black", font)
    for colour, curve in zip(COLOURS, curves.values(), strict=False):
        panel.line([place(x, y) for x, y in curve], colour, 2, joint="curve")


def main() -> None:
    """Read, keep, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", metavar="NAME=RUN", help="a run folder and what the picture calls it")
    runs = dict(run.split("=", 1) for run in parser.parse_args().runs)
    with (HERE / "curves.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["run"] not in runs]
    for name, folder in runs.items():
        rows += validations(name, Path(folder))
    with (HERE / "curves.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    names = list(dict.fromkeys(row["run"] for row in rows))
    picture = Image.new("RGB", (2 * WIDTH, HEIGHT + 24 * len(names)), "white")
    panel = ImageDraw.Draw(picture)
    for column, title in enumerate((PSNR, LPIPS)):
        curves = {
            name: [(float(row["updates"]), float(row[title])) for row in rows if row["run"] == name] for name in names
        }
        draw(panel, column * WIDTH, title, curves)
    for number, (name, colour) in enumerate(zip(names, COLOURS, strict=False)):
        y = HEIGHT + 24 * number
        panel.line([(MARGIN, y + 8), (MARGIN + 32, y + 8)], colour, 3)
        panel.text((MARGIN + 44, y), name, "black", ImageFont.load_default(14))
    picture.save(HERE / "curves.png")


if __name__ == "__main__":
    main()
