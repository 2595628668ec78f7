"""The models in the box as generators."""

from importlib import import_module

import safetensors.torch
from torch import Tensor, nn

from inpaint import builtin
from inpaint.batch import Outputs
from inpaint.settings import choice


class Builtin(nn.Module):
    """A network with its weights, in evaluation mode, without gradients; it stands where a classical method may.

    Args:
        model: ``builtin`` fills holes, ``builtin_x2`` makes whole pictures twice as large, ``builtin_denoise`` takes
            their noise off.

    Raises:
        Refused: there is no such model, or its files are missing or damaged.
    """

    def __init__(self, model: str = builtin.NAME) -> None:
        super().__init__()
        self.model = choice("generator.model", model, builtin.MODELS)
        described = builtin.settings(model)
        module, _, name = described.pop("_target_").rpartition(".")
        self.network = getattr(import_module(module), name)(**described)
        weights = safetensors.torch.load(builtin.content(model, "model.safetensors"))  # in 16 bits
        self.network.load_state_dict({name: value.float() for name, value in weights.items()}, assign=True)
        self.scale = getattr(self.network, "scale", 1)
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Image ``(B, 3, h, w)`` in [-1, 1] and mask ``(B, 1, H, W)``, any size; H = 2 h where it enlarges."""
        return self.network(image, mask)
