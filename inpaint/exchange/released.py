"""Weights that papers' authors and MMagic have released: how their files are recognised, and which tensors are ours.

A release is recognised by a tensor that it has and no other, in whatever table or module it lies, and then by the names
and shapes of all others. Layers are called otherwise there, so a release has a table of our names and theirs; how wide
and how deep its network is follows from the shapes. ``inpaint/exchange/README.md`` says where the files are.
"""

import re
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import torch
from torch import Tensor

from inpaint.exchange.release import Layers, Match, Part, Release, Shapes, find_part
from inpaint.files.foreign import Weight
from inpaint.settings import Refused, listed

MOST = 10_000  # tensors in a release


def recognise(weights: Mapping[str, Weight]) -> Match:
    """The release that some tensors are of.

    Raises:
        Refused: none that is known, one of which a part is missing, or one that cannot be taken over, with the reason.
    """
    if len(weights) > MOST:
        raise Refused(f"weights: {len(weights)} tensors are more than any release has")
    incomplete = None
    for release in RELEASES:
        prefixes = [find_part(part, weights) for part in release.parts]
        if None not in prefixes:
            return Match(release, weights, [prefix for prefix in prefixes if prefix is not None])
        if any(prefix is not None for prefix in prefixes):
            lacking = [part.signature for part, prefix in zip(release.parts, prefixes, strict=True) if prefix is None]
            incomplete = (
                f"weights: a part of {release.title}; {lacking[0]} is not there, so give the other file as well"
            )
    for signature, reason in NOT_TAKEN.items():
        if find_part(Part(signature, lambda shapes: {}), weights) is not None:
            raise Refused(f"weights: {reason}")
    titles = ", ".join(release.title for release in RELEASES)
    unknown = f"weights: no release that is known has these {len(weights)} tensors ({listed([*weights])})"
    raise Refused(incomplete or f"{unknown}; known are {titles}")


def _count(shapes: Shapes, before: str, after: str = ".") -> int:
    """How many n from 0 up there are such that a tensor's name begins with `before`, n and `after`."""
    pattern = re.compile(rf"{re.escape(before)}(\d+){re.escape(after)}")
    there = {match[1] for name in shapes if (match := pattern.match(name))}
    return next(number for number in count() if str(number) not in there)


# ---- LaMa ------------------------------------------------------------------------------------------------------------

PATHS = {"local to local": "ffc.convl2l", "local to global": "ffc.convl2g", "global to local": "ffc.convg2l"}
SPECTRUM = {"reduce.0": "conv1.0", "reduce.1": "conv1.1", "fourier.mix.0": "fu.conv_layer", "fourier.mix.1": "fu.bn"}
SPECTRUM |= {"expand": "conv2"}
UP, MODULES = 3, 3  # enlargements, each of a convolution, norm and ReLU


def _ffc(ours: str, theirs: str) -> Layers:
    layers = {f"{ours}.paths.{path}": f"{theirs}.{there}" for path, there in PATHS.items()}
    layers |= {f"{ours}.paths.global to global.{a}": f"{theirs}.ffc.convg2g.{b}" for a, b in SPECTRUM.items()}
    return layers | {f"{ours}.ends.local.0": f"{theirs}.bn_l", f"{ours}.ends.global.0": f"{theirs}.bn_g"}


def _blocks(shapes: Shapes, inside: str) -> int:
    """How many layers of ``model``, which follow each other, have such a part."""
    pattern = re.compile(rf"model\.(\d+)\.{inside}\.")
    return len({match[1] for name in shapes if (match := pattern.match(name))})


def _picture_decoder(first: int) -> Layers:
    """Convolutions and norms at the same distances, but for a padding before the last."""
    layers = {
        f"decoder.{i}": f"model.{first + i}" for level in range(UP) for i in (MODULES * level, MODULES * level + 1)
    }
    return layers | {f"decoder.{UP * MODULES}": f"model.{first + UP * MODULES + 1}"}


def _lama(shapes: Shapes) -> Layers:
    blocks = _blocks(shapes, "conv1")
    layers: Layers = {}
    for place in range(4):
        layers |= _ffc(f"encoder.{place}", f"model.{place + 1}")
    for block in range(blocks):
        layers |= _ffc(f"middle.{block}.first", f"model.{block + 5}.conv1")
        layers |= _ffc(f"middle.{block}.second", f"model.{block + 5}.conv2")
    return layers | _picture_decoder(blocks + 6)


def _lama_settings(shapes: Shapes) -> dict[str, Any]:
    local = shapes.get("model.4.ffc.convl2l.weight", (0,))[0]
    beyond = shapes.get("model.4.ffc.convl2g.weight", (0,))[0]
    width = shapes["model.1.ffc.convl2l.weight"][0]
    return {"blocks": _blocks(shapes, "conv1"), "width": width, "ratio": beyond / max(local + beyond, 1)}


def _lama_regular(shapes: Shapes) -> Layers:
    blocks = _blocks(shapes, "conv_block")
    layers = {f"encoder.{i}": f"model.{i + 1}" for level in range(4) for i in (3 * level, 3 * level + 1)}
    for block in range(blocks):
        for ours, theirs in ((0, 1), (1, 2), (3, 5), (4, 6)):
            layers[f"encoder.{12 + block}.inner.{ours}"] = f"model.{13 + block}.conv_block.{theirs}"
    return layers | _picture_decoder(blocks + 13)


def _lama_regular_settings(shapes: Shapes) -> dict[str, Any]:
    return {"blocks": _blocks(shapes, "conv_block"), "width": shapes.get("model.1.weight", (1,))[0]}


def _lama_judge(shapes: Shapes) -> Layers:
    last = _count(shapes, "model", ".0.") - 1
    layers = {f"layers.{i}.{j}": f"model{i}.{j}" for i in range(last) for j in (0, 1)}
    return layers | {"last": f"model{last}.0"}


LAMA_JUDGE = Part("model0.0.weight", _lama_judge)
LAMA = "Apache-2.0 (github.com/advimman/lama); trained on Places or CelebA-HQ, which have terms of their own"

# ---- AOT-GAN ---------------------------------------------------------------------------------------------------------


def _aot(shapes: Shapes) -> Layers:
    layers = {"encoder.0": "encoder.1", "encoder.2": "encoder.3", "encoder.4": "encoder.5"}
    layers |= {"decoder.1": "decoder.0.conv", "decoder.4": "decoder.2.conv", "decoder.6": "decoder.4"}
    for block in range(_count(shapes, "middle.")):
        for branch in range(_count(shapes, f"middle.{block}.block0")):
            layers[f"middle.{block}.branches.{branch}.0"] = f"middle.{block}.block0{branch}.1"
        layers |= {f"middle.{block}.{name}": f"middle.{block}.{name}.1" for name in ("fuse", "gate")}
    return layers


def _aot_settings(shapes: Shapes) -> dict[str, Any]:
    return {"blocks": _count(shapes, "middle."), "width": shapes.get("encoder.1.weight", (1,))[0]}


def _aot_judge(shapes: Shapes) -> Layers:
    return {f"layers.{i}.0": f"conv.{2 * i}" for i in range(4)} | {"last": "conv.8"}


def _aot_mmagic(shapes: Shapes) -> Layers:
    layers = {f"encoder.{2 * i}": f"encoder.encoder.{i + 1}.conv" for i in range(3)}
    layers |= {f"decoder.{ours}": f"decoder.decoder.{i}.conv" for i, ours in enumerate((1, 4, 6))}
    for block in range(_count(shapes, "dilation_neck.model.")):
        there = f"dilation_neck.model.{block}"
        for branch in range(_count(shapes, f"{there}.blocks.")):
            layers[f"middle.{block}.branches.{branch}.0"] = f"{there}.blocks.{branch}.1.conv"
        layers |= {f"middle.{block}.{name}": f"{there}.{name}.1.conv" for name in ("fuse", "gate")}
    return layers


def _aot_mmagic_settings(shapes: Shapes) -> dict[str, Any]:
    width = shapes.get("encoder.encoder.1.conv.weight", (1,))[0]
    return {"blocks": _count(shapes, "dilation_neck.model."), "width": width}


# ---- EdgeConnect -----------------------------------------------------------------------------------------------------


def _edge_connect(ours: str) -> Callable[[Shapes], Layers]:
    """Of both generators, which have one skeleton; the biases that instance norm takes away again are left."""

    def layers(shapes: Shapes) -> Layers:
        blocks = _count(shapes, "middle.")
        found = {f"{ours}.{i}": f"encoder.{i + 1}" for i in (0, 3, 6)}
        found |= {f"{ours}.{9 + blocks + i}": f"decoder.{i}" for i in (0, 3)}
        found[f"{ours}.{15 + blocks}"] = "decoder.7"
        for block in range(blocks):
            for i, there in ((0, 1), (3, 5)):
                found[f"{ours}.{9 + block}.inner.{i}"] = f"middle.{block}.conv_block.{there}"
        return found

    return layers


def _edge_connect_settings(shapes: Shapes) -> dict[str, Any]:
    return {"blocks": _count(shapes, "middle."), "width": shapes.get("encoder.1.weight", (1,))[0]}


# ---- MMagic ----------------------------------------------------------------------------------------------------------


def _partial_conv(shapes: Shapes) -> Layers:
    levels = _levels(shapes)
    layers = {}
    for level in range(levels):
        layers[f"encoder.{level}.conv"] = f"encoder.enc{level + 1}.conv"
        layers[f"encoder.{level}.rest.0"] = f"encoder.enc{level + 1}.bn"
        layers[f"decoder.{levels - 1 - level}.conv"] = f"decoder.dec{level + 1}.conv"
        layers[f"decoder.{levels - 1 - level}.rest.0"] = f"decoder.dec{level + 1}.bn"
    return layers


def _levels(shapes: Shapes) -> int:
    return len({name.split(".")[1] for name in shapes if name.startswith("encoder.enc")})


def _partial_conv_settings(shapes: Shapes) -> dict[str, Any]:
    return {"levels": _levels(shapes), "width": shapes["encoder.enc1.conv.weight_mask_updater"][0]}


def _partial_conv_adapted(name: str, own: Tensor, value: Tensor | None) -> Tensor | None:
    """No biases before a norm; and MMagic's network sees and paints BGR, as OpenCV reads pictures."""
    if value is None:
        return torch.zeros(own.shape) if name.endswith("conv.bias") else None
    if name.startswith("encoder.0.conv") and value.dim() == 4:
        return value.flip(1)
    if name.startswith("decoder.") and value.dim() == 4 and len(value) == 3:  # the last; it sees the picture once more
        return torch.cat([value[:, :-3], value[:, -3:].flip(1)], dim=1).flip(0)
    return value.flip(0) if name.startswith("decoder.") and value.shape == (3,) else value


def _global_local(shapes: Shapes) -> Layers:
    theirs = [f"encoder.enc{i}" for i in range(1, 7)]
    theirs += [f"dilation_neck.dilation_convs.{i}" for i in range(_count(shapes, "dilation_neck.dilation_convs."))]
    theirs += [f"decoder.dec{i}" for i in range(1, 7)]
    layers = {f"layers.{3 * place}": f"{there}.conv" for place, there in enumerate(theirs)}
    layers |= {f"layers.{3 * place + 1}": f"{there}.bn" for place, there in enumerate(theirs)}
    return layers | {f"layers.{3 * len(theirs)}": "decoder.dec7.conv"}


def _global_local_settings(shapes: Shapes) -> dict[str, Any]:
    return {"width": shapes["encoder.enc1.conv.weight"][0], "hole": "grey", "output": "clip"}


def _global_local_adapted(name: str, own: Tensor, value: Tensor | None) -> Tensor | None:
    """Grey in the hole, no biases before a norm; and it sees and paints BGR."""
    if value is None:
        return torch.zeros(own.shape) if name == "hole_colour" or name.endswith(".bias") else None
    if name == "layers.0.weight":
        return torch.cat([value[:, :3].flip(1), value[:, 3:]], dim=1)
    makes_colours = value.dim() in (1, 4) and len(value) == 3  # only the last layer's, as widths are even
    return value.flip(0) if makes_colours else value


MMAGIC = "Apache-2.0 (github.com/open-mmlab/mmagic); trained on Places or CelebA-HQ, which have terms of their own"

# ----------------------------------------------------------------------------------------------------------------------

RELEASES = (
    Release(
        title="Big-LaMa",
        recipe="big_lama",
        parts=(Part("model.22.conv1.ffc.convl2l.weight", _lama),),  # its last of 18 blocks
        settings=_lama_settings,
        licence=LAMA,
        discriminator=LAMA_JUDGE,
    ),
    Release(
        "LaMa-Fourier", "lama_fourier", (Part("model.1.ffc.convl2l.weight", _lama),), _lama_settings, LAMA, LAMA_JUDGE
    ),
    Release(
        title="LaMa-Regular",
        recipe="lama_regular",
        parts=(Part("model.13.conv_block.1.weight", _lama_regular),),
        settings=_lama_regular_settings,
        licence=LAMA,
        discriminator=LAMA_JUDGE,
    ),
    Release(
        title="AOT-GAN",
        recipe="aot_gan",
        parts=(Part("middle.0.block00.1.weight", _aot),),
        settings=_aot_settings,
        licence="Apache-2.0 (github.com/researchmm/AOT-GAN-for-Inpainting); trained on Places2 or CelebA-HQ",
        discriminator=Part("conv.0.weight_orig", _aot_judge),
    ),
    Release(
        title="MMagic's AOT-GAN",
        recipe="aot_gan",
        parts=(Part("dilation_neck.model.0.blocks.0.1.conv.weight", _aot_mmagic),),
        settings=_aot_mmagic_settings,
        licence=MMAGIC,
    ),
    Release(
        title="EdgeConnect",
        recipe="edge_connect_inpaint",
        parts=(
            Part("middle.0.conv_block.1.weight", _edge_connect("painter.0")),
            Part("middle.0.conv_block.1.weight_orig", _edge_connect("edges.network")),
        ),
        settings=_edge_connect_settings,
        licence="CC BY-NC 4.0: not for commercial use (github.com/knazeri/edge-connect)",
    ),
    Release(
        title="MMagic's partial convolutions",
        recipe="partial_conv",
        parts=(Part("encoder.enc1.conv.weight_mask_updater", _partial_conv),),
        settings=_partial_conv_settings,
        licence=MMAGIC,
        adapted=_partial_conv_adapted,
    ),
    Release(
        title="MMagic's Global & Local",
        recipe="global_local",
        parts=(Part("dilation_neck.dilation_convs.0.bn.weight", _global_local),),
        settings=_global_local_settings,
        licence=MMAGIC,
        adapted=_global_local_adapted,
    ),
)

# Releases that are recognised and not taken over, by a tensor of theirs.
NOT_TAKEN = {
    "stage2.encoder_conv.enc1.conv.conv.weight": "MMagic's DeepFill v2, whose second network sees five channels and "
    "whose networks both end in a gated convolution, where the paper's and generator=gated_conv see three and end in a "
    "plain one; its weights fit no network here",
    "synthesis.first_stage.conv_first.conv.weight": "MAT, with whose layers generator=mat computes otherwise: sums of "
    "maps are divided by the root of 2, partial convolutions scale before bias and activation, no filter stands around "
    "a change of resolution, and windows are cut, not wrapped; its weights would paint something else here",
    "features.0.weight": "a network for classes, as torchvision has them; losses take it as backbone_weights=FILE",
}
