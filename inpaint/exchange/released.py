"""Weights that papers' authors and MMagic have released: how their files are recognised, and which tensors are ours.

A release is recognised by a tensor that it has and no other, in whatever table or module it lies, and then by the names
and shapes of all others. Layers are called otherwise there, so a release has a table of our names and theirs; how wide
and how deep its network is follows from the shapes. ``inpaint/exchange/README.md`` says where the files are.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn

from inpaint.exchange.foreign import Weight
from inpaint.settings import Refused, listed

Shapes = dict[str, tuple[int, ...]]  # of tensors by their names in a release
Layers = dict[str, str]  # our names to theirs

MOST = 10_000  # tensors in a release
# Spectral norm as torch has it, and as it had it.
SPECTRAL = {"parametrizations.weight.original": "weight_orig"}
SPECTRAL |= {"parametrizations.weight.0._u": "weight_u", "parametrizations.weight.0._v": "weight_v"}


@dataclass(frozen=True)
class Part:
    """Some layers of a network, as a file has them.

    signature: the tensor by which they are recognised, below whatever prefix.
    layers: the names of all, from the shapes of what has that prefix.
    """

    signature: str
    layers: Callable[[Shapes], Layers]


def _as_it_is(name: str, own: Tensor, value: Tensor | None) -> Tensor | None:
    return value


@dataclass(frozen=True)
class Release:
    """A trained network that somebody has released.

    title: what it is.
    recipe: the experiment that trains it here, whose settings an imported run has.
    parts: of the generator; where several files hold them, all are needed.
    settings: of the generator, from the shapes of its first part.
    licence: under which the weights are published.
    discriminator: that of the release, where a file has it.
    adapted: a tensor of ours from its name, its outline, and the file's, or None where the file has none; None if
        there is no way to make it.
    """

    title: str
    recipe: str
    parts: tuple[Part, ...]
    settings: Callable[[Shapes], dict[str, Any]]
    licence: str
    discriminator: Part | None = None
    adapted: Callable[[str, Tensor, Tensor | None], Tensor | None] = _as_it_is


class Match:
    """A release, and where its networks are among the tensors of some files.

    Args:
        release: which.
        weights: all tensors by their names in the files.
        prefixes: what is before the names of each part of the generator.

    Attributes:
        settings: of the generator.
        taken: names in the files of what `generator` and `discriminator` have read so far.
    """

    def __init__(self, release: Release, weights: Mapping[str, Weight], prefixes: list[str]) -> None:
        self.release, self.weights, self.prefixes = release, weights, prefixes
        self.settings = release.settings(_shapes(weights, prefixes[0]))
        self.taken: set[str] = set()

    def generator(self, network: nn.Module) -> dict[str, Tensor]:
        """The values of a network that was made with `settings`, of which no values are needed.

        Raises:
            Refused: the files' tensors are not those of this network; it names the first that differ.
        """
        return self._values(network, list(zip(self.release.parts, self.prefixes, strict=True)), "generator")

    def discriminator(self, network: nn.Module | None) -> dict[str, Tensor]:
        """The values of its discriminator; empty where the files have none.

        Raises:
            Refused: as `generator`.
        """
        part = self.release.discriminator
        if network is None or part is None or (prefix := _prefix(part, self.weights)) is None:
            return {}
        return self._values(network, [(part, prefix)], "discriminator")

    def _values(self, network: nn.Module, places: list[tuple[Part, str]], role: str) -> dict[str, Tensor]:
        names: dict[str, str] = {}
        for part, prefix in places:
            layers = part.layers(_shapes(self.weights, prefix))
            names |= {ours: prefix + theirs for ours, theirs in _of_tensors(network, layers)}
        values, wrong = {}, []
        for name, own in network.state_dict().items():
            there = names.get(name, name)
            weight = self.weights.get(there)
            if weight is not None and weight.shape != tuple(own.shape):
                wrong.append(f"{there} is {weight.shape} and not {tuple(own.shape)}")
                continue
            value = self.release.adapted(name, own, weight.read() if weight is not None else None)
            if value is None and name.endswith("num_batches_tracked"):  # of which nothing depends
                value = torch.zeros(own.shape)
            if value is None:
                wrong.append(f"{there} is not there")
                continue
            values[name] = value.to(own.dtype)
            self.taken |= {there} & {*self.weights}
        if wrong:
            beginning = f"weights: they look like {self.release.title}, but {len(wrong)} tensors of its {role} do not"
            raise Refused(f"{beginning} fit: {listed(wrong)}")
        return values


def recognise(weights: Mapping[str, Weight]) -> Match:
    """The release that some tensors are of.

    Raises:
        Refused: none that is known, one of which a part is missing, or one that cannot be taken over, with the reason.
    """
    if len(weights) > MOST:
        raise Refused(f"weights: {len(weights)} tensors are more than any release has")
    incomplete = None
    for release in RELEASES:
        prefixes = [_prefix(part, weights) for part in release.parts]
        if None not in prefixes:
            return Match(release, weights, [prefix for prefix in prefixes if prefix is not None])
        if any(prefix is not None for prefix in prefixes):
            lacking = [part.signature for part, prefix in zip(release.parts, prefixes, strict=True) if prefix is None]
            incomplete = (
                f"weights: a part of {release.title}; {lacking[0]} is not there, so give the other file as well"
            )
    for signature, reason in NOT_TAKEN.items():
        if _prefix(Part(signature, lambda shapes: {}), weights) is not None:
            raise Refused(f"weights: {reason}")
    titles = ", ".join(release.title for release in RELEASES)
    unknown = f"weights: no release that is known has these {len(weights)} tensors ({listed([*weights])})"
    raise Refused(incomplete or f"{unknown}; known are {titles}")


def _prefix(part: Part, weights: Mapping[str, Weight]) -> str | None:
    """What is before the names of a part: ``state_dict.generator.``; None where it is nowhere.

    Of several places the shortest, and one that is no average, which LaMa's code makes and never uses.
    """
    ends = f".{part.signature}"
    places = [name.removesuffix(part.signature) for name in weights if f".{name}".endswith(ends)]
    return min(places, key=lambda place: ("average" in place, len(place)), default=None)


def _shapes(weights: Mapping[str, Weight], prefix: str) -> Shapes:
    return {name.removeprefix(prefix): weight.shape for name, weight in weights.items() if name.startswith(prefix)}


def _of_tensors(network: nn.Module, layers: Layers) -> Iterator[tuple[str, str]]:
    """Our names and theirs of the tensors in some layers."""
    for name in network.state_dict():
        parts = name.split(".")
        for length in range(1, len(parts)):
            if (there := layers.get(".".join(parts[:length]))) is not None:
                tensor = ".".join(parts[length:])
                yield name, f"{there}.{SPECTRAL.get(tensor, tensor)}"


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
)

# Releases that are recognised and not taken over, by a tensor of theirs.
NOT_TAKEN = {
    "stage2.encoder_conv.enc1.conv.conv.weight": "MMagic's DeepFill v2, whose second network sees five channels where "
    "the paper's and generator=gated_conv see three, so its weights fit no network here",
    "synthesis.first_stage.conv_first.conv.weight": "MAT, whose code computes with holes otherwise than generator=mat "
    "(see the class for how), so that its weights would paint something else here",
    "dilation_neck.dilation_convs.0.conv.weight": "MMagic's Global & Local, whose output is cut off at black and white "
    "where generator=global_local has the paper's sigmoid, so that its weights would paint something else here",
    "features.0.weight": "a network for classes, as torchvision has them; losses take it as backbone_weights=FILE",
}
