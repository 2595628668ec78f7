import pytest
import torch

from inpaint import portable
from inpaint.fills.laplace import _chebyshev, harmonic
from inpaint.networks.generators.residual_unet import ResidualUNet
from inpaint.networks.layers import crop, pad_to_multiple

SETTINGS = (2, _chebyshev(4, 0.2), _chebyshev(2, 0.5))  # those that harmonic has by default


def picture(height, width, batch=1):
    generator = torch.Generator().manual_seed(height * 1000 + width)
    image = torch.rand(batch, 3, height, width, generator=generator) * 2 - 1
    mask = (torch.rand(batch, 1, height, width, generator=generator) > 0.8).float()
    mask[:, :, height // 4 : height // 2, width // 4 :] = 1
    return image, mask


class Composite(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, image, mask):
        return self.network(image, mask).composite


class Fill(torch.nn.Module):
    def forward(self, image, mask):
        return harmonic(image, mask)


class PaddedAndCropped(torch.nn.Module):
    def forward(self, image, mask):
        both, hole = pad_to_multiple(image, mask, 8, 24)
        return crop(torch.cat([both, hole], dim=1) * 2, image)


def network():
    torch.manual_seed(0)
    made = Composite(ResidualUNet(width=4, levels=1, blocks=0)).eval().requires_grad_(False)
    for parameter in made.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.1)  # its last layer begins with zeros
    return made


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (64, 64), (65, 47), (7, 150)])
def test_the_portable_forms_are_the_harmonic_fill(size):
    image, mask = picture(*size, batch=2)
    image[1], mask[1] = 0.5, 1  # nothing is known
    known = torch.where(mask > 0.5, 0, image)
    expected = harmonic(image, mask)
    for fill in (portable.laplace, portable.laplace_exported):
        torch.testing.assert_close(fill(known, mask, *SETTINGS), expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize("fill", [portable.laplace, portable.laplace_exported])
def test_one_colour_is_continued_where_denormal_numbers_are_0(fill):
    # As in ONNX Runtime: the last steps of the solver divide what is left, nothing, by nothing.
    mask = torch.zeros(1, 1, 70, 70)
    mask[..., 20:40, 20:40] = 1
    known = torch.full((1, 3, 70, 70), 0.3) * (1 - mask)
    assert torch.set_flush_denormal(True)
    try:
        painted = fill(known, mask, *SETTINGS)
    finally:
        torch.set_flush_denormal(False)
    torch.testing.assert_close(painted, torch.full_like(painted, 0.3), atol=1e-6, rtol=0)


def test_the_exported_form_takes_the_largest_picture():
    image, mask = picture(portable.LARGEST, 1)
    known = torch.where(mask > 0.5, 0, image)
    found = portable.laplace_exported(known, mask, *SETTINGS)
    torch.testing.assert_close(found, harmonic(image, mask), atol=2e-6, rtol=0)


@pytest.mark.parametrize("make", [Fill, PaddedAndCropped, network])
def test_a_trace_serves_other_sizes(make):
    module = make()
    traced = torch.jit.trace(module, picture(16, 24), check_trace=False)
    for size in [(16, 24), (33, 50), (1, 7)]:
        torch.testing.assert_close(traced(*picture(*size)), module(*picture(*size)), atol=1e-5, rtol=0)


def test_an_exported_program_serves_other_sizes():
    module = PaddedAndCropped()
    height, width = (torch.export.Dim(name, min=24, max=64) for name in ("height", "width"))
    sizes = {2: height, 3: width}
    program = torch.export.export(module, picture(40, 30), dynamic_shapes=(sizes, sizes), strict=False).module()
    for size in [(40, 30), (33, 50), (24, 27)]:
        assert torch.equal(program(*picture(*size)), module(*picture(*size)))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 9), (8, 8), (12, 5), (33, 64)])
def test_fourier_transforms_are_products_of_matrices(size):
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    expected = torch.fft.rfft2(x, norm="ortho")
    real, imaginary = portable.rfft2(x)
    torch.testing.assert_close(torch.complex(real, imaginary), expected, atol=5e-6, rtol=0)
    # Of a spectrum that no picture has, what a real picture cannot have is left out in the same way.
    spectrum = torch.randn(2, 3, size[0], size[1] // 2 + 1, 2, generator=torch.Generator().manual_seed(1))
    back = torch.fft.irfft2(torch.view_as_complex(spectrum), s=size, norm="ortho")
    torch.testing.assert_close(portable.irfft2(*spectrum.unbind(-1), size[1]), back, atol=5e-6, rtol=0)
