"""What an encoder has learnt: how well its features tell classes apart, and what they take for alike.

    inpaint-probe checkpoint=RUN data.root=DIR                      # each sub-folder of DIR is a class
    inpaint-probe checkpoint=[RUN,RUN] data.root=DIR layer=encoder.7

Pathak et al. 2016 (section 5.2) trained Context Encoders for their features. Here the encoder stays frozen: a linear
probe and nearest neighbours on its features, averaged over the places, stand beside the same on HOG, on the network
with random weights and on pixels. All see the same pictures (the centre square, resized to `data.crop`, nothing of it
hidden) in the same splits, so that differences are paired.
"""

import os
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from inpaint.cli.command import command
from inpaint.config import build_data, check, choose_device
from inpaint.config.sent import load_generator, untrained_generator
from inpaint.files.folder import LOCK, only_one, refuse_links, replacing_all
from inpaint.probe.report import Encoder, Pictures, cells, figure_definitions, summarise, write_results
from inpaint.settings import ConfigError, Refused, listed

if TYPE_CHECKING:
    from torch import Tensor

    from inpaint.data.datamodule import InpaintingData
    from inpaint.probe.classifiers import Split

FILES = ("results.csv", "results.json", "results.md", "retrieval.png")
UNUSED = {"_target_": "inpaint.masks.Full"}  # a data module needs masks; the probe takes its pictures alone


def run(cfg: DictConfig) -> None:
    """Check everything, make the features, measure, print and write.

    Raises:
        Busy: another command is at work in the folder.
    """
    from inpaint.evaluation.terminal import print_blocks
    from inpaint.probe.classifiers import stratified_split
    from inpaint.probe.features import CLASSICAL, classical_features
    from inpaint.probe.retrieval import retrieval_sheet
    from inpaint.rng import key

    check(cfg)
    check_numbers(cfg)
    refuse_links(Path(cfg.paths.run), "hydra.run.dir")
    device = choose_device(cfg.device)
    encoders = load_encoders(cfg)
    data = build_data(OmegaConf.create({"data": OmegaConf.to_container(cfg.data, resolve=True), "masks": UNUSED}))
    pictures = read_pictures(data)
    check_classes(pictures, cfg.test, cfg.neighbours)

    features, definitions = classical_features(pictures.crops), dict(CLASSICAL)
    for name, encoder in encoders.items():
        features[name] = encoder_features(encoder, pictures.crops, cfg.data.batch_size, device, name)
        definitions[name] = encoder.definition
    splits = [stratified_split(pictures.labels, cfg.test, key(cfg.seed, "probe", s)) for s in range(cfg.splits)]
    records = measure(features, pictures.labels.to(device), splits, cfg, device)
    lines = summarise(records, features, encoders, splits)

    folder = Path(cfg.paths.run)
    definitions |= figure_definitions(cfg, pictures)
    sheet = retrieval_sheet(*pictures, features, splits[0], cfg.queries, cfg.neighbours)
    with only_one(folder / LOCK, "hydra.run.dir: a probe"), replacing_all(folder, FILES) as place:
        write_results(lines, records, definitions, cfg, place)
        sheet.save(place / "retrieval.png")
    print_blocks(*cells(lines, cfg.neighbours), definitions, labels=1)
    print(f"written to {folder}: results.csv, results.json, results.md, retrieval.png")


# ---- bad input ------------------------------------------------------------------------------------------------------


def check_numbers(cfg: DictConfig) -> None:
    """Refuse settings that mean nothing, before anything is read.

    Raises:
        ConfigError: with all of them.
    """
    problems = []
    for name, least in (("splits", 2), ("neighbours", 1), ("queries", 1)):
        if not (isinstance(cfg[name], int) and cfg[name] >= least):
            problems.append(f"{name}: give a whole number from {least} up; got {cfg[name]}")
    if not (isinstance(cfg.test, int | float) and 0 < cfg.test < 1):
        problems.append(f"test: give a share between 0 and 1; got {cfg.test}")
    penalties = cfg.penalties
    if not (
        isinstance(penalties, ListConfig) and penalties and all(isinstance(p, int | float) and p > 0 for p in penalties)
    ):
        problems.append(f"penalties: give a list of numbers above 0; got {penalties}")
    if not (isinstance(cfg.data.crop, int) and cfg.data.crop >= 16):
        problems.append(f"data.crop: give 16 pixels or more, as HOG needs; got {cfg.data.crop}")
    if problems:
        raise ConfigError("\n".join(problems))


def check_classes(pictures: Pictures, share: float, neighbours: int) -> None:
    """Refuse what cannot be split.

    Raises:
        Refused: one class only, or classes with too few pictures, by name.
    """
    from inpaint.probe.classifiers import held_out

    counts = pictures.labels.bincount().tolist()
    if len(counts) < 2:
        raise Refused(f"data.label: all {sum(counts)} pictures are of class {pictures.classes[0]}; give two or more")
    # One is held out; of the others one chooses the penalty and one is learnt from.
    needed = next(number for number in count(3) if number - held_out(number, share) >= 2)
    if few := [f"{name} ({number})" for name, number in zip(pictures.classes, counts, strict=True) if number < needed]:
        raise Refused(f"data.label: with test={share} each class needs {needed} pictures; too few in {listed(few)}")
    if neighbours > (train := sum(number - held_out(number, share) for number in counts)):
        raise Refused(f"neighbours: {neighbours} of {train} training pictures; give fewer")


# ---- pictures -------------------------------------------------------------------------------------------------------


def read_pictures(data: "InpaintingData") -> Pictures:
    """All pictures of both splits, in the order of their names, or of their shards.

    Raises:
        Refused: pictures that cannot be read, more than `data.on_bad_image` allows, or no classes.
    """
    import torch

    from inpaint.data.splits import Split
    from inpaint.pictures.reading import BadImage
    from inpaint.probe.features import centre_square
    from inpaint.progress import in_threads

    source = data.source
    halves: tuple[Split, ...] = ("train", "validation")
    places = [(half, row) for half in halves for row in range(source.count(half))]
    in_sequence = any(source.shards(half) is not None for half in halves)
    if not in_sequence:
        places.sort(key=lambda place: source.name(*place))

    def read(place: tuple[Split, int]) -> "tuple[Tensor, int | None] | str":
        try:
            picture = source.read(*place)
        except BadImage as error:
            return str(error)
        return centre_square(picture["image"], data.crop), picture.get("label")

    found = list(in_threads(read, places, 1 if in_sequence else os.cpu_count(), "reading", "pictures"))
    bad = {place: what for place, what in zip(places, found, strict=True) if isinstance(what, str)}
    for half in halves:
        data.tiles[half].skip({row: what for (its, row), what in bad.items() if its == half})
    kept = [what for what in found if not isinstance(what, str)]
    numbers = [label for _, label in kept if label is not None]
    if len(numbers) < len(kept):
        raise Refused("data.label: a probe needs classes; data.label=folder takes the first sub-folder's name")
    present, labels = torch.tensor(numbers).unique(return_inverse=True)
    names = getattr(source, "classes", [])
    classes = [names[number] if number < len(names) else str(number) for number in present.tolist()]
    return Pictures(torch.stack([crop for crop, _ in kept]), labels, classes)


# ---- features -------------------------------------------------------------------------------------------------------


def load_encoders(cfg: DictConfig) -> dict[str, Encoder]:
    """Each checkpoint's generator, for each layer, followed by the same with random weights.

    Checkpoints of the same network share its random weights.

    Raises:
        Refused: a checkpoint that cannot be used, or without such features.
    """
    import json

    import torch

    from inpaint.files import checkpoint
    from inpaint.probe.features import CLASSICAL, pooled_features

    paths = cfg.checkpoint if isinstance(cfg.checkpoint, ListConfig) else [cfg.checkpoint] if cfg.checkpoint else []
    layers = (list(cfg.layer) if isinstance(cfg.layer, ListConfig) else [cfg.layer]) or [None]
    encoders: dict[str, Encoder] = {}
    untrained: dict[str, str] = {}
    for path in paths:
        loaded = checkpoint.load(path)
        trained = checkpoint.config_of(loaded)
        network, fresh = load_generator(loaded, cfg.trust_paths), untrained_generator(loaded, cfg.seed, cfg.trust_paths)
        for layer in layers:
            name = " ".join(filter(None, (trained["name"], layer)))
            if name in encoders or name in CLASSICAL:
                name = " ".join(filter(None, (path, layer)))
            with torch.no_grad():
                pooled_features(network, torch.zeros(1, 3, cfg.data.crop, cfg.data.crop), layer)
            what = f"layer {layer}" if layer else "features"
            kind = json.dumps([trained["generator"], layer], sort_keys=True)
            random = untrained.setdefault(kind, f"{name} random")
            encoders[name] = Encoder(network, layer, random, f"{what} of {path}, averaged over the places")
            if random not in encoders:
                definition = f"the same of that network with random weights, one draw (seed={cfg.seed})"
                encoders[random] = Encoder(fresh, layer, random, definition)
    return encoders


def encoder_features(encoder: Encoder, crops: "Tensor", batch_size: int, device: str, name: str) -> "Tensor":
    """float64 ``(N, C)``, on the CPU.

    Raises:
        Refused: they are not finite.
    """
    import torch

    from inpaint.batch import from_uint8
    from inpaint.probe.features import pooled_features
    from inpaint.progress import track

    network = encoder.network.to(device)
    with torch.no_grad():
        parts = [
            pooled_features(network, from_uint8(part.to(device)), encoder.layer)
            for part in track(crops.split(batch_size), f"features of {name}")
        ]
    network.cpu()
    features = torch.cat(parts).cpu().double()
    if not features.isfinite().all():
        raise Refused(f"checkpoint: the features of {name} are not finite; it cannot be probed")
    return features


# ---- measured -------------------------------------------------------------------------------------------------------


def measure(
    features: dict[str, "Tensor"], labels: "Tensor", splits: Sequence["Split"], cfg: DictConfig, device: str
) -> list[dict[str, Any]]:
    """A record for each kind of features and split: accuracies in % as `report.FIGURES` names them, and the penalty."""
    from inpaint.probe.classifiers import linear_probe, nearest, standardise, vote
    from inpaint.progress import track
    from inpaint.rng import key

    jobs = [(name, number) for name in features for number in range(len(splits))]
    records = []
    for name, number in track(jobs, "probing", "fits"):
        train, test = (rows.to(device) for rows in splits[number])
        rows = features[name].to(device)
        known, unknown = standardise(rows[train], rows[test])
        probe = linear_probe(known, labels[train], unknown, list(cfg.penalties), key(cfg.seed, "probe", number, "part"))
        voted = vote(labels[train][nearest(known, unknown, cfg.neighbours)])
        right = {"linear": probe.predicted == labels[test], "neighbours": voted == labels[test]}
        accuracies = {figure: 100 * hits.double().mean().item() for figure, hits in right.items()}
        records.append({"features": name, "split": number, **accuracies, "penalty": probe.penalty})
    return records


def main() -> None:
    """`inpaint-probe`."""
    command("probe", run)
