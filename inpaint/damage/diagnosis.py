"""What of a picture is damaged, kind by kind, with the figure that decides and why."""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from inpaint.damage import captions, levels, scratches
from inpaint.damage.ridges import faint_cracks

KINDS = ("holes", "scratches", "text", "noise", "jpeg", "blur")
# From these figures up a picture is damaged; calibrated on one half of the photographs of experiments/011.
WRITTEN = 0.65  # shorter sides of the picture, which its lines of text are long together
NOISY = 10.0  # levels
BLOCKY = 0.9  # levels
BLURRED = 1.0  # pixels
LARGEST = 2048  # side of the middle of a picture that noise, blocks and blur are measured in, pixels


class Finding(NamedTuple):
    """A decision about one kind of damage.

    kind: of `KINDS`.
    figure: what was measured, in `unit`; None where it cannot be.
    limit: the figure from which the picture is damaged.
    damaged: the decision.
    share: of the picture that becomes hole by it; None for kinds that are no holes.
    """

    kind: str
    figure: float | None
    unit: str
    limit: float
    damaged: bool
    share: float | None = None

    @property
    def reason(self) -> str:
        """The decision in words, with the figure: ``noise 12.1 levels (limit 10): yes, ...``."""
        if self.figure is None:
            return f"{self.kind} cannot be measured"
        measured = f"{self.kind} {self.figure:.3g} {self.unit}".strip() + f" (limit {self.limit:g})"
        if not self.damaged:
            return f"{measured}: no"
        if self.share is None:
            return f"{measured}: yes, and left, as holes are all that is repaired"
        return f"{measured}: yes, {self.share:.1%} of the picture is repaired"


class Diagnosis(NamedTuple):
    """All decisions about a picture, of `KINDS` in their order, and what is to be repaired, bool ``(H, W)``."""

    findings: tuple[Finding, ...]
    hole: np.ndarray


def diagnose(
    pixels: np.ndarray,
    alpha: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    *,
    lines: str = "auto",
    network: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Diagnosis:
    """Measure a picture and decide what of it is damaged.

    It is a pure function of its arguments.

    Args:
        pixels: RGB ``(H, W, 3)``, uint8 or uint16.
        alpha: ``(H, W)`` of the same type; what is not wholly opaque is hole.
        mask: bool ``(H, W)``, what is hole besides.
        lines: whether scratches and cracks become hole: auto, where there is enough of them; always, with
            faint ones; never.
        network: of `captions.load_network`, which looks for text; None: nobody looks.
    """
    if pixels.dtype == np.uint16:
        pixels = (pixels / 257).round().astype(np.uint8)
    hole = np.zeros(pixels.shape[:2], bool) if mask is None else mask.copy()
    if alpha is not None:
        hole |= alpha < np.iinfo(alpha.dtype).max
    findings = [
        Finding("holes", 100 * float(hole.mean()), "% of the picture", 0.0, bool(hole.any()), float(hole.mean()))
    ]
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    written = np.zeros_like(hole)
    boxes = np.zeros_like(hole)
    if network is not None:
        text = captions.find_lines(pixels, network)
        for line in text:
            written |= captions.letters(grey, line)
            boxes |= captions.inside(line, grey.shape)
    beside = hole | boxes
    scratched = scratches.find(pixels, beside)
    cracked = scratched.hole | (faint_cracks(pixels) & ~beside) if lines == "always" else scratched.hole
    damaged = lines == "always" or (lines == "auto" and scratched.evidence >= scratches.LIMIT)
    share = float(cracked.mean())
    findings.append(Finding("scratches", scratched.evidence, "", scratches.LIMIT, damaged and share > 0, share))
    if findings[-1].damaged:
        hole |= cracked
    if network is not None:
        length = captions.extent(text, grey.shape)
        findings.append(Finding("text", length, "short sides long", WRITTEN, length >= WRITTEN, float(written.mean())))
        if findings[-1].damaged:
            hole |= written
    return Diagnosis((*findings, *_levels(grey)), hole)


def _levels(grey: np.ndarray) -> list[Finding]:
    top, left = (max(0, (side - LARGEST) // 2) for side in grey.shape)
    middle = np.ascontiguousarray(grey[top : top + LARGEST, left : left + LARGEST])
    figures = (
        ("noise", levels.noise(middle), "levels", NOISY),
        ("jpeg", levels.blockiness(middle), "levels", BLOCKY),
        ("blur", levels.blur(middle), "pixels", BLURRED),
    )
    return [
        Finding(kind, figure, unit, limit, figure is not None and figure >= limit)
        for kind, figure, unit, limit in figures
    ]
