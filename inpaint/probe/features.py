"""Feature vectors of pictures: those of any generator, declared or of a named layer, and those that nobody learnt."""

import os
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from inpaint.progress import in_threads
from inpaint.settings import Refused

CELL, BLOCK, ORIENTATIONS = 8, 2, 9  # HOG: pixels, cells, directions
PIXELS = 16  # side to which pictures are shrunk for the features "pixels"

# Features that nobody learnt.
CLASSICAL = {
    "hog": f"histograms of oriented gradients (Dalal and Triggs 2005; scikit-image): {ORIENTATIONS} orientations, "
    f"cells of {CELL} px, blocks of {BLOCK} x {BLOCK}, L2-Hys",
    "hog pooled": "the same averaged over the blocks, as features of encoders are averaged over their places",
    "pixels": f"the picture at {PIXELS} x {PIXELS} pixels, RGB",
}


class _Map(NamedTuple):
    """Channels, height and width of what a layer put out, and its average over the places, float32 ``(B, C)``."""

    shape: tuple[int, ...]
    average: Tensor


def pooled_features(network: nn.Module, image: Tensor, layer: str | None = None) -> Tensor:
    """One vector a picture: features averaged over the places, of a picture without a hole.

    Args:
        network: a generator, called with image and mask.
        image: ``(B, 3, H, W)`` in [-1, 1].
        layer: None takes what the generator declares, ``network.features(image, mask)``; a name as in `named_modules`
            takes what that layer puts out, at its last call if there are several.

    Returns:
        float32 ``(B, C)``.

    Raises:
        Refused: it declares none, or has no such layer; with the layers it has.
    """
    known = torch.zeros_like(image[:, :1])
    declared = getattr(network, "features", None)
    if layer is None and declared is not None:
        return declared(image, known).float().mean((2, 3))
    if layer is not None and layer in dict(network.named_modules()):
        if found := _observed(network, image, known, [layer]):
            return found[layer].average
        problem = f"{layer} of {type(network).__name__} puts out no map"
    elif layer is not None:
        problem = f"{type(network).__name__} has no layer {layer}"
    else:
        problem = f"{type(network).__name__} declares no features"
    maps = _observed(network, image[:1], known[:1], (name for name, _ in network.named_modules()))
    offered = ", ".join(f"{name} ({'x'.join(map(str, found.shape))})" for name, found in maps.items())
    raise Refused(f"layer: {problem}; give layer=NAME, one of {offered or 'none, as no layer puts out a map'}")


def _observed(network: nn.Module, image: Tensor, mask: Tensor, names: Iterable[str]) -> dict[str, _Map]:
    """What the named layers put out, those that put out a map, or several of which the first is one."""
    found: dict[str, _Map] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(layer: nn.Module, inputs: Any, output: Any) -> None:
            output = output[0] if isinstance(output, tuple) else output
            if isinstance(output, Tensor) and output.ndim == 4 and len(output) == len(image):
                # Averaged now: an activation that follows may work in place.
                found[name] = _Map(tuple(output.shape[1:]), output.float().mean((2, 3)))

        return hook

    layers = dict(network.named_modules())
    handles = [
        layers[name].register_forward_hook(keep(name)) for name in names if name and "parametrizations" not in name
    ]
    try:
        network(image, mask)
    finally:
        for handle in handles:
            handle.remove()
    return found


def classical_features(crops: Tensor) -> dict[str, Tensor]:
    """The features of `CLASSICAL` of uint8 ``(N, 3, H, W)``: float64 ``(N, d)`` each."""
    pictures = [crop.permute(1, 2, 0).numpy() for crop in crops]
    found = in_threads(hog, pictures, os.cpu_count(), "HOG", "pictures")
    blocks = torch.stack([torch.from_numpy(picture) for picture in found])
    return {
        "hog": blocks.flatten(1),
        "hog pooled": blocks.mean((1, 2)).flatten(1),
        "pixels": F.interpolate(crops.double(), (PIXELS, PIXELS), mode="area").flatten(1),
    }


def hog(picture: np.ndarray) -> np.ndarray:
    """Blocks of uint8 ``(H, W, 3)``: float64 ``(rows, columns, 2, 2, 9)``."""
    from skimage import feature

    return feature.hog(
        picture,
        orientations=ORIENTATIONS,
        pixels_per_cell=(CELL, CELL),
        cells_per_block=(BLOCK, BLOCK),
        block_norm="L2-Hys",
        feature_vector=False,
        channel_axis=-1,
    )


def centre_square(image: Tensor, side: int) -> Tensor:
    """The largest square in the middle of uint8 ``(3, H, W)`` as ``(3, side, side)`` (Lanczos, antialiased)."""
    height, width = image.shape[1:]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    square = image[:, top : top + short, left : left + short].permute(1, 2, 0).contiguous().numpy()
    resized = Image.fromarray(square).resize((side, side), Image.Resampling.LANCZOS)
    return torch.frombuffer(bytearray(resized.tobytes()), dtype=torch.uint8).view(side, side, 3).permute(2, 0, 1)
