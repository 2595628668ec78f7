"""What is wrong with a run: verdicts on windows of updates and on validations, and the shares that decide."""

from statistics import median
from typing import Any

import torch
from torch import Tensor

from inpaint.training.validation import Validation

# Shares and factors beyond which `CollapseWatch` speaks.
WON = 0.05  # of the discriminator's loss where it has no opinion
APART = 0.98  # pictures whose truth scores above their repair
RETURNED = 0.05  # of what separates the initial fill from the truth
LONG = 2  # windows in a row, for what may be so for a while
STILL = 0.002  # of the first validation's hole L1
LOST = 0.55  # pictures whose truth scores above their repair; 1/2 is chance
DEAD = 0.02  # differences between painted pictures, of those between the true ones
EXPLODED = 100.0  # times the median of the windows before
PENALTY = 10.0  # times the discriminator's loss where it has no opinion


class Windows:
    """What is wrong with a window of updates, beside the windows before it."""

    def __init__(self) -> None:
        self.lasting = {"told_apart": 0, "change": 0}  # windows in a row beyond `APART`, below `RETURNED`
        self.past: dict[str, list[float]] = {}  # gradients of the windows before

    def verdicts(self, means: dict[str, float], module: Any) -> dict[str, str]:
        """By their titles, from the window's means of `InpaintingGAN.figures`, of `spread`, `apart`, `change`."""
        found = {}
        self._count("told_apart", means.get("told_apart", 0.0) >= APART)
        self._count("change", means.get("change", 1.0) < RETURNED)
        blind = module.adversarial.blind if module.adversarial is not None else None
        if blind is not None and means.get("discriminator", blind) < WON * blind:
            found["the discriminator has won"] = (
                f"its loss is {means['discriminator']:.3g}, without an opinion it would be {blind:.3g}; it may have "
                f"nothing left to teach; {_calmer(module)}"
            )
        elif self.lasting["told_apart"] >= LONG:
            found["the discriminator tells practically all apart"] = (
                f"it scores the truth above its repair in {means['told_apart']:.1%} of the pictures, "
                f"{self.lasting['told_apart']} windows in a row, and a generator that cannot win gives up; "
                f"{_calmer(module)}"
            )
        if means.get("told_apart", 1.0) < LOST:
            found["the discriminator has lost"] = (
                f"it scores the truth above its repair in {means['told_apart']:.0%} of the pictures, 50 % is chance; a "
                "higher discriminator_optimizer.lr or a lower adversarial.weight may help"
            )
        if means.get("apart", 1.0) < DEAD:
            found["samples are all alike"] = (
                f"two fills of one hole by other noise differ by {means['apart']:.2%} of what true pictures do"
                + (f"; {_calmer(module)}" if module.adversarial is not None else "")
            )
        elif means.get("spread", 1.0) < DEAD:
            found["the generator does not depend on its input"] = (
                f"what it paints in holes differs between pictures by {means['spread']:.2%} of what the truth does"
            )
        if self.lasting["change"] >= LONG:
            found["the generator returns what it started from"] = (
                f"in holes it is {means['change']:.1%} as far from its initial fill as the truth is; "
                f"{_faster(module) if module.adversarial is None else _calmer(module)}"
            )
        for name, earlier in self.past.items():
            if means.get(name, 0.0) > EXPLODED * median(earlier) > 0:
                network = name.removesuffix("_gradient")
                found[f"the gradient of the {network} exploded"] = (
                    f"its norm is {means[name]:.3g}, before it was {median(earlier):.3g}; module.{network}_clip=1 or a "
                    f"lower {network}_optimizer.lr may help"
                )
        if "r1" in means and means["r1"] / module.r1_every > PENALTY * (blind or 1.0):
            found["R1 exploded"] = (
                f"it adds {means['r1'] / module.r1_every:.3g} to an update's loss on average, where a discriminator "
                f"without an opinion pays {blind or 1.0:.3g}; a lower module.r1_gamma or discriminator_optimizer.lr "
                "may help"
            )
        for name in ("generator_gradient", "discriminator_gradient"):
            if name in means:
                self.past.setdefault(name, []).append(means[name])
        return found

    def _count(self, name: str, beyond: bool) -> None:
        self.lasting[name] = self.lasting[name] + 1 if beyond else 0


class Validations:
    """What is wrong with a validation, beside the harmonic fill and beside the first validation.

    Args:
        patience: how many may pass before one has to show something.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.hole_l1: list[float] = []  # of each validation

    def verdicts(self, validation: Validation, module: Any) -> dict[str, str]:
        """By their titles; none before there were enough validations to show something."""
        self.hole_l1.append(validation.figures["hole_l1"])
        found: dict[str, str] = {}
        if len(self.hole_l1) <= self.patience:
            return found
        if validation.blank:  # what is made of nothing is not meant to be the truth
            return found
        if validation.gain("hole_psnr") <= 0 and validation.gain(validation.seen) <= 0:
            calmer = "losses.l1.weight=10 or adversarial=none show what is reached with less of a game, or none"
            found[f"the model is not better than the {validation.fill_title}"] = (
                f"{validation.line()}, after {len(self.hole_l1)} validations; "
                f"{calmer if module.adversarial is not None else _faster(module)}"
            )
        first, now = self.hole_l1[0], self.hole_l1[-1]
        if abs(now - first) <= STILL * first:
            found["the loss has not moved"] = (
                f"the hole's L1 is {now:.4g} %, and was {first:.4g} % {len(self.hole_l1) - 1} validations ago; "
                f"{_faster(module)}"
            )
        return found


def spread(output: Tensor, image: Tensor, mask: Tensor) -> Tensor:
    """How much painted pictures differ from each other over the hole, relative to how much the true ones do.

    output, image ``(B, 3, H, W)``; mask ``(B, 1, H, W)``, 1 = hole. Each pixel of a picture's hole is compared with the
    mean of that pixel over all pictures that have a hole there; returns the ratio of the root mean squares, a scalar,
    1 where nothing can be compared.
    """
    true, painted = _about_mean(image, mask), _about_mean(output, mask)
    return torch.where(true > 0, painted / true.clamp_min(1e-12), 1.0)


def apart(first: Tensor, second: Tensor, image: Tensor, mask: Tensor) -> Tensor:
    """How much two fills of the same holes differ, relative to how much true pictures do.

    first, second, image ``(B, 3, H, W)``; mask ``(B, 1, H, W)``, 1 = hole. The root mean square over the pixels that
    `spread` looks at, a scalar: 0 where the fills are the same, about 1 where they differ as true pictures do, 1 where
    nothing can be compared.
    """
    true, shared = _about_mean(image, mask), mask * (mask.sum(dim=0, keepdim=True) > 1)
    between = ((first - second).square() * shared).sum().div(2).sqrt()
    return torch.where(true > 0, between / true.clamp_min(1e-12), 1.0)


def _about_mean(picture: Tensor, mask: Tensor) -> Tensor:
    """Root of the summed squares of pictures about their mean, over pixels that are hole in two of them at least."""
    holes = mask.sum(dim=0, keepdim=True)
    mean = (picture * mask).sum(dim=0, keepdim=True) / holes.clamp_min(1)
    return ((picture - mean).square() * mask * (holes > 1)).sum().sqrt()


def change(output: Tensor, fill: Tensor, image: Tensor, mask: Tensor) -> Tensor:
    """How far painted pictures are from an initial fill over the hole, relative to how far the truth is.

    output, fill, image ``(B, 3, H, W)``; mask ``(B, 1, H, W)``, 1 = hole. The ratio of the root mean squares, a scalar:
    0 where nothing was changed, 1 where nothing separates the fill from the truth.
    """
    true = ((image - fill) * mask).square().sum().sqrt()
    return torch.where(true > 0, ((output - fill) * mask).square().sum().sqrt() / true.clamp_min(1e-12), 1.0)


def _calmer(module: Any) -> str:
    """Two settings that hold a discriminator back."""
    rate = _rate(module, "discriminator") / 3
    return f"module.r1_gamma={max(10.0, 3 * module.r1_gamma):g} or discriminator_optimizer.lr={rate:.0e} hold it back"


def _faster(module: Any) -> str:
    """Two settings that let a generator learn more."""
    return f"generator_optimizer.lr={3 * _rate(module, 'generator'):.0e} or a larger generator.width may help"


def _rate(module: Any, network: str) -> float:
    """The learning rate that a network's schedule began with."""
    optimizer = module.optimizer_of(network)
    group = optimizer.param_groups[0]
    return float(group.get("initial_lr", group["lr"]))
