"""Every recipe of the literature composes with its published numbers and trains, small, for a few updates."""

import inspect
import math
from functools import cache

import hydra
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from inpaint.cli.command import bounded_yaml
from inpaint.config import build, check, conf_dir

RECIPES = sorted(path.stem for path in (conf_dir() / "experiment").glob("[a-z]*.yaml"))


def compose(*overrides, **settings):
    with bounded_yaml(), hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = hydra.compose("train", [*overrides, "logger={}"], **settings)
    OmegaConf.set_struct(cfg, False)
    cfg.paths.run = "."  # what Hydra fills in when a command runs
    return cfg


@cache
def published(recipe):
    """A recipe as it stands, to look at, and the option of each group."""
    cfg = compose(f"+experiment={recipe}", return_hydra_config=True)
    return cfg, cfg.pop("hydra").runtime.choices


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_says_what_it_is(recipe):
    text = (conf_dir() / "experiment" / f"{recipe}.yaml").read_text()
    assert text.startswith("# @package _global_\n# ") and " et al. 20" in text.split("\n")[1]
    cfg, _ = published(recipe)
    asked = {"losses.style.picture"} if recipe == "fast_style" else set()
    assert cfg.name == recipe and OmegaConf.missing_keys(cfg) == asked


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_says_what_it_needs(recipe):
    """Its header has the crops and updates of its settings, and what it costs."""
    header = (conf_dir() / "experiment" / f"{recipe}.yaml").read_text().split("defaults:")[0].splitlines()
    said = dict(line.removeprefix("# ").split(": ", 1) for line in header if ": " in line)
    cfg, _ = published(recipe)
    sides = [round(cfg.data.crop * zoom) for zoom in cfg.data.augmentation.zoom]
    assert said["Crops"].startswith("windows of " + " to ".join(str(side) for side in sorted(set(sides))) + " px")
    assert said["Crops"].endswith(", mirrored") == cfg.data.augmentation.flip
    updates, crops = said["Needs"].split(" photographs")[1].split(" updates of ")
    assert updates.split(", ")[-1] == f"{cfg.trainer.max_steps:,}".replace(",", " ")
    assert int(crops.split(" crop")[0].split(" x ")[-1]) == cfg.data.batch_size
    assert said["Takes"].split(";")[0].endswith("s an update") and " on 2 cores, " in said["Takes"]
    assert " update" in said["20 minutes there"]


# Others with the same networks and game, which train in `make test`.
TWINS = {"big_lama", "lama_regular", "partial_conv_stage2"}


@pytest.mark.parametrize("recipe", [pytest.param(name, marks=[pytest.mark.slow] * (name in TWINS)) for name in RECIPES])
def test_a_recipe_trains(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shorter = ["trainer.max_steps=3", "trainer.val_check_interval=3", "trainer.log_every_n_steps=1"]
    cfg = compose(f"+experiment={recipe}", "+debug=tiny", *shorter, "+trainer.limit_val_batches=1")
    cfg.paths.run, cfg.callbacks = str(tmp_path), {}
    cfg.module.adversarial_start = min(cfg.module.adversarial_start, 1)  # so that a late discriminator plays, too
    cfg.module.discriminator_alone = min(cfg.module.discriminator_alone, 1)
    if OmegaConf.missing_keys(cfg):
        Image.new("RGB", (64, 64), "red").save(tmp_path / "style.png")
        cfg.losses.style.picture = str(tmp_path / "style.png")
    if "bottleneck" in cfg.generator:  # has most of the weights
        cfg.generator.bottleneck = 64
    if "middle" in cfg.generator:  # these have most of the time
        cfg.generator.update(encoder=[1, 1], middle=1, decoder=[1, 1])
    if "blocks" in cfg.generator:
        cfg.generator.blocks = min(cfg.generator.blocks, 2)
    if "clips" in cfg.data:
        cfg.data.update(clips=1, frames=3)
    check(cfg)
    parts = build(cfg)
    before = [parameter.detach().clone() for parameter in parts.module.generator.parameters()]
    parts.trainer.fit(parts.module, parts.data)
    assert parts.trainer.global_step == 3
    logged = {name: float(value) for name, value in parts.trainer.logged_metrics.items()}
    of_the_truth = recipe == "fast_style"  # which is given, so that no PSNR of what is given is finite
    finite = [math.isfinite(value) for name, value in logged.items() if not (of_the_truth and "bicubic" in name)]
    assert all(finite) and logged["val/hole_psnr"] > 0
    expected = {f"train/{name}" for name in cfg.losses} | ({"train/adversarial"} if cfg.adversarial else set())
    assert expected <= set(logged)
    moved = [not torch.equal(a, b) for a, b in zip(before, parts.module.generator.parameters(), strict=True)]
    assert any(moved)


# ---- numbers of the papers --------------------------------------------------------------------------------------


def groups(generator, discriminator, adversarial, masks, module="gan"):
    """Options of the groups."""
    chosen = {"generator": generator, "discriminator": discriminator, "adversarial": adversarial, "masks": masks}
    return {f"@{group}": option for group, option in (chosen | {"module": module}).items()}


def adam(generator, discriminator, betas):
    """Learning rates and decays of both networks; no discriminator is None."""
    rates = {"generator_optimizer": generator, "discriminator_optimizer": discriminator}
    return {f"{name}.{key}": value for name, lr in rates.items() if lr for key, value in (("lr", lr), ("betas", betas))}


def size(crop, batch, updates):
    """Side in pixels, samples a batch on each device, updates."""
    return {"data.crop": crop, "data.batch_size": batch, "trainer.max_steps": updates}


def term(key, weight, **settings):
    """One of the `losses`, or `adversarial`."""
    return {f"{key}.{name}": value for name, value in {"weight": weight, **settings}.items()}


def pixels(name, weight, region="all", per="region", of="output", band=0):
    """A loss of pixels."""
    return term(f"losses.{name}", weight, region=region, per=per, of=of, band=band)


VGG19 = {"backbone": "vgg19", "of": "output", "error": "l1"}
VGG16 = {"backbone": "vgg16", "of": "output", "error": "l2"}
FIRST_OF_EACH = [f"relu{block}_1" for block in (1, 2, 3, 4, 5)]
STYLE = VGG19 | {"layers": ["relu2_2", "relu3_4", "relu4_4", "relu5_2"], "gram": "chw"}
PCONV = (
    pixels("known", 1, "known", "image")
    | pixels("hole", 6, "hole", "image")
    | term("losses.perceptual", 0.05, backbone="vgg16", layers=["pool1", "pool2", "pool3"], of="both", error="l1")
    | term("losses.style", 120, backbone="vgg16", layers=["pool1", "pool2", "pool3"], of="both", gram="chw")
    | term("losses.total_variation", 0.1, region="hole", per="image", of="composite")
)
PATCH_70 = {"discriminator.width": 64, "discriminator.layers": 3, "discriminator.spectral": True}
# L1 of 10 and R1 of 0.001 |gradient of the sum of all logits|^2, both on pictures in [0, 1]
LAMA = (
    {"discriminator.layers": 4, "discriminator.norm": "batch", "discriminator.padding": 2}
    | {"discriminator.width": 64, "discriminator.sees_mask": False, "discriminator.spectral": False}
    | {"discriminator.init": "torch"}
    | pixels("l1", 10 / 2, "known", "image")
    | term("losses.feature_matching", 100, error="l2", total=1)
    | term("adversarial", 10, of="output")
    | {"module.r1_gamma": pytest.approx(2 * 0.001 * 4), "module.r1_of": "sum", "module.r1_every": 1}
    | {"module.generator_clip": 1, "module.discriminator_clip": 1}
    | adam(1e-3, 1e-4, [0.9, 0.999])
)
EDGE_CONNECT = (
    PATCH_70
    | {"discriminator.sees_mask": False, "discriminator.bias": False, "discriminator.last_bias": False}
    | size(256, 8, 2_000_000)
    | adam(1e-4, 1e-5, [0.0, 0.9])
)

# Half the squares of a picture's values, and L1, both on pictures in [0, 1].
HALF_SQUARES = {side: pixels("l2", channels * side**2 / 2 / 4) for side, channels in ((42, 1), (50, 3))}
L1_OF_UNIT = pixels("l1", 1 / 2)
LARGER = {"degradation.scale": 4, "degradation.method": "bicubic", "data.augmentation.zoom": [1, 1]}


def restoring(generator, degradation, discriminator="none", adversarial="none"):
    """Options of a recipe of degraded pictures, all of which are restored."""
    return groups(generator, discriminator, adversarial, "full") | {"@degradation": degradation}


def falling(milestones, gamma, of=("generator",)):
    """Learning rates that fall at updates."""
    return {
        f"{network}_scheduler.{key}": value
        for network in of
        for key, value in (("milestones", milestones), ("gamma", gamma))
    }


NUMBERS = {
    "context_encoder": groups("context_encoder_centre", "context_conditional", "nonsaturating", "centre")
    | {"generator.bottleneck": 4000, "generator.paints": "centre", "discriminator.sees": "hole"}
    | pixels("l2", 0.999, "hole", band=4)
    | {"losses.l2.band_weight": 10, "masks.side": [0.5, 0.5], "data.augmentation.zoom": [1, 1]}
    | term("adversarial", 0.001, of="output")
    | adam(2e-3, 2e-4, [0.5, 0.999])
    | size(128, 64, 500 * math.ceil(14_900 / 64)),
    "context_encoder_features": groups("context_encoder_features", "none", "none", "blobs")
    | pixels("l2", 1, "hole")
    | adam(2e-3, None, [0.5, 0.999])
    | size(227, 64, 100_000),
    "global_local": groups("global_local", "global_local", "nonsaturating", "global_local")
    | pixels("l2", 1 / 4, "hole")
    | term("adversarial", 4e-4, of="composite")
    | {"module.adversarial_start": 90_000, "module.discriminator_alone": 10_000}
    | {"@optimizer@generator_optimizer": "adadelta", "@optimizer@discriminator_optimizer": "adadelta"}
    | size(256, 96, 500_000),
    "partial_conv": groups("partial_conv", "none", "none", "pconv")
    | PCONV
    | adam(2e-4, None, [0.9, 0.999])
    | {"generator.levels": 8, "generator.freeze_encoder_norm": False}
    | size(512, 6, 800_000),
    "partial_conv_stage2": groups("partial_conv", "none", "none", "pconv")
    | PCONV
    | adam(5e-5, None, [0.9, 0.999])
    | {"generator.levels": 8, "generator.freeze_encoder_norm": True}
    | size(512, 6, 500_000),
    "deepfill_v2": groups("gated_conv", "sn_patch", "hinge", "deepfill_v2")
    | pixels("l1", 1)
    | term("losses.coarse", 1, of="coarse")
    | term("adversarial", 1, of="composite")
    | {"discriminator.layers": 6, "discriminator.width": 64}
    | adam(1e-4, 1e-4, [0.5, 0.999])
    | size(256, 16, 1_000_000),
    "aot_gan": groups("aot", "soft_mask_patch", "soft_mask", "pconv")
    | PATCH_70
    | pixels("l1", 1)
    | term("losses.style", 250, region="all", convention="torchvision", **STYLE)
    | term("losses.perceptual", 0.1, layers=FIRST_OF_EACH, convention="torchvision", **VGG19)
    | term("adversarial", 0.01, of="composite", kernel=71, sigma=10)
    | adam(1e-4, 1e-4, [0.5, 0.999])
    | size(512, 8, 1_000_000),
    "edge_connect": groups("edge_connect", "patch", "hinge", "pconv", "edge_connect")
    | EDGE_CONNECT
    | {"module.stage": "edge"}
    | term("losses.feature_matching", 10, error="l1", total=4)
    | term("adversarial", 1, of="output"),
    "edge_connect_inpaint": groups("edge_connect", "patch", "nonsaturating", "pconv", "edge_connect")
    | EDGE_CONNECT
    | {"module.stage": "canny", "init_discriminator": False}
    | pixels("l1", 1 / 2, "all", "hole")
    | term("losses.style", 250, region="hole", convention="unit", **STYLE)
    | term("losses.perceptual", 0.1, layers=FIRST_OF_EACH, convention="unit", **VGG19)
    | term("adversarial", 0.1, of="output"),
    "lama_fourier": groups("lama_fourier", "patch", "mask_as_fake_target", "lama_train")
    | LAMA
    | size(256, 30 // 3, 1_000_000),
    "lama_regular": groups("pix2pixhd_global", "patch", "mask_as_fake_target", "lama_train")
    | LAMA
    | {"generator.levels": 3, "generator.norm": "batch", "generator.blocks": 9, "generator.init": "torch"}
    | size(256, 30 // 3, 1_000_000),
    "big_lama": groups("big_lama", "patch", "mask_as_fake_target", "lama_train")
    | LAMA
    | {"generator.blocks": 18}
    | size(256, 120 // 8, 1_000_000),
    "sagan_unet": groups("residual_unet", "patch", "hinge", "mixture")
    | PATCH_70
    | pixels("l1", 1)
    | term("adversarial", 0.1, of="composite")
    | {"generator.width": 64, "generator.levels": 3, "generator.blocks": 2, "generator.shuffle": 2}
    | {"generator.attention": 1, "generator.attention_spectral": True}
    | adam(1e-4, 4e-4, [0.0, 0.9])
    | size(128, 256 // 4, 1_000_000),
    # two scales, whose losses the code adds, and squares that it does not halve
    "pix2pixhd": groups("pix2pixhd_global", "multiscale", "lsgan", "lama_train")
    | {"generator.levels": 4, "generator.norm": "instance", "generator.blocks": 9}
    | {"discriminator.scales": 2, "discriminator.layers": 3, "discriminator.norm": "instance"}
    | {"discriminator.padding": 2, "discriminator.spectral": False, "discriminator.width": 64}
    | term("losses.feature_matching", 10, error="l1", total=4)
    | term("losses.perceptual", 10, layers=FIRST_OF_EACH, layer_weights=[1 / 32, 1 / 16, 1 / 8, 1 / 4, 1], **VGG19)
    | {"losses.perceptual.convention": "signed", "generator.init": "normal"}
    | term("adversarial", 2 * 2, of="output")
    | {"@scheduler@generator_scheduler": "linear", "@scheduler@discriminator_scheduler": "linear"}
    | adam(2e-4, 2e-4, [0.5, 0.999])
    | size(256, 1, 200 * 2975),
    "mat_small": groups("mat_small", "patch", "nonsaturating", "lama_train")
    | term("losses.perceptual", 0.1, layers=["conv4_4", "conv5_4"], layer_weights=[1 / 4, 1 / 2], **VGG19)
    | {"losses.perceptual.of": "composite", "losses.perceptual.convention": "torchvision"}
    | {"generator.expansion": 2, "masks.kinds.strokes.lama_compat": True}
    | term("adversarial", 1, of="composite")
    | {"discriminator.sees_mask": True, "module.r1_gamma": 10, "module.r1_every": 16}
    | {"module.ema_decay": pytest.approx(0.5 ** (8 / 10_000), abs=1e-5)}
    | adam(1e-3, 1e-3, [0.0, 0.99])
    | size(256, 8, 500_000),
    "dcgan": groups("dcgan", "dcgan", "nonsaturating", "full")
    | {"generator.width": 1024 // 8, "generator.latent": 100, "generator.levels": 4, "generator.slope": 0}
    | {"discriminator.width": 64, "discriminator.levels": 4}
    | term("adversarial", 1, of="output")
    | adam(2e-4, 2e-4, [0.5, 0.999])
    | size(64, 128, 300_000),
    "pix2pix": groups("pix2pix", "patch", "nonsaturating", "full")
    | {"@degradation": "edges", "generator.width": 64, "generator.levels": 8, "generator.dropout": 0.5}
    | {"discriminator.width": 64, "discriminator.layers": 3, "discriminator.sees_given": True}
    | {"discriminator.spectral": False, "discriminator.sees_mask": False, "discriminator.norm": "instance"}
    | pixels("l1", 100, per="hole")  # which is all of the picture
    | term("adversarial", 1, of="output")
    | {"@scheduler@generator_scheduler": "linear", "@scheduler@discriminator_scheduler": "linear"}
    | adam(2e-4, 2e-4, [0.5, 0.999])
    | size(256, 1, 200 * 400),
    "vdsr": restoring("vdsr", "resize")
    | HALF_SQUARES[42]
    | {"generator.width": 64, "generator.depth": 20, "generator_optimizer.lr": 0.1, "module.generator_clip": 0.4}
    | {"generator_optimizer.momentum": 0.9, "generator_optimizer.weight_decay": 1e-4}
    | falling([9960 // 4, 9960 // 2, 9960 * 3 // 4], 0.1)
    | size(42, 64, 9960),
    "srresnet": restoring("srresnet", "resize")
    | LARGER
    | pixels("l2", 1)
    | {"generator.width": 64, "generator.blocks": 16}
    | adam(1e-4, None, [0.9, 0.999])
    | size(96, 16, 1_000_000),
    "srgan": restoring("srresnet", "resize", "srgan", "nonsaturating")
    | LARGER
    | term("losses.perceptual", 0.006, layers=["relu5_4"], convention="torchvision", **VGG19 | {"error": "l2"})
    | term("adversarial", 1e-3, of="output")
    | adam(1e-4, 1e-4, [0.9, 0.999])
    | falling([100_000], 0.1, ("generator", "discriminator"))
    | size(96, 16, 200_000),
    "edsr": restoring("edsr", "resize")
    | LARGER
    | L1_OF_UNIT
    | {"generator.width": 64, "generator.blocks": 16, "generator.residual": 1}
    | adam(1e-4, None, [0.9, 0.99])
    | falling([200_000], 0.5)
    | size(192, 16, 300_000),
    "esrgan": restoring("rrdb", "resize", "srgan", "relativistic_average")
    | LARGER
    | pixels("l1", 0.01 / 2)
    | term("losses.perceptual", 1, layers=["conv5_4"], convention="torchvision", **VGG19)
    | term("adversarial", 5e-3, of="output")
    | {"generator.blocks": 23, "generator.growth": 32}
    | adam(1e-4, 1e-4, [0.9, 0.999])
    | falling([50_000, 100_000, 200_000, 300_000], 0.5, ("generator", "discriminator"))
    | size(128, 16, 400_000),
    "srvgg": restoring("srvgg", "real_esrgan", "unet", "nonsaturating")
    | {"degradation.scale": 4, "generator.depth": 16, "generator.start": "nearest"}
    | L1_OF_UNIT
    | term("losses.perceptual", 1, layers=["conv1_2", "conv2_2", "conv3_4", "conv4_4", "conv5_4"], **VGG19)
    | {"losses.perceptual.layer_weights": [0.1, 0.1, 1, 1, 1]}
    | term("adversarial", 0.1, of="output")
    | adam(1e-4, 1e-4, [0.9, 0.99])
    | {"module.ema_decay": 0.999}
    | size(256, 12, 400_000),
    "fast_style": restoring("fast_style", "resize")
    | {"degradation.scale": 1, "generator.width": 32, "generator.blocks": 5, "generator.norm": "instance"}
    | term("losses.perceptual", 1e5 / 1e5, layers=["relu2_2"], convention="torchvision", **VGG16)
    | term("losses.style", 1e10 / 1e5, layers=["relu1_2", "relu2_2", "relu3_3", "relu4_3"], gram="chw", **VGG16)
    | adam(1e-3, None, [0.9, 0.999])
    | size(256, 4, 2 * 80_000 // 4),
    "dncnn": restoring("dncnn", "noise")
    | HALF_SQUARES[50]
    | {"generator.width": 64, "generator.depth": 20, "degradation.sigma": [0, 55], "degradation.stored": False}
    | adam(1e-3, None, [0.9, 0.999])
    | falling([30 * 3000], 0.1)
    | size(50, 128, 50 * 3000),
    "ffdnet": restoring("ffdnet", "noise")
    | L1_OF_UNIT
    | {"generator.width": 96, "generator.depth": 12, "degradation.sigma": [0, 75], "degradation.stored": False}
    | adam(1e-4, None, [0.9, 0.999])
    | falling([200_000, 400_000, 600_000, 800_000], 0.5)
    | size(64, 64, 1_000_000),
    "nafnet": restoring("nafnet", "noise")
    | term("losses.psnr", 1)
    | {"generator.width": 32, "generator.encoder": [2, 2, 4, 8], "generator.middle": 12}
    | {"generator_optimizer._target_": "torch.optim.AdamW", "generator_optimizer.weight_decay": 0}
    | adam(1e-3, None, [0.9, 0.9])
    | size(256, 32 // 8, 200_000),
    "deblurgan": restoring("deblurgan", "camera_shake", "patch", "wasserstein")
    | term("losses.perceptual", 100, layers=["conv3_3"], convention="signed", **VGG19 | {"error": "l2"})
    | term("adversarial", 1, of="output", gp_weight=10)
    | {"discriminator.width": 64, "discriminator.layers": 3, "discriminator.norm": "instance"}
    | {"generator.blocks": 9, "generator.norm": "instance", "module.generator_every": 5}
    | {"@scheduler@generator_scheduler": "linear", "@scheduler@discriminator_scheduler": "linear"}
    | adam(1e-4, 1e-4, [0.5, 0.999])
    | size(256, 1, 5 * 300 * 2103),
    "basicvsr_small": restoring("basicvsr_small", "resize")
    | LARGER
    | pixels("charbonnier", 1 / 2)
    | {"@data": "pan_and_zoom", "data.frames": 15, "losses.charbonnier.epsilon": pytest.approx(2e-6)}
    | adam(2e-4, None, [0.9, 0.99])
    | size(256, 8, 300_000),
}


def test_every_recipe_has_its_numbers_here():
    assert sorted(NUMBERS) == RECIPES


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipes_numbers_are_the_papers(recipe):
    numbers, (cfg, choices) = NUMBERS[recipe], published(recipe)
    assert {key: setting(cfg, choices, key) for key in numbers} == numbers
    assert {key.split(".")[1] for key in numbers if key.startswith("losses.")} == set(cfg.losses), "and no other loss"


def setting(cfg, choices, key):
    """A value; ``@group`` is the group's option. A loss that is spelled out leaves settings to the constructor."""
    if key.startswith("@"):
        return choices[key[1:]]
    found = OmegaConf.select(cfg, key, default=inspect.Parameter.empty)
    if found is not inspect.Parameter.empty:
        return found
    node, _, name = key.rpartition(".")
    return inspect.signature(hydra.utils.get_class(OmegaConf.select(cfg, node)._target_)).parameters[name].default
