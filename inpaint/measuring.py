"""The evaluation loop: every method over the same pictures under the same holes."""

import time
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from inpaint.batch import Batch, Outputs, compose, paint, to_uint8
from inpaint.data.datamodule import InpaintingData
from inpaint.masks.frozen import Crop
from inpaint.metrics.image import hole_area, measure
from inpaint.progress import track
from inpaint.table import SetFigure

if TYPE_CHECKING:
    from inpaint.metrics.deep import Deep

JPEG = 12.0  # root mean square in 8-bit levels; photographs and textures stay below it as JPEG of quality 50
GIVEN = ("input", "truth", "mask")  # what is kept beside the composites of the methods
HOLE = 128  # grey level of the hole in `input`


@dataclass
class Measured:
    """What evaluating gives.

    records: one mapping a method and picture, as `table.aggregate` takes them.
    given: 8-bit ``(3 or 1, H, W)`` by the number of the picture, for each of `GIVEN`.
    composites: the same for each method.
    sets: figures of sets of pictures.
    notes: what a reader of the table has to know.
    """

    records: list[dict[str, Any]] = field(default_factory=list)
    given: dict[str, dict[int, Tensor]] = field(default_factory=lambda: {name: {} for name in GIVEN})
    composites: dict[str, dict[int, Tensor]] = field(default_factory=dict)
    sets: list[SetFigure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def keep(self, method: str, batch: Batch, composite: Tensor, chosen: Container[int]) -> None:
        """Take the chosen pictures of a batch, as they are in 8 bits."""
        for row, index in enumerate(batch["index"].tolist()):
            if index in chosen:
                truth, hole = to_uint8(batch["image"][row]).cpu(), (batch["mask"][row] > 0.5).cpu()
                pictures = (torch.where(hole, HOLE, truth).to(torch.uint8), truth, hole.to(torch.uint8) * 255)
                for name, picture in zip(GIVEN, pictures, strict=True):
                    self.given[name][index] = picture
                self.composites.setdefault(method, {})[index] = to_uint8(composite[row]).cpu()


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

    def crops(self) -> Iterator[Crop]:
        """Everything in 8 bits, in order."""
        ...


class ValidationCrops:
    """The validation crops of a data module under their masks, as `Pictures`."""

    def __init__(self, data: InpaintingData) -> None:
        self.data = data

    def parts(self) -> Iterable[Any]:
        """Batches as the loader hands them out."""
        return self.data.evaluation_dataloader()

    def batch(self, part: Any, device: str) -> Batch:
        """Cropped and masked."""
        return self.data.to_batch(part, device)

    def result(self, method: str, part: Any, device: str) -> Tensor:
        """No other tool has seen these crops."""
        raise AssertionError("results are paired with files")

    def name(self, index: int) -> str:
        """The photograph it was cut from."""
        return self.data.tiles["validation"].name(index)

    photograph = name

    def crops(self) -> Iterator[Crop]:
        """All crops with their holes."""
        return validation_crops(self.data)


def evaluate(
    methods: Mapping[str, nn.Module | None],
    pictures: Pictures,
    device: str = "cpu",
    figures: Sequence[str] | None = None,
    deep: "Deep | None" = None,
    chosen: Container[int] = (),
) -> Measured:
    """Measure each method on all pictures.

    Args:
        methods: by name; None is another tool, whose results the pictures have.
        pictures: what is measured.
        device: where.
        figures: names among `metrics.image.MEASURES`; None is all.
        deep: figures that need a network.
        chosen: numbers of the pictures that are kept.

    Returns:
        With one record a method and picture, as `table.aggregate` takes them: method, photograph, index, area and the
        figures. The milliseconds are the mean of the batch that the picture was in; results of other tools have none.
    """
    measured = Measured()
    for name, method in methods.items():
        foreign: dict[int, float] = {}
        no_times: dict[str, float] = {}
        if method is not None:
            method = method.to(device).eval()
            _warm_up(method, pictures, device)
        for part in track(pictures.parts(), f"evaluating {name}"):
            batch = pictures.batch(part, device)
            image, mask = batch["image"], batch["mask"]
            with torch.inference_mode():
                if method is None:
                    outputs, times = _foreign(pictures.result(name, part, device), batch, foreign), no_times
                else:
                    outputs, times = _timed(method, batch)
                found = measure(outputs, image, mask, figures)
                if deep is not None:
                    found |= deep.of_pictures(name, outputs.composite, batch)
            columns = {"index": batch["index"], "area": hole_area(mask), **found}
            for row in zip(*(column.tolist() for column in columns.values()), strict=True):
                record = dict(zip(columns, row, strict=True))
                about = {"method": name, "photograph": pictures.photograph(record["index"])}
                measured.records.append(about | times | record)
            measured.keep(name, batch, outputs.composite, chosen)
        measured.notes += _said_of(name, foreign, pictures)
    if deep is not None:
        measured.sets = deep.of_sets(measured.records)
        measured.notes += deep.notes
    return measured


def _warm_up(method: nn.Module, pictures: Pictures, device: str) -> None:
    """On a GPU, the first call chooses kernels; it is not timed."""
    if device.startswith("cuda"):
        with torch.inference_mode():
            paint(method, pictures.batch(next(iter(pictures.parts())), device))


def _timed(method: nn.Module, batch: Batch) -> tuple[Outputs, dict[str, float]]:
    """What a method makes of the known pixels, and the milliseconds a picture."""

    image = batch["image"]

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
    """All validation crops with their holes, in 8 bits, in order."""
    for raw in data.evaluation_dataloader():
        keys = data.mask_keys(raw).tolist()
        batch = data.to_batch(raw, "cpu")
        image, mask, index = to_uint8(batch["image"]), batch["mask"].mul(255).byte(), batch["index"].tolist()
        for row, area in enumerate(hole_area(batch["mask"]).tolist()):
            name = data.tiles["validation"].name(index[row])
            yield Crop(index[row], name, area, keys[row], image[row], mask[row])
