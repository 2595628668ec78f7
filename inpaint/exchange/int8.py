"""ONNX whose convolutions compute with whole numbers of 8 bits, for processors, and what that costs in quality.

Ranges of activations are those of a few bundled photographs with holes (static quantization, ONNX Runtime's, one scale
for each channel of the weights). Weights have 7 bits, since processors without VNNI add two products in 16. All but the
convolutions, a fill among it, computes in float32 as before. The loss is measured on other photographs.
"""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from inpaint import rng
from inpaint.batch import Outputs, from_uint8
from inpaint.exchange import formats
from inpaint.exchange.formats import CannotHold, Differs
from inpaint.files.folder import replacing

FILE = "model.int8.onnx"
SIZE = 192  # pixels a side of the pictures
HOLES = 4  # of each
MOST = 64.0  # dB by which a picture is taken to be right where it is right to the bit


class Loss(NamedTuple):
    """What whole numbers cost.

    Attributes:
        pictures: with a hole each, that were repaired.
        exact: hole PSNR of float32 against the truth, mean in dB.
        int8: that of int8.
        size: of the file, bytes.
    """

    pictures: int
    exact: float
    int8: float
    size: int

    @property
    def line(self) -> str:
        """In words."""
        change = "loses" if self.int8 <= self.exact else "gains"  # rounding may smooth what a game made rough
        return (
            f"int8 {change} {abs(self.exact - self.int8):.2f} dB of the hole PSNR: {self.int8:.2f} dB where float32 "
            f"has {self.exact:.2f} dB, over {self.pictures} holes in bundled photographs of {SIZE} x {SIZE} pixels"
        )


def write(source: Path, folder: Path) -> Loss:
    """Write `FILE` beside an ONNX file that keeps the contract.

    Raises:
        CannotHold: a package is not there, or ONNX Runtime cannot do it.
        Differs: what was written fails, or paints what is no picture.
        OSError: the disk refuses it.
    """
    try:
        from onnxruntime import quantization
    except ImportError:
        raise CannotHold("it needs onnxruntime and onnx; pip install onnxruntime onnx") from None
    kind = formats.GRAPHS["onnx"]
    with replacing(folder / FILE) as scratch:
        logging.disable(logging.WARNING)  # advice on how to prepare a graph, through the root of all loggers
        try:
            quantization.quantize_static(
                source,
                scratch,
                _Pictures(formats.onnx_inputs(source)),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=["Conv"],
                per_channel=True,
                reduce_range=True,
                activation_type=quantization.QuantType.QUInt8,
            )
        except OSError:
            raise
        except Exception as error:  # whatever it raises of a graph that it cannot take
            raise CannotHold(str(error).splitlines()[0][:200]) from error
        finally:
            logging.disable(logging.NOTSET)
        exact, int8 = (_quality(kind.read(path)) for path in (source, scratch))
        return Loss(len([*pictures("validation")]), exact, int8, scratch.stat().st_size)


class _Pictures:
    """What ONNX Runtime takes the ranges from: its `CalibrationDataReader`."""

    def __init__(self, names: list[str]) -> None:
        self.feeds = iter(
            [dict(zip(names, (x.numpy() for x in (image, mask)), strict=True)) for image, mask in pictures("train")]
        )

    def get_next(self) -> dict[str, Any] | None:
        return next(self.feeds, None)

    def __len__(self) -> int:
        return len([*pictures("train")])


def pictures(split: Any) -> Iterator[tuple[Tensor, Tensor]]:
    """The middle of each bundled photograph, with each of its holes: ``(1, 3, H, W)`` in [0, 1], ``(1, 1, H, W)``."""
    from inpaint.data.sources import Photos
    from inpaint.masks import Strokes

    photos, masks = Photos(), Strokes()
    for row in range(photos.count(split)):
        picture = photos.read(split, row)["image"]
        top, left = ((side - SIZE) // 2 for side in picture.shape[-2:])
        part = picture[None, :, top : top + SIZE, left : left + SIZE]
        for hole in range(HOLES):
            yield (from_uint8(part) + 1) / 2, masks(torch.tensor([rng.key(row, "int8", split, hole)]), (SIZE, SIZE))


def _quality(graph: Callable[[Tensor, Tensor], Tensor]) -> float:
    """The mean of the hole PSNRs over the validation photographs, dB.

    Raises:
        Differs: it fails, or paints what is no picture.
    """
    from inpaint.metrics.image import measure

    values = []
    for image, mask in pictures("validation"):
        try:
            painted = graph(image, mask)
        except Exception as error:  # whatever ONNX Runtime raises
            raise Differs(f"it fails ({str(error).splitlines()[0][:200]})") from error
        if painted.shape != image.shape or not painted.isfinite().all():
            raise Differs("it paints what is no picture")
        composite = painted * 2 - 1
        measured = measure(Outputs(composite, composite), image * 2 - 1, mask, ["hole_psnr"])
        values.append(min(float(measured["hole_psnr"]), MOST))
    return sum(values) / len(values)
