"""The words of the project as types: what a batch holds and what a generator returns.

An *image* is float32 ``(B, 3, H, W)`` in [-1, 1]; pixels become 8-bit RGB only at the edges (`to_uint8`, `from_uint8`).
A *mask* is float32 ``(B, 1, H, W)``, exactly 0 or 1, and **1 is the hole**, the part that is to be painted.
"""

import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import torch
from torch import Tensor

from inpaint import rng

MAGENTA = (255.0, 0.0, 255.0)
# Of a batch, what a network may name in `needs`; the truth is none. `words` are those of its captions.
CONDITIONS = ("latent", "label", "caption", "words", "embedding", "frames")
SAID = ("label", "caption", "words", "embedding")  # of them, what is said of a picture
WORD = re.compile(r"\w+")


class Batch(TypedDict):
    """What every training, validation and prediction step receives.

    image: the truth, float32 ``(B, 3, H, W)`` in [-1, 1].
    mask: float32 ``(B, 1, H, W)``, exactly 0 or 1, 1 = hole.
    index: int64 ``(B,)``, the row of each sample in its data set.
    given: what the network sees where the truth is degraded, float32 ``(B, 3, H / scale, W / scale)``; elsewhere that
        is the truth without its holes (`given`).
    label: int64 ``(B,)``, the number of each picture's class, where the data set has classes.
    caption: a text for each picture, where the data set has texts.
    embedding: what some other network makes of each picture's text, sound or anything, float32 ``(B, E)``, where the
        data set has such.
    latent: the noise to paint from, float32 ``(B, L)``, standard normal; where it is not given, a network that paints
        from noise draws its own.
    frames: how many pictures in a row are the frames of one clip, in their order; where it is not given, each picture
        stands alone. The frames of a clip have numbers of their own, `index`, one after another.
    """

    image: Tensor
    mask: Tensor
    index: Tensor
    given: NotRequired[Tensor]
    label: NotRequired[Tensor]
    caption: NotRequired[list[str]]
    embedding: NotRequired[Tensor]
    latent: NotRequired[Tensor]
    frames: NotRequired[int]


def split(batch: Batch, parts: int) -> list[Batch]:
    """A batch in so many parts, or in fewer where it has fewer samples; clips stay whole."""
    frames = batch.get("frames", 1)
    size = -(-len(batch["index"]) // (frames * parts)) * frames
    places = [slice(first, first + size) for first in range(0, len(batch["index"]), size)]
    whole = {"frames": frames} if "frames" in batch else {}
    apart = {name: value for name, value in batch.items() if name not in whole}
    return [Batch(**{name: value[place] for name, value in apart.items()}, **whole) for place in places]  # type: ignore


@dataclass(frozen=True)
class Verdict:
    """What a discriminator says of a batch of pictures.

    logits: one map for each scale or part that it looks at, ``(B, C, h, w)``, C mostly 1; higher = more real.
    features: the activations that led to each map, from the input on, for feature matching.
    """

    logits: tuple[Tensor, ...]
    features: tuple[tuple[Tensor, ...], ...] = ()

    def scores(self) -> Tensor:
        """One number for each picture, the mean over all of its maps' logits: float32 ``(B,)``."""
        return torch.stack([logits.float().flatten(1).mean(1) for logits in self.logits]).mean(0)

    def halves(self) -> tuple["Verdict", "Verdict"]:
        """The verdicts on the first and on the second half of the batch, as real and fake are judged together."""
        first, second = zip(*(logits.chunk(2) for logits in self.logits), strict=True)
        pairs = [[layer.chunk(2) for layer in scale] for scale in self.features]
        features = [tuple(tuple(pair[half] for pair in scale) for scale in pairs) for half in (0, 1)]
        return Verdict(first, features[0]), Verdict(second, features[1])


@dataclass(frozen=True)
class Posterior:
    """Which noise a network would paint the truth from: a normal distribution for each number, ``(B, L)``, float32.

    log_scale: the logarithm of how far the truth is from what is painted, a scalar that the network learns.
    """

    mean: Tensor
    log_variance: Tensor
    log_scale: Tensor

    def divergences(self) -> Tensor:
        """Kullback-Leibler divergence of each number from the standard normal distribution, in nats: ``(B, L)``."""
        return (self.mean.square() + self.log_variance.exp() - 1 - self.log_variance) / 2

    def figures(self) -> dict[str, Tensor]:
        """Nats a picture, and how many numbers say anything: their means vary by more than 0.01 over these pictures.

        Of a batch in parts, and of ranks, training averages both, so `active_units` is the mean of the parts' counts.
        """
        active = self.mean.var(dim=0, correction=0) > 0.01
        return {"nats": self.divergences().sum(dim=1).mean().detach(), "active_units": active.sum().float()}


@dataclass(frozen=True)
class Outputs:
    """What a generator made of a batch; pictures are ``(B, 3, H, W)``.

    output: what it painted, over the whole picture.
    composite: the output inside the hole, the given picture outside it, bit for bit.
    coarse: what the first of two stages painted, where a generator has two.
    posterior: which noise makes the truth, where a network that paints from noise has seen it in training.
    real, fake: what the discriminator says of the truth and of what was painted; filled in for the losses.
    """

    output: Tensor
    composite: Tensor
    coarse: Tensor | None = None
    real: Verdict | None = None
    fake: Verdict | None = None
    posterior: Posterior | None = None


def compose(
    output: Tensor,
    image: Tensor,
    mask: Tensor,
    coarse: Tensor | None = None,
    posterior: Posterior | None = None,
) -> Outputs:
    """Paste `output`, in the precision of `image`, into the hole of `image`.

    Where the `image` was given with fewer pixels, all of it is to be restored, and the composite is the output.

    A selection rather than ``mask * output + (1 - mask) * image``: it is exact in every precision, and an infinite or
    NaN output inside the hole cannot leak into the known pixels.
    """
    if image.shape[2:] != mask.shape[2:]:
        return Outputs(output=output, composite=output.to(image.dtype), coarse=coarse, posterior=posterior)
    composite = torch.where(mask > 0.5, output.to(image.dtype), image)
    return Outputs(output=output, composite=composite, coarse=coarse, posterior=posterior)


def given(batch: Batch) -> Tensor:
    """What a network gets to see of the pictures: the truth with its holes emptied, 0, ``(B, 3, H, W)`` in [-1, 1].

    Of a batch that is degraded it is what that came to, which may have fewer pixels and leave [-1, 1].
    """
    if "given" in batch:
        return batch["given"]
    return emptied(batch["image"], batch["mask"])


def emptied(image: Tensor, mask: Tensor) -> Tensor:
    """Pictures ``(B, 3, H, W)`` with 0 in the holes of the mask ``(B, 1, H, W)``."""
    return image * (1 - mask)


def is_blank(batch: Batch) -> bool:
    """Whether nothing is known of any picture, so that repairing them is making them."""
    return "given" not in batch and bool((batch["mask"] > 0.5).all())


def scale(batch: Batch) -> int:
    """How many times more pixels a side of the truth has than what is given of it."""
    return batch["image"].shape[2] // batch.get("given", batch["image"]).shape[2]


def paint(network: Callable[..., Outputs], batch: Batch) -> Outputs:
    """Let a network fill the holes of a batch, in validation and in each command.

    Here and in `teach` a network meets a batch, and nowhere else, so that the truth cannot leak in.

    Args:
        network: a generator or a fill, ``(image, mask) -> Outputs``, which may name in `needs` what it takes besides.
        batch: the truth and its holes.
    """
    return network(given(batch), batch["mask"], **conditions(network, batch))


def teach(network: Callable[..., Outputs], batch: Batch) -> Outputs:
    """`paint` in training, where a network that names ``truth`` in `needs` sees that as well.

    An autoencoder needs it to say which noise makes the truth. What it learns by it is measured by `paint`, without.
    """
    truth = {"truth": batch["image"]} if "truth" in getattr(network, "needs", ()) else {}
    return network(given(batch), batch["mask"], **conditions(network, batch), **truth)


def said_to(discriminator: object, batch: Batch) -> dict[str, Any]:
    """What a discriminator names in `needs`, as far as the batch has it; ``given`` is the picture that a network sees.

    It is called with ``(picture, mask)`` and this.
    """
    seen = {"given": given(batch)} if "given" in getattr(discriminator, "needs", ()) else {}
    return conditions(discriminator, batch) | seen


def twice(said: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of a batch, for two of them in one."""
    joined = {name: torch.cat([value, value]) for name, value in said.items() if isinstance(value, Tensor)}
    return {**said, **joined, **{name: value + value for name, value in said.items() if isinstance(value, list)}}


def conditions(network: object, batch: Batch) -> dict[str, Any]:
    """What a network names in `needs`, as far as the batch has it."""
    needs = getattr(network, "needs", ())
    found = {name: batch[name] for name in CONDITIONS if name in needs and name in batch}  # type: ignore[literal-required]
    if "words" in needs and "caption" in batch:
        found["words"] = words(batch["caption"]).to(batch["mask"].device)
    return found


def words(captions: Sequence[str]) -> Tensor:
    """The words of texts as numbers, int64 ``(B, L)``: the CRC-32 of each in lower case, 0 behind the last.

    L is a multiple of 8, so that compiled networks meet few lengths.
    """
    rows = [[zlib.crc32(word.encode()) or 1 for word in WORD.findall(caption.casefold())] for caption in captions]
    length = max(8, -(-max(map(len, rows), default=0) // 8) * 8)
    return torch.tensor([row + [0] * (length - len(row)) for row in rows], dtype=torch.int64)


def mismatched(said: Mapping[str, Any]) -> tuple[dict[str, Any], Tensor]:
    """What is said of pictures, `conditions`, as if it were said of others: right pictures, wrong texts.

    Each picture has what is said of the next one in the batch of which something else is said; where there is none, its
    own. Returns that, and whether anything differs at all, bool ``()``, without waiting for a GPU.
    """
    told = {name: value for name, value in said.items() if name in SAID}
    rows = [words(value) if isinstance(value, list) else value for value in told.values()]
    several = torch.stack([(row[:, None] != row[None]).flatten(2).any(dim=2) for row in map(_column, rows)]).any(dim=0)
    each = torch.arange(len(several), device=several.device)
    turns = (each[:, None] + each) % len(several)  # the batch, from each picture on
    other = turns[each, several.gather(1, turns).int().argmax(dim=1)]
    wrong = {
        name: [value[row] for row in other.tolist()] if isinstance(value, list) else value[other]
        for name, value in told.items()
    }
    return {**said, **wrong}, several.any()


def _column(row: Tensor) -> Tensor:
    return row if row.dim() > 1 else row[:, None]


def noise_of(network: object) -> int | None:
    """How many numbers of noise a network paints from; None where it takes none."""
    return int(network.latent) if "latent" in getattr(network, "needs", ()) else None  # type: ignore[attr-defined]


def with_noise(network: object, batch: Batch, keys: Tensor) -> Batch:
    """The batch with noise of these keys, int64 ``(B,)``, for a network that paints from some; or the batch itself."""
    if (length := noise_of(network)) is None:
        return batch
    return Batch(**{**batch, "latent": rng.normal(rng.fold(keys, "latent"), length)})


def finite(pictures: Tensor) -> Tensor:
    """Whether all of a picture's pixels are numbers, neither NaN nor infinite: ``(B, ...)`` to bool ``(B,)``."""
    return pictures.isfinite().flatten(1).all(dim=1)


def to_uint8(image: Tensor) -> Tensor:
    """[-1, 1] floats to 0..255 bytes, clamped and rounded (truncation would darken every picture by half a level).

    NaN and infinities are no colours, and a cast would make black of them, or what the processor likes. Whoever looks
    at ``(..., 3, H, W)`` sees such pixels in magenta, and elsewhere such values are 255; what measures or writes asks
    `finite`.
    """
    levels = image.float().add(1).mul(127.5).round().clamp(0, 255)
    numbers, mark = image.isfinite(), levels.new_tensor(255.0)
    if image.dim() > 2 and image.shape[-3] == 3:
        numbers, mark = numbers.all(dim=-3, keepdim=True), levels.new_tensor(MAGENTA).view(3, 1, 1)
    return torch.where(numbers, levels, mark).to(torch.uint8)


def stored(image: Tensor) -> Tensor:
    """What [-1, 1] floats are once they have been stored in 8 bits, float32; NaN where they are not finite."""
    return torch.where(image.isfinite(), from_uint8(to_uint8(image)), torch.nan)


def from_uint8(image: Tensor) -> Tensor:
    """0..255 bytes to float32 in [-1, 1]; `to_uint8` gives every byte back."""
    return image.to(torch.float32).div(127.5).sub(1)
