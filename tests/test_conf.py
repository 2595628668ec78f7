"""conf/ mirrors inpaint/: every class has its yaml, every yaml its class, and everything composes and builds."""

import importlib
import inspect
import itertools
import re
import shutil
import tarfile
from functools import cache
from pathlib import Path

import hydra
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from torch import nn

from inpaint.builtin import MODELS
from inpaint.config import build, check
from inpaint.settings import ConfigError
from tests.options import CONF, TINY, compose, options, trainable

# Group -> modules whose public classes it offers. Groups that are not here hold classes of libraries, or none.
MIRRORED = {
    "generator": [
        *(f"inpaint.restoration.{p.stem}" for p in Path("inpaint/restoration").glob("[a-z]*.py")),
        *(f"inpaint.fills.{p.stem}" for p in Path("inpaint/fills").glob("[a-z]*.py")),
        "inpaint.builtin.network",
        *(f"inpaint.networks.generators.{p.stem}" for p in Path("inpaint/networks/generators").glob("[a-z]*.py")),
    ],
    "discriminator": [
        f"inpaint.networks.discriminators.{p.stem}" for p in Path("inpaint/networks/discriminators").glob("[a-z]*.py")
    ],
    "degradation": [f"inpaint.degradations.{p.stem}" for p in Path("inpaint/degradations").glob("[a-z]*.py")],
    "masks": [f"inpaint.masks.{p.stem}" for p in Path("inpaint/masks").glob("[a-z]*.py")],
    "losses": [f"inpaint.losses.{p.stem}" for p in Path("inpaint/losses").glob("[a-z]*.py") if p.stem != "adversarial"],
    "adversarial": ["inpaint.losses.adversarial"],
    "data": [
        *("inpaint.data.datamodule", "inpaint.data.synthetic", "inpaint.data.video", "inpaint.data.augmentation"),
    ],
    "module": ["inpaint.training.gan", "inpaint.training.edge_connect"],
    "refine": ["inpaint.predict.refine", "inpaint.predict.texture"],
    "method": ["inpaint.stylise.methods", "inpaint.stylise.faces"],
}
# Public classes that are parts of others and no option of their own.
NOT_OPTIONS = {"GatedConv", "ContextualAttention", "EdgeGenerator"}
NOT_OPTIONS |= {
    "Refinement",
    "Block",
    "Term",
    "Shapes",
    "Masks",
    "Drawn",
    "Pixelwise",
    "Adversarial",
    "InpaintingData",
    "DeadLeaves",
    "LeavesAmongPhotographs",
    "Tiles",
}
NOT_OPTIONS |= {"Degradation", "Draw", "Stage", "Method", "View", "Matched", "Swapped"}
NOT_OPTIONS |= {"Shapes", "Masks", "Drawn", "Resident", "Pool", "Crop", "Frozen", "FrozenCrop"}


ONE_UPDATE = ["trainer.max_steps=1", "+trainer.limit_val_batches=0", "data.batch_size=2"]


def without_download(cfg):
    """Perceptual losses with random weights, which need no file."""
    for node in cfg.losses.values():
        if "weights" in node:
            node.weights = "random"
    return cfg


def targets(node):
    if isinstance(node, DictConfig):
        if "_target_" in node:
            yield node._target_
        for key in node:
            if not OmegaConf.is_missing(node, key):
                yield from targets(node._get_node(key))


@pytest.mark.parametrize("group", MIRRORED)
def test_every_public_class_has_a_yaml_and_the_reverse(group):
    offered = set()
    for module_name in MIRRORED[group]:
        module = importlib.import_module(module_name)
        offered |= {
            f"{module_name}.{name}"
            for name, value in vars(module).items()
            if inspect.isclass(value)
            and value.__module__ == module_name
            and not name.startswith("_")
            and name not in NOT_OPTIONS
        }
    named = {
        f"{(found := hydra.utils.get_object(target)).__module__}.{found.__qualname__}"
        for path in (CONF / group).glob("*.yaml")
        for target in targets(OmegaConf.load(path))
        if target.startswith("inpaint.")
    }
    assert named == offered


@cache
def tiny(option):
    """Overrides that make a generator small."""
    settings = OmegaConf.load(CONF / "generator" / f"{option}.yaml")
    return [f"generator.{key}={value}" for key, value in TINY.items() if key in settings]


# The round that a group's options begin in. Games follow the discriminators, as not all of them go together, and
# degradations the masks, as they choose their own.
MASKS = len(options("masks"))
FIRST = {"adversarial": len(options("discriminator")), "degradation": MASKS}
FIRST["data"] = FIRST["module"] = MASKS - len(options("data"))  # a module chooses its generator, which are tried before
FIRST["logger"] = FIRST["trainer"] = FIRST["data"] - len(options("logger"))
BOUND = {"likelihood", "kl"}  # the terms of a VAE's evidence bound, which are tried with it


def rounds():
    """Every option of every group once, options of several groups in one configuration."""
    tried = [[] for _ in (*options("masks"), *options("degradation"))]
    for path in sorted(CONF.iterdir()):
        group = path.name
        if not path.is_dir() or group in ("hydra", "experiment", "debug", "sweep", "refine", "method"):
            continue
        key = f"{group}@generator_{group}" if group in ("optimizer", "scheduler") else group
        offered = [name for name in options(group) if name not in BOUND and (group != "generator" or trainable(name))]
        for number, option in enumerate(offered, start=FIRST.get(group, 0)):
            tried[number].append(f"{key}=[{option}]" if group == "losses" else f"{key}={option}")
    return tried


def shards_of(photographs, folder):
    """The photographs as a shard to train on; the same beside it to validate."""
    for split in ("train", "validation"):
        with tarfile.open(folder / f"{split}.tar", "w") as tar:
            for copy, file in itertools.product("ab", sorted(photographs.rglob("*.*"))):
                tar.add(file, f"{copy} {file.stem}{file.suffix}")
    return [f"data.{split}={folder}/{split}.tar" for split in ("train", "validation")]


def clips_of(photographs, folder):
    """A folder of frames for each photograph, which stands still in it."""
    for file in photographs.rglob("*.*"):
        for number in range(2):
            (frames := folder / file.stem).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, frames / f"{number}{file.suffix}")
    return folder


def paired_masks(photographs, folder):
    """A folder with a mask of the same name and size for each photograph."""
    for file in photographs.rglob("*.*"):
        mask = Image.new("L", Image.open(file).size)
        mask.paste(255, (10, 20, 40, 50))
        (folder / file.relative_to(photographs)).parent.mkdir(parents=True, exist_ok=True)
        mask.save((folder / file.relative_to(photographs)).with_suffix(".png"))
    return folder


COMPILED = pytest.param(["trainer=fast"], id="compiled", marks=pytest.mark.slow)  # half a minute


@pytest.mark.parametrize("overrides", [*(pytest.param(tried, id=" ".join(tried)) for tried in rounds()), COMPILED])
def test_every_option_composes_builds_and_trains(overrides, request, monkeypatch, tmp_path):
    """One real update, of masks or a degradation alone one batch; recipes train in `test_recipes`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")

    @cache
    def made(what):  # files, where an option reads them
        return request.getfixturevalue(f"{what}_folder")

    def folder():
        return [f"data.root={made('photo')}", "data.validation=0.4", "data.crops_per_image=8"]

    def frames():
        return [f"data.root={clips_of(made('photo'), tmp_path / 'clips')}", "data.frames=2", "data.crop=32"]

    extra = {
        "discriminator=none": lambda: ["adversarial=none"],
        "data=folder": folder,
        "data=dead_leaves": lambda: ["data.pictures=4", "data.side=64"],
        "data=frames": lambda: [*frames(), "data.validation=0.4"],
        "data=huggingface": lambda: [f"data.path={made('photo')}", "data.validation=0.4"],
        "data=shards": lambda: shards_of(made("photo"), tmp_path),
        "masks=paired": lambda: [
            "data=folder",
            *folder(),
            f"data.masks_root={paired_masks(made('photo'), tmp_path / 'holes')}",
        ],
        "degradation=paired": lambda: [
            "data=folder",
            *folder(),
            f"data.given_root={shutil.copytree(made('photo'), 'given')}",
        ],
        "masks=files": lambda: [f"masks.root={made('mask')}"],
        "masks=objects": lambda: [f"masks.annotations={made('mask')}"],
        "trainer=fast": lambda: [f"trainer.compile={overrides == ['trainer=fast']}"],
        "module=edge_connect": lambda: ["generator=edge_connect", *tiny("edge_connect")],
        "generator=vae": lambda: [*tiny("vae"), f"losses=[{','.join(sorted(BOUND))}]"],
    }
    words = []
    for override in overrides:
        group, _, option = override.partition("=")
        words += extra[override]() if override in extra else tiny(option) if group == "generator" else []
    cfg = compose(*overrides, *words, *ONE_UPDATE)
    cfg.generator.width = cfg.discriminator.width = TINY["width"]
    cfg.paths.run = "run"
    check(cfg)
    parts = build(without_download(cfg))
    assert ("_target_" in cfg.discriminator) == (parts.module.discriminator is not None)
    alone = parts.module.discriminator is None
    assert set(parts.module.losses) == set(cfg.losses) - ({"feature_matching"} if alone else set())
    batch, side = parts.data.to_batch(next(iter(parts.data.train_dataloader())), "cpu"), parts.data.crop
    pictures = 2 * batch.get("frames", 1)
    assert batch["mask"].shape == (pictures, 1, side, side) and {*batch["mask"].unique().tolist()} <= {0.0, 1.0}
    assert ("given" in batch) == ("_target_" in cfg.degradation)
    if all(override.startswith(("masks=", "degradation=")) for override in overrides):
        return
    before = [parameter.clone() for parameter in parts.module.generator.parameters()]
    parts.trainer.fit(parts.module, parts.data)
    assert parts.trainer.global_step == 1
    after = list(parts.module.generator.parameters())
    assert all(parameter.isfinite().all() for parameter in parts.module.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("option", options("generator"))
def test_every_generator_composes_for_evaluation(option):
    cfg = compose(f"generator={option}", name="evaluate")
    check(cfg)
    with torch.device("meta"):
        assert isinstance(hydra.utils.instantiate(cfg.generator, _convert_="all"), nn.Module)


def test_a_yamls_numbers_are_the_constructors_defaults_or_named_here():
    """So that a class does the same from Python and from a config; where a config suits 64 px better, it is listed."""
    chosen = {
        **{f"generator/{name}.yaml": {"model"} for name in MODELS},
        "generator/residual_unet.yaml": {"width", "levels", "blocks", "shuffle"},
        "generator/context_encoder.yaml": {"width"},
        "generator/srvgg.yaml": {"scale"},
        "generator/fast_style.yaml": {"scale"},
        "generator/srresnet.yaml": {"scale"},
        "generator/edsr.yaml": {"scale"},
        "generator/rrdb.yaml": {"scale"},
        "generator/basicvsr_small.yaml": {"scale"},
        "generator/big_lama.yaml": {"blocks"},
        "generator/mat_small.yaml": {
            *("width", "heads", "depths", "windows", "halvings", "base", "most", "latent"),
        },
        "generator/dcgan_32.yaml": {"levels", "slope"},
        "discriminator/dcgan_32.yaml": {"levels"},
        "generator/context_encoder_random.yaml": {"levels", "bottleneck"},
        "generator/context_encoder_centre.yaml": {"levels", "bottleneck", "paints"},
        "discriminator/patch.yaml": {"width", "layers"},
        "discriminator/soft_mask_patch.yaml": {"sees_mask", "bias"},  # a PatchGAN as AOT-GAN has it
        "discriminator/global_local.yaml": {"size"},
        "discriminator/context_conditional.yaml": {"size"},
        "discriminator/srgan.yaml": {"size"},
        "discriminator/unet.yaml": {"width", "levels"},
        "adversarial/nonsaturating.yaml": {"weight"},
        "adversarial/hinge.yaml": {"weight"},
        "adversarial/lsgan.yaml": {"weight"},
        "adversarial/relativistic_average.yaml": {"weight"},
        "adversarial/mask_as_fake_target.yaml": {"weight"},
        "adversarial/wasserstein.yaml": {"weight"},
        "losses/l1.yaml": {"per"},
        "losses/ms_ssim.yaml": {"scales"},
        "losses/perceptual.yaml": {"weights"},  # one setting for all
        "losses/style.yaml": {"weights"},
        "losses/mrf.yaml": {"weights"},
        "masks/mixture.yaml": {"probabilities"},
        "degradation/old_photo.yaml": {"probabilities"},
        "degradation/_aged.yaml": {"probabilities", "order", "stored"},
    }
    for group in ("generator", "discriminator", "adversarial", "masks", "degradation", "losses", "data", "refine"):
        for path in (CONF / group).glob("*.yaml"):
            loaded = OmegaConf.load(path)
            for node in [loaded, *map(loaded._get_node, loaded)] if loaded else []:
                if not isinstance(node, DictConfig) or "_target_" not in node or is_preset(path, node._target_):
                    continue
                signature = inspect.signature(hydra.utils.get_class(node._target_).__init__)
                for key, value in OmegaConf.to_container(node, resolve=False).items():
                    default = (
                        signature.parameters[key].default if key in signature.parameters else inspect.Signature.empty
                    )
                    if default is inspect.Signature.empty or key in chosen.get(
                        path.relative_to(CONF).as_posix(), set()
                    ):
                        continue
                    default = list(default) if isinstance(default, tuple) else default
                    assert value == default, f"{path}: {key} is {value}, the constructor's default {default}"


def is_preset(path, target):
    """Whether a config of masks has numbers of its own: another one, named after the class, has the defaults."""
    name = target.rpartition(".")[2].lower()
    namesakes = [other for other in path.parent.glob("*.yaml") if other.stem.replace("_", "") == name]
    return path.parent.name == "masks" and bool(namesakes) and path not in namesakes


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in sorted((CONF / "masks").glob("*.yaml"))])
def test_a_config_of_masks_lists_every_argument(path):
    loaded = OmegaConf.load(path)
    if "_target_" in loaded:
        given = set(OmegaConf.to_container(loaded)) - {"_target_", "defaults"}
        accepted = set(inspect.signature(hydra.utils.get_class(loaded._target_).__init__).parameters) - {"self"}
        composed = {"kind", "kinds"} if "defaults" in loaded else set()
        assert given | composed == accepted | composed, given ^ accepted
    text = path.read_text()
    assert text.startswith("# "), "what it is, and its source"
    for line in text.splitlines():
        if match := re.match(r" *(\w+): [^ ]", line):
            told = "#" in line or match[1] in ("_target_", "strokes", "boxes")
            assert told, f"{line}: no comment"


def test_losses_select_override_and_stay_apart():
    cfg = compose("losses=[l1,l2]", "losses.l1.weight=6", "losses.l2.region=hole")
    assert list(cfg.losses) == ["l1", "l2"] and cfg.losses.l1.weight == 6 and cfg.losses.l2.region == "hole"
    assert compose("losses=[]").losses == {}


def test_adversarial_none_switches_the_discriminator_off(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = ["+experiment=context_encoder", "+debug=tiny"]  # chooses a discriminator
    for overrides in (["adversarial=none"], [*recipe, "adversarial=none", "discriminator=none"]):
        cfg = compose(*overrides, "baselines=[]")
        check(cfg)
        parts = build(cfg)
        assert parts.module.discriminator is None and parts.module.adversarial is None
    with pytest.raises(ConfigError, match="discriminator, adversarial"):
        check(compose("adversarial=none", "discriminator=patch"))


def test_options_of_experiments_compose_and_build():
    for path in sorted(Path("experiments").glob("0*/generator/*.yaml")):
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            added = f"hydra.searchpath=[{path.parents[1].resolve()}]"
            cfg = hydra.compose("train", [f"generator={path.stem}", "degradation=noise", added])
        network = hydra.utils.instantiate(cfg.generator, _convert_="all")
        assert network(torch.zeros(1, 3, 16, 16), torch.ones(1, 1, 16, 16)).output.shape == (1, 3, 16, 16), path


def test_experiment_overlays_compose():
    for path in Path("experiments").glob("*/experiment/*.yaml"):
        with hydra.initialize_config_dir(str(path.parent.parent.resolve()), version_base="1.3"):
            pass
        cfg = OmegaConf.load(path)
        assert path.read_text().startswith("# @package _global_"), path
        assert cfg, path
