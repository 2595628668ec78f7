"""Networks that judge pictures: ``(image, mask) -> Verdict``, one file a family.

image: ``(B, 3, H, W)`` in [-1, 1], real or painted; mask ``(B, 1, H, W)``, 1 = hole, the same for both. Any H and W,
unless a class says otherwise. Higher logits are more real; no sigmoid, which belongs to the adversarial loss.

Real and fake pictures go through a network together, unless it has batch norm: then each has statistics of its own
(`InpaintingGAN`), as in the papers.
"""

from inpaint.networks.discriminators.context_conditional import ContextConditional
from inpaint.networks.discriminators.dcgan import DCGAN
from inpaint.networks.discriminators.global_local import GlobalLocal
from inpaint.networks.discriminators.patch import MultiScale, Patch
from inpaint.networks.discriminators.sn_patch import SNPatch
from inpaint.networks.discriminators.srgan import SRGAN
from inpaint.networks.discriminators.unet import UNet

__all__ = ["DCGAN", "SRGAN", "ContextConditional", "GlobalLocal", "MultiScale", "Patch", "SNPatch", "UNet"]
