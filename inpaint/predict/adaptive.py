"""Holes that are measured in the pictures themselves: `holes=auto`."""

import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from inpaint.damage import Finding, diagnose
from inpaint.damage.captions import load_network
from inpaint.files.writing import write_table
from inpaint.pictures.reading import BadImage
from inpaint.pictures.writing import read_photograph
from inpaint.predict.jobs import Job
from inpaint.progress import track
from inpaint.settings import Refused, choice

AUTO = "auto"  # in place of a file: the hole is what is damaged in the picture
TABLE = "damage.csv"
COLUMNS = ("picture", "kind", "figure", "unit", "limit", "damaged", "share", "reason")


class Measured:
    """Holes where pictures are damaged; each picture is measured once, and its hole is kept, compressed.

    Args:
        cfg: the command's `auto`.

    Raises:
        Refused: a setting is none, or captions are to be looked for and their detector is not installed.
    """

    def __init__(self, cfg: DictConfig) -> None:
        self.lines = choice("auto.scratches", str(cfg.scratches), ("auto", "always", "never"))
        if not isinstance(cfg.text, bool):
            raise Refused(f"auto.text: give true or false; got {cfg.text}")
        self.network = load_network() if cfg.text else None
        self.findings: dict[str, tuple[Finding, ...]] = {}
        self._holes: dict[str, tuple[tuple[int, ...], bytes]] = {}

    def survey(self, jobs: Sequence[Job]) -> list[Job]:
        """Measure all pictures.

        Returns:
            The jobs with something to repair, and those with a problem; a picture that cannot be read gets one.
        """
        left = []
        for job in track(jobs, "measuring damage", "pictures"):
            if job.problem is None:
                try:
                    photograph = read_photograph(job.image)
                except BadImage as error:
                    left.append(job._replace(problem=str(error)))
                    continue
                found = diagnose(photograph.pixels, photograph.alpha, lines=self.lines, network=self.network)
                self.findings[str(job.image)] = found.findings
                self._holes[str(job.image)] = found.hole.shape, zlib.compress(np.packbits(found.hole).tobytes())
                if not found.hole.any():
                    continue
            left.append(job)
        return left

    def __call__(self, job: Job) -> Tensor:
        """float32 ``(1, H, W)``, 1 = hole."""
        shape, packed = self._holes[str(job.image)]
        bits = np.unpackbits(np.frombuffer(zlib.decompress(packed), np.uint8), count=shape[0] * shape[1])
        return torch.from_numpy(bits.reshape(shape).astype(np.float32))[None]

    def plan(self, most: int | None = None) -> list[str]:
        """Lines with every figure and decision, a picture each; of more than `most` pictures, how many have which."""
        lines = [f"{name}: {'; '.join(finding.reason for finding in each)}" for name, each in self.findings.items()]
        if most is not None and len(lines) > most:
            kinds = Counter(finding.kind for each in self.findings.values() for finding in each if finding.damaged)
            counts = ", ".join(f"{kind} {number}" for kind, number in kinds.most_common()) or "none"
            lines = [*lines[:most], f"... and {len(lines) - most} more, in {TABLE}; damaged of all: {counts}"]
        return lines

    def write(self, output: Path) -> None:
        """Every figure and decision as a table, `TABLE` in the output folder."""
        rows = [
            {
                "picture": name,
                "kind": finding.kind,
                "figure": "" if finding.figure is None else f"{finding.figure:.6g}",
                "unit": finding.unit,
                "limit": f"{finding.limit:g}",
                "damaged": "yes" if finding.damaged else "no",
                "share": "" if finding.share is None else f"{finding.share:.6f}",
                "reason": finding.reason,
            }
            for name, each in self.findings.items()
            for finding in each
        ]
        write_table(output / TABLE, COLUMNS, rows)
