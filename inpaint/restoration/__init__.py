"""Classical ways to restore a degraded picture: what stands beside a network in the table, without training.

Every class is an `nn.Module` without parameters, called as a generator is: ``restore(image, mask) -> Outputs``.

* image: what is given, float32 ``(B, 3, h, w)``; it may leave [-1, 1].
* mask: float32 ``(B, 1, H, W)``, exactly 0 or 1, 1 = to be restored. H and W are the truth's, as many times h and w as
  the degradation's scale says.
* output and composite: ``(B, 3, H, W)``; outside the mask the composite is the given picture.

`enlarging.py` has the given picture itself, `denoising.py` what takes noise off, `deblurring.py` what undoes a
known blur.
"""

from inpaint.restoration.deblurring import RichardsonLucy, Wiener
from inpaint.restoration.denoising import NonLocalMeans, TotalVariation, noise_level
from inpaint.restoration.enlarging import Bicubic, enlarged

__all__ = [
    "Bicubic",
    "NonLocalMeans",
    "RichardsonLucy",
    "TotalVariation",
    "Wiener",
    "enlarged",
    "noise_level",
]
