"""Fit the trees of `inpaint/damage/scratches.json` to keyed scratches on one half of the photographs.

    python experiments/011-adaptive-repair/fit.py PHOTOGRAPHS [--count 300] [--output inpaint/damage/scratches.json]

Prints the limit of `inpaint/damage/scratches.py`, from photographs that the trees they are judged by have not seen.
"""

import argparse
import json
from multiprocessing import Pool
from pathlib import Path

import cv2
import numpy as np
import torch
from keyed import damage, grade, load, sample
from sklearn.ensemble import HistGradientBoostingClassifier

from inpaint.damage.candidates import FEATURES, candidates
from inpaint.damage.scratches import evidence

KINDS = ("clean", "scratches", "film_scratches")
FOLDS = 3


def start() -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def collect(work: tuple[int, Path]) -> list[tuple]:
    """Candidates of a photograph, clean and damaged, and the share of each that is damage."""
    key, path = work
    picture, rows = load(path, key), []
    for number, kind in enumerate(KINDS):
        damaged, hole = (
            (picture, np.zeros(picture.shape[:2], bool)) if not number else damage(picture, kind, 10 * key + number)
        )
        near = cv2.dilate(hole.astype(np.uint8), np.ones((3, 3)))
        for some in candidates(damaged):
            area = np.bincount(some.labels.ravel())
            share = (np.bincount(some.labels.ravel(), weights=near.ravel()) / area)[some.numbers]
            strong = grade(kind, picture, damaged) == "strong"
            rows.append((key, kind, strong, some.polarity, some.lengths, some.features, share, path.parent.name))
    return rows


def booster() -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(
        max_iter=120, max_leaf_nodes=6, learning_rate=0.1, min_samples_leaf=30, l2_regularization=1.0, random_state=0
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    with Pool(2, start) as pool:
        work = list(enumerate(sample(arguments.data, 0, arguments.count)))
        rows = [row for some in pool.imap(collect, work) for row in some if row[-1] != "cracked"]
    features = np.concatenate([row[5] for row in rows])
    share, length = np.concatenate([row[6] for row in rows]), np.concatenate([row[4] for row in rows])
    repeat = [len(row[4]) for row in rows]
    key, kind = np.repeat([row[0] for row in rows], repeat), np.repeat([row[1] for row in rows], repeat)
    truth = share > 0.6
    kept = np.random.default_rng(0).random(len(share)) < np.where(kind == "clean", 1, 0.35)
    usable = truth | ((share < 0.2) & kept)  # what is part scratch, part picture teaches nothing
    weight = length.clip(0, 120) * np.where(kind == "film_scratches", 1.5, 1)
    weight *= np.where(~truth & (kind != "clean"), 1.5, 1)

    def fitted(some: np.ndarray) -> HistGradientBoostingClassifier:
        return booster().fit(features[some], truth[some], sample_weight=weight[some])

    probability = np.zeros(len(share))
    for fold in range(FOLDS):
        there = key // 3 % FOLDS == fold  # of each three photographs, one is as it is, one faded, one grey
        probability[there] = fitted(usable & ~there).predict_proba(features[there])[:, 1]
    scores: dict[tuple[str, bool], list[float]] = {}
    for each in KINDS:
        for photograph in np.unique(key):
            mine = [place for place, row in enumerate(rows) if row[0] == photograph and row[1] == each]
            ends = np.cumsum([0, *repeat])
            parts = [(rows[place][3], probability[ends[place] : ends[place + 1]], rows[place][4]) for place in mine]
            strong = each == "clean" or any(rows[place][2] for place in mine)
            scores.setdefault((each, strong), []).append(evidence(parts))
    limit = float(np.quantile(scores["clean", True], 0.95))
    print(f"limit {limit:.1f}")
    for (each, strong), values in scores.items():
        above, name = np.mean(np.array(values) > limit), each if strong else f"{each}, less than strong"
        print(f"{name}: {above:.1%} of {len(values)} above it")
    if arguments.output:
        write(fitted(usable), arguments.output)


def write(model: HistGradientBoostingClassifier, path: Path) -> None:
    """The trees, a line each."""
    lines = []
    for (tree,) in model._predictors:
        nodes = [
            [round(float(node["value"]), 4)]
            if node["is_leaf"]
            else [
                int(node["feature_idx"]),
                round(float(node["num_threshold"]), 4),
                int(node["left"]),
                int(node["right"]),
            ]
            for node in tree.nodes
        ]
        lines.append("  " + json.dumps(nodes, separators=(",", ":")))
    base = round(float(np.ravel(model._baseline_prediction)[0]), 4)
    head = f'{{\n "base": {base},\n "features": {json.dumps(FEATURES)},\n "trees": [\n'
    path.write_text(head + ",\n".join(lines) + "\n ]\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
