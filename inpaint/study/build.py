"""From folders of results to a study: check every file, deal the trials, store the pictures under opaque names.

The design: a deck of all comparisons (a picture and a pair of contestants), in which any stretch as long as there are
pictures holds every picture once, and the pairs take turns. Two successive participants are dealt the same stretch
with sides exchanged, the next two the following stretch. Hence over every such two each pair of contestants is shown
exactly as often one way round as the other, within one participant it differs by one at most, and every comparison is
shown as often as any other. The order is drawn for each participant. Everything is keyed by the seed.
"""

import hashlib
import math
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from inpaint import rng
from inpaint.pictures.mask_files import MaskReader, Polarity, check_shares
from inpaint.pictures.pairing import Problem, find_by_name, find_results, grouped, masks_of, refusal, unmatched
from inpaint.pictures.reading import BadImage, decode, open_image
from inpaint.progress import track
from inpaint.settings import Refused, choice
from inpaint.study.trials import DAMAGED, DESTROYED, ORIGINAL, RESERVED, Study, Trial, image_file, refuse_unsayable

BOARD = 8  # squares on a side of the board that destroys a picture; every second one is painted over
TILE = 8  # pixels on a side of the two-grey tiles that show a hole
GREYS = (112, 144)

READER = MaskReader()

Pair = tuple[str, str]
Digests = dict[str, dict[str, str]]  # contestant -> picture -> digest of its pixels


@dataclass(frozen=True)
class Sources:
    """The files of a study: contestant to picture to file, picture to mask, and lines on what was left out and why."""

    files: dict[str, dict[str, Path]]
    digests: Digests
    masks: dict[str, Path]
    left_out: list[str]

    @property
    def pictures(self) -> list[str]:
        """Names of the pictures that every contestant has."""
        return sorted(next(iter(self.files.values())))


def collect(
    folders: Mapping[str, Path], masks: Path | None = None, reader: MaskReader = READER, *, skip: bool = False
) -> Sources:
    """Pair the pictures of all contestants by their relative name without suffix, and decode every one.

    Args:
        folders: contestant to folder; of `ORIGINAL`, if it is there, the pictures that must be, otherwise those of all
            folders together.
        masks: a folder of masks of the same names, or with `_mask` behind; others in it are ignored.
        reader: how these are read.
        skip: leave out the pictures that do not fit, and other files, instead of refusing all.

    Raises:
        Refused: files that do not fit, by contestant and kind, with counts and the first names, or no picture is left;
            a folder that is missing or empty, holds links that leave it, or two files of one name.
    """
    problems: list[Problem] = []
    found: dict[str, dict[str, Path]] = {}
    for name, folder in folders.items():
        found[name], others = find_results(folder, name)
        problems += others
    expected = sorted(found[ORIGINAL] if ORIGINAL in found else set().union(*found.values()))
    for name, files in found.items():
        problems += unmatched(files, expected, name)

    digests: Digests = {name: {} for name in folders}
    sizes: dict[str, dict[str, tuple[int, ...]]] = {}
    jobs = [(name, picture) for picture in expected for name in folders if picture in found[name]]
    for name, picture in track(jobs, "checking", "pictures"):
        try:
            pixels = _read(found[name][picture])
        except BadImage as error:
            problems.append(Problem(name, "unreadable", picture, str(error)))
            continue
        sizes.setdefault(picture, {})[name] = pixels.shape
        digests[name][picture] = _digest(pixels)
    # Of a picture's sizes the original's is right, or else the most common one.
    shapes = {
        p: of[ORIGINAL] if ORIGINAL in of else Counter(of.values()).most_common(1)[0][0] for p, of in sizes.items()
    }
    problems += [
        Problem(name, "of another size", picture, f"{_size(shape)} instead of {_size(shapes[picture])}")
        for picture, of in sizes.items()
        for name, shape in of.items()
        if shape != shapes[picture]
    ]
    paired = _pair_masks(masks, shapes, reader, problems) if masks else {}

    if problems and not skip:
        raise refusal(problems, "--missing: refuse; --missing skip leaves these pictures out, for all alike")
    unfit = {problem.name for problem in problems}
    fitting = {name: {p: files[p] for p in expected if p not in unfit} for name, files in found.items()}
    if not fitting[next(iter(folders))]:
        raise refusal(problems, "METHOD: no picture is left that every contestant has")
    return Sources(fitting, digests, paired, grouped(problems))


def _read(path: Path) -> np.ndarray:
    """uint8 (H, W, 3). Transparency and colour profiles are dropped, from all contestants alike."""
    with open_image(path) as picture:
        return decode(picture, "RGB")


def _digest(pixels: np.ndarray) -> str:
    return hashlib.blake2b(repr(pixels.shape).encode() + pixels.tobytes(), digest_size=16).hexdigest()


def _size(shape: Sequence[int]) -> str:
    return f"{shape[1]} x {shape[0]} pixels"


def _pair_masks(
    folder: Path, shapes: Mapping[str, tuple[int, ...]], reader: MaskReader, problems: list[Problem]
) -> dict[str, Path]:
    by_name = find_by_name(folder, "masks")
    names = masks_of(shapes, by_name, "masks")
    paired = {}
    shares = []
    for picture, shape in shapes.items():
        if len(names[picture]) != 1:
            kind = "with several masks, of which a study shows one" if names[picture] else "missing"
            problems.append(Problem("masks", kind, picture))
            continue
        path = by_name[names[picture][0]]
        try:
            mask = reader(path)
        except BadImage as error:
            problems.append(Problem("masks", "unusable", picture, str(error)))
            continue
        if tuple(mask.shape[1:]) != tuple(shape[:2]):
            text = f"{_size(mask.shape[1:])}, its picture has {_size(shape)}"
            problems.append(Problem("masks", "of another size", picture, text))
        paired[picture] = path
        shares.append(mask.mean().item())
    hole, other = ("black", "white") if reader.polarity == "black" else ("white", "black")
    remedy = f"{hole} is taken for the hole; --polarity {other} where {other} is"
    if doubt := check_shares(shares, "--masks", reader.polarity is not None, remedy):
        raise Refused(f"{doubt}, or --polarity {hole}")
    return paired


# ---- trials ---------------------------------------------------------------------------------------------------------


def deck(pictures: Sequence[str], pairs: Sequence[Pair], digests: Digests, seed: int) -> list[tuple[str, Pair]]:
    """Every comparison once, but for those of equal pictures, which nobody can answer.

    Slot s holds picture s modulo n and pair (s + s // lcm(n, k)) modulo k, for n pictures and k pairs in an order that
    the seed decides: all n * k combinations, any n successive ones with n different pictures.
    """
    order = rng.permutation(rng.key(seed, "pictures"), len(pictures))
    turns = rng.permutation(rng.key(seed, "pairs"), len(pairs))
    period = math.lcm(len(pictures), len(pairs))
    slots = [
        (pictures[order[slot % len(pictures)]], pairs[turns[(slot + slot // period) % len(pairs)]])
        for slot in range(len(pictures) * len(pairs))
    ]
    return [(picture, (a, b)) for picture, (a, b) in slots if digests[a][picture] != digests[b][picture]]


def schedule(
    comparisons: Sequence[tuple[str, Pair]], catchable: Sequence[str], intact: str, *,
    trials: int, catch: int, participants: int, seed: int,
) -> list[list[Trial]]:  # fmt: skip
    """Deal the deck to participants, with their catch trials, and shuffle.

    Args:
        comparisons: what `deck` returns.
        catchable: pictures that may be destroyed for a catch trial; those the participant does not compare come first.
        intact: the contestant whose picture is the right answer of a catch trial.
        trials: comparisons a participant.
        catch: catch trials a participant.
        participants: how many schedules; even.
        seed: decides sides and order.
    """
    schedules = []
    for couple in range(participants // 2):
        hand = [comparisons[(couple * trials + place) % len(comparisons)] for place in range(trials)]
        seen: Counter[Pair] = Counter()
        dealt = []
        for picture, pair in hand:
            a, b = pair if (seen[pair] + rng.key(seed, "side", couple, *pair)) % 2 else pair[::-1]
            dealt.append(Trial(picture, a, b))
            seen[pair] += 1

        compared = {picture for picture, _ in hand}
        drawn = [catchable[place] for place in rng.permutation(rng.key(seed, "catch", couple), len(catchable))]
        drawn.sort(key=compared.__contains__)
        for place in range(catch):
            sides = (intact, DESTROYED) if (place + couple) % 2 else (DESTROYED, intact)
            dealt.append(Trial(drawn[place % len(drawn)], *sides))

        for participant in (2 * couple, 2 * couple + 1):
            order = rng.permutation(rng.key(seed, "order", participant), len(dealt))
            trials_of = [dealt[place] for place in order]
            mirrored = [Trial(trial.picture, trial.right, trial.left) for trial in trials_of]
            schedules.append(mirrored if participant % 2 else trials_of)
    return schedules


# ---- pictures -------------------------------------------------------------------------------------------------------


def destroy(pixels: np.ndarray, key: int) -> np.ndarray:
    """Every second square of a board painted over in a flat colour: uint8 (H, W, 3), plain to see on any picture."""
    height, width = pixels.shape[:2]
    row, column = np.arange(height) * BOARD // height, np.arange(width) * BOARD // width
    colours = (rng.uniform(torch.tensor([key]), BOARD * BOARD * 3).reshape(BOARD, BOARD, 3) * 256).to(torch.uint8)
    painted = (row[:, None] + column) % 2 == 0
    return np.where(painted[..., None], colours.numpy()[row[:, None], column], pixels)


def damage(pixels: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The picture with its hole in tiles of two greys: uint8 (H, W, 3), from a hole of bool (H, W)."""
    row, column = np.arange(hole.shape[0]) // TILE, np.arange(hole.shape[1]) // TILE
    tiles = np.where((row[:, None] + column) % 2 == 0, *GREYS).astype(np.uint8)
    return np.where(hole[..., None], tiles[..., None], pixels)


def build(
    output: Path, methods: Mapping[str, Path], original: Path | None = None, masks: Path | None = None, *,
    against: str | None = None, trials: int | None = None, catch: int = 6, participants: int = 100, seed: int = 0,
    title: str = "Comparing pictures", question: str = "Which picture looks more natural?", skip: bool = False,
    polarity: Polarity | None = None,
) -> tuple[Study, Sources]:  # fmt: skip
    """Make a study in the folder `output`; all of it or nothing.

    Args:
        output: a folder that is not there yet, or empty.
        methods: name to folder of results; two at least, or one and the original.
        original: the folder of true pictures: one more contestant, and the right answer of the catch trials.
        masks: shows the participants what was given, on demand.
        against: only the pairs with this contestant.
        trials: comparisons a participant, without catch trials; None for 40, or all if there are fewer.
        catch: catch trials a participant.
        participants: schedules, an even number; participants past them are given the first again.
        seed: decides everything that is drawn.
        title: shown to participants, as is `question`.
        question: what they answer by choosing.
        skip: as of `collect`.
        polarity: what the hole is in the masks; None is white, unless it covers most of them, which is refused.

    Raises:
        Refused: bad input, beginning with what to change.
    """
    if taken := [name for name in methods if name in RESERVED or not name.strip()]:
        raise Refused(f"METHOD: {taken[0]!r} is no name for a method; give NAME=DIR with another")
    folders = dict(methods) | ({ORIGINAL: original} if original else {})
    if len(folders) < 2:
        raise Refused(f"METHOD: {len(folders)} contestant; give two folders of results, or one and --original")
    if against is not None:
        choice("--against", against, folders)
    if participants < 2 or participants % 2:
        raise Refused(f"--participants: give an even number, two see the same with sides exchanged; got {participants}")
    if catch < 0 or (trials is not None and trials < 1):
        raise Refused(f"--trials, --catch: give 1 or more, and 0 or more; got {trials} and {catch}")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise Refused(f"--output: {output} is there already and not an empty folder; give another")

    for setting, text in [("--title", title), ("--question", question), *(("METHOD", name) for name in methods)]:
        refuse_unsayable(setting, text)

    reader = MaskReader(polarity=polarity)
    sources = collect(folders, masks, reader, skip=skip)
    pairs = [pair for pair in combinations(folders, 2) if against is None or against in pair]
    comparisons = deck(sources.pictures, pairs, sources.digests, seed)
    if not comparisons:
        raise Refused("METHOD: the pictures of all contestants are equal, there is nothing to compare")
    if trials is not None and trials > len(comparisons):
        raise Refused(f"--trials: there are {len(comparisons)} comparisons; got {trials}")
    intact = ORIGINAL if original else next(iter(folders))
    schedules = schedule(
        comparisons, sources.pictures, intact,
        trials=trials or min(40, len(comparisons)), catch=catch, participants=participants, seed=seed,
    )  # fmt: skip

    partial = output.with_name(f".{output.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        files = _store(partial, sources, schedules, intact, seed, reader)
        study = Study(title, question, seed, list(folders), files, schedules)
        (partial / "study.json").write_text(study.text(), encoding="utf-8")
        if output.exists():
            output.rmdir()
        partial.rename(output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return study, sources


def _store(
    folder: Path, sources: Sources, schedules: Sequence[Sequence[Trial]], intact: str, seed: int, reader: MaskReader
) -> dict[str, dict[str, str]]:
    """Write the pictures that the schedules use as bare PNGs; their names by contestant and picture."""
    (folder / "images").mkdir(parents=True)
    used = sorted({(side, trial.picture) for trials in schedules for trial in trials for side in trial[1:]})
    if sources.masks:
        used += [(DAMAGED, picture) for picture in sorted({picture for _, picture in used})]
    files: dict[str, dict[str, str]] = {}
    for side, picture in track(used, "storing", "pictures"):
        pixels = _read(sources.files[intact if side in (DESTROYED, DAMAGED) else side][picture])
        if side == DESTROYED:
            pixels = destroy(pixels, rng.key(seed, DESTROYED, picture))
        elif side == DAMAGED:
            pixels = damage(pixels, reader(sources.masks[picture])[0].bool().numpy())
        name = _digest(pixels)
        files.setdefault(side, {})[picture] = name
        if not image_file(folder, name).exists():
            Image.fromarray(pixels).save(image_file(folder, name))
    return files
