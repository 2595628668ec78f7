"""A network with everything that it needs to repair pictures: what the command does to one, for a notebook as well."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from copy import copy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from inpaint import builtin
from inpaint.config import build_refinement, choose_device
from inpaint.predict import pixels
from inpaint.settings import ConfigError, Refused, choice, whole

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from inpaint.predict.refine import Refinement
    from inpaint.predict.tiles import Window

PRECISIONS = ("auto", "32", "bf16")
ON_GPU = 8  # windows that go through the network together on a GPU; a CPU is no faster with several


class NotFinite(ArithmeticError):
    """A network paints what is no picture."""


class Repaired(NamedTuple):
    """A picture with its hole painted.

    pixels: as the picture was given; None where pixels of the hole came out NaN or infinite.
    taken: how it was taken apart: ``full``, ``3 crops``.
    raw: what the network painted before anything was pasted, the picture itself where it was not shown; if asked for.
    """

    pixels: "np.ndarray | None"
    taken: str
    raw: "np.ndarray | None" = None


class Predictor:
    """Paints the holes of pictures of any size with one network; what is known stays as it was, bit for bit.

    A network that was trained to restore degraded pictures (``degradation=...``) takes whole pictures without a hole.

    Args:
        generator: a generator or a fill in evaluation mode, ``(image, mask) -> Outputs``.
        device: where it works.
        scale: of a generator that restores whole pictures: how many times more pixels a side it makes of them, a whole
            number from 1 up; None fills holes.
        precision: "32"; "bf16", which holds 8 bits of a number; or "auto", bf16 on a GPU that has it, for pictures of 8
            bits.
        batch_size: windows of one size that the network sees together; None is 8 on a GPU and 1 elsewhere.
        seed: of the noise that some generators draw. What they draw for a window follows from it, the sample and the
            window's number.
        feather: pixels by which holes are painted larger, and over which what is painted fades into what is known;
            known pixels there change.
        refine: what makes better what the generator painted in a window: `refine.Pyramid`, `texture.Texture`.
        label: the class of all pictures, for a generator that was told classes.
        caption: the text of all pictures, for one that was told texts.
        sizes: settings of `tiles.Sizes`: strategy, tile, context, overlap, multiple.

    Raises:
        Refused: a setting that means nothing, or a refinement that this generator does not allow.

    Examples:
        >>> import numpy as np, inpaint
        >>> predictor = inpaint.load(generator="mean")
        >>> picture = np.zeros((4, 6, 3), dtype=np.uint8)
        >>> picture[:, 3:] = 100
        >>> hole = np.zeros((4, 6), dtype=bool)
        >>> hole[1:3, 2:4] = True
        >>> predictor(picture, hole)[1, :, 0].tolist()
        [0, 0, 50, 50, 100, 100]
    """

    def __init__(
        self,
        generator: "nn.Module",
        device: str = "cpu",
        *,
        scale: int | None = None,
        precision: str = "auto",
        batch_size: int | None = None,
        seed: int = 0,
        feather: int = 0,
        refine: "Refinement | None" = None,
        label: int | None = None,
        caption: str | None = None,
        **sizes: Any,
    ) -> None:
        from inpaint.networks.conditions import asked
        from inpaint.predict.tiles import Sizes

        self.generator, self.device, self.seed, self.refine = generator.to(device), device, seed, refine
        self.sizes = Sizes(**sizes)
        self.feather = whole("feather", feather, 0)
        self.precision = choice("precision", str(precision), PRECISIONS)
        on_gpu = device.startswith("cuda")
        self.batch_size = (ON_GPU if on_gpu else 1) if batch_size is None else whole("batch_size", batch_size, 1)
        self.scale = None if scale is None else whole("scale", scale, 1)
        if self.scale is not None:
            self.sizes.check_whole()
            for setting, value in (("feather", feather), ("refine", refine)):
                if value:
                    raise Refused(f"{setting}: is for holes, and this model restores whole pictures; leave it out")
        self.said = partial(asked, generator, label=label, caption=caption, device=device)
        self.said(1)  # refuses what cannot be said
        if refine is not None:
            refine.check(generator, None if self.sizes.strategy in ("full", "pad") else self.sizes.tile)

    @classmethod
    def load(
        cls,
        checkpoint: str | Path,
        *,
        device: str = "auto",
        trust_paths: bool = False,
        refine: "Refinement | str | None" = None,
        **settings: Any,
    ) -> "Predictor":
        """A trained generator.

        Args:
            checkpoint: a checkpoint; a run folder, of which the newest valid one is taken; an exported folder; or one
                of its files: ``.safetensors``, ``.onnx``, ``.pt2``, ``.pt``.
            device: ``auto`` is a GPU where there is one.
            trust_paths: whether files that the checkpoint's generator names may be opened.
            refine: as of the class, or by its name as the command takes it: ``"pyramid"``, ``"texture"``.
            settings: of the class, and of a refinement that is named: ``**{"refine.steps": 30}``.

        Raises:
            Refused: nothing there that could be loaded, no such device, or a setting that means nothing.
        """
        generator, scale = _network(checkpoint, trust_paths)
        return cls.of(generator, device, refine=refine, scale=scale, **settings)

    @classmethod
    def of(
        cls, generator: "nn.Module", device: str = "auto", *, refine: "Refinement | str | None" = None, **settings: Any
    ) -> "Predictor":
        """The same of a generator that is there already."""
        own = {name: settings.pop(name) for name in [*settings] if name.startswith("refine.")}
        if own and not isinstance(refine, str):
            raise ConfigError(f"{next(iter(own))}: is a setting of refine=NAME, which is not given")
        made = build_refinement(refine, own) if isinstance(refine, str) else refine
        return cls(generator, choose_device(device), refine=made, **settings)

    def __call__(self, image: Any, mask: Any = None, sample: int = 0) -> Any:
        """Repair one picture or several.

        Args:
            image: a picture of Pillow, of 8 bits or 16 bits of grey; an array of numpy ``(H, W, 3)`` or
                ``(B, H, W, 3)``, uint8, uint16 or floats in [0, 1]; a tensor ``(3, H, W)`` or ``(B, 3, H, W)``, uint8
                or floats in [-1, 1] as batches have them; or a list of such. RGB, of any size.
            mask: where the hole is: a grey picture of Pillow, or ``(H, W)``, ``(1, H, W)``, ``(B, H, W)`` or
                ``(B, 1, H, W)``; true and false, 1 and 0, or 255 and 0. One for all pictures, or a list of as many.
                None for a model that restores whole pictures.
            sample: of a generator that draws noise, each number gives another picture.

        Returns:
            The same kind with the hole painted, or restored, `scale` times as large; a palette of Pillow's becomes
            colours, and CMYK becomes RGB.

        Raises:
            Refused: other shapes, types or values; no mask for a model that fills holes, or one for one that restores.
            NotFinite: pixels of the hole came out NaN or infinite.
        """
        from inpaint.predict.growth import grown
        from inpaint.predict.kinds import holes_of, kind_of

        self.check_holes("mask", mask is not None)
        if isinstance(image, list | tuple):
            masks = list(mask) if isinstance(mask, list | tuple) else [mask] * len(image)
            if len(masks) != len(image):
                raise Refused(f"mask: give one, or one for each of {len(image)} pictures; got {len(masks)}")
            return [self(*pair, sample) for pair in zip(image, masks, strict=True)]
        kind = kind_of(image)
        size = kind.pictures[0].shape[:2]
        holes = [everywhere(size)] * len(kind.pictures) if mask is None else holes_of(mask, len(kind.pictures), size)
        painted = []
        for repaired in self.repair(kind.pictures, holes, sample):
            if repaired.pixels is None:
                raise NotFinite("pixels of the hole came out NaN or infinite")
            painted.append(repaired.pixels)
        return kind.back(painted, None if mask is None else [grown(hole, self.feather) for hole in holes])

    def check_holes(self, setting: str, there: bool) -> None:
        """Whether holes are given to a model that fills some, and none to one that restores whole pictures.

        Args:
            setting: which says where they are.
            there: whether it does.

        Raises:
            Refused: the other way round.
        """
        if there and self.scale is not None:
            raise Refused(f"{setting}: this model restores whole pictures, which have no holes; leave it out")
        if not there and self.scale is None:
            raise Refused(f"{setting}: this model fills holes; say where they are")

    def repair(
        self,
        pictures: "Sequence[np.ndarray]",
        holes: "Sequence[np.ndarray]",
        sample: int = 0,
        raw: bool = False,
        clip: bool = False,
    ) -> list[Repaired]:
        """Repair pictures together: their windows of one size share batches.

        Args:
            pictures: ``(H, W, 3)``: uint8, uint16, or float32 in [-1, 1].
            holes: bool ``(H, W)`` for each; `everywhere` for a model that restores whole pictures.
            sample: as in `__call__`.
            raw: whether what the network painted everywhere is returned too.
            clip: whether they are successive frames of one size, which a recurrent network sees together: a window is
                at the same place in all of them.
        """
        import numpy as np

        from inpaint.predict.growth import faded, grown
        from inpaint.predict.tiles import back, cover, plan

        asked, holes = holes, [grown(hole, self.feather) for hole in holes]
        planned = [np.logical_or.reduce(holes)] * len(holes) if clip else holes
        plans = [plan(hole, self.sizes) if self.scale is None else cover(hole.shape, self.sizes) for hole in planned]
        canvases = [pixels.enlarged(picture, self.factor) for picture in pictures]
        raws = [canvas.copy() for canvas in canvases] if raw else []
        broken = set()
        windows = [
            (which, number, window) for which, one in enumerate(plans) for number, window in enumerate(one.windows)
        ]
        for group in _clips(windows) if clip else _groups(windows, self.batch_size):
            painted, raw_painted = self._paint(group, pictures, holes, sample, clip)
            for (which, _, window), composite, output in zip(group, painted, raw_painted, strict=True):
                mine = pixels.enlarged(holes[which][window.place], self.factor)
                others = None
                if window.own is not None:
                    mine, others = mine & window.own, mine & ~window.own
                place = window.enlarged(self.factor)
                composite = back(place, composite)
                if not np.isfinite(composite[mine]).all():
                    broken.add(which)
                    continue
                _blend(canvases[which], place, composite, mine)
                if raw:
                    output = np.where(mine[..., None], composite, back(place, output))
                    whole = np.ones_like(mine) if others is None else ~others
                    _blend(raws[which], place, np.nan_to_num(output), whole)
        canvases = [faded(*several, self.feather) for several in zip(pictures, canvases, asked, strict=True)]
        return [
            Repaired(None if which in broken else canvas, plans[which].taken, raws[which] if raw else None)
            for which, canvas in enumerate(canvases)
        ]

    @property
    def factor(self) -> int:
        """How many times more pixels a side results have."""
        return self.scale or 1

    def unrefined(self) -> "Predictor":
        """The same with what the generator painted left as it is."""
        plain = copy(self)
        plain.refine = None
        return plain

    @property
    def is_recurrent(self) -> bool:
        """Whether the generator sees the frames of a clip together."""
        return "frames" in getattr(self.generator, "needs", ())

    @property
    def draws_noise(self) -> bool:
        """Whether two samples of one picture differ."""
        from inpaint.batch import noise_of
        from inpaint.exchange.contract import draws_noise

        return noise_of(self.generator) is not None or draws_noise(self.generator, self.device, self.scale)

    def _paint(
        self,
        group: "Sequence[tuple[int, int, Window]]",
        pictures: "Sequence[np.ndarray]",
        holes: "Sequence[np.ndarray]",
        sample: int,
        clip: bool,
    ) -> "tuple[np.ndarray, np.ndarray]":
        """Composites and outputs of windows of one size, as they are seen: float32 ``(B, h, w, 3)`` in [-1, 1]."""
        import numpy as np
        import torch

        from inpaint import rng
        from inpaint.batch import Batch, paint, with_noise
        from inpaint.predict.tiles import seen

        shown = [
            seen(window, pixels.unit(pictures[which][window.place]), holes[which][window.place])
            for which, _, window in group
        ]
        image = torch.from_numpy(np.stack([picture for picture, _ in shown])).permute(0, 3, 1, 2).contiguous()
        mask = torch.from_numpy(np.stack([pixels.enlarged(hole, self.factor) for _, hole in shown])).float()[:, None]
        keys = torch.tensor([rng.key(self.seed, "predict", sample, number) for _, number, _ in group])
        index = torch.arange(len(group))
        batch = Batch(image=image.to(self.device), mask=mask.to(self.device), index=index)
        batch |= self.said(len(group))  # type: ignore[typeddict-item]
        if clip:
            batch["frames"] = len(group)
        if self.scale is not None:
            batch["given"] = batch["image"]  # all of it is to be restored, and nothing of it hidden
        if sample:  # the first is what the network paints by itself, which for some is the likeliest picture
            one = rng.key(self.seed, "predict", sample, 0)  # all windows of a picture are to be of one kind
            batch = with_noise(self.generator, batch, torch.full_like(keys, one).to(self.device))
        deep = any(pictures[which].dtype != np.uint8 for which, _, _ in group)
        with torch.inference_mode(), self._arithmetic(deep), rng.of_samples(keys.to(self.device)):
            outputs = paint(self.generator, batch) if self.refine is None else self.refine(self.generator, batch)
        return pixels.array(outputs.composite), pixels.array(outputs.output)

    def _arithmetic(self, deep: bool) -> Any:
        """How numbers are rounded inside the network."""
        import torch

        kind = self.device.partition(":")[0]
        has_bf16 = kind == "cuda" and torch.cuda.is_bf16_supported()
        if self.precision == "bf16" or (self.precision == "auto" and has_bf16 and not deep):
            return torch.autocast(kind, torch.bfloat16)
        return nullcontext()


def _groups(windows: "Sequence[tuple[int, int, Window]]", most: int) -> "Iterator[Sequence[tuple[int, int, Window]]]":
    """Windows that are seen at one size, at most so many, those of a size in their order."""
    by_size: dict[tuple[int, int], list[Any]] = {}
    for entry in windows:
        by_size.setdefault(entry[2].seen, []).append(entry)
    for group in by_size.values():
        for first in range(0, len(group), most):
            yield group[first : first + most]


def _clips(windows: "Sequence[tuple[int, int, Window]]") -> "Iterator[Sequence[tuple[int, int, Window]]]":
    """Each window in all frames of a clip, in their order."""
    for number in range(1 + max((number for _, number, _ in windows), default=-1)):
        yield [entry for entry in windows if entry[1] == number]


def _blend(canvas: "np.ndarray", window: "Window", painted: "np.ndarray", where: "np.ndarray") -> None:
    """Paint a window into the canvas at the pixels `where`; over what earlier tiles painted, as its weights say."""
    import numpy as np

    place = canvas[window.place]
    new = pixels.levels(painted, canvas.dtype)
    if (weight := window.weight()) is not None:
        new = place + weight * (new - place)
    place[where] = (np.rint(new) if canvas.dtype.kind == "u" else new)[where].astype(canvas.dtype)


def everywhere(size: tuple[int, ...]) -> "np.ndarray":
    """What takes the place of a hole where all is to be restored: bool ``(H, W)``."""
    import numpy as np

    return np.ones(size, dtype=bool)


def _network(path: str | Path, trust_paths: bool) -> "tuple[nn.Module, int | None]":
    """The generator, and its scale where it restores whole pictures."""
    from inpaint.config.sent import restoration_scale
    from inpaint.exchange import models

    model = models.load(path)
    return models.generator_of(model, trust_paths), restoration_scale(model, trust_paths)


def load(
    checkpoint: str | Path | None, fill: "nn.Module | None", device: str, trust_paths: bool = False, **settings: Any
) -> Predictor:
    """A trained network from its checkpoint or run folder, or a fill; without either, the model in the box for holes.

    Args:
        checkpoint: a checkpoint, or a run folder, of which the newest valid one is taken.
        fill: a generator without training (`config.build_fill`).
        device: where it works; ``auto`` is a GPU where there is one.
        trust_paths: whether files that the settings of the checkpoint's generator name may be opened.
        settings: of `Predictor`.

    Raises:
        Refused: both, no checkpoint that can be used, no such device, or a setting that means nothing.
    """
    if checkpoint and fill is not None:
        raise ConfigError("checkpoint: give checkpoint=... or a fill (generator=harmonic), one of the two")
    if fill is not None:
        from inpaint.builtin.network import Builtin

        if not isinstance(fill, Builtin):
            restores = type(fill).__module__.startswith("inpaint.restoration.")
            return Predictor.of(fill, device, scale=1 if restores else None, **settings)
        checkpoint = fill.model
    return Predictor.load(checkpoint or builtin.NAME, device=device, trust_paths=trust_paths, **settings)
