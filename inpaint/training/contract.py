"""What the parts of a run promise each other, tried on two pictures before the first update.

Our own parts are tested; those of others (`inpaint.parts`) are tried here, so that a wrong shape, range or type is said
in a line that names the part. Nothing of the run changes by it: copies of the networks paint, and no random number is
drawn from the run's.
"""

import inspect
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from traceback import walk_tb
from typing import Any

import torch
from torch import Tensor, nn

from inpaint import rng
from inpaint.batch import CONDITIONS, Batch, Outputs, Verdict, compose, given, stored, teach
from inpaint.data.datamodule import InpaintingData
from inpaint.degradations.kind import LEVEL
from inpaint.losses.adversarial import Adversarial
from inpaint.metrics.figure import Figure, one_a_picture
from inpaint.parts import raised_in
from inpaint.settings import Refused
from inpaint.training.gan import InpaintingGAN

RANGE = 10.0  # of an untrained network's output; pictures are in [-1, 1], and 0..255 is another convention
PICTURES = 2


def is_ours(part: object) -> bool:
    """Whether a part is of this package."""
    return type(part).__module__.startswith("inpaint.")


def _foreign(group: str, kind: Any) -> dict[str, Any]:
    """Of a kind of masks or a degradation, and the kinds that it is made of, those of other packages, by their keys."""
    found = {} if kind is None or is_ours(kind) else {group: kind}
    for name, inner in getattr(kind, "kinds", {}).items():
        found |= _foreign(f"{group}.kinds.{name}", inner)
    return found


def check_parts(module: InpaintingGAN, data: InpaintingData, figures: Mapping[str, Figure] | None = None) -> None:
    """Try the parts of a run that are not of this package.

    Args:
        module: the networks, the losses and the game.
        data: the photographs, the masks and the degradation.
        figures: those of one's own, by name.

    Raises:
        Refused: naming the group, the class, what it should give and what it gave.
    """
    tried = [module.generator, module.discriminator, module.adversarial, *module.losses.values()]
    masks = _foreign("masks", data.masks) | _foreign("validation_masks", data.validation_masks)
    degradations = _foreign("degradation", data.degradation)
    ours = all(part is None or is_ours(part) for part in (*tried, data, *(figures or {}).values()))
    if ours and not masks and not degradations:
        return
    with rng.untouched():
        for group, kind in masks.items():
            check_masks(group, kind)
        for group, kind in degradations.items():
            check_degraded(group, kind)
        batch = data.validation_batch(PICTURES, torch.device("cpu"))
        check_batch(data, batch)
        generator = deepcopy(module.generator)
        outputs = check_generator(generator, batch)
        outputs = Outputs(outputs.output.detach().requires_grad_(), outputs.composite.detach().requires_grad_(),
                          outputs.coarse.detach().requires_grad_() if outputs.coarse is not None else None,
                          posterior=outputs.posterior)  # fmt: skip
        if module.discriminator is not None and module.adversarial is not None:
            judge = deepcopy(module.discriminator)
            real, fake = (
                check_discriminator(judge, picture, batch["mask"]) for picture in (batch["image"], outputs.composite)
            )
            check_game(module.adversarial, real, fake, batch["mask"])
            outputs = replace(outputs, real=real, fake=fake)
        for name, term in module.losses.items():
            group = f"losses.{name}"
            _takes(group, term, term.forward, "outputs", "batch")
            check_term(group, term, _tried(group, term, term, outputs, batch))
        shown = stored(outputs.composite.detach()), stored(batch["image"]), batch["mask"]
        for name, figure in (figures or {}).items():
            one_a_picture(name, _tried(f"figures.{name}", figure, figure, *shown), len(batch["mask"]))


def _refuse(group: str, part: object, promise: str, got: str) -> Refused:
    return Refused(f"{group}: {type(part).__module__}.{type(part).__name__} should give {promise}; it gave {got}")


def _described(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    return f"a {type(value).__name__}"


def _tried(group: str, part: object, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of a part gives; an error that came through the part in a line, with its place there."""
    try:
        return function(*arguments)
    except Exception as error:
        if isinstance(error, Refused) or not (place := raised_in(error)):
            raise
        said = [f"{type(error).__name__}: {line}" for line in str(error).splitlines()] or [type(error).__name__]
        raise Refused(
            f"{group}: {type(part).__module__}.{type(part).__name__} raised {said[0]}{place}; HYDRA_FULL_ERROR=1 shows "
            "the traceback"
        ) from error


def _was_made(group: str, part: object, names: str) -> None:
    """Whether the constructor of the base class was called, which sets these attributes."""
    if any(not hasattr(part, name) for name in names.split(", ")):
        raise Refused(
            f"{group}: {type(part).__module__}.{type(part).__name__} lacks {names}; its __init__ calls "
            f"super().__init__({names})"
        )


def _takes(group: str, part: object, function: Callable[..., Any], *names: str) -> None:
    """Whether a function can be called with so many arguments."""
    try:
        inspect.signature(function).bind(*names)
    except TypeError as error:
        raise Refused(
            f"{group}: {type(part).__module__}.{type(part).__name__} is called with ({', '.join(names)}); {error}"
        ) from None


def check_masks(group: str, kind: Any) -> None:
    """Masks that are float32 ``(B, 1, H, W)``, exactly 0 or 1, and depend on their own keys alone.

    Raises:
        Refused: they are something else.
    """
    _was_made(group, kind, "area")
    keys, size = rng.fold(torch.arange(3), "contract"), (24, 32)
    mask = _tried(group, kind, kind, keys, size)
    if not isinstance(mask, Tensor) or mask.shape != (3, 1, *size) or mask.dtype != torch.float32:
        raise _refuse(group, kind, f"float32 (3, 1, {size[0]}, {size[1]}) for three keys", _described(mask))
    if not ((mask == 0) | (mask == 1)).all():
        raise _refuse(group, kind, "exactly 0 or 1", f"values from {mask.min():.3g} to {mask.max():.3g}")
    if not (torch.equal(mask, kind(keys, size)) and torch.equal(mask[1:2], kind(keys[1:2], size))):
        raise _refuse(
            group, kind, "the same mask for the same key", "another one: draw numbers with inpaint.rng.uniform"
        )


def check_degraded(group: str, kind: Any) -> None:
    """Pictures float32 ``(B, 3, H / scale, W / scale)`` that depend on their own keys alone.

    Raises:
        Refused: they are something else.
    """
    if not isinstance(scale := kind.scale, int) or scale < 1:
        raise _refuse(group, kind, "a whole number from 1 up as scale", repr(scale))
    keys, size = rng.fold(torch.arange(3), "contract"), (16, 24)
    image = rng.uniform(keys, 3 * 16 * 24 * scale**2).view(3, 3, 16 * scale, 24 * scale) * 2 - 1
    made = _tried(group, kind, kind, image.clone(), keys)
    if not isinstance(made, Tensor) or made.shape != (3, 3, *size) or made.dtype != torch.float32:
        promise = f"float32 {(3, 3, *size)} for pictures {tuple(image.shape)} and scale {scale}"
        raise _refuse(group, kind, promise, _described(made))
    if not made.isfinite().all() or made.abs().max() > RANGE:
        raise _refuse(group, kind, "pictures about [-1, 1]", f"values from {made.min():.3g} to {made.max():.3g}")
    again, alone = kind(image.clone(), keys), kind(image[1:2].clone(), keys[1:2])
    # Convolutions differ in their last bits with the size of a batch, which may turn the rounding to 8 bits.
    if not torch.equal(made, again) or (made[1:2] - alone).abs().max() > 1.5 * LEVEL:
        promise = "the same picture for the same key, alone and in a batch"
        raise _refuse(group, kind, promise, "another one: draw numbers with inpaint.rng.uniform")


def check_batch(data: InpaintingData, batch: Batch) -> None:
    """Pictures in [-1, 1].

    Raises:
        Refused: they are something else.
    """
    image = batch["image"]
    if image.dtype != torch.float32 or image.dim() != 4 or image.shape[1] != 3:
        raise _refuse("data", data, "float32 (B, 3, H, W)", _described(image))
    if not image.isfinite().all() or image.abs().max() > 1:
        raise _refuse("data", data, "pictures in [-1, 1]", f"values from {image.min():.3g} to {image.max():.3g}")


def check_generator(generator: nn.Module, batch: Batch) -> Outputs:
    """What it paints, if that is `Outputs` as `batch.compose` makes them.

    Raises:
        Refused: it is something else.
    """
    image, mask, seen = batch["image"], batch["mask"], given(batch)
    if unknown := {*getattr(generator, "needs", ())} - {*CONDITIONS, "truth"}:
        raise _refuse("generator", generator, f"needs among {', '.join(CONDITIONS)} and truth", f"{sorted(unknown)}")
    _takes("generator", generator, generator.forward, "image", "mask")
    learns = any(p.requires_grad for p in generator.parameters())
    try:
        with torch.set_grad_enabled(learns):
            outputs = _tried("generator", generator, teach, generator.eval(), batch)
    except Refused as refused:
        error = refused.__cause__
        frames = [frame for frame, _ in walk_tb(error.__traceback__)] if error is not None else []
        # It is not always the last: torch has some of its own below it.
        frame = next((frame for frame in frames if frame.f_code is compose.__code__), None)
        if frame is None:
            raise
        promise = f"compose(output, image, mask) an output {tuple(image.shape)}"
        raise _refuse("generator", generator, promise, _described(frame.f_locals["output"])) from None
    if not isinstance(outputs, Outputs):
        promise = "inpaint.batch.Outputs, as compose(output, image, mask) makes them"
        raise _refuse("generator", generator, promise, _described(outputs))
    pictures = dict.fromkeys(("output", "composite", *getattr(generator, "returns", ())))
    for name in (name for name in pictures if name != "posterior"):
        picture = getattr(outputs, name, None)
        if not isinstance(picture, Tensor) or picture.shape != image.shape or not picture.is_floating_point():
            raise _refuse("generator", generator, f"{name} as floats {tuple(image.shape)}", _described(picture))
        if not picture.isfinite().all() or picture.abs().max() > RANGE:
            found = f"values from {picture.min():.3g} to {picture.max():.3g}"
            raise _refuse("generator", generator, f"{name} in [-1, 1]", found)
        if learns and not picture.requires_grad:
            raise _refuse("generator", generator, f"{name} with a gradient", "one that no parameter has a part in")
    known = seen if seen.shape == image.shape else outputs.composite  # of a smaller picture no pixel stays as it is
    if not torch.equal(outputs.composite.masked_fill(mask > 0, 0), known.masked_fill(mask > 0, 0)):
        promise = "a composite with the known pixels as they are given"
        raise _refuse("generator", generator, promise, "other pixels there; see batch.compose")
    return outputs


def check_discriminator(discriminator: nn.Module, image: Tensor, mask: Tensor) -> Verdict:
    """What it says of pictures, if that is a `Verdict`.

    Raises:
        Refused: it is something else.
    """
    _takes("discriminator", discriminator, discriminator.forward, "image", "mask")
    verdict = _tried("discriminator", discriminator, discriminator.eval(), image, mask)
    if not isinstance(verdict, Verdict) or not isinstance(verdict.logits, tuple) or not verdict.logits:
        got = _described(verdict.logits if isinstance(verdict, Verdict) else verdict)
        raise _refuse("discriminator", discriminator, "inpaint.batch.Verdict with a tuple of logits", got)
    each = all(isinstance(scale, tuple) for scale in verdict.features)
    if verdict.features and not (each and len(verdict.features) == len(verdict.logits)):
        promise = f"features as {len(verdict.logits)} tuples of activations, one for each map"
        raise _refuse("discriminator", discriminator, promise, ", ".join(map(_described, verdict.features)))
    for layer in (layer for scale in verdict.features for layer in scale):
        if not isinstance(layer, Tensor) or layer.dim() != 4 or len(layer) != len(image):
            promise = f"activations ({len(image)}, C, h, w)"
            raise _refuse("discriminator", discriminator, promise, _described(layer))
    for logits in verdict.logits:
        if (
            not isinstance(logits, Tensor)
            or logits.dim() != 4
            or len(logits) != len(image)
            or not logits.isfinite().all()
        ):
            raise _refuse("discriminator", discriminator, f"finite logits ({len(image)}, C, h, w)", _described(logits))
    return verdict


def check_game(game: Adversarial, real: Verdict, fake: Verdict, mask: Tensor) -> None:
    """Both sides, for one map and for all.

    Raises:
        Refused: one gives no scalar.
    """
    _was_made("adversarial", game, "weight, of")
    seen = real if game.needs_real else None  # which is what the generator's side is given in training
    sides = {"discriminator": ("judge", real), "generator": ("fool", seen)}
    for side, (name, verdict) in sides.items():
        if getattr(type(game), side) is not getattr(Adversarial, side):  # it makes its own of all maps
            continue
        first = verdict.logits[0] if verdict is not None else None
        value = _tried("adversarial", game, getattr(game, name), first, fake.logits[0], mask)
        if not isinstance(value, Tensor) or value.shape != ():
            raise _refuse("adversarial", game, f"a scalar as {name}, for one map of logits", _described(value))
    check_term("adversarial", game, _tried("adversarial", game, game.discriminator, real, fake, mask))
    check_term("adversarial", game, _tried("adversarial", game, game.generator, seen, fake, mask))


def check_term(group: str, part: nn.Module, value: Any) -> None:
    """A scalar float32 that what was painted has a gradient by.

    Raises:
        Refused: it is something else.
    """
    if not isinstance(value, Tensor) or value.shape != () or value.dtype != torch.float32:
        raise _refuse(group, part, "a scalar, float32 ()", _described(value))
    if not value.isfinite():
        raise _refuse(group, part, "a finite number", str(value.item()))
    if not value.requires_grad:
        raise _refuse(group, part, "a term with a gradient", "one that does not depend on what was painted")
