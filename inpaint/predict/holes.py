"""Where the holes of the pictures are that are to be repaired, looked at before any work."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from inpaint import rng
from inpaint.masks import Masks
from inpaint.pictures.boxes import is_table, painted, read_boxes
from inpaint.pictures.mask_files import MOSTLY, MaskReader, Polarity, check_shares, colour_of
from inpaint.pictures.reading import BadImage
from inpaint.pictures.writing import Photograph, read_photograph
from inpaint.predict.adaptive import AUTO
from inpaint.predict.growth import grown
from inpaint.predict.jobs import Job, MaskFiles
from inpaint.progress import track
from inpaint.settings import Refused, choice, whole

ALPHA = "alpha"  # in place of a file: the hole is what is transparent in the picture
# Settings on how the files of masks are read, and what they are when nobody sets them.
OF_FILES = {
    "mask_threshold": None,
    "mask_channel": "auto",
    "mask_layer": None,
    "mask_colour": None,
    "polarity": "auto",
}
SURELY = 0.8  # mean share of white above which black is the hole: holes are hardly ever so large


@dataclass(frozen=True)
class Holes:
    """How the holes of pictures are read.

    Args:
        read: the hole of a job, float32 ``(1, H, W)``, 1 = hole.
        dilate: pixels by which they grow in all directions, over what is left of damage at their borders.
        taken: what was decided about them that no setting says.
    """

    read: Callable[[Job], Tensor]
    dilate: int = 0
    taken: str = ""

    def __call__(self, job: Job, photograph: Photograph | None = None) -> Tensor:
        """float32 ``(1, H, W)``, 1 = hole.

        Args:
            job: whose.
            photograph: its picture, where that is read already: a hole that is in it needs no second reading.

        Raises:
            BadImage: it cannot be read, or is no mask.
        """
        if photograph is not None and isinstance(self.read, Transparent):
            hole = self.read.of(photograph, job)
        else:
            hole = self.read(job)
        return torch.from_numpy(grown(hole[0].numpy() > 0.5, self.dilate)).float()[None]


def look(
    jobs: Sequence[Job], cfg: DictConfig, masks: Masks | None = None, measured: Callable[[Job], Tensor] | None = None
) -> tuple[Holes, str]:
    """Look at the hole of every picture.

    Returns:
        What reads the holes, and a line on what was taken.

    Args:
        jobs: the pictures; those with a problem are passed over where their holes are in themselves.
        cfg: of the command.
        masks: a generator of masks, in place of files.
        measured: the hole of each picture as it was measured there, in place of files.

    Raises:
        Refused: a mask cannot be read or is none, no mask has a hole, or what the hole is cannot be told.
    """
    dilate = whole("dilate", cfg.dilate, 0)
    in_boxes = masks is None and measured is None and is_table(Path(cfg.holes))
    if masks is None and measured is None and cfg.holes != ALPHA and not in_boxes:
        return _of_files([job.mask for job in jobs if job.mask is not None], cfg, dilate)
    source = "masks" if masks is not None else f"holes={cfg.holes}"
    for name, usual in OF_FILES.items():
        if cfg[name] != usual and not (cfg.holes == ALPHA and name == "mask_threshold"):
            raise Refused(f"{name}: says how files of masks are read, and {source} reads none; leave it out")
    if measured is not None:
        holes, what = Holes(measured, dilate), "what is damaged is the hole"
    elif in_boxes:
        holes, what = Holes(InBoxes(Path(cfg.holes)), dilate, "boxes"), f"boxes of {cfg.holes}"
    elif masks is None:
        holes = Holes(Transparent(cfg.mask_threshold), dilate, ALPHA)
        what = "what is transparent is the hole" + (
            "" if cfg.mask_threshold is None else f" below {cfg.mask_threshold}"
        )
    else:
        holes, what = Holes(Generated(masks, cfg.seed), dilate), f"masks are generated, seed={cfg.seed}"
    shares = [
        float(holes.read(job).mean()) for job in track(jobs, "looking at holes", "pictures") if job.problem is None
    ]
    check_shares(shares, "holes", True, "give other holes" if masks is None else "give other masks, or another seed")
    return holes, _line(shares, what, dilate)


def whole_pictures(cfg: DictConfig) -> Holes:
    """What takes the place of holes where whole pictures are restored.

    Args:
        cfg: of the command.

    Raises:
        Refused: a setting of masks, which there are none of.
    """
    for name, usual in (OF_FILES | {"dilate": 0, "mask_pattern": None, "missing": "error"}).items():
        if cfg[name] != usual:
            raise Refused(f"{name}: is for masks, and this model restores whole pictures; leave it out")
    return Holes(lambda job: torch.ones(1, *job.size))


def _line(shares: Sequence[float], what: str, dilate: int) -> str:
    mean = f"{sum(shares) / max(1, len(shares)):.1%} of the pictures, "
    each = f"{min(shares, default=0):.1%} to {max(shares, default=0):.1%} of each"
    return f"holes: {mean}{each}; {what}" + (f"; then grown by {dilate} pixels" if dilate else "")


class Transparent:
    """Holes where pictures are transparent.

    Args:
        threshold: the alpha, 1..255, below which a pixel is hole; None: all that is not wholly opaque.

    Raises:
        Refused: it is none.
    """

    def __init__(self, threshold: int | None) -> None:
        if threshold is not None and (whole("mask_threshold", threshold, 1) > 255):
            raise Refused(f"mask_threshold: give an alpha, 1..255, below which holes={ALPHA} is hole; got {threshold}")
        self.threshold = 255 if threshold is None else threshold

    def __call__(self, job: Job) -> Tensor:
        """float32 ``(1, H, W)``, 1 = hole."""
        return self.of(read_photograph(job.image), job)

    def of(self, photograph: Photograph, job: Job) -> Tensor:
        """The same, of a picture that is read already."""
        alpha = photograph.alpha
        if alpha is None:
            raise BadImage(f"{job.image}: is not transparent anywhere, and holes={ALPHA} asks for it")
        level = self.threshold * (np.iinfo(alpha.dtype).max // 255)
        return torch.from_numpy((alpha < level).astype(np.float32))[None]


class InBoxes:
    """Holes in the boxes of a table.

    Args:
        file: it, as `boxes.read_boxes` reads it.
    """

    def __init__(self, file: Path) -> None:
        self.table = read_boxes(file, "holes")

    def __call__(self, job: Job) -> Tensor:
        """float32 ``(1, H, W)``, 1 = hole."""
        hole = painted(self.table[job.name], job.size, job.name, "holes")
        return torch.from_numpy(hole.astype(np.float32))[None]


class Generated:
    """Holes that a kind of mask draws, for each picture by its name.

    Args:
        masks: the kind.
        seed: another one draws others.
    """

    def __init__(self, masks: Masks, seed: int) -> None:
        self.masks, self.seed = masks, seed

    def __call__(self, job: Job) -> Tensor:
        """float32 ``(1, H, W)``, 1 = hole."""
        return self.masks(torch.tensor([rng.key(self.seed, "holes", job.name)]), job.size)[0]


def reader_of(cfg: DictConfig) -> MaskReader:
    """How the command's settings have files of masks read.

    Raises:
        Refused: a setting that means nothing.
    """
    return MaskReader(
        threshold=cfg.mask_threshold,
        channel=cfg.mask_channel,
        layer=cfg.mask_layer,
        colour=colour_of(cfg.mask_colour, "mask_colour") if cfg.mask_colour is not None else None,
        tolerance=cfg.mask_tolerance,
        prefix="mask_",
        complete=True,
    )


def mask_files(cfg: DictConfig) -> MaskFiles:
    """What the command's settings say about files of holes.

    Raises:
        Refused: a setting that means nothing.
    """
    inside = cfg.holes in (None, ALPHA, AUTO)
    place = None if inside else Path(cfg.holes)
    return MaskFiles(
        place=place,
        alpha=cfg.holes == ALPHA,
        measured=cfg.holes == AUTO,
        pattern=cfg.mask_pattern,
        skip=cfg.missing == "skip",
        reader=None if place is None or is_table(place) else reader_of(cfg),
    )


def _of_files(masks: Sequence[Path], cfg: DictConfig, dilate: int) -> tuple[Holes, str]:
    """Read every mask and decide which of white and black is the hole; as `look`."""
    choice("polarity", cfg.polarity, ("auto", "white", "black"))
    reader = reader_of(cfg)
    shares: dict[Path, float] = {}
    remarks: Counter[str] = Counter()
    for path in track(dict.fromkeys(masks), "looking at masks", "files"):
        marked = reader.look(path)
        shares[path] = float(marked.white.mean())
        remarks.update([marked.remark] if marked.remark else [])
    white = [shares[path] for path in masks]
    asked = "white" if reader.colour is not None and cfg.polarity == "auto" else cfg.polarity
    polarity, reason = decide(sum(white) / len(white), asked)
    holes = [1 - share for share in white] if polarity == "black" else white
    other = "white" if polarity == "black" else "black"
    check_shares(holes, "holes", True, f"{polarity} is the hole, {reason}; polarity={other} where {other} is")
    taken = "".join(f"; {number} read by their {remark}" for remark, number in remarks.most_common(5))
    reader = replace(reader, polarity=polarity)

    def read(job: Job) -> Tensor:
        assert job.mask is not None
        return reader(job.mask)

    return Holes(read, dilate, polarity), _line(holes, f"{polarity} is the hole, {reason}{taken}", dilate)


def decide(white: float, asked: str) -> tuple[Polarity, str]:
    """What the hole is, and why.

    Args:
        white: the mean share of the masks that is white.
        asked: white, black or auto.

    Raises:
        Refused: it cannot be told.
    """
    if asked in ("white", "black"):
        return ("white" if asked == "white" else "black"), "as polarity says"
    if white <= MOSTLY:
        return "white", "as is usual"
    if white > SURELY:
        return "black", f"as white covers {white:.0%} of the masks"
    raise Refused(
        f"polarity: white covers {white:.0%} of the masks, which does not tell whether it is the hole; give "
        "polarity=white, or polarity=black"
    )
