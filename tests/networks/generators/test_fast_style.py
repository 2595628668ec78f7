"""The network of Johnson et al. 2016: its sizes, and that it learns a style in one pass."""

import pytest
import torch
from PIL import Image

from inpaint import rng
from inpaint.batch import Batch, Outputs, paint
from inpaint.losses.perceptual import Perceptual, Style
from inpaint.networks.generators.fast_style import FastStyle
from inpaint.settings import Refused
from tests.conftest import smooth_picture


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("size", [(8, 8), (13, 10), (3, 21)])
def test_any_size_comes_back_as_large_as_the_truth(scale, size):
    network = FastStyle(scale, width=2, blocks=1)
    output = network(torch.zeros(2, 3, *size), torch.ones(2, 1, scale * size[0], scale * size[1])).output
    assert output.shape == (2, 3, scale * size[0], scale * size[1])


def test_its_parameters():
    """Of the examples' network less the scales and shifts of its norms; one that enlarges has no halvings."""
    with torch.device("meta"):
        counts = [sum(p.numel() for p in FastStyle(scale).parameters()) for scale in (1, 4)]
    assert counts[0] == 1_679_235 - 2 * (32 + 64 + 128 + 10 * 128 + 64 + 32)
    body = 5 * 2 * (128 * 128 * 9 + 128) + (128 * 64 + 64 * 32) * 9 + 64 + 32 + 32 * 3 * 81 + 3
    assert counts[1] == body + 3 * 128 * 81 + 128


def test_what_is_refused():
    for settings, says in (({"scale": 3}, "generator.scale: give one of 1, 2, 4"), ({"norm": "layer"}, "norm")):
        with pytest.raises(Refused, match=says):
            FastStyle(**settings)


def crops(seeds):
    pixels = torch.stack([torch.from_numpy(smooth_picture(seed, 32, 32)) for seed in seeds])
    image = pixels.permute(0, 3, 1, 2) / 127.5 - 1
    return Batch(image=image, mask=torch.ones(len(image), 1, 32, 32), index=torch.arange(len(image)), given=image)


def test_it_learns_a_style_in_one_pass(tmp_path):
    """Of pictures that it has not seen, the distance to the style falls below a third of what it was."""
    checks = torch.arange(48)[:, None] // 3 + torch.arange(48) // 3
    red = torch.stack([checks % 2 * 255, checks * 0, checks * 0], dim=2).to(torch.uint8)
    Image.fromarray(red.numpy()).save(tmp_path / "style.png")
    shared = {"backbone": "vgg16", "weights": "random", "error": "l2", "of": "output"}
    style = Style(1.0, layers=["relu1_1", "relu1_2"], picture=str(tmp_path / "style.png"), **shared)
    content = Perceptual(1e-6, layers=["relu1_2"], **shared)
    rng.seed_all(0)
    network, unseen = FastStyle(width=4, blocks=1), crops(range(100, 104))
    as_it_is = style(Outputs(output=unseen["image"], composite=unseen["image"]), unseen).item()
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for update in range(60):
        batch = crops(range(2 * update, 2 * update + 2))
        outputs = paint(network, batch)
        optimizer.zero_grad()
        (style.weight * style(outputs, batch) + content.weight * content(outputs, batch)).backward()
        optimizer.step()
    with torch.no_grad():
        assert style(paint(network, unseen), unseen).item() < as_it_is / 3
