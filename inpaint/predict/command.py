"""Repair a folder of pictures of any size with a trained model or a classical fill.

    inpaint-predict checkpoint=runs/DATE/TIME images=DIR holes=DIR output=DIR
    inpaint-predict generator=telea images=photo.jpg holes=mask.png output=DIR

A mask belongs to the picture of the same relative name (any of the suffixes, or with `_mask` before it); one mask file
serves all pictures. A picture with several masks, `_mask001` and so on, has a result for each, called like the mask.
Results are PNG: outside the hole every pixel is as it was, to the bit. Transparency and colour profile stay; EXIF
orientation is applied. Everything is checked before the first picture is repaired. A picture whose hole comes out with
NaN or infinite pixels is not written; the others are, and a line counts and names the ones that are not, with exit
code 1.
"""

import sys
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig

from inpaint.cli.command import command
from inpaint.config import build_fill, check
from inpaint.folder import leads_out, replacing
from inpaint.predict.predictor import NotFinite, Predictor, load
from inpaint.settings import Refused, listed


class Job(NamedTuple):
    """A picture, its mask and where the result goes."""

    image: Path
    mask: Path
    output: Path


def plan(images: Path, holes: Path, output: Path) -> list[Job]:
    """Pair pictures with masks by their names and check sizes by the headers.

    Raises:
        Refused: nothing to do, pictures without a mask, a mask of another size, two pictures that would be written
            to one file, or a result that would overwrite an input; with names and counts.
    """
    from inpaint.pictures.pairing import Match, find_images, pair_masks
    from inpaint.pictures.reading import paired_size

    found = [images] if images.is_file() else find_images(images, "images")
    root = images.parent if images.is_file() else images
    if holes.is_file():
        pairs = [Match(image, holes, image.relative_to(root)) for image in found]
    else:
        pairs = pair_masks(found, root, holes, "holes")
    jobs = [Job(pair.picture, pair.mask, output / pair.file.with_suffix(".png")) for pair in pairs]

    inputs = {path.resolve() for job in jobs for path in (job.image, job.mask)}
    written: dict[Path, Path] = {}
    for job in jobs:
        if job.output.resolve() in inputs:
            raise Refused(f"output: {job.output} is an input and would be overwritten; give another folder")
        if written.setdefault(job.output, job.image) != job.image:
            raise Refused(f"output: {written[job.output]} and {job.image} would both be written to {job.output}")
        paired_size(job.image, job.mask)
        if job.output.is_symlink() or leads_out(output, job.output.relative_to(output)):
            raise Refused(f"output: {job.output} is a link, or behind one that leads out of {output}; remove it")
    return jobs


def repair(job: Job, predictor: Predictor, mask_threshold: int | None) -> None:
    """Repair one picture and write it.

    Raises:
        NotFinite: pixels of its hole came out NaN or infinite; nothing is written.
    """
    import torch
    from PIL import Image

    from inpaint.pictures.reading import decode, open_image, read_mask

    with open_image(job.image) as picture:
        mode, profile = picture.mode, picture.info.get("icc_profile")
        transparent = mode in ("LA", "PA", "RGBA") or "transparency" in picture.info
        pixels = torch.from_numpy(decode(picture, "RGBA" if transparent else "RGB")).permute(2, 0, 1)
    result = torch.cat([predictor(pixels[:3], read_mask(job.mask, mask_threshold)), pixels[3:]])
    repaired = Image.fromarray(result.permute(1, 2, 0).contiguous().numpy())
    if mode in ("1", "L", "LA"):
        repaired = repaired.convert("LA" if transparent else "L")
    job.output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(job.output) as scratch:
        repaired.save(scratch, icc_profile=profile if mode != "CMYK" else None)


def run(cfg: DictConfig) -> None:
    """Check everything, then repair picture after picture."""
    from inpaint.pictures.reading import read_mask
    from inpaint.progress import track

    check(cfg)
    jobs = plan(Path(cfg.images), Path(cfg.holes), Path(cfg.output))
    for mask in dict.fromkeys(job.mask for job in jobs):
        read_mask(mask, cfg.mask_threshold)
    fill = build_fill(cfg.generator) if cfg.get("generator") else None
    predictor = load(cfg.checkpoint, fill, cfg.device, cfg.trust_paths)
    broken = []
    for job in track(jobs, "repairing", "pictures"):
        try:
            repair(job, predictor, cfg.mask_threshold)
        except NotFinite:
            broken.append(job.image)
    print(f"{len(jobs) - len(broken)} pictures repaired, in {cfg.output}")
    if broken:
        print(
            f"inpaint-predict: {len(broken)} of {len(jobs)} pictures are not written, as pixels of their holes came "
            f"out NaN or infinite: {listed(broken)}",
            file=sys.stderr,
        )
        sys.exit(1)


def main() -> None:
    """`inpaint-predict`."""
    command("predict", run)
