"""What a fill depends on: which known pixels change it, and where the attention of its places goes."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaint import rng
from inpaint.batch import Batch, given, paint
from inpaint.progress import track

SHIFT = 0.5  # a quarter of the range [-1, 1]: by how much a block is made darker or lighter
AT_ONCE = 2**18  # pixels that are painted at a time on a CPU
COLOURS = ((0.0, 0.0, 0.0), (0.45, 0.0, 0.55), (1.0, 0.45, 0.0), (1.0, 1.0, 0.4))  # of 0, 1/3, 2/3 and 1, in [0, 1]


@torch.inference_mode()
def explained(network: nn.Module, batch: Batch, block: int) -> tuple[dict[str, Tensor], list[float]]:
    """What a sheet shows of a batch: pictures ``(B, 3, H, W)`` in [-1, 1] by title, on the CPU.

    Args:
        network: as of `occlusion`, and `batch` and `block`.

    Returns:
        What is given, what was filled, what that depends on, and the mean attention of the layers that have some; and
        for each picture the most that one block changed it, in 8-bit levels.
    """
    with rng.of_samples(rng.fold(batch["index"], "evaluation")):
        filled = paint(network, batch).composite.float().cpu()
    changes, looks = occlusion(network, batch, block), attention(network, batch)
    columns = {"given": given(batch).cpu(), "filled": filled, "depends on": overlaid(batch, changes)}
    if looks:
        size = max(tuple(found.shape[2:]) for found in looks.values())
        mean = torch.stack([F.interpolate(found, size)[:, 0] for found in looks.values()]).mean(0)
        columns["attention"] = overlaid(batch, mean)
    return columns, changes.amax((1, 2)).tolist()


@torch.inference_mode()
def occlusion(network: nn.Module, batch: Batch, block: int) -> Tensor:
    """How much a change of each block of known pixels changes what is painted in the hole.

    Occlusion sensitivity (Zeiler and Fergus 2014) with a change of one size in place of grey, by which a block that is
    grey already would not count: the known pixels of a block are made darker by a quarter of the range where they are
    light on average, and lighter where they are dark, each colour by itself.

    Args:
        network: a generator or a fill, in evaluation mode; what it draws is the same for all changes of a sample.
        batch: pictures and holes, on the network's device.
        block: side of the blocks in pixels; those at the right and lower border may be smaller.

    Returns:
        Mean absolute change over the hole's pixels and RGB, in 8-bit levels: float32 ``(B, rows, columns)``, on the
        CPU; 0 where a block has no known pixel, or its picture no hole.
    """
    seen, mask = given(batch), batch["mask"]
    height, width = mask.shape[2:]
    rows, columns = -(-height // block), -(-width // block)
    label = torch.arange(height, device=mask.device)[:, None] // block * columns
    label = label + torch.arange(width, device=mask.device) // block  # (H, W): the block of each pixel
    many = max(1, AT_ONCE // (height * width))
    found = torch.zeros(len(mask), rows * columns)
    for sample in track(range(len(mask)), "changing known pixels", "pictures"):
        picture, hole = seen[sample], mask[sample] > 0.5
        places = label[~hole[0]].unique()
        if not hole.any() or not len(places):
            continue
        keys = rng.fold(batch["index"][sample : sample + 1], "evaluation")
        unchanged = _painted(network, batch, sample, picture[None], keys)
        for part in places.split(many):
            at = (label == part[:, None, None]) & ~hole  # (K, H, W)
            mean = (picture * at[:, None]).sum((2, 3)) / at.sum((1, 2))[:, None]
            step = torch.where(mean >= 0, -SHIFT, SHIFT)[..., None, None]
            changed = torch.where(at[:, None], (picture + step).clamp(-1, 1), picture)
            painted = _painted(network, batch, sample, changed, keys)
            found[sample, part.cpu()] = (painted - unchanged).abs()[..., hole[0]].mean((1, 2)).mul(127.5).cpu()
    return found.view(-1, rows, columns)


def _painted(network: nn.Module, batch: Batch, sample: int, pictures: Tensor, keys: Tensor) -> Tensor:
    """What is made of several versions of one sample's known pixels: ``(K, 3, H, W)``."""
    row = slice(sample, sample + 1)
    times = len(pictures)
    image, mask, index = batch["image"][row], batch["mask"][row], batch["index"][row]
    same = Batch(image=image.expand(times, -1, -1, -1), mask=mask.expand(times, -1, -1, -1), index=index.expand(times))
    with rng.of_samples(keys.expand(times)):
        return paint(network, same | {"given": pictures}).composite.float()


@torch.inference_mode()
def attention(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Where the attention of the places in the hole goes, of each layer that can say it.

    Such a layer has a method ``attended(*inputs, asking=share)`` beside its ``forward(*inputs)``: from the share of
    each place that is asked for, ``(B, 1, H, W)`` of any size, which is the hole, to what all places get of their
    attention, ``(B, 1, h, w)`` with a sum of 1; 0 where nothing asks.

    Returns:
        Maps by the layer's name, float32 on the CPU. None of a network without such layers.
    """
    maps: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            maps[name] = layer.attended(*inputs, asking=batch["mask"]).float().cpu()  # type: ignore[operator]

        return hook

    layers = [(name, layer) for name, layer in network.named_modules() if hasattr(layer, "attended")]
    handles = [layer.register_forward_pre_hook(keep(name)) for name, layer in layers]
    try:
        if layers:
            with rng.of_samples(rng.fold(batch["index"], "evaluation")):
                paint(network, batch)
    finally:
        for handle in handles:
            handle.remove()
    return maps


def overlaid(batch: Batch, maps: Tensor) -> Tensor:
    """Maps in colour over the known pixels in grey, the most of each in light yellow, and the hole in white.

    maps: ``(B, h, w)`` from 0 up. Returns ``(B, 3, H, W)`` in [-1, 1].
    """
    mask, seen = batch["mask"].cpu(), given(batch).cpu()
    most = maps.amax((1, 2), keepdim=True).clamp_min(torch.finfo(maps.dtype).tiny)
    heat = F.interpolate((maps / most)[:, None], mask.shape[2:], mode="nearest")
    stops = torch.tensor(COLOURS)
    place = heat[:, 0] * (len(stops) - 1)
    low = place.long().clamp(max=len(stops) - 2)
    colour = torch.lerp(stops[low], stops[low + 1], (place - low)[..., None]).movedim(3, 1)
    grey = seen.mean(1, keepdim=True).add(1).div(2).expand(-1, 3, -1, -1)
    shown = torch.lerp(0.6 * grey, colour, heat.clamp(0, 1).sqrt())
    return torch.where(mask > 0.5, 1.0, shown * 2 - 1)
