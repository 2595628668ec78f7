"""What a generator is given in place of the truth: noise, blur, fewer pixels, JPEG, an old photograph.

A degradation is a plain object called as ``degradation(image, keys)``: the truth, float32 ``(B, 3, H, W)`` in [-1, 1],
and int64 keys ``(B,)``, one a sample, derived from (seed, epoch, index). It returns float32 ``(B, 3, H / scale,
W / scale)`` on the same device. What it draws for a sample depends on the sample's key alone, so a picture is degraded
alike alone and in a batch, on any rank, and after a resume.

Strengths are stated as the field states them: noise in 8-bit levels (a sigma of 25), blur in pixels, JPEG by quality.

`kind.py` has what all kinds share, `filters.py` kernels and how they are applied, `resampling.py` other numbers of
pixels; `combine.py` makes one degradation of several, `synthetic.py` has the long chains of blind super-resolution.
"""

from inpaint.degradations.blur import CameraShake, GaussianBlur, MotionBlur
from inpaint.degradations.combine import OneOf, Sequence
from inpaint.degradations.compression import Jpeg
from inpaint.degradations.kind import Degradation
from inpaint.degradations.noise import GaussianNoise, PoissonNoise, SaltAndPepper, SpeckleNoise
from inpaint.degradations.paired import Paired
from inpaint.degradations.resampling import Resample, Resize
from inpaint.degradations.synthetic import BSRGAN, RealESRGAN
from inpaint.degradations.tone import Edges, Fading, Grey, PaintedHoles

__all__ = [
    "BSRGAN",
    "CameraShake",
    "Degradation",
    "Edges",
    "Fading",
    "GaussianBlur",
    "GaussianNoise",
    "Grey",
    "Jpeg",
    "MotionBlur",
    "OneOf",
    "PaintedHoles",
    "Paired",
    "PoissonNoise",
    "RealESRGAN",
    "Resample",
    "Resize",
    "SaltAndPepper",
    "Sequence",
    "SpeckleNoise",
]
