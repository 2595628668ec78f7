"""The evaluation loop: all methods on the same pictures under the same holes, each of which is read and masked once."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from inpaint import rng
from inpaint.batch import Batch, Outputs, compose, finite, given, noise_of, paint, scale, to_uint8
from inpaint.data.datamodule import InpaintingData
from inpaint.data.loader import deaths
from inpaint.evaluation.intervals import SetFigure
from inpaint.evaluation.shown import Shown
from inpaint.evaluation.synthesis import MadeOfNothing, of_fills
from inpaint.masks.frozen import Crop, Frozen, described
from inpaint.metrics.image import hole_area, measure
from inpaint.metrics.video import Steadiness
from inpaint.progress import track
from inpaint.settings import Refused, listed

if TYPE_CHECKING:
    from inpaint.evaluation.judges import Judges

JPEG = 12.0  # root mean square in 8-bit levels; photographs and textures stay below it as JPEG of quality 50


@dataclass
class Measured:
    """What evaluating gives.

    records: one mapping a method and picture, as `intervals.aggregate` takes them.
    crops: which pictures under which holes, a line each (`masks.frozen.described`).
    given: 8-bit ``(3 or 1, H, W)`` by the number of the picture, for each of `shown.GIVEN`.
    composites: the same for each method.
    sets: figures of sets of pictures.
    notes: what a reader of the table has to know.
    """

    records: list[dict[str, Any]] = field(default_factory=list)
    crops: list[dict[str, Any]] = field(default_factory=list)
    given: dict[str, dict[int, Tensor]] = field(default_factory=dict)
    composites: dict[str, dict[int, Tensor]] = field(default_factory=dict)
    sets: list[SetFigure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Pictures(Protocol):
    """What is measured: pictures under holes, in parts that are worked on together."""

    def parts(self) -> Iterable[Any]:
        """What `batch` is called with, one after another."""
        ...

    def batch(self, part: Any, device: str) -> Batch:
        """Pictures and holes of a part."""
        ...

    def result(self, method: str, part: Any, device: str) -> Tensor:
        """What another tool painted: ``(B, 3, H, W)`` in [-1, 1]."""
        ...

    def name(self, index: int) -> str:
        """What a picture is called."""
        ...

    def photograph(self, index: int) -> str:
        """What a picture was cut from; of crops of one photograph, all have its name."""
        ...


class ValidationCrops:
    """The validation crops of a data module under their masks, as `Pictures`.

    Args:
        data: set up for validation.
        frozen: a frozen set, of whose photographs the crops must be, as its keys tell only their rows.

    Raises:
        Refused: the frozen set has another number of crops; `batch` raises it for other pixels.
    """

    def __init__(self, data: InpaintingData, frozen: Frozen | None = None) -> None:
        self.data, self.frozen = data, frozen
        if frozen is not None:
            frozen.check_number(len(data.tiles["validation"]))

    def parts(self) -> Iterable[Any]:
        """Batches as the loader hands them out."""
        return self.data.evaluation_dataloader()

    def batch(self, part: Any, device: str) -> Batch:
        """Cropped and masked."""
        batch = self.data.to_batch(part, device)
        if self.frozen is not None:
            self.frozen.check(self.data.mask_keys(part), to_uint8(batch["image"]).cpu())
        return batch

    def result(self, method: str, part: Any, device: str) -> Tensor:
        """No other tool has seen these crops."""
        raise AssertionError("results are paired with files")

    def name(self, index: int) -> str:
        """The photograph it was cut from."""
        return self.data.tiles["validation"].name(index)

    photograph = name


@deaths()
def evaluate(
    methods: Mapping[str, nn.Module | None],
    pictures: Pictures,
    device: str = "cpu",
    figures: Sequence[str] | None = None,
    judges: "Judges | None" = None,
    shown: int = 0,
    samples: int = 2,
) -> Measured:
    """Measure all methods on each batch of pictures.

    Args:
        methods: by name; None is another tool, whose results the pictures have.
        pictures: what is measured.
        device: where.
        figures: names among `metrics.image.MEASURES`; None is all, and of clips those of `metrics.video`.
        judges: networks that look at the composites.
        shown: how many pictures are kept, spread evenly over hole area.
        samples: of methods that paint from noise: how many fills of each hole are looked at besides what has all
            figures, which they paint when no noise is given to them.

    Returns:
        With one record a method and picture, as `intervals.aggregate` takes them, method after method: method,
        photograph, index, area, broken and the figures. The milliseconds are the mean of the batch that the picture was
        in; results of other tools have none. A picture is broken where its composite is NaN or infinite anywhere; its
        figures are NaN, and the notes name it.
    """
    measured, kept, made = Measured(), Shown(shown), MadeOfNothing()
    networks = {name: method.to(device).eval() for name, method in methods.items() if method is not None}
    records: dict[str, list[dict[str, Any]]] = {name: [] for name in methods}
    differing: dict[str, dict[int, float]] = {name: {} for name in methods}
    outside: dict[str, list[int]] = {name: [] for name in methods}  # the hole, pixels that are NaN or infinite
    warm = not device.startswith("cuda")
    parts = track(pictures.parts(), f"evaluating {', '.join(methods)}")
    for part in parts:
        batch = pictures.batch(part, device)
        border = factor if (factor := scale(batch)) > 1 else 0
        known = {"index": batch["index"].tolist(), "area": hole_area(batch["mask"]).tolist()}
        measured.crops += _described(batch, known["area"], pictures)
        photographs = [pictures.photograph(index) for index in known["index"]]
        keys = rng.fold(batch["index"].to(device), "evaluation")
        composites = {}
        steadiness = Steadiness(batch) if batch.get("frames", 1) > 1 and figures is None else None
        for name in methods:
            parts.at_work(name)
            times: dict[str, float] = {}
            with torch.inference_mode():
                if name in networks:
                    if not warm:
                        _timed(networks[name], batch)
                    with rng.of_samples(keys):  # what a network draws is its picture's, whatever is measured beside it
                        outputs, times = _timed(networks[name], batch)
                else:
                    outputs = _foreign(pictures.result(name, part, device), batch, differing[name])
                found = measure(outputs, batch["image"], batch["mask"], figures, border)
                if steadiness is not None:
                    found |= steadiness(outputs.composite)
                made.look(name, outputs.composite, batch)
                if name in networks:
                    found |= of_fills(networks[name], batch, keys, samples, judges.lpips if judges is not None else {})
                if judges is not None:
                    found |= judges.of_pictures(name, outputs.composite, batch)
            broken = ~finite(outputs.composite)
            pasted_over = ~finite(outputs.output) & ~broken
            outside[name] += batch["index"][pasted_over.cpu()].tolist()
            columns = known | {"broken": broken.tolist()}
            columns |= {figure: values.tolist() for figure, values in found.items()}
            for photograph, *row in zip(photographs, *columns.values(), strict=True):
                about = {"method": name, "photograph": photograph}
                records[name].append(about | times | dict(zip(columns, row, strict=True)))
            composites[name] = outputs.composite
        kept.take(batch, known["area"], composites)
        warm = True
    kept.choose()
    measured.records = [record for each in records.values() for record in each]
    measured.given, measured.composites = kept.given, kept.composites
    measured.notes = [
        note
        for name in methods
        for note in (
            *_said_of_broken(name, records[name], outside[name], pictures),
            *_said_of(name, differing[name], pictures),
        )
    ]
    if several := [name for name, network in networks.items() if samples > 1 and noise_of(network) is not None]:
        measured.notes.append(f"{', '.join(several)}: diversity and best hole PSNR are of {samples} fills of each hole")
    measured.sets = made.figures(measured.records)
    if judges is not None:
        measured.sets += judges.of_sets(measured.records)
        measured.notes += judges.notes
    return measured


def _described(batch: Batch, areas: Sequence[float], pictures: Pictures) -> Iterator[dict[str, Any]]:
    """What tells each picture under its hole from any other."""
    image, mask = to_uint8(batch["image"]).cpu(), batch["mask"].mul(255).byte().cpu()
    for row, index in enumerate(batch["index"].tolist()):
        yield described(index, pictures.photograph(index), areas[row], image[row], mask[row])


def _timed(method: nn.Module, batch: Batch) -> tuple[Outputs, dict[str, float]]:
    """What a method makes of the known pixels, and the milliseconds a picture.

    On a GPU, the first call chooses kernels, and its time says nothing; what is done once for all pictures of a size
    (`inpaint.fills`) is not timed.
    """
    image = batch["image"]
    if prepare := getattr(method, "prepare", None):
        prepare(tuple(given(batch).shape[2:]))

    def wait() -> None:
        if image.is_cuda:
            torch.cuda.synchronize(image.device)

    wait()
    start = time.perf_counter()
    outputs = paint(method, batch)
    wait()
    return outputs, {"ms": 1000 * (time.perf_counter() - start) / len(image)}


def _foreign(painted: Tensor, batch: Batch, differing: dict[int, float]) -> Outputs:
    """Another tool's pictures as outputs; notes how far their known pixels are from the truth, where that is far."""
    image, known = batch["image"], batch["mask"] < 0.5
    squares = (to_uint8(painted).float() - to_uint8(image).float()).square() * known
    rms = (squares.sum(dim=(1, 2, 3)) / (3 * known.sum(dim=(1, 2, 3))).clamp(min=1)).sqrt()
    for index, value in zip(batch["index"].tolist(), rms.tolist(), strict=True):
        if value > JPEG:
            differing[index] = value
    return compose(painted, image, batch["mask"])


def _said_of_broken(
    method: str, records: Sequence[Mapping[str, Any]], outside: Sequence[int], pictures: Pictures
) -> Iterator[str]:
    """Notes on pixels that are NaN or infinite, in the hole and outside it."""
    broken = [record["index"] for record in records if record["broken"]]
    for indices, where, what in (
        (broken, "NaN or infinite pixels", "they have no figures, and their hole areas no averages"),
        (outside, "NaN or infinite pixels outside the hole alone", "figures called raw and band leave them out"),
    ):
        if indices:
            names = listed([pictures.name(index) for index in indices])
            yield f"{method}: {len(indices)} of {len(records)} pictures have {where} ({names}): {what}"


def _said_of(method: str, differing: dict[int, float], pictures: Pictures) -> list[str]:
    """A note on results that are not of these pictures, or were painted outside the holes."""
    if not differing:
        return []
    worst = sorted(differing, key=lambda index: -differing[index])
    named = ", ".join(f"{pictures.name(index)} {differing[index]:.0f}" for index in worst[:3])
    return [
        f"{method}: {len(differing)} results differ from the truth outside the hole by more than JPEG's noise "
        f"({named} of 255 levels; {JPEG:.0f} are allowed): other pictures, other holes or an output that was not "
        "pasted. Composites have the truth's known pixels; the figures called raw are of the results as they are"
    ]


def validation_crops(data: InpaintingData) -> Iterator[Crop]:
    """All validation crops with their holes, in 8 bits, in order.

    Raises:
        Refused: they are clips, which a frozen set has no place for.
    """
    if data.tiles["validation"].frames > 1:
        raise Refused("freeze: a frozen set holds pictures, and these are clips; their crops and masks never change")
    for raw in data.evaluation_dataloader():
        keys = data.mask_keys(raw).tolist()
        batch = data.to_batch(raw, "cpu")
        image, mask, index = to_uint8(batch["image"]), batch["mask"].mul(255).byte(), batch["index"].tolist()
        for row, area in enumerate(hole_area(batch["mask"]).tolist()):
            name = data.tiles["validation"].name(index[row])
            degraded = batch["given"][row] if "given" in batch else None
            yield Crop(index[row], name, area, keys[row], image[row], mask[row], degraded)
