"""Neural patch synthesis: a hole is given the texture of what is around it, by optimisation of its pixels."""

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaint.batch import compose
from inpaint.losses.mrf import Matched, matched, nearest
from inpaint.networks.backbones import preferred
from inpaint.optimise import optimise
from inpaint.predict.refine import AS_PAINTED, Refinement, mean_over
from inpaint.settings import Refused, choice, whole

# The published ones, and those that are taken where the file ends before these: of the texture, of the content.
LAYERS = ((["relu4_1"], ["relu4_2"]), (["relu2_1", "relu3_1"], ["relu3_3"]))


class Texture(Refinement):
    """Neural patch synthesis (Yang et al. 2017): the hole is given the texture of what is around it.

    The generator's composite is the content. From the smallest of three scales on, the pixels of the hole are changed
    by L-BFGS so that an energy falls: the distance of each patch of features that touches the hole to the reference
    patch most like it, the distance of deeper features to those of the content, and the total variation. The
    references are those of the picture whose features see no pixel of the hole; which one is most like it is decided
    once a scale, as the authors do.

    Published are VGG19 in the Caffe convention, relu4_1 for the texture (the authors left relu3_1 out for speed) and
    relu4_2 for the content. Where the file ends before these, they are relu2_1 and relu3_1, and relu3_3. Departures:
    both distances are divided by the mean square of what they compare with, so that the weights mean the same for any
    network, even a random one (a content of 0.2 keeps the blur of a blurred fill, 0.02 does not); the content has the
    generator's resolution; the hole is not filled from its surroundings for the references, as patches that would see
    it are left out; references are turned and enlarged only where that is asked for.

    Args:
        backbone: `vgg16` or `vgg19`.
        weights: a file; null is torchvision's, from its cache or downloaded; or `random`; see `networks.backbones`.
        convention: how the network sees a picture: `torchvision` (its own file), `caffe`, `signed` or `unit`.
        texture_layers, content_layers: which features; null are the published ones or, where the file has them not,
            the others above.
        texture, content, smoothness: what the three count.
        scales: at most, each half of the next; fewer where the shorter side would have less than `smallest` pixels.
        steps: of L-BFGS at each scale.
        stride: between reference patches of 3 x 3 features.
        turns: degrees by which the references are turned besides; zooms: likewise factors by which they are enlarged.
        smallest: see `scales`.

    Raises:
        Refused: a choice that does not exist, a number out of its range, or weights that are nowhere to be found.
    """

    patch = 3

    def __init__(
        self,
        backbone: str = "vgg19",
        weights: str | None = None,
        convention: str = "torchvision",
        texture_layers: Sequence[str] | None = None,
        content_layers: Sequence[str] | None = None,
        texture: float = 1.0,
        content: float = 0.02,
        smoothness: float = 0.1,
        scales: int = 3,
        steps: int = 100,
        stride: int = 2,
        turns: Sequence[float] = (),
        zooms: Sequence[float] = (),
        smallest: int = 64,
    ) -> None:
        super().__init__()
        choice("refine.backbone", backbone, ("vgg16", "vgg19"))
        for name, value in (("scales", scales), ("steps", steps), ("stride", stride), ("smallest", smallest)):
            whole(f"refine.{name}", value, 1)
        for name, number in (("texture", texture), ("content", content), ("smoothness", smoothness)):
            if number < 0:
                raise Refused(f"refine.{name}: {number} is negative")
        if any(zoom <= 0 for zoom in zooms):
            raise Refused(f"refine.zooms: {list(zooms)}; factors are positive")
        self.weights = {"texture": texture, "content": content, "smoothness": smoothness}
        self.scales, self.steps, self.stride, self.smallest = scales, steps, stride, smallest
        self.copies = [(0.0, 1.0), *((turn, 1.0) for turn in turns), *((0.0, zoom) for zoom in zooms)]
        wishes = [(list(texture_layers or first), list(content_layers or second)) for first, second in LAYERS]
        self.backbone, layers = preferred(backbone, weights, convention, wishes, "refine")
        self.texture_layers, self.content_layers = layers
        self.convention = convention

    @property
    def about(self) -> str:
        """Which network's features are compared."""
        source = self.backbone.file or "random weights"
        return (
            f"texture: patches of {', '.join(self.texture_layers)} and content of {', '.join(self.content_layers)}, "
            f"{self.backbone.network} with {source} ({self.convention})"
        )

    def check(self, generator: nn.Module, largest: int | None) -> None:
        """Any generator will do."""

    def refine(self, generator: nn.Module, image: Tensor, mask: Tensor, output: Tensor) -> tuple[Tensor, str]:
        """As of `Refinement`."""
        self.backbone.to(image.device)
        content = compose(output.float(), image, mask).composite.clamp(-1, 1)
        if mask.sum() == 0:
            return output, f"{AS_PAINTED}: no hole"
        picture: Tensor | None = None
        refined = 0
        for known, hole, start in self._levels(image, mask, content):
            if picture is not None:
                larger = F.interpolate(picture, hole.shape[-2:], mode="bicubic", align_corners=False).clamp(-1, 1)
                picture = torch.where(hole > 0.5, larger, known)
            else:
                picture = start
            references = self.references(known, hole)
            if not references:
                picture = start if refined == 0 else picture
                continue
            refined += 1
            picture, stopped = self._scale(picture, hole, start, references)
            if stopped:
                break
        assert picture is not None
        if not refined:
            return output, f"{AS_PAINTED}: no patch of its surroundings is free of the hole"
        if picture.shape != image.shape:
            picture = F.interpolate(picture, image.shape[-2:], mode="bicubic", align_corners=False)
        return picture.clamp(-1, 1), "stopped" if stopped else f"{refined} scale" + "s" * (refined > 1)

    @torch.no_grad()
    def references(self, image: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Patches of features that see no pixel of the hole: ``(D, M)`` of each layer that has any."""
        image = torch.where(mask > 0.5, 0, image)
        found: dict[str, list[Tensor]] = {layer: [] for layer in self.texture_layers}
        for turn, zoom in self.copies:
            picture, hole = (image, mask) if (turn, zoom) == (0.0, 1.0) else _moved(image, mask, turn, zoom)
            features = self.backbone(picture, self.texture_layers)
            reached = self.backbone.reached(hole, self.texture_layers)
            for layer, values, touched in zip(self.texture_layers, features, reached, strict=True):
                if min(values.shape[-2:]) >= self.patch:
                    usable = F.unfold(touched, self.patch, stride=self.stride)[0].amax(dim=0) < 0.5
                    found[layer].append(F.unfold(values, self.patch, stride=self.stride)[0][:, usable])
        joined = {layer: torch.cat(patches, dim=1) for layer, patches in found.items() if patches}
        return {layer: patches for layer, patches in joined.items() if patches.shape[1] > 0}

    def _scale(
        self, picture: Tensor, hole: Tensor, content: Tensor, references: Mapping[str, Tensor]
    ) -> tuple[Tensor, bool]:
        """One scale: the picture with the hole's pixels changed, and whether that was stopped."""
        layers = list(references)
        pixels = picture.clone().requires_grad_()
        count = hole.sum()
        with torch.no_grad():
            features = self.backbone(picture, layers)
            targets = [
                self._target(values, hole, references[layer]) for layer, values in zip(layers, features, strict=True)
            ]
            kept = self.backbone(content, self.content_layers)
            cells = [F.adaptive_max_pool2d(hole, values.shape[-2:]) for values in kept]
            units = [values.square().mean().clamp_min(1e-12) for values in kept]

        def energy() -> Tensor:
            now = torch.where(hole > 0.5, pixels, picture)
            found = self.backbone(now, [*layers, *self.content_layers])
            total = (
                self.weights["texture"]
                * torch.stack([target.energy(values) for target, values in zip(targets, found, strict=False)]).sum()
            )
            for values, wanted, where, unit in zip(found[len(layers) :], kept, cells, units, strict=True):
                total = total + self.weights["content"] * mean_over(where, (values - wanted).square()) / unit
            total = total + self.weights["smoothness"] * _variation(now, hole)
            return total * count

        label = f"texture {hole.shape[-1]} x {hole.shape[-2]}"
        course = optimise([pixels], energy, self.steps, method="lbfgs", label=label)
        return torch.where(hole > 0.5, pixels.detach().clamp(-1, 1), picture), course.stopped

    def _target(self, features: Tensor, hole: Tensor, references: Tensor) -> Matched:
        """What a layer is to become: each patch that touches the hole, its nearest reference."""
        size = (features.shape[2], features.shape[3])
        patches = F.unfold(features, self.patch)[0]
        asking = F.unfold(F.adaptive_max_pool2d(hole, size), self.patch)[0].amax(dim=0) > 0.5
        chosen = asking.long() - 1
        chosen[asking] = nearest(patches[:, asking], references)
        return matched(references, chosen, size, self.patch)

    def _levels(self, image: Tensor, mask: Tensor, content: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Known picture, hole and content at each scale, the smallest first.

        A pixel is the average of the known ones that it stands for, and hole where it stands for any of the hole.
        """
        height, width = image.shape[-2:]
        count = min(self.scales, 1 + max(0, int(math.log2(max(1, min(height, width)) / self.smallest))))
        for halvings in reversed(range(count)):
            size = (height >> halvings, width >> halvings)
            if halvings == 0:
                yield image, mask, content
                continue
            share = F.interpolate(1 - mask, size, mode="area")
            known = F.interpolate(torch.where(mask > 0.5, 0, image), size, mode="area") / share.clamp_min(1e-6)
            hole = (share < 1 - 1e-4).float()
            smaller = F.interpolate(content, size, mode="area")
            yield known, hole, torch.where(hole > 0.5, smaller, known)


def _moved(image: Tensor, mask: Tensor, turn: float, zoom: float) -> tuple[Tensor, Tensor]:
    """Turned by degrees and enlarged around the middle; whatever comes from the hole or from outside is hole."""
    height, width = image.shape[-2:]
    cosine, sine = math.cos(math.radians(turn)) / zoom, math.sin(math.radians(turn)) / zoom
    rows = [[cosine, -sine * height / width, 0.0], [sine * width / height, cosine, 0.0]]
    grid = F.affine_grid(torch.tensor([rows], device=image.device), list(image.shape), align_corners=False)
    picture = F.grid_sample(image, grid, align_corners=False)
    known = F.grid_sample(1 - mask, grid, align_corners=False)
    return picture, (known < 1 - 1e-4).float()


def _variation(picture: Tensor, hole: Tensor) -> Tensor:
    """Mean square of the differences of neighbours of which one is in the hole."""
    total = picture.new_zeros(())
    for axis in (-2, -1):
        length = picture.shape[axis] - 1
        first, second = (x.narrow(axis, 0, length) for x in (picture, hole))
        after, other = (x.narrow(axis, 1, length) for x in (picture, hole))
        total = total + mean_over(torch.maximum(second, other), (after - first).square())
    return total
