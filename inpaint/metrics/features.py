"""Networks whose features say how far apart sets of pictures are (`metrics.distribution`).

Distances under different networks are different figures: each network has a name, which is printed beside them.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from inpaint.batch import stored
from inpaint.files.folder import sha256
from inpaint.metrics.foreign import Foreign
from inpaint.networks.backbones import FILES, HoldsBackbone, shared
from inpaint.settings import Refused

# NVIDIA's TorchScript translation of the Inception network of the first FIDs (Heusel et al. 2017), bit for bit what
# StyleGAN's, MAT's and clean-fid's figures were made with.
INCEPTION = "inception-2015-12-05.pt"
INCEPTION_ADDRESS = f"https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/{INCEPTION}"
INCEPTION_SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"


class FeatureNetwork(nn.Module):
    """Pictures ``(B, 3, H, W)`` in [-1, 1], rounded to 8 bits as they would be stored, to features ``(B, size)``.

    Attributes:
        name: what is printed beside a figure.
        size: features of a picture.
    """

    def __init__(self, name: str, network: nn.Module, size: int) -> None:
        super().__init__()
        self.name, self.network, self.size = name, network, size

    def forward(self, pictures: Tensor) -> Tensor:
        """Float32 whatever the autocast, without gradients."""
        return self.network(pictures)


def feature_network(name_or_file: str, weights: str | None = None, size: int = 224) -> FeatureNetwork:
    """A network for FID, KID, P-IDS and U-IDS.

    Args:
        name_or_file: `inception` (2048 features, what papers report), which is read from torch's hub cache; or a
            TorchScript or ONNX file, see `foreign.Foreign`; or ``network:layer`` of `networks.backbones`, averaged over
            the places, as ``vgg16:relu4_3``.
        weights: of ``network:layer``: a file, `random`, or None for torchvision's from the hub cache or a download.
        size: pixels that pictures are resized to for a file; the others take them as they are.

    Raises:
        Refused: no such network, or a file that is nowhere to be found or does not fit; it says what to put where.
    """
    if name_or_file == "inception":
        return _inception()
    if Path(name_or_file).is_file():
        network = Foreign(Path(name_or_file), "features", size)
        resized = "" if network.prepares else f", {size} px"
        name = f"{Path(name_or_file).name} (sha256 {sha256(name_or_file)[:8]}{resized})"
        return FeatureNetwork(name, network, network.width)
    backbone, colon, layer = name_or_file.partition(":")
    if colon and backbone in FILES:
        pooled = _Pooled(backbone, layer, weights)
        file = pooled.backbone.file
        return FeatureNetwork(f"{name_or_file} ({file.name if file else 'random weights'})", pooled, pooled.size)
    raise Refused(
        f"features: {name_or_file!r} is neither inception, nor a file that is there, nor a network and a layer of it, "
        f"as vgg16:relu4_3; the networks are {', '.join(FILES)}"
    )


def _inception() -> FeatureNetwork:
    file = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION
    if not file.is_file():
        raise Refused(
            f"features: put {INCEPTION_ADDRESS} into {file.parent}, or choose others (features=vgg16:relu4_3)"
        )
    if sha256(file) != INCEPTION_SHA256:
        raise Refused(f"features: {file} is not NVIDIA's file, whose sha256 is {INCEPTION_SHA256}; fetch it anew")
    network = Foreign(file, "features", known=True)
    return FeatureNetwork(INCEPTION.removesuffix(".pt"), network, network.width)


class _Pooled(HoldsBackbone):
    """Features of a backbone's layer, their mean over the places."""

    def __init__(self, network: str, layer: str, weights: str | None) -> None:
        super().__init__()
        self.layer = layer
        self.hold(shared(network, weights, "torchvision", [layer], "features"))
        self.size = self(torch.zeros(1, 3, 64, 64)).shape[1]

    @torch.no_grad()
    def forward(self, pictures: Tensor) -> Tensor:
        with torch.autocast(pictures.device.type, enabled=False):
            return self.backbone(stored(pictures), [self.layer])[0].mean(dim=(2, 3))
