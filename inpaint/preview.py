"""Look at what a model will see, before it is trained: crops, their holes, and how large the holes are.

    inpaint-preview masks=strokes masks.width=[0.02,0.1]                # the sheet goes to preview.png
    inpaint-preview data=folder data.root=DIR masks=files masks.root=DIR output=sheet.png
    inpaint-preview freeze=DIR                                          # and the validation's crops and holes as files
    inpaint-preview data=folder data.root=DIR shards=DIR                # and the photographs, decoded, for data=shards

Samples come from the data module that training takes them from: the same crops, augmentations and masks. A frozen set
(`inpaint.masks.frozen`) repeats an evaluation with the same holes, here (masks=files masks.root=DIR) or with any tool.
"""

from pathlib import Path
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from inpaint.cli import typed
from inpaint.cli.command import command
from inpaint.config import build_data, check
from inpaint.files.folder import replacing
from inpaint.settings import ConfigError

if TYPE_CHECKING:
    from PIL import Image

    from inpaint.batch import Batch
    from inpaint.data.datamodule import InpaintingData

SIDE = 128  # pixels; smaller crops are enlarged on the sheet by a whole number up to it
WIDTH = 1600  # pixels of the sheet at most, where more than one sample is in a row
BAR = 40  # characters of the longest bar in the terminal


def run(cfg: DictConfig) -> None:
    """Check everything, draw and measure, print, and write what was asked for."""
    from inpaint.data.packing import new_shards
    from inpaint.evaluation.measuring import validation_crops
    from inpaint.masks.frozen import new_folder, write_frozen
    from inpaint.progress import track

    check(cfg)
    output, freeze = Path(cfg.output), Path(cfg.freeze) if cfg.freeze else None
    if cfg.split not in ("train", "validation"):
        raise ConfigError(f"split: {cfg.split} is neither train nor validation")
    for name in ("samples", "measured"):
        if not (isinstance(cfg[name], int) and cfg[name] >= 1):
            raise ConfigError(f"{name}: {cfg[name]} is no number from 1 up")
    if output.suffix.lower() != ".png" or output.is_dir() or not output.parent.is_dir():
        raise ConfigError(f"output: give a PNG file in a folder that exists; got {output}")
    if cfg.images and freeze is None:
        raise ConfigError("images: belongs to a frozen set; give freeze=DIR too")
    if freeze is not None:
        new_folder(freeze)
    if cfg.shards:
        new_shards(Path(cfg.shards))
        if cfg.data.cache == "auto":
            cfg.data.cache = "none"  # each photograph is read once

    data = build_data(cfg)
    data.setup("fit" if cfg.split == "train" else "validate")
    shown, areas = look(data, cfg.split, cfg.samples, cfg.measured)
    statistics = Statistics(areas, tuple(shown["mask"].shape[2:]))
    statistics.print()
    masks = data.masks if cfg.split == "train" else data.validation_masks
    if masks is not None:
        low, high = masks.area
        if outside := sum(not low - 1e-6 <= area <= high + 1e-6 for area in areas):
            print(
                f"masks.area: {outside / len(areas):.1%} lie outside [{low:g}, {high:g}]; try other numbers of the kind"
            )
    names = [data.tiles[cfg.split].name(index) for index in shown["index"].tolist()]
    with replacing(output) as scratch:
        draw(shown, names, statistics).save(scratch)
    print(f"sheet: {output}")
    if freeze is not None:
        data.setup("validate")
        number = write_frozen(freeze, track(validation_crops(data), "freezing", "crops"), cfg.images)
        reading = typed.line("masks=files", typed.setting("masks.root", freeze))
        print(f"frozen set: {number} crops and their masks in {freeze}; {reading} reads it")
    if cfg.shards:
        pack(data, Path(cfg.shards))


def pack(data: "InpaintingData", folder: Path) -> None:
    """Write the photographs of both splits as shards, and say what is gained."""
    from inpaint.data.packing import write_shards

    data.setup("fit")
    packed = write_shards(folder, [data.tiles["train"], data.tiles["validation"]])
    reading = [typed.setting(f"data.{name}", value) for name, value in packed.settings.items()]
    print(
        f"shards: {packed.photographs} photographs in {packed.shards} shards, {packed.bytes / 1e6:.0f} MB in {folder}; "
        f"one is read in {1e3 * packed.after:.2f} ms of processor time, before in {1e3 * packed.before:.2f} ms "
        f"({packed.before / packed.after:.1f}x); {typed.line('data=shards', *reading)} reads them"
    )


def look(data: "InpaintingData", split: str, samples: int, measured: int) -> tuple["Batch", list[float]]:
    """Samples to show, and the hole areas of as many as are to be measured, in [0, 1].

    Training samples are the first of an epoch, which are spread by its order; validation samples are spread evenly.
    """
    import torch

    from inpaint.batch import Batch
    from inpaint.metrics.image import hole_area
    from inpaint.progress import track

    loader = data.train_dataloader() if split == "train" else data.evaluation_dataloader()
    first: list[Batch] = []
    areas: list[float] = []
    for raw in track(loader, "measuring holes"):
        batch = data.to_batch(raw, "cpu")
        if sum(len(earlier["index"]) for earlier in first) < samples:
            first.append(batch)
        areas += hole_area(batch["mask"]).tolist()
        if len(areas) >= max(measured, samples):
            break
    if split == "validation":
        return data.validation_batch(samples, torch.device("cpu")), areas[:measured]
    tensors = [name for name, value in first[0].items() if isinstance(value, torch.Tensor)]
    shown = {name: torch.cat([batch[name] for batch in first])[:samples] for name in tensors}  # type: ignore[literal-required]
    return Batch(**shown), areas[:measured]  # type: ignore[typeddict-item]


class Statistics:
    """Hole areas of many masks.

    Args:
        areas: of each mask, in [0, 1].
        size: height and width of the masks in pixels.
    """

    def __init__(self, areas: list[float], size: tuple[int, ...]) -> None:
        from inpaint.evaluation.intervals import bucket

        found = [bucket(area) for area in areas]
        self.counts = {name: found.count(name) for name in (bucket(tenth / 10) for tenth in range(10))}
        self.total = len(areas)
        self.summary = (
            f"hole area of {len(areas)} masks of {size[1]} x {size[0]} pixels: mean {fmean(areas):.1%}, "
            f"deviation {pstdev(areas):.1%}, {areas.count(0) / len(areas):.1%} empty"
        )

    def print(self) -> None:
        """Summary and histogram for a terminal."""
        from inpaint.evaluation.terminal import Cell, print_blocks

        most = max(self.counts.values())
        lines = [
            [Cell(name), Cell("█" * round(BAR * count / most)), Cell(str(count)), Cell(f"{count / self.total:.1%}")]
            for name, count in self.counts.items()
        ]
        print(self.summary)
        print_blocks(["hole area", "", "masks", "share"], [lines], {}, labels=2)


def draw(shown: "Batch", names: list[str], statistics: Statistics) -> "Image.Image":
    """The sheet: image, mask and masked image of each sample, and the histogram below."""
    from inpaint.batch import given
    from inpaint.metrics.image import hole_area
    from inpaint.pictures.sheet import as_large, chart, panel, stacked

    image, mask = shown["image"], shown["mask"]
    scale = -(-SIDE // min(image.shape[2:]))
    seen = given(shown)
    if "given" in shown:
        columns = {"truth": image, "given": as_large(seen, image.shape[2])}
        if not mask.all():
            columns["mask"] = (2 * mask - 1).expand_as(image)
    else:
        columns = {"image": image, "mask": (2 * mask - 1).expand_as(image), "masked": seen}
    whole = bool(mask.all())
    captions = [
        f"{'' if whole else f'hole {area:.1%}  '}#{index}  {name}"
        for area, index, name in zip(hole_area(mask).tolist(), shown["index"].tolist(), names, strict=True)
    ]
    samples = panel(columns, captions, across=max(1, WIDTH // (len(columns) * image.shape[3] * scale)), scale=scale)
    if whole:  # all is to be restored, and there are no holes to count
        return samples
    shares = {name: count / statistics.total for name, count in statistics.counts.items()}
    return stacked([samples, chart(statistics.summary, shares, samples.width)])


def main() -> None:
    """`inpaint-preview`."""
    command("preview", run)


if __name__ == "__main__":
    main()
