"""The network of Johnson et al. (2016): one pass in place of an optimisation, for a style or for more pixels."""

from torch import Tensor, nn

from inpaint.batch import Outputs, compose
from inpaint.networks.layers import NORMS, ResidualBlock, crop, pad_to_multiple
from inpaint.settings import choice, whole_numbers

DOUBLINGS = 2


class FastStyle(nn.Module):
    """Fewer pixels with more channels, residual blocks, and more pixels again (Johnson et al. 2016, arXiv 1603.08155).

    9 x 9 to `width` channels, two halvings, five residual blocks of four times the width, two doublings (nearest, then
    3 x 3, as Odena et al. 2016 found to leave no checkerboard, where the paper transposes convolutions), 9 x 9 to three
    channels, reflect padding throughout. A `scale` leaves so many halvings out as make what is given as large as the
    truth, so the same network enlarges: the paper's for x4 has none.

    It has no tanh, as in the code of PyTorch's examples; whoever stores its output cuts it. Departure from that code:
    its norm has a scale and a shift, which the next convolution can learn.

    Args:
        scale: how many times more pixels a side gets: 1, 2 or 4.
        width: channels at full size; 32 with 5 blocks are 1,676,035 parameters.
        blocks: residual blocks.
        norm: ``instance`` (Ulyanov et al. 2016), as the examples have it, ``batch`` (the paper) or ``none``.

    Shapes: image ``(B, 3, h, w)`` in [-1, 1], mask ``(B, 1, scale * h, scale * w)``; output ``(B, 3, H, W)``.
    """

    def __init__(self, scale: int = 1, width: int = 32, blocks: int = 5, norm: str = "instance") -> None:
        super().__init__()
        whole_numbers("generator", scale=scale, width=width)
        whole_numbers("generator", least=0, blocks=blocks)
        self.scale = int(choice("generator.scale", str(scale), ("1", "2", "4")))
        choice("generator.norm", norm, NORMS)
        halvings = DOUBLINGS - (self.scale.bit_length() - 1)
        before = width * self.scale
        layers = _layer(3, before, 9, norm)
        for _ in range(halvings):
            layers += _layer(before, 2 * before, 3, norm, stride=2)
            before *= 2
        layers += [ResidualBlock(before, norm) for _ in range(blocks)]
        for _ in range(DOUBLINGS):
            layers += [nn.Upsample(scale_factor=2), *_layer(before, before // 2, 3, norm)]
            before //= 2
        self.layers = nn.Sequential(*layers, nn.Conv2d(before, 3, 9, padding=4, padding_mode="reflect"))
        self.multiple = 2**halvings

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Paint all of the picture anew."""
        larger, _ = pad_to_multiple(image, image[:, :1], self.multiple, minimum=8)
        output = self.layers(larger)
        return compose(crop(output, mask), image, mask)


def _layer(before: int, after: int, kernel: int, norm: str, stride: int = 1) -> list[nn.Module]:
    """Convolution, norm and ReLU."""
    convolution = nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, padding_mode="reflect")
    return [convolution, NORMS[norm](after), nn.ReLU(True)]
