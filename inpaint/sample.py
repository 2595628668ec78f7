"""Look at what a generator makes of noise alone: a sheet of samples, each as a file, and ways from one to another.

    inpaint-sample checkpoint=runs/DATE/TIME output=DIR n=64
    inpaint-sample checkpoint=runs/DATE/TIME output=DIR truncation=1.5 interpolations=0
    inpaint-sample checkpoint=runs/DATE/TIME output=DIR label=3
    inpaint-sample checkpoint=runs/DATE/TIME output=DIR 'caption="a red disc"'

Nothing is known of a picture, so all of it is hole. A sample follows from `seed` and its number: it is the same picture
however many are made, and in batches of any size.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from inpaint.cli.command import command
from inpaint.config import check, choose_device
from inpaint.files.folder import only_one, refuse_links, replacing_all
from inpaint.settings import ConfigError, Refused, whole

if TYPE_CHECKING:
    from torch import Tensor, nn

FOLDER = "samples"  # the files, by their numbers
SHEET, WAYS = "sheet.png", "interpolations.png"
FILE = re.compile(r"\d{5}\.png")
MARK = b"Software\0inpaint-sample"  # in each picture, among its first bytes: whose it is
MOST = 100_000  # samples
MOST_WAYS, MOST_STEPS = 256, 64
SHOWN = 256  # of them on the sheet, the first
LARGEST = 4096  # pixels a side
ENLARGED = 96  # pixels a side up to which small pictures are enlarged on sheets
PAGE = 8192  # pixels a side of the largest sheet; what does not fit is shrunk


def run(cfg: DictConfig) -> None:
    """Check everything, paint, write, and say where it is.

    Raises:
        Refused: a setting that means nothing, no checkpoint, or a generator that paints from no noise.
    """
    import torch

    from inpaint.batch import noise_of
    from inpaint.exchange import models
    from inpaint.files import checkpoint as checkpoints
    from inpaint.files.embeddings import read_embeddings
    from inpaint.networks.conditions import asked, asked_by, classes_of

    check(cfg)
    count = _within("n", cfg.n, 1, MOST)
    ways = _within("interpolations", cfg.interpolations, 0, MOST_WAYS)
    steps = _within("steps", cfg.steps, 2, MOST_STEPS)
    batch_size = whole("batch_size", cfg.batch_size, 1)
    if not isinstance(cfg.seed, int):
        raise ConfigError(f"seed: give a whole number; got {cfg.seed}")
    model = models.load(cfg.checkpoint)
    generator = models.generator_of(model, cfg.trust_paths)
    if (latent := noise_of(generator)) is None:
        raise Refused(
            f"checkpoint: {type(generator).__name__} paints from no noise, so there is nothing to sample; "
            "inpaint-predict repairs with it"
        )
    limit = cfg.truncation
    if limit is not None and not (isinstance(limit, int | float) and limit > 0):
        raise ConfigError(f"truncation: give a number of deviations above 0, or null; got {limit}")
    if limit is not None and hasattr(generator, "mean_code"):
        raise Refused("truncation: this generator normalises its noise, so that a limit changes little; leave it out")
    side = cfg.size
    if side is None:
        data = checkpoints.config_of(model).get("data")
        if not isinstance(data, dict) or "crop" not in data:
            raise ConfigError("size: the checkpoint does not say its crops' side; give the side in pixels")
        side = data["crop"]
    side = _within("size", side, 1, LARGEST)
    folder = Path(cfg.output)
    refuse_links(folder, "output")
    if foreign := _foreign(folder):
        raise Refused(f"output: {foreign} is there already, and no sampling wrote it; give another folder")

    said = asked(generator, count, cfg.label, cfg.caption)
    if "label" not in said and (classes := classes_of(generator)):
        said["label"] = torch.arange(count) % classes
    if cfg.embeddings is not None:
        asked_by(generator, "embeddings", "embedding")
        embeddings = list(read_embeddings(cfg.embeddings, "embeddings").values())
        said["embedding"] = torch.stack([embeddings[number % len(embeddings)] for number in range(count)])
    for kind, setting in {"words": "caption", "embedding": "embeddings"}.items():
        if kind in getattr(generator, "needs", ()) and cfg[setting] is None:
            print(f"{setting}: none is given, and in training there was one for each picture; nothing is said of these")
    device = choose_device(cfg.device)
    noise = latents(count, latent, cfg.seed, limit)
    paths = interpolated(noise, min(ways, count // 2), steps)
    folder.mkdir(parents=True, exist_ok=True)
    with (
        only_one(folder / ".inpaint-sample.lock", "output: a sampling"),
        replacing_all(folder, (SHEET, WAYS, FOLDER)) as place,
    ):
        (place / FOLDER).mkdir()
        generator = generator.to(device)
        made = _saved(painted(generator, noise, side, device, batch_size, cfg.seed, said=said), place / FOLDER)
        on_sheet = min(count, SHOWN)
        _save(_sheet(made, on_sheet, round(on_sheet**0.5), side), place / SHEET)
        if len(paths):
            rows = torch.arange(len(paths)).mul(2).repeat_interleave(steps)
            rows[steps - 1 :: steps] += 1
            between = painted(generator, paths.flatten(0, 1), side, device, batch_size, cfg.seed, rows, said)
            _save(_sheet(map(_picture, between), len(rows), steps, side), place / WAYS)
    print(f"{count} samples of {side} x {side} pixels: {folder / SHEET}, {folder / FOLDER}")
    if len(paths):
        print(f"{len(paths)} ways from one to another in {steps} steps: {folder / WAYS}")


def _within(setting: str, value: Any, least: int, most: int) -> int:
    if whole(setting, value, least) > most:
        raise ConfigError(f"{setting}: {value} are more than {most}")
    return int(value)


def _foreign(folder: Path) -> Path | None:
    """Something of a name of ours that no sampling wrote."""
    pictures = folder / FOLDER
    if pictures.is_dir():
        found = [file for file in pictures.iterdir() if not FILE.fullmatch(file.name) or not _is_ours(file)]
    else:
        found = [pictures] if pictures.exists() else []
    found += [file for file in (folder / SHEET, folder / WAYS) if file.exists() and not _is_ours(file)]
    return min(found, default=None)


def _is_ours(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return MARK in opened.read(256)


def latents(count: int, length: int, seed: int, limit: float | None = None) -> "Tensor":
    """Noise of samples 0 to count - 1: float32 ``(count, length)``, standard normal, each by its seed and number alone.

    Args:
        count: samples.
        length: numbers of each.
        seed: another one, other samples.
        limit: the normal distribution is cut at so many deviations to both sides (BigGAN's truncation), which makes
            pictures more typical and less various; None leaves it whole.
    """
    import torch

    from inpaint import rng

    keys = rng.fold(torch.arange(count), f"{seed} sample")
    if limit is None:
        return rng.normal(keys, length)
    least = torch.special.ndtr(torch.tensor(-float(limit), dtype=torch.float64))
    share = rng.uniform(keys, length).double() + 2.0**-25
    return torch.special.ndtri(least + share * (1 - 2 * least)).float()


def interpolated(noise: "Tensor", ways: int, steps: int) -> "Tensor":
    """From each second row of noise to the one after it, on the sphere: ``(N, L)`` to ``(ways, steps, L)``.

    The first and the last step are the rows themselves. A straight line would lead through noise that is shorter than
    what a generator has seen, and paints a mean picture (White 2016, *Sampling Generative Networks*).
    """
    import torch

    first, last = noise[0 : 2 * ways : 2, None], noise[1 : 2 * ways : 2, None]
    share = torch.linspace(0, 1, steps, dtype=noise.dtype)[None, :, None]
    cosine = torch.nn.functional.cosine_similarity(first, last, dim=2).clamp(-1, 1)[..., None]
    angle = cosine.acos()
    near = angle.sin() < 1e-4  # of rows that point alike, or apart, a line is as good
    sine = torch.where(near, 1.0, angle.sin())
    a = torch.where(near, 1 - share, ((1 - share) * angle).sin() / sine)
    b = torch.where(near, share, (share * angle).sin() / sine)
    return a * first + b * last


def painted(
    generator: "nn.Module",
    noise: "Tensor",
    side: int,
    device: str,
    batch_size: int,
    seed: int,
    rows: "Tensor | None" = None,
    said: "Mapping[str, Any] | None" = None,
) -> "Iterator[Tensor]":
    """What a generator makes of each row of noise, where all is hole: ``(3, side, side)`` in [-1, 1].

    Args:
        generator: in evaluation mode, on `device`.
        noise: ``(N, L)``.
        side: pixels.
        device: where it works.
        batch_size: pictures at a time.
        seed: of other noise that the generator may draw.
        rows: int64 ``(N,)``, the number of the sample whose other noise each has; None: 0, 1, 2, ...
        said: of each sample, by the names of a batch.
    """
    import torch

    from inpaint import rng
    from inpaint.batch import Batch, paint

    rows = torch.arange(len(noise)) if rows is None else rows
    for some, index in zip(noise.split(batch_size), rows.split(batch_size), strict=True):
        shape = (len(some), side, side)
        image, mask = torch.zeros(shape[0], 3, *shape[1:], device=device), torch.ones(shape, device=device)[:, None]
        batch = Batch(image=image, mask=mask, index=index, latent=some.to(device))
        for name, value in (said or {}).items():
            own = value[index].to(device) if isinstance(value, torch.Tensor) else [value[row] for row in index.tolist()]
            batch[name] = own  # type: ignore[literal-required]
        with torch.inference_mode(), rng.of_samples(rng.fold(index, f"{seed} sample").to(device)):
            yield from paint(generator, batch).output.float().cpu()


def _picture(painted: "Tensor") -> Any:
    """Floats ``(3, H, W)`` in [-1, 1] as a picture of Pillow's."""
    from PIL import Image

    from inpaint.batch import to_uint8

    return Image.fromarray(to_uint8(painted).permute(1, 2, 0).numpy())


def _save(picture: Any, file: Path) -> None:
    """As a PNG that says whose it is."""
    from PIL.PngImagePlugin import PngInfo

    keyword, text = MARK.decode().split("\0")
    info = PngInfo()
    info.add_text(keyword, text)
    picture.save(file, pnginfo=info)


def _saved(pictures: "Iterable[Tensor]", folder: Path) -> Iterator[Any]:
    """Each picture, once it is a file."""
    for number, painted in enumerate(pictures):
        picture = _picture(painted)
        _save(picture, folder / f"{number:05d}.png")
        yield picture


def _sheet(pictures: Iterable[Any], count: int, across: int, side: int) -> Any:
    """The first `count` of square pictures, so many side by side; small ones are enlarged by whole pixels."""
    from PIL import Image

    down = -(-count // across)
    room = PAGE // max(across, down)
    size = side * max(min(ENLARGED, room) // side, 1) if side <= room else room
    page = Image.new("RGB", (across * size, down * size), "white")
    for place, picture in enumerate(pictures):
        if place < count:
            way = Image.Resampling.NEAREST if size >= side else Image.Resampling.LANCZOS
            page.paste(picture.resize((size, size), way), (place % across * size, place // across * size))
    return page


def main() -> None:
    """`inpaint-sample`."""
    command("sample", run)


if __name__ == "__main__":
    main()
