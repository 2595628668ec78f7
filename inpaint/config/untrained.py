"""Methods that need no training, or have had it: fills, classical restorations, the models in the box."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig, OmegaConf

from inpaint import builtin
from inpaint.config import check, options
from inpaint.config.sent import load_generator
from inpaint.files.folder import expanded, first_rank
from inpaint.settings import ConfigError, Refused

if TYPE_CHECKING:  # imported where they are needed, so that --help and --cfg need not wait for torch
    from torch import Tensor, nn

    from inpaint.data.datamodule import InpaintingData
    from inpaint.fills import NearestNeighbour

log = logging.getLogger("inpaint.config.untrained")
GIVEN = "bicubic"  # the baseline that is the given picture itself


def build_fill(node: Any, photographs: "Sequence[Tensor]" = ()) -> "nn.Module":
    """A generator that needs no training, or has had it, from its config.

    Args:
        node: the config.
        photographs: those that train, uint8 ``(3, H, W)`` by row, for a fill that copies from a collection and has
            none of its own.

    Raises:
        ConfigError: it has weights.
        Refused: it has no collection, or a folder that holds no pictures. They are read at the
            first fill.
    """
    import torch

    from inpaint.batch import Batch
    from inpaint.fills import NearestNeighbour
    from inpaint.training.contract import check_generator, is_ours

    check(OmegaConf.create({"generator": node}))
    generator = hydra.utils.instantiate(node, _convert_="all")
    if any(parameter.requires_grad for parameter in generator.parameters()):
        raise ConfigError(f"generator: {type(generator).__name__} must be trained first; give checkpoint=...")
    if isinstance(generator, NearestNeighbour):
        _collect(generator, photographs)
    if not is_ours(generator):
        image = torch.linspace(-1, 1, 2 * 3 * 32 * 32).view(2, 3, 32, 32)
        hole = torch.zeros(2, 1, 32, 32)
        hole[..., 8:20, 10:24] = 1
        check_generator(generator, Batch(image=image, mask=hole, index=torch.arange(2)))
    return generator.eval()


def build_baseline(name: str, photographs: "Sequence[Tensor]" = ()) -> "nn.Module":
    """The same by the name of its option in ``conf/generator``, ours or a part's."""
    return build_fill(OmegaConf.load(options("generator")[name]), photographs)


def baselines(cfg: DictConfig, data: "InpaintingData | None") -> "dict[str, nn.Module]":
    """The methods that stand beside the model: of `cfg.baselines` those that do what it does.

    A picture that is degraded and restored as a whole has no hole that a fill could fill: there the given picture
    itself is the baseline, which is said, unless classical restorations are named.

    Args:
        cfg: whose `baselines` are names of options in ``conf/generator``.
        data: what is measured, whose photographs that train are a fill's collection; None where pictures are files.
    """
    names = list(cfg.baselines)
    if data is not None and data.restores_whole:
        targets = {name: str(OmegaConf.load(options("generator")[name])._target_) for name in names}
        fills = [name for name in names if targets[name].startswith(("inpaint.fills.", "inpaint.builtin."))]
        if fills:
            names = [name for name in names if name not in fills] or [GIVEN]
            if first_rank():
                log.info(f"baselines: {', '.join(names)}; {', '.join(fills)} fill holes, of which there are none")
    return {name: build_baseline(name, that_train(data)) for name in names}


def that_train(data: "InpaintingData | None") -> "Sequence[Tensor]":
    """The photographs that train, uint8 ``(3, H, W)`` by row; none where there are no data."""
    return () if data is None else data.tiles["train"].photographs


# ---- a fill that copies from a collection ---------------------------------------------------------------------------


class _Folder(Sequence["Tensor"]):
    """The photographs below a folder, uint8 ``(3, H, W)``, read when they are asked for."""

    def __init__(self, root: str) -> None:
        from inpaint.pictures.pairing import find_images

        self.paths = find_images(expanded(root), "generator.collection")

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: Any) -> Any:
        from inpaint.pictures.reading import read_image

        return read_image(self.paths[row])


def _collect(fill: "NearestNeighbour", photographs: "Sequence[Tensor]") -> None:
    """Give a fill its collection: of its own, or the photographs that train.

    Raises:
        Refused: there is neither, or its folder holds no pictures; they are read at the first fill.
    """
    if fill.collection is None and not len(photographs):
        raise Refused(
            "generator.collection: nearest_neighbour copies from photographs, and here are none that train; give "
            "generator=nearest_neighbour generator.collection=DIR"
        )
    fill.copy_from(
        photographs if fill.collection is None else _Folder(fill.collection),
        None if fill.features is None else _encoder(fill.features),
    )


def _encoder(path: str) -> "nn.Module":
    """The generator of a run or a checkpoint, or a model in the box."""
    from inpaint.builtin.network import Builtin
    from inpaint.files import checkpoint

    return Builtin(path).network if path in builtin.MODELS else load_generator(checkpoint.load(path))
