import json
import logging

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from inpaint import rng
from inpaint.batch import compose
from inpaint.exchange import formats
from inpaint.exchange.contract import Contract, Exported, draws_noise, example
from inpaint.networks.generators.fourier import LaMa
from inpaint.networks.generators.residual_unet import ResidualUNet
from inpaint.networks.generators.super_resolution import SRVGG
from inpaint.networks.layers import crop, pad_to_multiple
from inpaint.settings import Refused


class Blur(nn.Module):
    """Small enough to be exported in seconds, with what every generator has: padding, strides, a crop."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.down, self.up = nn.Conv2d(4, 8, 4, 2, 1), nn.ConvTranspose2d(8, 3, 4, 2, 1)
        self.requires_grad_(False).eval()

    def forward(self, image, mask):
        x, hole = pad_to_multiple(image, mask, 8)
        return compose(crop(self.up(F.relu(self.down(torch.cat([x, hole], dim=1)))), image), image, mask)


class OfOneSize(Blur):
    """Its trace keeps the size that it was traced at."""

    def forward(self, image, mask):
        ramp = torch.linspace(0, 1, int(image.shape[3]))
        return compose(image * 0 + ramp, image, mask)


class Noise(nn.Module):
    def forward(self, image, mask):
        return compose(rng.uniform_for(image, *image.shape[1:]), image, mask)


def network():
    torch.manual_seed(0)
    made = ResidualUNet(width=4, levels=1, blocks=0).eval().requires_grad_(False)
    for parameter in made.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.1)
    return made


@pytest.mark.parametrize("name", formats.GRAPHS)
def test_a_graph_paints_what_its_network_paints(name, tmp_path):
    generator = Blur()
    written = formats.write(name, generator, tmp_path)
    assert written.difference <= 1e-5 and written.size == (tmp_path / written.file).stat().st_size
    assert (written.opset is not None) == (name == "onnx")
    assert [path.name for path in tmp_path.iterdir()] == [written.file]
    assert formats.format_of(tmp_path / written.file) == name
    exported = formats.read(tmp_path / written.file, name)
    # Sizes that were not compared while writing, two pictures together, and one that is smaller than a graph takes.
    for height, width in ((90, 71), (33, 40)):
        image = torch.cat([example(height, width)[0] * 2 - 1, torch.zeros(1, 3, height, width)])
        mask = example(height, width)[1].repeat(2, 1, 1, 1)
        expected = generator(image * (1 - mask), mask).composite.clamp(-1, 1) * mask + image * (1 - mask)
        found = exported(image, mask)
        if min(height, width) >= 64:
            torch.testing.assert_close(found.composite, expected, atol=1e-4, rtol=0)
        assert torch.equal(torch.where(mask > 0.5, 0, found.composite), torch.where(mask > 0.5, 0, image))


@pytest.mark.parametrize("name", formats.GRAPHS)
def test_a_graph_enlarges_as_its_network_does(name, tmp_path):
    torch.manual_seed(0)
    generator = SRVGG(2, width=4, depth=1).eval().requires_grad_(False)
    generator.layers[-1].weight.normal_(std=0.05)
    written = formats.write(name, generator, tmp_path, scale=2)
    assert written.difference <= 1e-5
    exported = formats.read(tmp_path / written.file, name, scale=2)
    for height, width in ((90, 71), (33, 40)):  # two pictures together, and some smaller than a graph takes
        image = torch.cat([example(height, width)[0], torch.zeros(1, 3, height, width)]) * 2 - 1
        mask = torch.ones(2, 1, 2 * height, 2 * width)
        expected, found = generator(image, mask).output.clamp(-1, 1), exported(image, mask)
        assert found.output.shape == (2, 3, 2 * height, 2 * width) and torch.equal(found.output, found.composite)
        inside = (..., slice(None, -8), slice(None, -8))  # a smaller one is extended by its border, which others see
        torch.testing.assert_close(found.output[inside], expected[inside], atol=1e-4, rtol=0)


def test_torchscript_holds_the_default_generator_at_any_size(tmp_path):
    generator = network()
    assert formats.write("torchscript", generator, tmp_path).difference < 1e-4
    graph = torch.jit.load(tmp_path / "model.pt")
    for size in ((1, 5), (64, 64), (150, 37)):
        image, mask = example(*size)
        torch.testing.assert_close(graph(image, mask), Contract(generator)(image, mask), atol=1e-5, rtol=0)


def test_torchscript_holds_layers_whose_names_are_words_of_python(tmp_path):
    """Those of LaMa: ``global``, ``local to global``."""
    torch.manual_seed(0)
    generator = LaMa(blocks=1, width=4).eval().requires_grad_(False)
    before = [*generator.state_dict()]
    assert formats.write("torchscript", generator, tmp_path).difference < 1e-4
    assert [*generator.state_dict()] == before


def test_a_file_that_cannot_be_read_back_is_not_kept(tmp_path, monkeypatch):
    def read(path):
        raise SyntaxError("expected ident")

    monkeypatch.setitem(formats.GRAPHS, "torchscript", formats.GRAPHS["torchscript"]._replace(read=read))
    with pytest.raises(formats.Differs, match=r"cannot be read back \(expected ident\)"):
        formats.write("torchscript", Blur(), tmp_path)
    assert not [*tmp_path.iterdir()]


@pytest.mark.slow
def test_graphs_hold_the_default_generator(tmp_path):
    """Both in one test: they are made of one program, which takes minutes."""
    generator = network()
    image, mask = example(517, 70)
    expected = generator((image * 2 - 1) * (1 - mask), mask).composite.clamp(-1, 1)
    for name in ("torch_export", "onnx"):
        assert formats.write(name, generator, tmp_path).difference < 1e-4
        exported = formats.read(tmp_path / formats.GRAPHS[name].file, name)
        found = exported(image * 2 - 1, mask).composite
        torch.testing.assert_close(found * mask, expected * mask, atol=2e-4, rtol=0)


def test_the_contract_is_lamas():
    image, mask = example(70, 66)
    painted = Contract(Blur())(image, mask)
    assert painted.min() >= 0 and painted.max() <= 1
    assert torch.equal(torch.where(mask > 0.5, 0, painted), torch.where(mask > 0.5, 0, image))
    assert torch.equal(painted, Contract(Blur())(torch.where(mask > 0.5, 0.3, image), mask))  # nothing of the hole


def test_what_differs_is_not_kept(tmp_path):
    with pytest.raises(formats.Differs, match="at 64 x 96"):
        formats.write("torchscript", OfOneSize(), tmp_path)
    assert not [*tmp_path.iterdir()]


def test_a_graph_that_divides_by_contrast_is_refused():
    contract = Contract(Blur())
    with pytest.raises(formats.Differs, match="of one colour"):
        formats.compare(contract, lambda image, mask: contract(image, mask) + 0 / (image - image.mean()).abs().max())


class Contrast(nn.Module):
    """Divides by the contrast of what is known, which is 0 where that has one colour."""

    def forward(self, image, mask):
        output = (image - image.mean()) / ((image - image.mean()).square().mean() + 1e-12).sqrt() * 0.1
        return compose(output, image, mask)


def test_onnx_keeps_small_numbers_that_are_added(tmp_path):
    formats.write("onnx", Contrast(), tmp_path)
    exported = formats.read(tmp_path / formats.GRAPHS["onnx"].file, "onnx")
    flat = exported(torch.zeros(1, 3, 64, 80), torch.ones(1, 1, 64, 80))
    assert flat.composite.isfinite().all()


def test_what_a_network_cannot_have(tmp_path):
    assert draws_noise(Noise()) and not draws_noise(Blur())
    with pytest.raises(formats.CannotHold, match="draws noise"):
        formats.write("onnx", Noise(), tmp_path)
    assert not [*tmp_path.iterdir()]


def test_a_picture_that_is_too_large_for_a_graph():
    exported = Exported(lambda image, mask: image, "model.onnx", 64, 128)
    with pytest.raises(Refused, match=r"at most 128 pixels.*strategy=crop"):
        exported(torch.zeros(1, 3, 8, 129), torch.zeros(1, 1, 8, 129))


def test_torchscript_that_acts_is_refused(tmp_path, caplog):
    class Prints(nn.Module):
        def forward(self, image, mask):
            return image

    scripted = torch.jit.script(Prints())
    scripted.define("def shout(self, image, mask):\n    print(image)\n    return image\n")
    scripted.save(tmp_path / "model.pt")
    with caplog.at_level(logging.WARNING), pytest.raises(Refused, match="'print'"):
        formats.read(tmp_path / "model.pt", "torchscript")
    assert "runs here with your rights" in caplog.text


@pytest.mark.parametrize("name", formats.GRAPHS)
def test_a_file_of_something_else_is_one_line(name, tmp_path):
    path = tmp_path / formats.GRAPHS[name].file
    path.write_bytes(json.dumps({"a": 1}).encode())
    with pytest.raises(Refused, match="cannot be read") as refusal:
        formats.read(path, name)
    assert "\n" not in str(refusal.value)


def test_a_network_that_is_told_something_has_its_weights_alone(tmp_path):
    """A graph would paint as if nothing was said."""
    generator = ResidualUNet(width=4, levels=1, blocks=0, condition={"label": 3}).eval().requires_grad_(False)
    with pytest.raises(formats.CannotHold, match="is told the label of a picture"):
        formats.write("torchscript", generator, tmp_path, None)
