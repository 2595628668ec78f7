"""Measure a trained model beside classical fills, on held-out photographs under frozen masks.

    inpaint-evaluate checkpoint=runs/DATE/TIME                     # the table that training printed
    inpaint-evaluate generator=telea baselines=[mean,harmonic]     # fills alone
    inpaint-evaluate checkpoint=FILE masks=boxes data=folder data.root=DIR

Every method goes through the same path: the same crops, the same holes, the truth removed from the hole, the composite
rounded to 8 bits. Data and masks are those the checkpoint was trained with, except for what the command line names.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, open_dict

from inpaint.config import ConfigError, build_baseline, build_data, build_fill, check, command, load_generator

if TYPE_CHECKING:
    from torch import nn

    from inpaint.data.datamodule import InpaintingData
    from inpaint.masks.frozen import Crop

FROM_CHECKPOINT = ("data", "masks")  # the groups that a checkpoint decides unless the command line does


def evaluate(methods: dict[str, "nn.Module"], data: "InpaintingData", device: str = "cpu") -> list[dict[str, Any]]:
    """Measure each method on all validation crops.

    Returns:
        One record a method and crop, as `table.aggregate` takes them: method, index, area, ms and the figures of
        `metrics.image.measure`. The milliseconds are the mean of the batch that the crop was in.
    """
    import time

    import torch

    from inpaint.metrics.image import hole_area, measure
    from inpaint.module import VALIDATED
    from inpaint.progress import track

    records: list[dict[str, Any]] = []
    for name, method in methods.items():
        method = method.to(device).eval()
        if device.startswith("cuda"):  # the first call chooses kernels; it is not timed
            warm = data.validation_batch(data.batch_size, torch.device(device))
            with torch.inference_mode():
                method(warm["image"] * (1 - warm["mask"]), warm["mask"])
        for raw in track(data.evaluation_dataloader(), f"evaluating {name}"):
            batch = data.to_batch(raw, device)
            image, mask = batch["image"], batch["mask"]
            with torch.inference_mode():
                _wait(device)
                start = time.perf_counter()
                outputs = method(image * (1 - mask), mask)
                _wait(device)
                ms = 1000 * (time.perf_counter() - start) / len(image)
                figures = measure(outputs, image, mask, VALIDATED)
            columns = {"index": batch["index"], "area": hole_area(mask), **figures}
            for row in zip(*(column.tolist() for column in columns.values()), strict=True):
                records.append({"method": name, "ms": ms, **dict(zip(columns, row, strict=True))})
    return records


def _wait(device: str) -> None:
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def choose_device(device: str) -> str:
    """`auto` is the GPU if there is one.

    Raises:
        ValueError: a GPU is asked for and there is none.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device: {device} was asked for, but no GPU is available; device=cpu works everywhere")
    return device


def run(cfg: DictConfig) -> None:
    """Evaluate, print the table, and write it into the run folder of this command."""
    from inpaint import checkpoint, table

    if not cfg.checkpoint and not cfg.get("generator") and not cfg.baselines:
        raise ConfigError("checkpoint: nothing to evaluate; give checkpoint=..., generator=... or baselines=[...]")
    methods: dict[str, Any] = {}
    if cfg.checkpoint:
        loaded = checkpoint.load(cfg.checkpoint)
        trained = checkpoint.config_of(loaded)
        cfg = _with_checkpoint(cfg, trained)
        methods[trained["name"]] = load_generator(loaded)
    check(cfg)
    if cfg.get("generator"):
        methods[_choice("generator")] = build_fill(cfg.generator)
    methods |= {name: build_baseline(name) for name in cfg.baselines if name not in methods}

    data = build_data(cfg)
    data.setup("validate")
    if data.validation_masks is not None and (frozen := data.validation_masks.frozen) is not None:
        frozen.check(validation_crops(data))
    rows = table.aggregate(evaluate(methods, data, choose_device(cfg.device)))
    folder = Path(cfg.paths.run)
    write_results(rows, data, folder)
    table.print_table(rows)
    print(f"written to {folder}: results.csv, results.md, validation.csv")


def write_results(rows: list[Any], data: "InpaintingData", folder: Path) -> None:
    """The table as ``results.csv`` and ``results.md``, and the manifest of what it was measured on.

    ``validation.csv`` names each crop's photograph, its hole area, and the sha256 of its pixels and of its mask (8-bit,
    row by row), so that two tables can be checked to speak of the same crops under the same holes.
    """
    import csv

    from inpaint import table

    folder.mkdir(parents=True, exist_ok=True)
    table.write_csv(rows, folder / "results.csv")
    (folder / "results.md").write_text(table.markdown(rows), encoding="utf-8")
    described = [crop.described() for crop in validation_crops(data)]
    with (folder / "validation.csv").open("w", newline="", encoding="utf-8") as file:
        manifest = csv.DictWriter(file, described[0], lineterminator="\n")
        manifest.writeheader()
        manifest.writerows(described)


def validation_crops(data: "InpaintingData") -> Iterator["Crop"]:
    """All validation crops with their holes, in 8 bits, in order."""
    from inpaint.batch import to_uint8
    from inpaint.masks.frozen import Crop
    from inpaint.metrics.image import hole_area

    for raw in data.evaluation_dataloader():
        keys = data.mask_keys(raw).tolist()
        batch = data.to_batch(raw, "cpu")
        image, mask, index = to_uint8(batch["image"]), batch["mask"].mul(255).byte(), batch["index"].tolist()
        for row, area in enumerate(hole_area(batch["mask"]).tolist()):
            name = data.tiles["validation"].name(index[row])
            yield Crop(index[row], name, area, keys[row], image[row], mask[row])


def _with_checkpoint(cfg: DictConfig, trained: dict[str, Any]) -> DictConfig:
    """Data and masks from the checkpoint; what the command line names from there, and it is said.

    Another data set keeps the crop that the model was trained with, unless the command line names that too.
    """
    from hydra.core.hydra_config import HydraConfig

    overrides = list(HydraConfig.get().overrides.task)
    cfg = cfg.copy()
    trained = trained | {"masks": trained.get("validation_masks") or trained["masks"]}
    for group in FROM_CHECKPOINT:
        named = [o.lstrip("+~") for o in overrides if o.lstrip("+~").split("=")[0].split(".")[0] == group]
        if not any(o.startswith(f"{group}=") for o in named):
            with open_dict(cfg):
                cfg[group] = trained[group]
                cfg.merge_with_dotlist(named)  # single settings on top of the checkpoint's
        elif group == "data" and not any(o.startswith("data.crop=") for o in named):
            cfg.data.crop = trained["data"]["crop"]
        if named:
            print(f"{group}: {', '.join(named)}, not as in training")
    return cfg


def _choice(group: str) -> str:
    from hydra.core.hydra_config import HydraConfig

    return HydraConfig.get().runtime.choices[group]


def main() -> None:
    """`inpaint-evaluate`."""
    command("evaluate", run)


if __name__ == "__main__":
    main()
