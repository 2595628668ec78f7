"""How far results are from the truth, where that is known: measured and written as `inpaint-evaluate` does it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from inpaint.batch import Batch, from_uint8
from inpaint.evaluation.results import publish
from inpaint.pictures.pairing import find_by_name
from inpaint.pictures.reading import BadImage, image_size, read_image
from inpaint.predict.jobs import Job
from inpaint.predict.predictor import Predictor
from inpaint.settings import Refused, listed

UNREFINED = "unrefined"


class Results:
    """Results beside their truths, as `evaluation.measuring.Pictures`.

    Args:
        jobs: whose results are written.
        truths: the truth of each, by its name.
        read_hole: a job's mask, float32 ``(1, H, W)``.
        plain: paints what the method `UNREFINED` shows.
        scale: how many times fewer pixels a side the pictures have than their truths, where they are restored as a
            whole; None where holes are filled.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        truths: Mapping[str, Path],
        read_hole: Callable[[Job], Tensor],
        plain: Predictor | None = None,
        scale: int | None = None,
    ) -> None:
        self.jobs, self.truths, self.read_hole, self.plain, self.scale = jobs, truths, read_hole, plain, scale

    def parts(self) -> list[int]:
        """One by one, as sizes differ."""
        return list(range(len(self.jobs)))

    def batch(self, part: int, device: str) -> Batch:
        """The truth under its hole, or the truth and what was given of it."""
        job = self.jobs[part]
        image = from_uint8(read_image(self.truths[job.name]))[None].to(device)
        index = torch.tensor([part])
        if self.scale is None:
            return Batch(image=image, mask=self.read_hole(job)[None].to(device), index=index)
        picture = from_uint8(read_image(job.image))[None].to(device)
        return Batch(image=image, mask=torch.ones_like(image[:, :1]), index=index, given=picture)

    def result(self, method: str, part: int, device: str) -> Tensor:
        """What was written, or would have been without a refinement."""
        job = self.jobs[part]
        if method == UNREFINED and self.plain is not None:
            hole = self.read_hole(job) > 0.5
            repaired = self.plain(read_image(job.image), hole)
            return from_uint8(repaired)[None].to(device)
        return from_uint8(read_image(job.output))[None].to(device)

    def name(self, index: int) -> str:
        """The picture's relative name."""
        return self.jobs[index].name

    photograph = name


def find_truths(truth: Path, jobs: Sequence[Job], factor: int = 1) -> dict[str, Path]:
    """The truth of each picture: a file of its relative name, or the one file of the one picture.

    Args:
        truth: the folder, or the file.
        jobs: the pictures.
        factor: how many times more pixels a side the truths have.

    Raises:
        Refused: pictures without one, or of another size; with names and counts.
    """
    named = {jobs[0].name: truth} if truth.is_file() and len(jobs) == 1 else find_by_name(truth, "truth")
    if lacking := [job.name for job in jobs if job.name not in named]:
        raise Refused(f"truth: {len(lacking)} of {len(jobs)} pictures have none in {truth}: {listed(lacking)}")
    readable = [job for job in jobs if job.problem is None]
    try:
        sizes = {job.name: tuple(factor * side for side in job.size) for job in readable}
        other = [name for name, size in sizes.items() if image_size(named[name]) != size]
    except BadImage as error:
        raise Refused(f"truth: {error}") from None
    if other:
        size = "another size than their picture" if factor == 1 else f"not {factor} times the size of their picture"
        raise Refused(f"truth: {len(other)} of {len(jobs)} have {size}: {listed(other)}")
    return named


def publish_figures(
    folder: Path,
    method: str,
    jobs: Sequence[Job],
    truths: Mapping[str, Path],
    read_hole: Callable[[Job], Tensor],
    plain: Predictor | None = None,
    scale: int | None = None,
) -> None:
    """Print the table, and write the files of `evaluation.results`.

    Where results were refined, `plain` paints them without that, for a second row; `scale` as of `Results`.
    """
    jobs = [job for job in jobs if job.problem is None]
    if not jobs:
        return
    about = {"truth": "given", "results": "as they are written"}
    methods = {method: None} if plain is None else {method: None, UNREFINED: None}
    publish(folder, methods, Results(jobs, truths, read_hole, plain, scale), "cpu", about).print()
