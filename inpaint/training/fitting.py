"""Whether the parts of a run, ours among them, fit its data: what they are given, told and normalise."""

from collections.abc import Mapping
from copy import deepcopy

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from inpaint import rng
from inpaint.batch import Batch, given, paint, said_to, split
from inpaint.data.datamodule import InpaintingData
from inpaint.data.sources import say
from inpaint.networks.conditions import Conditions
from inpaint.settings import Refused
from inpaint.training.finite import Before
from inpaint.training.gan import InpaintingGAN
from inpaint.training.phases import PHASES

# Where each kind of condition comes from, as a batch has it and as it is asked for.
SOURCES = {
    "label": ("label", "data.label=folder, for one"),
    "words": ("caption", "data.caption=txt, for one"),
    "embedding": ("embedding", "data.embeddings=FILE"),
}


def check_degradation(methods: Mapping[str, nn.Module], data: InpaintingData | None) -> None:
    """Whether methods give pictures of the truth's size, and look at what they are given where that is degraded.

    A network that enlarges says so by its `scale`; without a degradation nothing is there to enlarge.

    Said is where masks hide all of a degraded picture.

    Args:
        methods: generators and baselines by the setting that names them.
        data: set up for validation; None where pictures and holes are files.

    Raises:
        Refused: one does not, as those that fill holes read nothing inside them.
    """
    if data is None or data.degradation is None:
        for setting, method in methods.items():
            if isinstance(scale := getattr(method, "scale", 1), int) and scale > 1:
                raise Refused(
                    f"{setting}: {type(method).__name__} makes pictures {scale} times as large, and these are given as "
                    f"large as the truth; degradation=resize degradation.scale={scale} gives it smaller ones"
                )
        return
    with rng.untouched(), torch.no_grad():
        batch = data.validation_batch(1, torch.device("cpu"))
        if not data.restores_whole and (batch["mask"] == 1).all():
            say(
                "masks: a hole covers all of a degraded picture, and nothing of it is seen; masks=full restores it "
                "as a whole"
            )
        for setting, method in methods.items():
            _check_restores(setting, deepcopy(method).eval() if method.training else method, batch, data.restores_whole)


def _check_restores(setting: str, method: nn.Module, batch: Batch, whole: bool) -> None:
    (height, width), (large, wide), name = given(batch).shape[2:], batch["image"].shape[2:], type(method).__name__
    try:
        painted = paint(method, batch).output
    except (RuntimeError, ValueError, AssertionError) as error:
        if (height, width) == (large, wide):
            raise
        raise Refused(
            f"{setting}: {name} makes no {wide}x{large} pixels of {width}x{height}, as the degradation asks; of a "
            "network that enlarges, the scale has to be the degradation's; HYDRA_FULL_ERROR=1 shows the traceback"
        ) from error
    if painted.shape != batch["image"].shape:
        raise Refused(
            f"{setting}: {name} made {painted.shape[3]}x{painted.shape[2]} pixels of {width}x{height}, and the truth "
            f"has {wide}x{large}; its scale and the degradation's have to be the same"
        )
    if whole and torch.equal(painted, paint(method, batch | {"given": given(batch).flip(-1)}).output):
        raise Refused(
            f"{setting}: {name} does not look at what it is given inside the mask, which covers the whole of a "
            "degraded picture; generator=residual_unet generator.start=given does, and so do bicubic, non_local_means "
            "and total_variation"
        )


def check_conditions(module: InpaintingGAN, data: InpaintingData) -> None:
    """Whether what is said of pictures to networks comes with the data, and fits.

    Raises:
        Refused: naming the setting.
    """
    networks = [network for network in (module.generator, module.discriminator) if network is not None]
    found = [layer for network in networks for layer in network.modules() if isinstance(layer, Conditions)]
    if not any(layer.kinds for layer in found):
        return
    with rng.untouched(), torch.no_grad():
        batch = data.validation_batch(1, torch.device("cpu"))
        for layer in found:
            _check_condition(layer, data, batch)


def _check_condition(layer: Conditions, data: InpaintingData, batch: Batch) -> None:
    for kind in layer.kinds:
        name, remedy = SOURCES[kind]
        if name not in batch:
            raise Refused(f"{layer.group}.condition: the photographs come without {name}; give {remedy}")
    classes = getattr(data.source, "classes", ())
    if "label" in layer.kinds and len(classes) > layer.label.num_embeddings:
        raise Refused(
            f"{layer.group}.condition.label: {layer.label.num_embeddings}, and there are {len(classes)} classes; "
            f"give {layer.group}.condition.label={len(classes)}"
        )
    layer(batch["image"], said_to(layer, batch))


def check_norms(module: InpaintingGAN, data: InpaintingData) -> None:
    """Batch norm and instance norm have no statistics of a single number, and torch finds that when it comes to it.

    Tried are networks that have such layers, on one sample of the run's smallest crops: those with instance norm, and
    those with batch norm where a part of a batch is one sample. A discriminator may enter late, so nobody waits for it.

    Raises:
        Refused: a network normalises one number a channel.
    """
    rows = split(Batch(index=torch.arange(data.batch_size)), module.accumulate)  # type: ignore[typeddict-item]
    alone = min(len(part["index"]) for part in rows) == 1
    tried = (_InstanceNorm, _BatchNorm) if alone else (_InstanceNorm,)
    networks = {name: network for name in PHASES if (network := getattr(module, name)) is not None}
    normed = {name: n for name, n in networks.items() if any(isinstance(layer, tried) for layer in n.modules())}
    if not normed:
        return
    side = min([data.crop, *(side for _, side in data.ramp)])
    with rng.untouched(), torch.no_grad():
        batch = data.validation_batch(1, torch.device("cpu"))
        for what in ("image", "mask", "given"):
            if what in batch:
                edge = side * batch[what].shape[-1] // data.crop
                batch[what] = batch[what][..., :edge, :edge]
        for name, network in normed.items():
            before = Before(network.buffers())
            try:
                module(batch) if name == "generator" else network(
                    batch["image"], batch["mask"], **said_to(network, batch)
                )
            except ValueError as error:
                if "Expected more than 1 value per channel" in str(error):
                    key = "data.batch_size" if module.accumulate == 1 else "module.accumulate"
                    raise Refused(
                        f"{key}: the {name}'s batch norm has no statistics of one sample, which is what a part of "
                        f"the batch is; data.batch_size={2 * module.accumulate} makes it two"
                    ) from None
                if "Expected more than 1 spatial element" in str(error):
                    raise Refused(
                        f"data.crop: the {name}'s instance norm has no statistics of one pixel, which is what is left "
                        f"of {side} px there; give larger crops"
                    ) from None
                raise
            finally:
                before.restore()
