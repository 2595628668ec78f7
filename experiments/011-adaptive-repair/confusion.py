"""Which damage is decided on pictures of which damage: the confusion matrix of `inpaint-predict holes=auto`.

python experiments/011-adaptive-repair/confusion.py PHOTOGRAPHS [--count 160] [--half 1] [--text]
"""

import argparse
from collections import Counter
from multiprocessing import Pool
from pathlib import Path

import cv2
import torch
from keyed import damage, grade, load, sample

from inpaint.damage import diagnose
from inpaint.damage.captions import load_network

TRUE = ("scratches", "film_scratches", "soft_scratches", "noise", "jpeg", "blur")
DECIDED = ("scratches", "text", "noise", "jpeg", "blur")
network = None


def start(text: bool) -> None:
    global network
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    network = load_network() if text else None


def decide(work: tuple[int, Path, bool]) -> list[tuple[str, tuple[str, ...], float, float]]:
    """Rows for a photograph: what it is, what is decided, and which share of its scratches is found, and is right."""
    key, path, text = work
    picture, rows = load(path, key), []
    for kind in ("clean", "text") if text else ("clean", *TRUE):
        damaged, hole, row = picture, None, kind
        if kind == "clean":
            row = (
                "cracked textures"
                if "/cracked/" in path.as_posix()
                else "clean textures"
                if "dtd" in str(path)
                else kind
            )
        else:
            if "/cracked/" in path.as_posix():
                continue
            damaged, hole = damage(picture, kind, 10 * key + len(kind))
            row = f"{kind}, {grade(kind, picture, damaged)}"
        found = diagnose(damaged, network=network)
        decided = tuple(finding.kind for finding in found.findings if finding.damaged)
        right = float((found.hole & hole).sum()) if hole is not None else 0.0
        many = hole is not None and hole.any() and found.hole.any()
        rows.append((row, decided, right / hole.sum() if many else 0.0, right / found.hole.sum() if many else 0.0))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--count", type=int, default=160)
    parser.add_argument("--half", type=int, default=1)
    parser.add_argument("--text", action="store_true")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    photographs = sample(arguments.data, arguments.half, arguments.count)
    work = [(key, path, arguments.text) for key, path in enumerate(photographs)]
    with Pool(arguments.workers, start, (arguments.text,)) as pool:
        rows = [row for some in pool.imap_unordered(decide, work) for row in some]
    names = sorted({row[0] for row in rows})
    print("| truth | pictures | " + " | ".join(DECIDED) + " | any | found | right |")
    print("|---" * (len(DECIDED) + 5) + "|")
    for name in names:
        mine = [row for row in rows if row[0] == name]
        counts = Counter(kind for row in mine for kind in row[1])
        cells = [f"{counts[kind] / len(mine):.1%}" for kind in DECIDED]
        some = sum(bool(row[1]) for row in mine) / len(mine)
        seen = [row for row in mine if row[2] > 0]
        means = [f"{sum(row[place] for row in seen) / max(1, len(seen)):.0%}" for place in (2, 3)]
        print(f"| {name} | {len(mine)} | " + " | ".join([*cells, f"{some:.1%}", *(means if seen else ["", ""])]) + " |")


if __name__ == "__main__":
    main()
