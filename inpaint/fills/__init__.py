"""Classical ways to fill a hole: baselines that take a generator's place, and the initial fill of a network.

Every class is an `nn.Module` without parameters, called as a generator is: ``fill(image, mask) -> Outputs``.

* image: float32 ``(B, 3, H, W)`` in [-1, 1], any H and W from 1 up.
* mask: float32 ``(B, 1, H, W)``, exactly 0 or 1, 1 = hole.
* output and composite: equal, ``(B, 3, H, W)``; the image outside the hole bit for bit, the fill inside.

What the image holds inside the hole is never read: it may be the truth, or NaN. A picture without a hole comes back as
it is; a picture that is all hole becomes mid grey, 0. Each picture is filled by itself, whatever else is in its batch.

`known.py` has the mean of the known pixels, `laplace.py` the harmonic fill, which is batched and differentiable. The
others take one picture at a time, on all cores (`single.py`): `opencv.py`, `biharmonic.py`, `patches.py`, which copies
from the picture itself, and `neighbours.py`, which copies from a collection.

What a fill does once for all pictures of a size is its ``prepare(size)``, if it has one; its time is not the fill's.
"""

from inpaint.fills.biharmonic import Biharmonic
from inpaint.fills.known import Mean
from inpaint.fills.laplace import Harmonic, harmonic
from inpaint.fills.neighbours import NearestNeighbour
from inpaint.fills.opencv import NavierStokes, Telea
from inpaint.fills.patches import NearestPatch

__all__ = ["Biharmonic", "Harmonic", "Mean", "NavierStokes", "NearestNeighbour", "NearestPatch", "Telea", "harmonic"]
