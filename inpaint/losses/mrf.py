"""A loss on patches of features, each compared with the true patch that is most like it."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint.losses.perceptual import Painted, _Featurewise
from inpaint.losses.term import Weight
from inpaint.settings import Refused, choice

EPSILON = 1e-5  # keeps relative similarities finite (Wang et al. 2018)


class MRF(_Featurewise):
    """Markov random field loss: the painted features are to be made of patches that the true ones have.

    Patches of ``patch x patch`` features are compared by their normalised cross-correlation, the cosine of the angle
    between them. What is done with it is the `variant`:

    * `cnnmrf` (Li and Wand 2016, equation 2): each painted patch and the most similar patch of the truth, their squared
      distance, mean over the painted patches (the paper's sum depends on the size). relu3_1 and relu4_1, stride 1.
    * `neural_patch` (Yang et al. 2017, section 3.4): the same, for patches that touch the hole against those that do
      not, so the texture of the hole is taken from its surroundings. relu4_1 (relu3_1 too in the paper), stride 2,
      weight 1e-4, for VGG19 in the Caffe convention. The authors fill the hole before they take features of the
      surroundings; here a training loss sees the truth anyway. 0 where no patch is free of the hole.
    * `id_mrf` (GMCNN, Wang et al. 2018, section 3.2): similarities relative to the best of the other true patches,
      ``exp(similarity / (best + 1e-5) / bandwidth)``, divided by their sum over the true patches; the loss is minus
      the log of the mean over the true patches of the best painted one, so that each is used somewhere. relu3_2 and,
      twice, relu4_2; weight 0.05. Departure: the sum holds the patch itself, which bounds the loss below by 0.

    Scores are in float32; memory grows with the square of the number of patches of a layer.

    Args:
        weight: factor in the generator's total loss.
        variant: see above.
        backbone, weights, convention, layers, layer_weights, of: see `losses.perceptual`.
        patch: side of the patches in features; stride: steps between them.
        bandwidth: of `id_mrf`; smaller makes the best patch count more.

    Raises:
        Refused: a choice that does not exist, or weights that are nowhere to be found; at the first batch, features
            smaller than a patch.
    """

    def __init__(
        self,
        weight: Weight = 0.05,
        variant: Literal["cnnmrf", "neural_patch", "id_mrf"] = "id_mrf",
        backbone: str = "vgg19",
        weights: str | None = None,
        convention: str = "torchvision",
        layers: Sequence[str] = ("relu3_2", "relu4_2"),
        layer_weights: Sequence[float] | None = (1.0, 2.0),
        patch: int = 3,
        stride: int = 1,
        bandwidth: float = 0.5,
        of: Painted = "output",
    ) -> None:
        super().__init__("mrf", weight, backbone, weights, convention, layers, layer_weights, of)
        self.variant = choice("losses.mrf.variant", variant, ("cnnmrf", "neural_patch", "id_mrf"))
        for name, value in (("patch", patch), ("stride", stride), ("bandwidth", bandwidth)):
            if value <= 0:
                raise Refused(f"losses.mrf.{name}: {value} is not positive")
        self.patch, self.stride, self.bandwidth = patch, stride, bandwidth

    def compare(self, painted: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """The loss of one layer."""
        if min(truth.shape[-2:]) < self.patch:
            raise Refused(
                f"losses.mrf.patch: {self.patch} x {self.patch} features, but a layer has {tuple(truth.shape[-2:])}; "
                "take an earlier one or larger pictures"
            )
        mine, theirs = self._patches(painted), self._patches(truth)
        if self.variant == "id_mrf":
            return self._diverse(mine, theirs)
        if self.variant == "cnnmrf":
            everything = torch.ones(theirs.shape[0], theirs.shape[2], device=theirs.device)
            return _to_nearest(mine, theirs, everything, everything)
        hole = self._patches(F.adaptive_max_pool2d(mask, truth.shape[-2:])).amax(dim=1)
        return _to_nearest(mine, theirs, hole, 1 - hole)

    def _patches(self, features: Tensor) -> Tensor:
        """``(B, C, h, w)`` to ``(B, C * patch^2, N)``."""
        return F.unfold(features, self.patch, stride=self.stride)

    def _diverse(self, mine: Tensor, theirs: Tensor) -> Tensor:
        """ID-MRF of patches ``(B, D, N)``."""
        similarity = _cosine(mine, theirs)
        best = similarity.topk(min(2, similarity.shape[2]), dim=2)
        places = torch.arange(similarity.shape[2], device=similarity.device)
        best_other = torch.where(places == best.indices[..., :1], best.values[..., -1:], best.values[..., :1])
        relative = (similarity / (best_other + EPSILON) / self.bandwidth).softmax(dim=2)
        return -relative.amax(dim=1).mean(dim=1).log().mean()


def _cosine(mine: Tensor, theirs: Tensor) -> Tensor:
    """Similarities ``(B, N, M)`` of patches ``(B, D, N)`` and ``(B, D, M)``."""
    return F.normalize(mine, dim=1).transpose(1, 2) @ F.normalize(theirs, dim=1)


def _to_nearest(mine: Tensor, theirs: Tensor, asking: Tensor, usable: Tensor) -> Tensor:
    """Squared distance of each asking patch to the usable one that is most like it, mean over those that find one.

    Patches ``(B, D, N)``, asking and usable ``(B, N)``, 0 or 1.
    """
    with torch.no_grad():
        similarity = _cosine(mine, theirs).masked_fill(usable[:, None] < 0.5, -torch.inf)
        nearest = similarity.argmax(dim=2)
    matched = theirs.take_along_dim(nearest[:, None], dim=2)
    counts = asking * usable.amax(dim=1, keepdim=True)
    distance = (mine - matched).square().sum(dim=1)
    return (distance * counts).sum() / counts.sum().clamp_min(1)


def nearest(patches: Tensor, references: Tensor, most: int = 1 << 24) -> Tensor:
    """For each patch ``(D, N)`` the number of the reference ``(D, M)`` most like it by its cosine: int64 ``(N,)``.

    At most so many similarities are in memory at once.
    """
    unit = F.normalize(references, dim=0)
    block = max(1, most // references.shape[1])
    return torch.cat([(part.T @ unit).argmax(dim=1) for part in F.normalize(patches, dim=0).split(block, dim=1)])


class Matched(NamedTuple):
    """What features are to become so that their patches are the references that were chosen for them.

    The sum over all patches of ``|patch - reference|^2`` is, place by place, the number of patches that cover it times
    the squared distance to the mean of what they want there, and a constant; so patches are cut out once.

    covered: how many patches want something of a place, ``(1, 1, h, w)``.
    mean: of what they want, ``(1, C, h, w)``; 0 where nothing is wanted.
    constant: how far what they want is from that.
    unit: by what the sum is divided.
    """

    covered: Tensor
    mean: Tensor
    constant: Tensor
    unit: Tensor

    def energy(self, features: Tensor) -> Tensor:
        """Mean squared distance of the patches to their references, as a share of the references' mean square."""
        return ((self.covered * (features - self.mean).square()).sum() + self.constant) / self.unit


def matched(references: Tensor, chosen: Tensor, size: tuple[int, int], patch: int) -> Matched:
    """What features ``(1, C, h, w)`` are to become.

    Args:
        references: patches, ``(C * patch^2, M)``.
        chosen: the reference of each patch of the features at stride 1, int64 ``(N,)``; -1 for those that want none.
        size: h and w.
        patch: side of the patches.
    """
    asking = chosen >= 0
    taken = references[:, chosen[asking]]
    wanted = references.new_zeros(len(references), len(chosen))
    wanted[:, asking] = taken
    covered = asking.to(references.dtype).expand(patch**2, -1)
    total, count = F.fold(wanted[None], size, patch), F.fold(covered[None], size, patch)
    mean = total / count.clamp_min(1)
    constant = (taken.square().sum() - (count * mean.square()).sum()).clamp_min(0)
    unit = references.square().sum(dim=0).mean().clamp_min(1e-12) * max(1, int(asking.sum()))
    return Matched(count, mean, constant, unit)
