"""Repair pictures of any size and kind with a trained model or a classical fill.

    inpaint-predict images=DIR holes=DIR output=DIR                               # with the model in the box
    inpaint-predict checkpoint=runs/DATE/TIME images=DIR holes=DIR output=DIR
    inpaint-predict generator=telea images=photo.jpg holes=mask.png output=DIR
    inpaint-predict checkpoint=RUN_WITH_A_DEGRADATION images=DIR output=DIR       # whole pictures, without holes

A mask belongs to the picture of the same relative name (any of the suffixes, or with `_mask` before it); one mask file
serves all pictures. A picture with several masks, `_mask001` and so on, has a result for each, called like the mask.
`holes=alpha` repairs what is transparent in each picture, `holes=auto` what is measured to be damaged (`plan=true` only
says what that is), `holes=boxes.csv` what a table has boxes around, and `masks=strokes` draws holes. Results have their
picture's
format, name and place below the output folder, its transparency, profile and EXIF data, upright. Outside the hole every
pixel is as it was, to the bit, in formats without loss. `video=FRAMES` in place of `images` repairs frames together:
`inpaint.predict.video`.

Everything is checked before the first picture is repaired. A picture that cannot be read, or whose hole comes out with
NaN or infinite pixels, stops no other: the ones that are not written are named at the end, with exit code 1. What an
earlier run has done, with the same settings from the same files, is not done again.
"""

import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig

from inpaint import builtin
from inpaint.cli.command import command
from inpaint.config import check, plain
from inpaint.config.targets import chosen
from inpaint.config.untrained import build_fill
from inpaint.files.folder import only_one
from inpaint.pictures.names import EXTRAS
from inpaint.predict.jobs import Destination, Job, Records, plan, sweep
from inpaint.predict.predictor import Predictor, load
from inpaint.settings import Refused, choice, listed, whole

if TYPE_CHECKING:
    import numpy as np

    from inpaint.pictures.writing import Photograph
    from inpaint.predict.adaptive import Measured
    from inpaint.predict.holes import Holes
    from inpaint.predict.predictor import Repaired
    from inpaint.predict.refine import Refinement

# Settings that do not change what a result looks like.
INDIFFERENT = (
    "images",
    "video",
    "holes",
    "output",
    "overwrite",
    "device",
    "batch_size",
    "truth",
    "trust_paths",
    "missing",
    "plan",
)
SETTINGS = (
    *("strategy", "tile", "context", "overlap", "multiple", "precision", "batch_size", "seed", "feather"),
    *("label", "caption"),
)
MOST_LINES = 20  # of pictures that are not written
WIDE_HOLES = (
    "holes wider than {wide} pixels, into which the model in the box paints texture (generator=harmonic paints "
    "smoothly, and has up to 0.8 dB more PSNR there)"
)


def run(cfg: DictConfig) -> None:
    """Check everything, then repair picture after picture."""
    from inpaint.predict.adaptive import AUTO
    from inpaint.predict.holes import look, mask_files, whole_pictures

    check(cfg)
    if not (cfg.checkpoint or cfg.get("generator")):
        cfg.checkpoint = builtin.NAME
        print("checkpoint=builtin: the model in the box repairs; it is made for scratches, captions and thin strokes")
    masks = hydra.utils.instantiate(cfg.masks, _convert_="all") if chosen(cfg.get("masks")) else None
    if cfg.holes is not None and masks is not None:
        raise Refused("holes: give holes=..., or masks=... for holes that are drawn, one of the two")
    choice("missing", cfg.missing, ("error", "skip"))
    auto = cfg.holes == AUTO
    if cfg.plan and not auto:
        raise Refused(f"plan: says what holes={AUTO} measures, and other holes are not measured; leave it out")
    if (cfg.images is None) == (cfg.video is None):
        raise Refused("images: give pictures, images=..., or the frames of a video, video=..., one of the two")
    if cfg.video is not None:
        from inpaint.predict.video.command import repair_video

        repair_video(cfg, masks, _set_up)
        return
    output = Path(cfg.output)
    extras = [choice("extras", str(name), EXTRAS) for name in cfg.extras]
    samples = whole("samples", cfg.samples, 1)
    if auto and "holes" not in extras:
        extras.append("holes")
    if not cfg.plan:
        predictor, refine, settings = _set_up(cfg)
        if cfg.holes is None and masks is None and predictor.scale is None:
            raise Refused("holes: give holes=..., or masks=... for holes that are drawn; this model fills them")
        predictor.check_holes("holes" if masks is None else "masks", cfg.holes is not None or masks is not None)
        if samples > 1 and not predictor.draws_noise:
            raise Refused("samples: this generator draws no noise, so all samples would be equal; leave samples out")
    jobs = plan(
        cfg.images,
        mask_files(cfg),
        Destination(output, cfg.format, samples, extras, cfg.overwrite),
    )
    measured = None
    if auto:
        jobs, measured = _measure(jobs, cfg)
        if cfg.plan or not jobs:
            return
    if predictor.scale is None:
        holes, line = look(jobs, cfg, masks, measured)
        print(line)
    else:
        holes = whole_pictures(cfg)
        size = f", {predictor.scale} times as large" if predictor.scale > 1 else ""
        print(f"holes: none; this model restores whole pictures{size}")
    if cfg.feather:
        print(
            f"feather: known pixels less than {cfg.feather + 1} pixels from a hole change too, where it fades into them"
        )
    truths = None
    if cfg.truth:
        from inpaint.predict.figures import find_truths

        truths = find_truths(Path(cfg.truth), jobs, predictor.factor)

    fresh = not output.exists()
    with only_one(output / ".inpaint-predict.lock", "output: a prediction"):
        records = Records(output, [*settings, holes.taken])
        if not fresh:
            records.refuse_others(jobs, cfg.overwrite)
        sweep(jobs)
        failed = _work(jobs, predictor, records, holes, builtin.WIDE if cfg.checkpoint == builtin.NAME else None)
        if measured is not None:
            measured.write(output)
    print(f"{len(jobs) - len(failed)} pictures repaired, in {cfg.output}")
    if refine is not None and refine.done:
        print(f"windows refined: {', '.join(f'{end} ({number})' for end, number in refine.done.most_common())}")
    if truths is not None:
        from inpaint.predict.figures import publish_figures

        method = str(Path(cfg.checkpoint).name) if cfg.checkpoint else type(predictor.generator).__name__
        written = [job for job in jobs if job.output not in failed]
        unrefined = None if refine is None else predictor.unrefined()
        publish_figures(output / "figures", method, written, truths, holes, unrefined, predictor.scale)
        print(f"figures: {output / 'figures'}, the files of inpaint-evaluate")
    if failed:
        _leave(failed, len(jobs))


def _measure(jobs: Sequence[Job], cfg: DictConfig) -> "tuple[list[Job], Measured]":
    """Measure what is damaged in the pictures, and say it; those with nothing to repair are left out."""
    from inpaint.predict.adaptive import Measured

    measured = Measured(cfg.auto)
    damaged = measured.survey(jobs)
    print("\n".join(measured.plan(None if cfg.plan else MOST_LINES)))
    print(f"{len(jobs) - len(damaged)} of {len(jobs)} pictures have nothing to repair and are left out")
    for job in damaged if cfg.plan else []:
        if job.problem is not None:
            print(f"{job.problem}")
    return damaged, measured


def _set_up(cfg: DictConfig) -> "tuple[Predictor, Refinement | None, list[Any]]":
    """What repairs, what makes that better, and all settings that decide the results."""
    from inpaint.exchange import models

    fill = build_fill(cfg.generator) if cfg.get("generator") else None
    refine = hydra.utils.instantiate(cfg.refine, _convert_="all") if chosen(cfg.refine) else None
    settings = {name: cfg[name] for name in SETTINGS}
    file = models.find(cfg.checkpoint) if cfg.checkpoint else None  # of a run the newest, which is long to look for
    predictor = load(file, fill, cfg.device, cfg.trust_paths, refine=refine, **settings)
    if refine is not None:
        print(refine.about)
    return predictor, refine, _settings(cfg, file)


def _work(
    jobs: Sequence[Job], predictor: Predictor, records: Records, read_hole: "Holes", wide: int | None
) -> dict[Path, str]:
    """Repair what is not done, and say which holes are wider than so many pixels.

    Returns:
        Why pictures are not written, by their first result.
    """
    from inpaint.progress import Reporter

    failed = {job.output: job.problem for job in jobs if job.problem is not None}
    done: list[Job] = []
    waiting: list[Job] = []
    for job in jobs:
        if job.problem is None:
            (done if records.is_done(job) else waiting).append(job)
    taken: Counter[str] = Counter()
    remarks: dict[str, list[Path]] = {}
    reporter = Reporter("repairing", "pictures", len(jobs), len(failed) + len(done), transient=True)
    writer, written = ThreadPoolExecutor(1), deque[Future[None]]()  # one batch is written while the next is painted
    try:
        finished = len(failed) + len(done)
        for batch, loaded in _loaded(_batches(waiting, predictor.batch_size), read_hole):
            failed |= {job.output: found for job, found in zip(batch, loaded, strict=True) if isinstance(found, str)}
            ready = [(job, *found) for job, found in zip(batch, loaded, strict=True) if not isinstance(found, str)]
            for job, _, hole in ready:
                if wide is not None and _width(hole) > wide:
                    remarks.setdefault(WIDE_HOLES.format(wide=wide), []).append(job.image)
            repaired = _repair(ready, predictor, records)
            while written:
                written.popleft().result()
            for job, photograph, way, finish in repaired:
                if finish is None:
                    failed[job.output] = f"{job.image}: pixels of its hole came out NaN or infinite"
                    continue
                written.append(writer.submit(finish))
                taken[way] += 1
                for remark in photograph.remarks:
                    remarks.setdefault(remark, []).append(job.image)
            finished += len(batch)
            if reporter.due:
                reporter.show(finished)
        while written:
            written.popleft().result()
    finally:
        writer.shutdown()
        reporter.close()
    if done:
        print(f"{len(done)} pictures were done before, with the same settings from the same files")
    if taken:
        print(f"sizes: {', '.join(f'{way} ({number})' for way, number in taken.most_common(5))}")
    for remark, images in remarks.items():
        print(f"{remark}: {len(images)} pictures ({listed(images)})")
    if any(job.format == "JPEG" for job in waiting):
        print("JPEG files are coded again, which changes known pixels a little; format=png keeps them to the bit")
    return failed


def _width(hole: "np.ndarray") -> float:
    """Pixels across the widest place of a hole, bool ``(H, W)``: twice the way from its middle to the known."""
    import cv2
    import numpy as np

    return 2 * float(cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE).max()) - 1


def _batches(jobs: Sequence[Job], most: int) -> Iterator[list[Job]]:
    """Successive jobs whose pictures have one size."""
    batch: list[Job] = []
    for job in jobs:
        if batch and (len(batch) == most or batch[0].size != job.size):
            yield batch
            batch = []
        batch.append(job)
    if batch:
        yield batch


def _loaded(
    batches: Iterator[list[Job]], read_hole: "Holes"
) -> "Iterator[tuple[list[Job], list[tuple[Photograph, np.ndarray] | str]]]":
    """Batches with their pictures and holes, or what is wrong with them, read while the one before is worked on."""
    from inpaint.pictures.reading import BadImage
    from inpaint.pictures.writing import read_photograph

    def read(job: Job) -> "tuple[Photograph, np.ndarray] | str":
        try:
            photograph = read_photograph(job.image)
            hole = read_hole(job, photograph)[0].numpy() > 0.5
        except BadImage as error:
            return str(error)
        if hole.shape != photograph.pixels.shape[:2]:
            return f"{job.image}: was changed since it was looked at"
        return photograph, hole

    with ThreadPoolExecutor(1) as pool:
        ahead = None
        for batch in batches:
            reading = batch, [pool.submit(read, job) for job in batch]
            if ahead is not None:
                yield ahead[0], [future.result() for future in ahead[1]]
            ahead = reading
        if ahead is not None:
            yield ahead[0], [future.result() for future in ahead[1]]


def _repair(
    ready: "Sequence[tuple[Job, Photograph, np.ndarray]]", predictor: Predictor, records: Records
) -> "list[tuple[Job, Photograph, str, Callable[[], None] | None]]":
    """Repair pictures together: how each was taken apart, and what writes it, or None where it is no picture."""
    pictures, holes = [photograph.pixels for _, photograph, _ in ready], [hole for _, _, hole in ready]
    samples = max((len(job.outputs) for job, _, _ in ready), default=0)
    raw = any("raw" in job.extras for job, _, _ in ready)
    results = [predictor.repair(pictures, holes, sample, raw) for sample in range(samples)]
    repaired: list[tuple[Job, Photograph, str, Callable[[], None] | None]] = []
    for which, (job, photograph, hole) in enumerate(ready):
        each = [pictures[which] for pictures in results]
        painted = all(one.pixels is not None for one in each)
        finish = partial(_finish, job, photograph, each, hole, records) if painted else None
        repaired.append((job, photograph, each[0].taken, finish))
    return repaired


def _finish(
    job: Job, photograph: "Photograph", each: "Sequence[Repaired]", hole: "np.ndarray", records: Records
) -> None:
    """Write the results of one picture, then the line that says so."""
    key = records.key(job)
    if job.mask == job.image:  # what was transparent and is painted shows now
        photograph = photograph.painted(photograph.pixels, hole)
    _write(job, photograph, each, hole)
    records.add(job, key, float(hole.mean()), each[0].taken)


def _write(job: Job, photograph: "Photograph", each: "Sequence[Repaired]", hole: "np.ndarray") -> None:
    """The results of one picture, and what is wanted besides."""
    from dataclasses import replace

    import numpy as np

    from inpaint.pictures.writing import write_photograph

    for path, repaired in zip(job.outputs, each, strict=True):
        assert repaired.pixels is not None
        write_photograph(path, photograph.painted(repaired.pixels), job.format)
    plainly = replace(photograph, alpha=None, grey=False, exif=None)
    if "raw" in job.extras:
        assert each[0].raw is not None
        write_photograph(job.extras["raw"], replace(plainly, pixels=each[0].raw), "PNG")
    if "holes" in job.extras:
        white = np.repeat(hole[..., None].astype(np.uint8) * 255, 3, axis=2)
        write_photograph(job.extras["holes"], replace(plainly, pixels=white, grey=True, profile=None), "PNG")
    if "side_by_side" in job.extras:
        painted = [repaired.pixels for repaired in each if repaired.pixels is not None]
        factor = len(painted[0]) // len(photograph.pixels)
        beside = np.concatenate([photograph.pixels.repeat(factor, axis=0).repeat(factor, axis=1), *painted], axis=1)
        write_photograph(job.extras["side_by_side"], replace(plainly, pixels=beside), "PNG")


def _settings(cfg: DictConfig, file: Path | None) -> list[Any]:
    """What decides the results, beside the pictures: the settings, and which state of the checkpoint's file."""
    from inpaint import __version__

    settings = {key: value for key, value in plain(cfg).items() if key not in INDIFFERENT}
    if file is not None:
        settings["checkpoint"] = [str(file), file.stat().st_size, file.stat().st_mtime_ns]
    return [__version__, settings]


def _leave(failed: dict[Path, str], total: int) -> None:
    """Say which pictures are not written, and why; exit code 1."""
    reasons = [*failed.values()]
    beginning = f"inpaint-predict: {len(failed)} of {total} pictures are not written"
    if len(reasons) == 1:
        print(f"{beginning}: {reasons[0]}", file=sys.stderr)
    else:
        more = [f"  and {len(reasons) - MOST_LINES} more"] if len(reasons) > MOST_LINES else []
        shown = [f"  {reason}" for reason in reasons[:MOST_LINES]]
        print("\n".join([f"{beginning}:", *shown, *more]), file=sys.stderr)
    sys.exit(1)


def main() -> None:
    """`inpaint-predict`."""
    command("predict", run)
