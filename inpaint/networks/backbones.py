"""Networks trained on other tasks whose features perceptual losses compare: VGG16, VGG19, AlexNet, SqueezeNet 1.1.

Each is the convolutional part as a plain `nn.Sequential` with the places, and hence the state-dict keys
(``features.N.weight``), of torchvision, built and loaded as far as somebody needs it. What a layer is called::

    vgg16, vgg19     conv1_1 relu1_1 conv1_2 relu1_2 pool1 conv2_1 ... pool5
    alexnet          conv1 relu1 pool1 conv2 relu2 pool2 conv3 relu3 conv4 relu4 conv5 relu5 pool5
    squeezenet1_1    conv1 relu1 pool1 fire2 fire3 pool3 fire4 fire5 pool5 fire6 fire7 fire8 fire9
"""

import logging
import math
import weakref
import zipfile
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaint import rng
from inpaint.files import tensors
from inpaint.files.folder import sha256
from inpaint.settings import Refused, choice

log = logging.getLogger(__name__)

# torchvision's files, and the sha256 of their contents, whose first digits torchvision puts into the names.
FILES = {
    "vgg16": "vgg16-397923af.pth",
    "vgg19": "vgg19-dcbb9e9d.pth",
    "alexnet": "alexnet-owt-7be5be79.pth",
    "squeezenet1_1": "squeezenet1_1-b8a52dc0.pth",
}
DIGESTS = {
    "vgg16": "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    "vgg19": "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
    "alexnet": "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    "squeezenet1_1": "b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b",
}
ADDRESS = "https://download.pytorch.org/models/"

VGG = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}  # convolutions of each block


class Convention(NamedTuple):
    """What a network wants to see of a picture, channel by channel in its own order."""

    bgr: bool
    white: float  # what white is before the mean is taken off; black is 0
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


CONVENTIONS = {
    # RGB in [0, 1], standardised by ImageNet's statistics
    "torchvision": Convention(False, 1.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    # BGR in 0..255 less ImageNet's mean
    "caffe": Convention(True, 255.0, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0)),
    # RGB in [-1, 1], as this project's own networks see pictures
    "signed": Convention(False, 1.0, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    # RGB in [0, 1] as they are
    "unit": Convention(False, 1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}


class Fire(nn.Module):
    """SqueezeNet's block (Iandola et al. 2016): 1 x 1 to few channels, then 1 x 1 and 3 x 3 side by side."""

    def __init__(self, before: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(before, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, before, H, W)`` to ``(B, 2 * expanded, H, W)``."""
        x = self.squeeze(x).relu()
        return torch.cat([self.expand1x1(x).relu(), self.expand3x3(x).relu()], dim=1)


def layers_of(network: str) -> Iterator[tuple[str, nn.Module]]:
    """The layers of a network in order with their names, freshly initialised; no ReLU works in place."""
    if network in VGG:
        before = 3
        for block, count in enumerate(VGG[network], start=1):
            width = min(64 * 2 ** (block - 1), 512)
            for place in range(1, count + 1):
                yield f"conv{block}_{place}", nn.Conv2d(before, width, 3, padding=1)
                yield f"relu{block}_{place}", nn.ReLU()
                before = width
            yield f"pool{block}", nn.MaxPool2d(2)
    elif network == "alexnet":
        settings = (
            (3, 64, 11, 4, 2),
            (64, 192, 5, 1, 2),
            (192, 384, 3, 1, 1),
            (384, 256, 3, 1, 1),
            (256, 256, 3, 1, 1),
        )
        for place, (before, after, kernel, stride, padding) in enumerate(settings, start=1):
            yield f"conv{place}", nn.Conv2d(before, after, kernel, stride, padding)
            yield f"relu{place}", nn.ReLU()
            if place in (1, 2, 5):
                yield f"pool{place}", nn.MaxPool2d(3, 2)
    else:
        yield "conv1", nn.Conv2d(3, 64, 3, 2)
        yield "relu1", nn.ReLU()
        yield "pool1", nn.MaxPool2d(3, 2, ceil_mode=True)
        before = 64
        widths = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
        for place, (squeezed, expanded) in enumerate(widths, start=2):
            yield f"fire{place}", Fire(before, squeezed, expanded)
            before = 2 * expanded
            if place in (3, 5):
                yield f"pool{place}", nn.MaxPool2d(3, 2, ceil_mode=True)


class Backbone(nn.Module):
    """A frozen network without its classifier, whose features at named layers are compared.

    Always in evaluation mode, and no parameter asks for a gradient; gradients pass through to the picture. Get one from
    `shared`. It is nobody's submodule, so its weights are in no checkpoint and in no optimizer; whoever holds it passes
    `to` on (`losses.perceptual`).

    Args:
        network: `vgg16`, `vgg19`, `alexnet` or `squeezenet1_1`.
        weights: a file; None for torchvision's, from torch's hub cache or else downloaded, which must be what
            torchvision published; or `random`. A file is a state dict with torchvision's keys, which may end after the
            layers that are needed, or a checkpoint of this project whose generator has a part with the layout of
            `network` (`self-trained`).
        convention: how the network sees a picture: `torchvision`, `caffe`, `signed` or `unit`, see `CONVENTIONS`.
        key: the config's key that error messages begin with.

    Raises:
        Refused: a network or convention that does not exist, weights that are nowhere to be found, or a file in the
            cache that is not torchvision's.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: str, weights: str | None, convention: str, key: str) -> None:
        super().__init__()
        self.network = choice(f"{key}.backbone", network, FILES)
        self.convention = CONVENTIONS[choice(f"{key}.convention", convention, CONVENTIONS)]
        for name in ("mean", "deviation"):
            self.register_buffer(name, torch.tensor(getattr(self.convention, name)).view(1, 3, 1, 1))
        self.features = nn.Sequential()
        self.names: list[str] = []
        self.file = None if weights == "random" else _find(network, weights, key)

    def require(self, layers: Collection[str], key: str) -> None:
        """Build and load the network up to the last of these layers.

        Raises:
            Refused: a layer that does not exist, or one that the file has no weights for.
        """
        with torch.device("meta"):  # takes no time and draws no random numbers
            everything = dict(layers_of(self.network))
        names = list(everything)
        if unknown := [layer for layer in layers if layer not in names]:
            raise Refused(f"{key}.layers: {self.network} has no {', '.join(unknown)}; it has {', '.join(names)}")
        needed = names[: 1 + max(names.index(layer) for layer in layers)]
        if len(needed) <= len(self.names):
            return
        network = nn.Sequential(*(everything[name] for name in needed))
        state = _random(network) if self.file is None else _read(self.file, network, self.network, key)
        places = sorted({int(name.split(".")[0]) for name in network.state_dict().keys() - state.keys()})
        if places:
            missing = ", ".join(names[place] for place in places)
            raise Refused(f"{key}.weights: {self.file} has no weights for {missing} of {self.network}")
        network.load_state_dict(state, assign=True)
        self.features = network.to(self.mean.device, self.mean.dtype).eval().requires_grad_(False)
        self.names = needed

    def has(self, layers: Collection[str]) -> bool:
        """Whether there are weights for these layers, which the network has."""
        if self.file is None:
            return True
        with torch.device("meta"):
            everything = dict(layers_of(self.network))
        names = list(everything)
        needed = nn.Sequential(*(everything[name] for name in names[: 1 + max(map(names.index, layers))]))
        return _read(self.file, needed, self.network, "backbone").keys() == needed.state_dict().keys()

    def forward(self, image: Tensor, layers: Sequence[str]) -> list[Tensor]:
        """The features ``(B, C, h, w)`` at these layers, which were required, of pictures in [-1, 1]."""
        x = image.float().add(1).mul(self.convention.white / 2)
        x = ((x.flip(1) if self.convention.bgr else x) - self.mean) / self.deviation
        last = max(self.names.index(layer) for layer in layers)
        found = {}
        for name, layer in zip(self.names[: last + 1], self.features, strict=False):
            x = layer(x)
            if name in layers:
                found[name] = x
        return [found[layer] for layer in layers]

    def reached(self, mask: Tensor, layers: Sequence[str]) -> list[Tensor]:
        """Which features at these layers see a pixel where the mask is 1: ``(B, 1, H, W)`` to ``(B, 1, h, w)``, 0 or 1.

        The others are the same whatever is there, to the bit.
        """
        found = {}
        for name, layer in zip(self.names, self.features, strict=False):
            if isinstance(layer, nn.Conv2d):
                mask = F.max_pool2d(mask, layer.kernel_size, layer.stride, layer.padding)  # type: ignore[arg-type]
            elif isinstance(layer, Fire):
                mask = F.max_pool2d(mask, 3, 1, 1)
            else:
                mask = layer(mask)
            found[name] = mask
        return [found[layer] for layer in layers]


class HoldsBackbone(nn.Module):
    """A module with a backbone that is none of its submodules: moved with it, but not saved, trained or counted."""

    backbone: Backbone

    def hold(self, backbone: Backbone) -> None:
        """Keep it in `backbone`."""
        object.__setattr__(self, "backbone", backbone)  # past nn.Module, which would make it a submodule

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "HoldsBackbone":
        """What `to`, `cuda`, `cpu` and `float` go through."""
        self.backbone._apply(fn, recurse)
        return super()._apply(fn, recurse)


_shared: "weakref.WeakValueDictionary[tuple[str, str | None, str], Backbone]" = weakref.WeakValueDictionary()


def shared(network: str, weights: str | None, convention: str, layers: Collection[str], key: str) -> Backbone:
    """The one `Backbone` of these settings in this process, with at least these layers.

    Nothing about it changes in use, so all losses may have the same; it goes when the last of them does.
    """
    settings = (network, weights, convention)
    if (backbone := _shared.get(settings)) is None:
        backbone = _shared[settings] = Backbone(network, weights, convention, key)
    log.info("%s: %s with %s, in the convention %s", key, network, backbone.file or "random weights", convention)
    backbone.require(layers, key)
    return backbone


def preferred(
    network: str, weights: str | None, convention: str, wishes: Sequence[Sequence[Sequence[str]]], key: str
) -> tuple[Backbone, Sequence[Sequence[str]]]:
    """The shared `Backbone` of these settings, and the first of several wishes that its file has weights for.

    Args:
        network: as of `Backbone`; so are `weights`, `convention` and `key`.
        weights: likewise.
        convention: likewise.
        wishes: each some lists of layers, the best wish first; those that name layers of other networks are passed
            over.
        key: likewise.

    Raises:
        Refused: as `Backbone` and `Backbone.require` of the last wish, which is taken where there is no better one.
    """
    choice(f"{key}.backbone", network, FILES)
    with torch.device("meta"):
        names = {name for name, _ in layers_of(network)}
    possible = [wish for wish in wishes if {*chain(*wish)} <= names] or [wishes[-1]]
    backbone = shared(network, weights, convention, [*chain(*possible[-1])], key)
    wish = next(wish for wish in possible if wish is possible[-1] or backbone.has([*chain(*wish)]))
    backbone.require([*chain(*wish)], key)
    return backbone, wish


# ---- where weights come from ----------------------------------------------------------------------------------------


def _find(network: str, weights: str | None, key: str) -> Path:
    """The file of the weights, downloaded where nothing else is left; torchvision's, or a file that the user names."""
    if weights is not None:
        if not Path(weights).is_file():
            raise Refused(f"{key}.weights: there is no file {weights}")
        if _digest(Path(weights)) != DIGESTS[network]:
            log.warning("%s.weights: %s is not torchvision's %s, and taken as it is", key, weights, FILES[network])
        return Path(weights)
    has_setting = key not in ("lpips", "features")  # figures have none: theirs are torchvision's
    file = in_cache(network)
    folder = file.parent
    if file.is_file():
        if (found := _digest(file)) != DIGESTS[network]:
            raise Refused(
                f"{key}.weights: {file} is damaged or another file, its sha256 is {found} and not {DIGESTS[network]}; "
                "delete it, to have it downloaded again"
                + (f", or name the file that you mean ({key}.weights=FILE)" if has_setting else "")
            )
    else:
        try:
            log.info("downloading %s%s to %s", ADDRESS, file.name, folder)
            folder.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(ADDRESS + file.name, str(file), DIGESTS[network], progress=False)
        except (OSError, RuntimeError) as error:
            raise Refused(
                f"{key}.weights: put torchvision's {file.name} into {folder}"
                + (f", or give a file ({key}.weights=FILE), or {key}.weights=random" if has_setting else "")
                + f"; {ADDRESS}{file.name} could not be fetched ({error})"
            ) from None
    return file


def in_cache(network: str) -> Path:
    """Where torchvision's file is, or would be, in torch's hub cache."""
    return Path(torch.hub.get_dir()) / "checkpoints" / FILES[network]


def _digest(file: Path) -> str:
    """The sha256 of a file's contents; read once in a process, as half a gigabyte takes a second."""
    return _digest_of(file.resolve(), file.stat().st_mtime_ns)


@cache
def _digest_of(file: Path, modified: int) -> str:
    return sha256(file)


def _read(file: Path, network: nn.Sequential, name: str, key: str) -> dict[str, Tensor]:
    """Those weights of `network` that the file has, by their keys there.

    In a checkpoint of this project they are the part of the generator's moving average, under whatever name, whose
    layers stand at the places and have the shapes of `network`.
    """
    try:
        if zipfile.is_zipfile(file):  # torchvision's are of torch's older format
            tensors.measure(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or not isinstance(state.get("state_dict", {}), dict):
            raise ValueError("it holds no tensors by their names")
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise Refused(f"{key}.weights: {file} is not a file of weights ({reason[:120]})") from None
    wanted = network.state_dict()
    if "state_dict" not in state:
        found = {k: state[f"features.{k}"] for k in wanted if f"features.{k}" in state}
        if wrong := [k for k, value in found.items() if value.shape != wanted[k].shape]:
            shapes = f"{tuple(found[wrong[0]].shape)}, not {tuple(wanted[wrong[0]].shape)}"
            raise Refused(f"{key}.weights: {file} is not of {name}: its features.{wrong[0]} is {shapes}")
        return found
    state = state["state_dict"]
    for first in state:
        if first.startswith("ema.network.") and first.endswith(".0.weight"):
            part = first.removesuffix("0.weight")
            if all(part + k in state and state[part + k].shape == value.shape for k, value in wanted.items()):
                log.info("%s: self-trained, %s of %s", key, part.removesuffix("."), file)
                return {k: state[part + k] for k in wanted}
    raise Refused(f"{key}.weights: no part of the generator in {file} has the layers of {name} as far as needed")


def _random(network: nn.Sequential) -> dict[str, Tensor]:
    """Weights of variance 2 / inputs (He et al. 2015) and no biases, the same in every run."""
    state = {}
    for name, value in network.state_dict().items():
        if name.endswith("weight"):
            deviation = math.sqrt(2 / value[0].numel())
            state[name] = deviation * rng.normal(torch.tensor([rng.key("backbone", name)]), value.numel()).view(
                value.shape
            )
        else:
            state[name] = torch.zeros(value.shape)
    return state
