"""Look at what a model will see, before it is trained: crops, their holes, and how large the holes are.

    inpaint-preview masks=strokes masks.width=[0.02,0.1]                # the sheet goes to preview.png
    inpaint-preview data=folder data.root=DIR masks=files masks.root=DIR output=sheet.png
    inpaint-preview freeze=DIR                                          # and the validation's crops and holes as files
    inpaint-preview data=folder data.root=DIR shards=DIR                # and the photographs, decoded, for data=shards
    inpaint-preview checkpoint=RUN explain=FILE.png                     # after training: what its fills depend on

Samples come from the data module that training takes them from: the same crops, augmentations and masks. A frozen set
(`inpaint.masks.frozen`) repeats an evaluation with the same holes, here (masks=files masks.root=DIR) or with any tool.
"""

from pathlib import Path
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from inpaint.cli import typed
from inpaint.cli.command import command
from inpaint.config import build_data, check, choose_device
from inpaint.files.folder import replacing
from inpaint.groups import FROM_CHECKPOINT
from inpaint.settings import ConfigError, whole

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

    if cfg.explain or cfg.checkpoint or cfg.get("generator"):
        explain(cfg)
        return
    check(cfg)
    output, freeze = Path(cfg.output), Path(cfg.freeze) if cfg.freeze else None
    _check_samples(cfg, "output")
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


def _check_samples(cfg: DictConfig, file: str) -> None:
    """Refuse settings of the samples and of the file that shows them, named by its setting, that mean nothing.

    Raises:
        ConfigError: naming the setting.
    """
    if cfg.split not in ("train", "validation"):
        raise ConfigError(f"split: {cfg.split} is neither train nor validation")
    for name in ("samples", "measured"):
        if not (isinstance(cfg[name], int) and cfg[name] >= 1):
            raise ConfigError(f"{name}: {cfg[name]} is no number from 1 up")
    path = Path(cfg[file])
    if path.suffix.lower() != ".png" or path.is_dir() or not path.parent.is_dir():
        raise ConfigError(f"{file}: give a PNG file in a folder that exists; got {path}")


def explain(cfg: DictConfig) -> None:
    """Draw which known pixels the fills of a checkpoint, or of a generator, depend on.

    Raises:
        ConfigError: not one of the two, a setting that means nothing, or a model that restores whole pictures.
    """
    import torch

    from inpaint.batch import Batch
    from inpaint.config.untrained import build_fill, that_train
    from inpaint.evaluation.dependence import explained
    from inpaint.exchange import models
    from inpaint.metrics.image import hole_area
    from inpaint.pictures.sheet import panel

    if not cfg.explain or bool(cfg.checkpoint) == bool(cfg.get("generator")):
        raise ConfigError("explain: give explain=FILE.png with checkpoint=RUN, or with generator=OPTION of a fill")
    if cfg.freeze or cfg.shards:
        raise ConfigError("explain: draws what a fill depends on and nothing else; leave freeze and shards out")
    _check_samples(cfg, "explain")
    cfg, loaded = _as_trained(cfg) if cfg.checkpoint else (cfg, None)
    check(cfg)
    device = choose_device(cfg.device)
    data = build_data(cfg)
    data.setup("fit" if cfg.split == "train" else "validate")
    network = models.generator_of(loaded, cfg.trust_paths) if loaded else build_fill(cfg.generator, that_train(data))
    block = whole("block", cfg.block if cfg.block is not None else max(1, data.crop // 16), 1)
    shown, _ = look(data, cfg.split, cfg.samples, cfg.samples)
    if shown["mask"].all():
        raise ConfigError("masks: all of each picture is to be restored, and nothing is known beside it; give holes")
    names = [data.tiles[cfg.split].name(index) for index in shown["index"].tolist()]
    batch = Batch(**{name: value.to(device) for name, value in shown.items() if isinstance(value, torch.Tensor)})  # type: ignore[typeddict-item]
    columns, most = explained(network.to(device).eval(), batch, block)
    captions = [
        f"hole {area:.1%}  changes by up to {level:.1f} of 255  #{index}  {name}"
        for area, level, index, name in zip(
            hole_area(shown["mask"]).tolist(), most, shown["index"].tolist(), names, strict=True
        )
    ]
    scale = -(-SIDE // data.crop)
    across = max(1, WIDTH // (len(columns) * data.crop * scale))
    with replacing(Path(cfg.explain)) as scratch:
        panel(columns, captions, across, scale).save(scratch)
    print(f"explained: {cfg.explain}, {len(names)} pictures in blocks of {block} pixels")


def _as_trained(cfg: DictConfig) -> tuple[DictConfig, dict[str, Any]]:
    """The config with data, masks and degradation of its checkpoint, unless the command line names others; and it."""
    from hydra.core.hydra_config import HydraConfig

    from inpaint.config.sent import check_groups, follow
    from inpaint.exchange import models
    from inpaint.files import checkpoint

    loaded = models.load(cfg.checkpoint)
    config = checkpoint.config_of(loaded)
    check_groups(str(cfg.checkpoint), config)
    cfg = cfg.copy()
    for group in FROM_CHECKPOINT:
        follow(cfg, loaded, config, group, list(HydraConfig.get().overrides.task))
    return cfg, loaded


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
