"""Repair a folder of pictures of any size with a trained model or a classical fill.

    inpaint-predict checkpoint=runs/DATE/TIME images=DIR holes=DIR output=DIR
    inpaint-predict generator=telea images=photo.jpg holes=mask.png output=DIR

A mask belongs to the picture of the same relative name (any of the suffixes, or with `_mask` before it); one mask file
serves all pictures. Results are PNG: outside the hole every pixel is as it was, to the bit. Transparency and colour
profile stay; EXIF orientation is applied. Everything is checked before the first picture is repaired.
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from omegaconf import DictConfig

from inpaint.cli.command import command
from inpaint.config import build_fill, check, choose_device, load_generator
from inpaint.settings import ConfigError, Refused

if TYPE_CHECKING:
    from torch import nn


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
    from inpaint.pictures.pairing import find_images, pair_masks
    from inpaint.pictures.reading import paired_size

    found = [images] if images.is_file() else find_images(images, "images")
    root = images.parent if images.is_file() else images
    pairs = dict.fromkeys(found, holes) if holes.is_file() else pair_masks(found, root, holes, "holes")
    jobs = [Job(image, mask, output / image.relative_to(root).with_suffix(".png")) for image, mask in pairs.items()]

    inputs = {path.resolve() for job in jobs for path in (job.image, job.mask)}
    written: dict[Path, Path] = {}
    for job in jobs:
        if job.output.resolve() in inputs:
            raise Refused(f"output: {job.output} is an input and would be overwritten; give another folder")
        if written.setdefault(job.output, job.image) != job.image:
            raise Refused(f"output: {written[job.output]} and {job.image} would both be written to {job.output}")
        paired_size(job.image, job.mask)
    return jobs


def repair(job: Job, generator: "nn.Module", device: str, mask_threshold: int | None) -> None:
    """Repair one picture and write it."""
    import torch
    from PIL import Image

    from inpaint.batch import Batch, from_uint8, paint, to_uint8
    from inpaint.pictures.reading import decode, open_image, read_mask

    with open_image(job.image) as picture:
        mode, profile = picture.mode, picture.info.get("icc_profile")
        transparent = mode in ("LA", "PA", "RGBA") or "transparency" in picture.info
        pixels = torch.from_numpy(decode(picture, "RGBA" if transparent else "RGB")).permute(2, 0, 1)
    image = from_uint8(pixels[None, :3].to(device))
    mask = read_mask(job.mask, mask_threshold)[None].to(device)
    with torch.inference_mode():
        batch = Batch(image=image, mask=mask, index=torch.zeros(1, dtype=torch.int64))
        composite = paint(generator, batch).composite
    # The hole is painted into the original bytes, so nothing outside it can change.
    result = torch.where(mask[0].bool().cpu(), to_uint8(composite)[0].cpu(), pixels[:3])
    result = torch.cat([result, pixels[3:]])
    repaired = Image.fromarray(result.permute(1, 2, 0).contiguous().numpy())
    if mode in ("1", "L", "LA"):
        repaired = repaired.convert("LA" if transparent else "L")
    job.output.parent.mkdir(parents=True, exist_ok=True)
    repaired.save(job.output, icc_profile=profile if mode != "CMYK" else None)


def run(cfg: DictConfig) -> None:
    """Check everything, then repair picture after picture."""
    from inpaint import checkpoint
    from inpaint.pictures.reading import read_mask
    from inpaint.progress import track

    check(cfg)
    if bool(cfg.checkpoint) == bool(cfg.get("generator")):
        raise ConfigError("checkpoint: give checkpoint=... or a fill (generator=harmonic), one of the two")
    jobs = plan(Path(cfg.images), Path(cfg.holes), Path(cfg.output))
    for mask in dict.fromkeys(job.mask for job in jobs):
        read_mask(mask, cfg.mask_threshold)
    device = choose_device(cfg.device)
    if cfg.checkpoint:
        generator = load_generator(checkpoint.load(cfg.checkpoint), cfg.trust_paths)
    else:
        generator = build_fill(cfg.generator)
    generator = generator.to(device)
    for job in track(jobs, "repairing", "pictures"):
        repair(job, generator, device, cfg.mask_threshold)
    print(f"{len(jobs)} pictures repaired, in {cfg.output}")


def main() -> None:
    """`inpaint-predict`."""
    command("predict", run)


if __name__ == "__main__":
    main()
