"""Measure trained models, classical fills and results of other tools, all on the same pictures under the same holes.

    inpaint-evaluate checkpoint=runs/DATE/TIME                            # the table that training printed
    inpaint-evaluate checkpoint=[runs/a,runs/b] baselines=[harmonic]      # several, in one pass over the same crops
    inpaint-evaluate generator=telea baselines=[mean,harmonic]            # fills alone
    inpaint-evaluate generator=builtin images=DIR holes=DIR               # the model in the box on your own pictures
    inpaint-evaluate checkpoint=FILE masks=boxes data=folder data.root=DIR
    inpaint-evaluate 'results={lama: DIR, mine: DIR}' images=DIR holes=DIR   # of any tool, paired by name
    inpaint-evaluate 'results={lama: DIR}' frozen=DIR checkpoint=RUN         # on a frozen set (inpaint-preview)

Every method goes through the same path: the same pictures, the same holes, the truth removed from the hole, the
composite made with the truth's known pixels and rounded to 8 bits. Without images=... or frozen=..., data and masks are
those the (first) checkpoint was trained with, except for what the command line names. The files that it writes are
those of `inpaint.evaluation.results`; the settings are in conf/evaluate.yaml.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, ListConfig

from inpaint import builtin
from inpaint.cli.command import command
from inpaint.compare.configs import differences
from inpaint.config import build_data, build_figures, check, choose_device
from inpaint.config.references import command_line, without_environment
from inpaint.config.sent import check_groups, follow
from inpaint.config.untrained import baselines, build_fill, that_train
from inpaint.files.folder import LOCK, only_one, refuse_links, shown
from inpaint.groups import FROM_CHECKPOINT, GROUPS
from inpaint.settings import ConfigError, nearest, whole

if TYPE_CHECKING:
    from inpaint.data.datamodule import InpaintingData
    from inpaint.evaluation.judges import Judges
    from inpaint.evaluation.measuring import ValidationCrops
    from inpaint.evaluation.pairs import Pairs
    from inpaint.metrics.figure import Figure

LONGEST = 60  # characters of settings in a name


def run(cfg: DictConfig) -> None:
    """Evaluate, print the table, and write it into the run folder of this command.

    Raises:
        Busy: another evaluation, or a run, is at work there.
        ConfigError: a setting means nothing, or the folder holds a run, whose results these would replace.
    """
    from inpaint.evaluation.results import publish
    from inpaint.exchange.models import generator_of
    from inpaint.training.fitting import check_degradation

    folder = Path(cfg.paths.run)
    if (folder / "config.yaml").is_file():
        raise ConfigError(f"hydra.run.dir: {shown(folder)} holds a training run and its results; choose another folder")
    figures = build_figures(cfg)
    _check(cfg)
    refuse_links(Path(cfg.paths.run), "hydra.run.dir")
    notes: list[str] = []
    trained = _load(cfg.checkpoint)
    if trained and not _paired(cfg):
        cfg = _with_checkpoints(cfg, trained, notes)
    check(cfg)
    # No run may have these names, so it is the same network.
    cfg.baselines = [name for name in cfg.baselines if name not in builtin.MODELS or name not in trained]
    if taken := [name for name in trained if name in cfg.baselines or name == _generator(cfg)]:
        raise ConfigError(
            f"checkpoint: one is called {taken[0]}, as a fill is; name it: 'checkpoint={{other: FILE}}', or leave the "
            "fill out of baselines"
        )
    methods: dict[str, Any] = {name: generator_of(loaded, cfg.trust_paths) for name, (loaded, _) in trained.items()}
    data = None if _paired(cfg) else build_data(cfg)
    if cfg.get("generator"):
        methods[_generator(cfg)] = build_fill(cfg.generator, that_train(data))
    if taken := [name for name in cfg.results or {} if name in methods or name in cfg.baselines]:
        raise ConfigError(f"results.{taken[0]}: another method is called {taken[0]}; give the results another name")
    device = choose_device(cfg.device)
    judges = _judges(cfg, device, figures)
    beside = baselines(cfg, data)
    pictures, about = _pictures(cfg, data, notes)
    named = {f"checkpoint.{name}" if name in trained else "generator": each for name, each in methods.items()}
    check_degradation(named | {f"baselines.{name}": each for name, each in beside.items()}, data)
    methods |= dict.fromkeys(cfg.results or {})
    methods |= {name: method for name, method in beside.items() if name not in methods}
    about["checkpoints"] = {
        name: {
            "parameters": sum(parameter.numel() for parameter in methods[name].parameters()),
            "updates": loaded["inpaint"].get("update"),
            "train_seconds": loaded["inpaint"].get("seconds"),
        }
        for name, (loaded, _) in trained.items()
        if "inpaint" in loaded
    }
    with only_one(shown(folder) / LOCK, "hydra.run.dir: an evaluation"):
        publish(
            folder,
            methods,
            pictures,
            device,
            about | {"device": device},
            figures=cfg.metrics,
            judges=judges,
            columns=cfg.columns,
            shown=cfg.pictures,
            samples=whole("samples", cfg.samples, 1),
            notes=notes,
        ).print()
    print(f"written to {folder}: results.csv, .json, .md, .tex, records.csv, validation.csv, pictures/")


def _check(cfg: DictConfig) -> None:
    """Refuse settings that mean nothing.

    Raises:
        ConfigError: naming the setting.
    """
    from inpaint.metrics.columns import COLUMNS
    from inpaint.metrics.image import MEASURES

    if not (cfg.checkpoint or cfg.get("generator") or cfg.baselines or cfg.results):
        raise ConfigError(
            "checkpoint: nothing to evaluate; give checkpoint=..., results=..., generator=... or baselines=[...]"
        )
    for key, known in (("columns", [*COLUMNS]), ("metrics", [*MEASURES])):
        if not (cfg[key] is None or isinstance(cfg[key], ListConfig)):
            raise ConfigError(f"{key}: give a list of figures, [{', '.join(known[:3])}, ...], or null; got {cfg[key]}")
        for name in cfg[key] or ():
            if name not in known:
                raise ConfigError(
                    f"{key}: there is no figure {name}{nearest(str(name), known)} (there are {', '.join(known)})"
                )
    for key in ("pictures", "set_draws"):
        if not (isinstance(cfg[key], int) and cfg[key] >= 0):
            raise ConfigError(f"{key}: give a whole number from 0 up; got {cfg[key]}")
    if cfg.missing not in ("error", "skip"):
        raise ConfigError(f"missing: give error or skip; got {cfg.missing}")
    if cfg.frozen and (cfg.images or cfg.holes):
        raise ConfigError("frozen: a frozen set has images and holes; give either frozen=... or images=... holes=...")
    if bool(cfg.images) != bool(cfg.holes):
        raise ConfigError(
            "images, holes: one needs the other: images=DIR holes=DIR, a mask of the same name for each image"
        )
    if cfg.results is not None and not (isinstance(cfg.results, DictConfig) and all(cfg.results.values())):
        raise ConfigError(f"results: give names and folders, 'results={{lama: DIR, mine: DIR}}'; got {cfg.results}")
    if cfg.results and not _paired(cfg):
        raise ConfigError(
            "results: folders of results are paired by name with pictures and masks; give images=DIR holes=DIR, or "
            "frozen=DIR (made by inpaint-preview freeze=DIR images=true)"
        )


def _paired(cfg: DictConfig) -> bool:
    """Whether pictures are given as files, and not as data and masks."""
    return bool(cfg.images or cfg.frozen)


def _pictures(
    cfg: DictConfig, data: "InpaintingData | None", notes: list[str]
) -> tuple["ValidationCrops | Pairs", dict[str, Any]]:
    """What is measured, crops of `data` or pictures that are files, and what results.json says about it."""
    from inpaint.evaluation.measuring import ValidationCrops
    from inpaint.evaluation.pairs import Pairs, find_pairs, frozen_pairs
    from inpaint.evaluation.results import about_data
    from inpaint.pictures.mask_files import MaskReader

    if data is not None:
        data.setup("validate")
        frozen = data.validation_masks.frozen if data.validation_masks is not None else None
        return ValidationCrops(data, frozen), about_data(without_environment(cfg))
    pairs, lacking = (
        (frozen_pairs(Path(cfg.frozen)), []) if cfg.frozen else find_pairs(Path(cfg.images), Path(cfg.holes))
    )
    results = {str(name): Path(folder) for name, folder in (cfg.results or {}).items()}
    reader = MaskReader(cfg.threshold, cfg.channel, cfg.polarity, prefix="")
    pictures = Pairs(pairs, results, reader, cfg.missing == "skip", cfg.data.batch_size, lacking)
    if pictures.problems:
        left_out = f"{pictures.total - len(pictures)} of {pictures.total} pictures are left out for all methods alike"
        notes.append(f"missing=skip: {left_out}; {'; '.join(pictures.problems)}")
    written = without_environment(cfg)
    keys = ("images", "holes", "frozen", "polarity", "threshold", "channel")
    given = {key: written[key] for key in keys if written[key] not in (None, "auto")}
    missing = {"of": pictures.total, "left_out": pictures.total - len(pictures), "problems": pictures.problems}
    return pictures, given | {"results": written["results"] or {}, "missing": missing}


def _judges(cfg: DictConfig, device: str, figures: Mapping[str, "Figure"]) -> "Judges | None":
    """The networks of figures that need one, if any is asked for."""
    if not (cfg.lpips or cfg.features or cfg.recogniser or figures):
        return None
    from inpaint.evaluation.judges import Judges

    lpips = [cfg.lpips] if isinstance(cfg.lpips, str) else list(cfg.lpips or ())
    return Judges(lpips, cfg.features, cfg.recogniser, cfg.lpips_weights, device, cfg.set_draws, figures)


# ---- checkpoints ----------------------------------------------------------------------------------------------------


def _load(given: Any) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Checkpoints and the configs they were trained with, by a name for each.

    Raises:
        ConfigError: two have the same name.
    """
    from inpaint.exchange import models
    from inpaint.files import checkpoint

    named = isinstance(given, DictConfig)
    paths = [*given.values()] if named else [*given] if isinstance(given, ListConfig) else [given] if given else []
    found = []
    for path in paths:
        loaded = models.load(path)
        config = checkpoint.config_of(loaded)
        if not isinstance(config.get("name"), str):
            raise ConfigError(f"checkpoint: the config in {path} has no name; it was not written by inpaint-train")
        found.append((Path(path), loaded, config))
    if named:
        names = [str(name) for name in given]
    else:
        names = _apart([(str(config["name"]), path, config) for path, _, config in found])
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"checkpoint: two are called {twice[0]}; name them: 'checkpoint={{one: RUN, other: RUN}}'")
    return {name: (loaded, config) for name, (_, loaded, config) in zip(names, found, strict=True)}


def _apart(runs: Sequence[tuple[str, Path, dict[str, Any]]]) -> list[str]:
    """Names of runs; those that share one get the settings in which they differ, or their folders where these are many.

    Args:
        runs: name, folder or checkpoint, and config of each.
    """
    called = [name for name, _, _ in runs]
    apart = list(called)
    for shared in {name for name in called if called.count(name) > 1}:
        places = [place for place, name in enumerate(called) if name == shared]
        settings = differences([runs[place][2] for place in places])
        ends = [" ".join(f"{key}={value}" for key, value in each.items()) for each in settings]
        if len({*ends}) < len(ends) or not all(0 < len(end) <= LONGEST for end in ends):
            ends = [_run_name(runs[place][1]) for place in places]
        for place, end in zip(places, ends, strict=True):
            apart[place] = f"{shared} {end}"
    return apart


def _run_name(path: Path) -> str:
    """The run folder's name, with the checkpoint's where a file is given."""
    from inpaint.files.checkpoint import run_of

    path = path.absolute()
    return path.name if path.is_dir() else f"{run_of(path).name} {path.name.removesuffix('.ckpt')}"


def _with_checkpoints(
    cfg: DictConfig, trained: Mapping[str, tuple[dict[str, Any], dict[str, Any]]], notes: list[str]
) -> DictConfig:
    """Data and masks from the first checkpoint; what the command line names from there, and it is noted.

    Another data set keeps the crop that the model was trained with, unless the command line names that too.

    Args:
        cfg: of this command.
        trained: checkpoints and their configs.
        notes: takes what a reader of the table has to know.

    Raises:
        ConfigError: the first checkpoint names files, and neither `trust_paths` nor other ones are given.
    """
    from hydra.core.hydra_config import HydraConfig

    for name, (_, config) in trained.items():
        check_groups(name, config)
    overrides = list(HydraConfig.get().overrides.task)
    written = command_line()
    cfg = cfg.copy()
    configs = {
        name: {group: config[group] for group in FROM_CHECKPOINT}
        | {"masks": config.get("validation_masks") or config["masks"]}
        for name, (_, config) in trained.items()
    }
    checkpoint, config = next(iter(trained.values()))
    first, own = next(iter(configs.items()))
    for group in FROM_CHECKPOINT:
        named = follow(cfg, checkpoint, config, group, overrides)
        if named:
            settings = [w.lstrip("+~") for o, w in zip(overrides, written, strict=True) if o.lstrip("+~") in named]
            notes.append(f"{group}: {', '.join(settings)}, not as in training")
        for name, other in configs.items():
            if differing := _differing(other[group], own[group]):
                used = (
                    "those of the command line"
                    if any(word.startswith(f"{group}=") for word in named)
                    else f"those of {first}"
                )
                notes.append(
                    f"{group}: {name} was trained with another {', '.join(differing)}; measured on {used}, as all are"
                )
    return cfg


def _differing(config: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Settings, other than those of training, in which two configs differ."""
    keys = {key for key in {**config, **other} if config.get(key) != other.get(key)} - {*GROUPS["data"].of_training}
    return sorted("kind" if key == "_target_" else key for key in keys)


def _generator(cfg: DictConfig) -> str:
    """The option of the fill that is measured; empty where none is."""
    from hydra.core.hydra_config import HydraConfig

    return HydraConfig.get().runtime.choices["generator"] if cfg.get("generator") else ""


def main() -> None:
    """`inpaint-evaluate`."""
    command("evaluate", run)


if __name__ == "__main__":
    main()
