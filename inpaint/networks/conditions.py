"""What is said of a picture besides its pixels, as a vector, and how features listen to it."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from inpaint import rng
from inpaint.settings import Refused, whole

KINDS = ("label", "words", "embedding")
PAD = 0  # of the words of a caption, which `batch.words` writes behind the shorter ones


class Conditions(nn.Module):
    """A vector for each picture: the sum over what is said of it, 0 where nothing is.

    label: a row of a table.
    words: a row of a table for each word, by a number that the word has (its hash modulo the rows, so that there is no
        vocabulary to keep and new words are no error), read in order by a GRU (Cho et al. 2014), whose last state
        counts. It is learnt with the network, as is all here.
    embedding: a linear map of so many numbers, which some other network has made of a text, a sound or anything.

    Args:
        sizes: by kind, how many classes, rows for words, numbers of an embedding; None or none is no condition.
        width: numbers of the vector.
        group: of the network, for errors.
        dropped: share of the pictures of which nothing is said in training, so that a generator can do without. A
            sample's lot is its own (`inpaint.rng.of_samples`). A discriminator sees two batches in one, and has none.

    Raises:
        Refused: another kind, or a number that is not whole or below 1.

    Shapes: label int64 ``(B,)``; words int64 ``(B, L)``, `PAD` behind the last; embedding float32 ``(B, E)``; returns
    ``(B, width)``.
    """

    def __init__(self, sizes: Mapping[str, int] | None, width: int, group: str, dropped: float = 0.0) -> None:
        super().__init__()
        if sizes is not None and not isinstance(sizes, Mapping):
            raise Refused(f"{group}.condition: give kinds and their sizes, {{label: 10}}, or null; got {sizes}")
        sizes, self.width, self.group, self.dropped = dict(sizes or {}), width, group, dropped
        for kind, size in sizes.items():
            if kind not in KINDS:
                raise Refused(f"{group}.condition: {kind} is none of {', '.join(KINDS)}")
            whole(f"{group}.condition.{kind}", size, 1)
        self.kinds = self.needs = tuple(sizes)
        if "label" in sizes:
            self.label = nn.Embedding(sizes["label"], width)
        if "words" in sizes:
            self.word, self.reader = nn.Embedding(sizes["words"], width), nn.GRU(width, width, batch_first=True)
        if "embedding" in sizes:
            self.embedding = nn.Linear(sizes["embedding"], width, bias=False)

    def forward(self, like: Tensor, said: Mapping[str, Tensor | None]) -> Tensor:
        """The vectors of a batch ``(B, ...)``, in which `said` may have each kind."""
        total = torch.zeros(len(like), self.width, device=like.device)
        for kind in self.kinds:
            if (value := said.get(kind)) is not None:
                total = total + getattr(self, f"_of_{kind}")(value).float()
        if self.training and self.dropped:
            total = total * (rng.uniform_for(like, 1) >= self.dropped)
        return total

    def _of_label(self, label: Tensor) -> Tensor:
        classes = self.label.num_embeddings
        if not label.is_cuda and bool(((label < 0) | (label >= classes)).any()):  # a GPU would wait for this
            raise Refused(f"{self.group}.condition.label: {classes}, and a picture is of class {int(label.max())}")
        return self.label(label)

    def _of_words(self, words: Tensor) -> Tensor:
        states, _ = self.reader(self.word(words % self.word.num_embeddings))
        last = (words != PAD).sum(dim=1)
        states = torch.cat([torch.zeros_like(states[:, :1]), states], dim=1)  # of no word nothing is said
        return states[torch.arange(len(words), device=words.device), last]

    def _of_embedding(self, embedding: Tensor) -> Tensor:
        if embedding.shape[1] != self.embedding.in_features:
            raise Refused(
                f"{self.group}.condition.embedding: {self.embedding.in_features}, and the embeddings have "
                f"{embedding.shape[1]} numbers"
            )
        return self.embedding(embedding)


class FiLM(nn.Module):
    """``x * (1 + scale) + shift``, both a linear map of a condition (Perez et al. 2018), which starts at zero.

    So a fresh network paints as it does without, and one to which nothing is said always does. After a batch norm it is
    conditional batch norm (Dumoulin et al. 2017; Miyato and Koyama 2018).

    Args:
        width: numbers of the condition.
        channels: of the features.

    Shapes: x ``(B, channels, H, W)``, condition ``(B, width)``.
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 2 * channels, bias=False)
        nn.init.zeros_(self.linear.weight)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """The features, as the condition wants them."""
        scale, shift = self.linear(condition)[:, :, None, None].chunk(2, dim=1)
        return x * (1 + scale) + shift


def asked(generator: nn.Module, count: int, label: Any, caption: Any, device: str = "cpu") -> dict[str, Any]:
    """What is said of so many pictures, of all the same, as a batch has it: `label` int64 ``(count,)``, `caption`.

    Args:
        generator: to which.
        count: pictures.
        label: their class; None says nothing of it.
        caption: their text; None says none.
        device: where the classes are to be.

    Raises:
        Refused: the generator does not listen to that, or has no such class.
    """
    said: dict[str, Any] = {}
    if label is not None:
        asked_by(generator, "label", "label")
        if whole("label", label, 0) >= (classes := classes_of(generator) or label + 1):
            raise Refused(f"label: there is no class {label}; give 0 to {classes - 1}")
        said["label"] = torch.full((count,), label, device=device)
    if caption is not None:
        asked_by(generator, "caption", "caption", "words")
        said["caption"] = [str(caption)] * count
    return said


def asked_by(generator: nn.Module, setting: str, *names: str) -> None:
    """Refuse a setting that says something to which a generator does not listen.

    Raises:
        Refused: naming the setting.
    """
    if not {*names} & {*getattr(generator, "needs", ())}:
        raise Refused(f"{setting}: {type(generator).__name__} was told no {names[0]} in training; leave it out")


def classes_of(network: nn.Module) -> int:
    """How many classes a network is told of; 0 where it is told of none, or is another's and does not say."""
    layers = [layer for layer in network.modules() if isinstance(layer, Conditions) and "label" in layer.kinds]
    return layers[0].label.num_embeddings if layers else 0
