"""Where holes come from: masks that are pure functions of a sample's key, made in batch on the keys' device.

A mask generator is a plain object called as ``masks(keys, size)``: int64 keys ``(B,)``, one a sample, already derived
from (seed, epoch, index), and the size ``(H, W)`` in pixels. It returns float32 ``(B, 1, H, W)`` on the keys' device,
exactly 0 or 1, 1 = hole.

*Coordinates.* The centre of the pixel in column i and row j is the point (i, j), so a picture covers
[-0.5, W - 0.5] x [-0.5, H - 0.5]. A pixel is in the hole when its centre lies in a shape. Lengths in a config are
fractions of the picture's shorter side, or pixels of a stated `resolution`, so one config serves every size.

*The same everywhere.* Nothing looks across samples, makes the host wait for a GPU, or leaves the arithmetic that
IEEE 754 rounds in one way only (+, -, *, /, sqrt, floor): sin and cos differ in the last bit between libraries.

`kind.py` has what all kinds share, `shapes.py` the painter, `pool.py` the lookup of stored masks; the other files hold
the kinds.
"""

from inpaint.masks.blobs import Blobs
from inpaint.masks.boxes import Boxes, Full, Grid, Outpainting
from inpaint.masks.combine import Inverted, Mixture, Union
from inpaint.masks.files import Files
from inpaint.masks.kind import Masks
from inpaint.masks.objects import Objects
from inpaint.masks.scratches import Scratches
from inpaint.masks.shapes import Shapes, Size, paint
from inpaint.masks.strokes import DeepFillStrokes, LamaStrokes, Strokes
from inpaint.masks.text import Text

__all__ = [
    "Blobs",
    "Boxes",
    "DeepFillStrokes",
    "Files",
    "Full",
    "Grid",
    "Inverted",
    "LamaStrokes",
    "Masks",
    "Mixture",
    "Objects",
    "Outpainting",
    "Scratches",
    "Shapes",
    "Size",
    "Strokes",
    "Text",
    "Union",
    "paint",
]
