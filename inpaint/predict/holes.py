"""Where the holes of the pictures are that are to be repaired, looked at before any work."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import torch
from omegaconf import DictConfig
from torch import Tensor

from inpaint.pictures.mask_files import MOSTLY, MaskReader, Polarity, check_shares, colour_of
from inpaint.progress import track
from inpaint.settings import Refused, choice, whole

SURELY = 0.8  # mean share of white above which black is the hole: holes are hardly ever so large


@dataclass(frozen=True)
class Holes:
    """How the holes of pictures are read.

    Args:
        reader: of their masks.
        dilate: pixels by which they grow in all directions, over what is left of damage at their borders.
    """

    reader: MaskReader
    dilate: int = 0

    def __call__(self, mask: Path) -> Tensor:
        """float32 ``(1, H, W)``, 1 = hole.

        Raises:
            BadImage: it cannot be read, or is no mask.
        """
        hole = self.reader(mask)
        if not self.dilate or not hole.any():
            return hole
        known = (1 - hole[0]).byte().numpy()
        distance = cv2.distanceTransform(known, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        return torch.from_numpy(distance <= self.dilate).float()[None]


def look(masks: Sequence[Path], cfg: DictConfig) -> tuple[Holes, str]:
    """Read every mask and decide which of white and black is the hole.

    Returns:
        What reads the holes so, and a line on what was taken.

    Args:
        masks: the file of each picture.
        cfg: of the command.

    Raises:
        Refused: a mask cannot be read or is none, no mask has a hole, or what the hole is cannot be told.
    """
    dilate = whole("dilate", cfg.dilate, 0)
    choice("polarity", cfg.polarity, ("auto", "white", "black"))
    colour = colour_of(cfg.mask_colour, "mask_colour") if cfg.mask_colour is not None else None
    reader = MaskReader(
        cfg.mask_threshold, cfg.mask_channel, None, colour, cfg.mask_tolerance, prefix="mask_", colours=True
    )
    shares: dict[Path, float] = {}
    remarks: Counter[str] = Counter()
    for path in track(dict.fromkeys(masks), "looking at masks", "files"):
        marked = reader.look(path)
        shares[path] = float(marked.white.mean())
        remarks.update([marked.remark] if marked.remark else [])
    white = [shares[path] for path in masks]
    asked = "white" if colour is not None and cfg.polarity == "auto" else cfg.polarity
    polarity, reason = decide(sum(white) / len(white), asked)
    holes = [1 - share for share in white] if polarity == "black" else white
    other = "white" if polarity == "black" else "black"
    check_shares(holes, "holes", True, f"{polarity} is the hole, {reason}; polarity={other} where {other} is")
    taken = "".join(f"; {number} read by their {remark}" for remark, number in remarks.most_common(5))
    grown = f"; then grown by {dilate} pixels" if dilate else ""
    line = (
        f"holes: {sum(holes) / len(holes):.1%} of the pictures, {min(holes):.1%} to {max(holes):.1%} of each; "
        f"{polarity} is the hole, {reason}{taken}{grown}"
    )
    return Holes(replace(reader, polarity=polarity), dilate), line


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
