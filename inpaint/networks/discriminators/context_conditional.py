"""Context Encoders: Feature Learning by Inpainting (Pathak et al., CVPR 2016), its discriminator."""

from typing import Literal

import torch
from torch import Tensor, nn

from inpaint.batch import Verdict
from inpaint.networks.layers import around_hole, normal_init, pad_to_multiple
from inpaint.settings import Refused, choice, whole

Sees = Literal["context", "hole", "picture"]


class ContextConditional(nn.Module):
    """A DCGAN discriminator for what was painted, with or without its surroundings.

    4 x 4 convolutions of stride 2 (leaky ReLU 0.2, batch norm after all but the first) down to 4 x 4, 512 channels
    before the last; a 4 x 4 convolution without padding then gives one logit. In a picture larger than `size` it gives
    a map of them; a smaller one is extended by its border pixels. With ``width=64``:

    * `hole` (published for centre holes, 2.77 M parameters): a square of half the `size` around the hole alone
      (`layers.around_hole`), 64, 128, 256, 512 channels.
    * `picture` (published for random holes, 2.83 M): the whole picture, one more layer of 64 channels.
    * `context` (the authors' conditional option, 2.91 M; section 3.2 says that it did not help): the known pixels
      and the painted ones, each alone, through a 5 x 5 convolution of stride 2, together from there on. The published
      network gets the painted square alone and pads it to the place of a centre hole, which comes to the same.

    Departure: the authors set all convolution biases to zero at every step.

    Args:
        sees: `context`, `hole` or `picture`.
        width: channels of the first layer (published: 64).
        size: side of the pictures in pixels (published: 128).

    Raises:
        Refused: a number that is not whole, a choice that does not exist, or pictures too small for a convolution.

    Shapes: image ``(B, 3, H, W)`` in [-1, 1], mask ``(B, 1, H, W)``; one map of logits, ``(B, 1, 1, 1)`` at `size`, and
    the activations after each leaky ReLU.
    """

    def __init__(self, sees: Sees = "context", width: int = 64, size: int = 128) -> None:
        super().__init__()
        whole("discriminator.width", width, 1)
        if whole("discriminator.size", size, 1) < 16:
            raise Refused(f"discriminator.size: {size} pixels a side, at least 16 are needed")
        self.sees, self.size = choice("discriminator.sees", sees, ("context", "hole", "picture")), size
        depth = (size // (8 if sees == "hole" else 4)).bit_length() - 1  # halvings down to 4 x 4
        first, *others = [width * 2 ** max(0, layer - max(0, depth - 4)) for layer in range(depth)]
        if sees == "context":
            self.known, self.painted = (nn.Conv2d(3, first, 5, 2, 2) for _ in range(2))
            self.layers = nn.ModuleList([nn.LeakyReLU(0.2)])
            before = 2 * first
        else:
            self.layers = nn.ModuleList([nn.Sequential(nn.Conv2d(3, first, 4, 2, 1), nn.LeakyReLU(0.2))])
            before = first
        for after in others:
            convolution = nn.Conv2d(before, after, 4, 2, 1)
            self.layers.append(nn.Sequential(convolution, nn.BatchNorm2d(after), nn.LeakyReLU(0.2)))
            before = after
        self.last = nn.Conv2d(before, 1, 4)
        normal_init(self)

    def forward(self, image: Tensor, mask: Tensor) -> Verdict:
        """Judge what was painted."""
        image, mask = pad_to_multiple(image, mask, 1, self.size)
        if self.sees == "hole":
            x = around_hole(image, mask, self.size // 2)
        elif self.sees == "context":
            x = torch.cat([self.known(image * (1 - mask)), self.painted(image * mask)], dim=1)
        else:
            x = image
        features = []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return Verdict((self.last(x),), (tuple(features),))
