"""The model in the box as a generator."""

import safetensors.torch
from torch import Tensor, nn

from inpaint import builtin
from inpaint.batch import Outputs
from inpaint.networks.generators import residual_unet


class Builtin(nn.Module):
    """The network with its weights, in evaluation mode, without gradients; it takes a fill's place.

    Raises:
        Refused: its files are missing or damaged.
    """

    def __init__(self) -> None:
        super().__init__()
        described = builtin.settings()
        network = getattr(residual_unet, described.pop("_target_").rpartition(".")[2])
        self.network = network(**described)
        weights = safetensors.torch.load(builtin.content("model.safetensors"))  # in 16 bits
        self.network.load_state_dict({name: value.float() for name, value in weights.items()}, assign=True)
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Image ``(B, 3, H, W)`` in [-1, 1] and mask ``(B, 1, H, W)``, any H and W."""
        return self.network(image, mask)
