"""What a release of weights is, and how its tensors are found among those of a file."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from inpaint.files.foreign import Weight
from inpaint.settings import Refused, listed

Shapes = dict[str, tuple[int, ...]]  # of tensors by their names in a release
Layers = dict[str, str]  # our names to theirs

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
        try:
            self.settings = release.settings(_shapes(weights, prefixes[0]))
        except (IndexError, KeyError):  # a tensor without dimensions where a layer's should be, or none
            raise Refused(f"weights: they look like {release.title}, but its layers have other shapes") from None
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
        if network is None or part is None or (prefix := find_part(part, self.weights)) is None:
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


def find_part(part: Part, weights: Mapping[str, Weight]) -> str | None:
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
