"""Settings that follow from the photographs and the machine, where a config says ``auto``; each choice is said."""

import math
import os
from contextlib import suppress
from typing import Final

import torch

from inpaint.data.sources import Source, say
from inpaint.data.splits import Split
from inpaint.pictures.reading import BadImage

AUTO: Final = "auto"
SETTINGS = ("data.crop", "data.crops_per_image", "data.validation_crops", "trainer.val_check_interval")

SIDES = (256, 128, 64)  # of crops, pixels
LOOKED_AT = 200  # photographs, of which the sizes are known without much reading
WANTED = {"train": 1024, "validation": 128}  # crops of a split: an epoch, and what intervals need
MOST = {"train": 64, "validation": 32}  # crops of a photograph
LEAST_INTERVAL = 200  # updates between two validations
VALIDATIONS = 50  # most of them in a run
UPDATES_A_BATCH = 25  # of validation, so that it takes little of the time


def crop(source: Source) -> int:
    """The side of the crops in pixels: 64 on a CPU, with a GPU the largest of `SIDES` in nine of ten photographs."""
    if not torch.cuda.is_available():
        say(f"data.crop=auto: {SIDES[-1]} px, what a CPU trains in time; with a GPU up to {SIDES[0]}")
        return SIDES[-1]
    count = source.count("train")
    rows = range(0, count, math.ceil(count / LOOKED_AT)) if source.shards("train") is None else ()
    sides = []
    for row in rows:
        with suppress(BadImage):  # it is refused, or left out, when all are looked at
            if (size := source.size("train", row)) is not None:
                sides.append(min(size))
    least = sorted(sides)[len(sides) // 10] if sides else SIDES[0]
    side = next((side for side in SIDES if side <= least), SIDES[-1])
    say(f"data.crop=auto: {side} px, of {SIDES[0]} at most; nine of ten photographs have {least} px or more a side")
    return side


def crops(source: Source, split: Split) -> int:
    """Crops of each photograph: as many as make what is wanted of the split, at most `MOST`."""
    count = max(1, source.count(split))
    number = min(MOST[split], math.ceil(WANTED[split] / count))
    key, what = ("crops_per_image", "an epoch") if split == "train" else ("validation_crops", "in all")
    say(f"data.{key}=auto: {number} of each of {count} photographs, {number * count} {what}")
    return number


def workers(device: str, ranks: int) -> int:
    """Processes that read ahead, of each of so many ranks on this machine: a power of two, which `streams` are too.

    With a GPU as many as there are cores for, at most 8. A CPU that trains has all its cores at work already, but waits
    while a batch is read by one of them: one process, or two where there are eight cores or more for a rank.
    """
    cores = (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1) // ranks
    most = min(8, cores) if device != "cpu" else min(2, cores // 4) or cores // 2
    return 1 << most.bit_length() - 1 if most else 0


def validation_interval(batches: int, updates: int) -> int:
    """Updates between two validations of so many batches, in a run of so many updates (below 1: nobody knows).

    Whole hundreds: 200 or more, 25 for each batch or more, and at most 50 validations in the run; one at its end is in
    every run.
    """
    hundreds = max(UPDATES_A_BATCH * batches, updates / VALIDATIONS) / 100
    interval = max(LEAST_INTERVAL, 100 * math.ceil(hundreds))
    if 0 < updates < interval:
        interval = updates
    say(f"trainer.val_check_interval=auto: validation, panel and checkpoint every {interval} updates")
    return interval
