"""Losses that compare features of a network trained on another task (`networks.backbones`).

All take the same settings for what they look at, and losses with the same `backbone`, `weights` and `convention` share
one network:

* backbone: `vgg16`, `vgg19`, `alexnet` or `squeezenet1_1`.
* weights: null is torchvision's file, from torch's hub cache or downloaded; else a file, or `random`; see `Backbone`.
* convention: how the network sees a picture: `torchvision` (standardised), `caffe` (BGR, 0..255 less a mean), `signed`
  ([-1, 1]) or `unit` ([0, 1]).
* layers, layer_weights: which features, and what each layer counts; null is 1 each. The layers' losses are added.
* of: the `output`, the `composite`, or the sum of the losses of `both`.

The backbone runs in the precision of the autocast, all that follows it in float32.
"""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from inpaint.batch import Batch, Outputs, from_uint8
from inpaint.losses.term import Term, Weight
from inpaint.networks.backbones import HoldsBackbone, shared
from inpaint.pictures.reading import read_image
from inpaint.settings import Refused, choice, whole

Painted = Literal["output", "composite", "both"]
BLACK = -1.0


class _Featurewise(Term, HoldsBackbone):
    """The settings above, and a loss that is a weighted sum over layers; a subclass compares the features of one."""

    def __init__(
        self,
        key: str,
        weight: Weight,
        backbone: str,
        weights: str | None,
        convention: str,
        layers: Sequence[str],
        layer_weights: Sequence[float] | None,
        of: Painted,
    ) -> None:
        names = ("output", "composite") if of == "both" else (of,)
        super().__init__(weight, names)
        self.key = f"losses.{key}"
        choice(f"{self.key}.of", of, ("output", "composite", "both"))
        if not layers:
            raise Refused(f"{self.key}.layers: empty; name at least one")
        if layer_weights is not None and len(layer_weights) != len(layers):
            raise Refused(f"{self.key}.layer_weights: {len(layer_weights)} for {len(layers)} layers; one a layer")
        self.of, self.layers = names, tuple(layers)
        self.layer_weights = tuple(layer_weights) if layer_weights is not None else (1.0,) * len(layers)
        self.hold(shared(backbone, weights, convention, self.layers, self.key))

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Scalar float32, not yet multiplied by `weight`."""
        truth, mask = batch["image"], batch["mask"]
        pictures = [self._seen(getattr(outputs, name).to(truth.dtype), mask) for name in self.of]
        painted = self.backbone(torch.cat(pictures), self.layers)
        with torch.no_grad():
            true = self._true(truth, mask)
        total = torch.zeros((), device=truth.device)
        with torch.autocast(truth.device.type, enabled=False):
            for weight, both, theirs in zip(self.layer_weights, painted, true, strict=True):
                for mine in both.float().chunk(len(pictures)):
                    total = total + weight * self.compare(mine, theirs.float(), mask)
        return total

    def _seen(self, picture: Tensor, mask: Tensor) -> Tensor:
        """What of a picture the backbone sees."""
        return picture

    def _true(self, truth: Tensor, mask: Tensor) -> list[Tensor]:
        """The features that painted ones are compared with."""
        return self.backbone(self._seen(truth, mask), self.layers)

    @abstractmethod
    def compare(self, painted: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """The loss of one layer: features ``(B, C, h, w)``, float32, and the mask of the pictures."""


def _error(difference: Tensor, error: str) -> Tensor:
    return difference.abs().mean() if error == "l1" else difference.square().mean()


class Perceptual(_Featurewise):
    """Mean difference of features (Johnson et al. 2016; the defaults are those of Liu et al. 2018, section 3.3).

    | paper | backbone | layers | convention | weight | of |
    |---|---|---|---|---|---|
    | partial convolutions (Liu et al. 2018) | vgg16 | pool1, pool2, pool3 | torchvision | 0.05 | both |
    | AOT-GAN | vgg19 | relu1_1, relu2_1, relu3_1, relu4_1, relu5_1 | torchvision | 0.1 | output |
    | EdgeConnect | vgg19 | the same | unit | 0.1 | output |
    | pix2pixHD | vgg19 | the same, with 1/32, 1/16, 1/8, 1/4, 1 | signed | 10 | output |
    | MAT | vgg19 | conv4_4, conv5_4, with 1/4, 1/2 | torchvision | 0.1 | composite |

    The error is l1 in all. EdgeConnect's and pix2pixHD's released code shows VGG the picture in the range in which the
    generator has it, without ImageNet's statistics; the weights above were found so. Standardised pictures would make
    EdgeConnect's gradients 3 to 13 times and pix2pixHD's twice as large.

    Args:
        weight: factor in the generator's total loss.
        backbone, weights, convention, layers, layer_weights, of: see the module.
        error: `l1` or `l2`, averaged over all features of a layer.

    Raises:
        Refused: a choice that does not exist, or weights that are nowhere to be found.
    """

    def __init__(
        self,
        weight: Weight = 0.05,
        backbone: str = "vgg16",
        weights: str | None = None,
        convention: str = "torchvision",
        layers: Sequence[str] = ("pool1", "pool2", "pool3"),
        layer_weights: Sequence[float] | None = None,
        error: Literal["l1", "l2"] = "l1",
        of: Painted = "both",
    ) -> None:
        super().__init__("perceptual", weight, backbone, weights, convention, layers, layer_weights, of)
        self.error = choice("losses.perceptual.error", error, ("l1", "l2"))

    def compare(self, painted: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """Mean error of the features."""
        return _error(painted - truth, self.error)


class Style(_Featurewise):
    """Mean difference of Gram matrices (Gatys et al. 2016; the defaults are those of Liu et al. 2018, section 3.3).

    | paper | backbone | layers | convention | weight | of | region |
    |---|---|---|---|---|---|---|
    | partial convolutions (Liu et al. 2018) | vgg16 | pool1, pool2, pool3 | torchvision | 120 | both | all |
    | AOT-GAN | vgg19 | relu2_2, relu3_4, relu4_4, relu5_2 | torchvision | 250 | output | all |
    | EdgeConnect | vgg19 | the same | unit | 250 | output | hole |

    With a `picture` the matrices are compared with its own in place of the truth's: what is painted gets its style
    (Johnson et al. 2016: VGG16, relu1_2, relu2_2, relu3_3, relu4_3, `l2`, `chw`).

    The matrix is C x C, the products of all pairs of channels summed over the places, in float32. It is divided in two
    steps, by the places before the sum, so that it overflows in no precision.

    Args:
        weight: factor in the generator's total loss.
        backbone, weights, convention, layers, layer_weights, of: see the module.
        gram: what the sums are divided by: `chw` (channels and places, the three papers above), `hw` or `none`.
        error: `l1` or `l2` (Gatys et al.), averaged over the matrix.
        region: `all`, or `hole`: the backbone sees black outside the hole.
        picture: a file whose style counts; None is the truth.
        picture_size: pixels of its shorter side, to which it is shrunk; None leaves it as it is.

    Raises:
        Refused: a choice that does not exist, weights that are nowhere to be found, or a picture that cannot be read.
    """

    def __init__(
        self,
        weight: Weight = 120.0,
        backbone: str = "vgg16",
        weights: str | None = None,
        convention: str = "torchvision",
        layers: Sequence[str] = ("pool1", "pool2", "pool3"),
        layer_weights: Sequence[float] | None = None,
        gram: Literal["chw", "hw", "none"] = "chw",
        error: Literal["l1", "l2"] = "l1",
        region: Literal["all", "hole"] = "all",
        of: Painted = "both",
        picture: str | None = None,
        picture_size: int | None = None,
    ) -> None:
        super().__init__("style", weight, backbone, weights, convention, layers, layer_weights, of)
        self.gram = choice("losses.style.gram", gram, ("chw", "hw", "none"))
        self.error = choice("losses.style.error", error, ("l1", "l2"))
        self.region = choice("losses.style.region", region, ("all", "hole"))
        if picture is not None and region == "hole":
            raise Refused("losses.style.region: a picture has no hole; with losses.style.picture give region=all")
        size = None if picture_size is None else whole("losses.style.picture_size", picture_size, 32)
        self.example = None if picture is None else from_uint8(read_image(Path(picture), size))[None]
        self.of_example: list[Tensor] = []  # its features, once they are asked for

    def _seen(self, picture: Tensor, mask: Tensor) -> Tensor:
        return torch.where(mask > 0.5, picture, BLACK) if self.region == "hole" else picture

    def _true(self, truth: Tensor, mask: Tensor) -> list[Tensor]:
        if self.example is None:
            return super()._true(truth, mask)
        if not self.of_example or self.of_example[0].device != truth.device:
            self.of_example = self.backbone(self.example.to(truth.device), self.layers)
        return self.of_example

    def compare(self, painted: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """Mean error of the Gram matrices."""
        return _error(gram(painted, self.gram) - gram(truth, self.gram), self.error)


def gram(features: Tensor, divided: str = "chw") -> Tensor:
    """Products of all pairs of channels, summed over the places: ``(B, C, h, w)`` to ``(B, C, C)``.

    Args:
        features: float32.
        divided: what the sums are divided by: `chw` (channels and places), `hw` or `none`.
    """
    channels, places = features.shape[1], features.shape[2] * features.shape[3]
    flat = features.flatten(2)
    matrix = (flat / (1 if divided == "none" else places)) @ flat.transpose(1, 2)
    return matrix / channels if divided == "chw" else matrix
