import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation
from skimage import data, feature
from torch import nn

from inpaint.fills import harmonic
from inpaint.networks.generators.edge_connect import EdgeConnect, EdgeGenerator, edges_of, grey_of


def picture(size=48):
    """A bright disc on a dark slope, with a hole over part of its rim."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    disc = ((y - size / 2) ** 2 + (x - size / 2) ** 2 < (size / 4) ** 2).float()
    image = (disc * 1.2 - 0.8 + 0.004 * x).expand(1, 3, size, size).clone()
    mask = torch.zeros(1, 1, size, size)
    mask[:, :, size // 3 : size // 2, size // 2 :] = 1
    return image, mask


def test_the_published_size():
    """7 x 7, two strided 4 x 4, eight blocks of two 3 x 3, two transposed 4 x 4, 7 x 7; only the last has a bias."""
    with torch.device("meta"):
        network = EdgeConnect()
    middle = 8 * 2 * 256 * 256 * 9 + 2 * (64 * 128 + 128 * 256) * 16
    assert sum(p.numel() for p in network.painter.parameters()) == 4 * 64 * 49 + middle + 64 * 3 * 49 + 3
    assert sum(p.numel() for p in network.edges.parameters()) == 3 * 64 * 49 + middle + 64 * 49 + 1
    assert round(sum(p.numel() for p in network.painter.parameters()) / 1e6, 1) == 10.8


def test_spectral_norm_is_on_all_of_the_edge_generator_but_its_last_convolution():
    network = EdgeConnect(width=4, blocks=2)

    def normed(part):
        kinds = (nn.Conv2d, nn.ConvTranspose2d)
        return [hasattr(m, "parametrizations") for m in part.modules() if isinstance(m, kinds)]

    assert normed(network.edges) == [True] * 9 + [False]
    assert not any(normed(network.painter))


@pytest.mark.parametrize("name", ["astronaut", "coffee", "camera"])
def test_canny_against_scikit_image(name):
    pixels = torch.from_numpy(getattr(data, name)()[:200, :180]).float() / 127.5 - 1
    image = (pixels.permute(2, 0, 1) if pixels.ndim == 3 else pixels.expand(3, -1, -1))[None]
    grey = grey_of(image)
    ours = edges_of(grey)
    assert set(ours.unique().tolist()) == {0.0, 1.0}
    ours, theirs = ours[0, 0].numpy() > 0, feature.canny(grey[0, 0].numpy(), sigma=2)
    near = np.ones((3, 3))
    assert (theirs & binary_dilation(ours, near)).sum() / theirs.sum() > 0.95
    assert (ours & binary_dilation(theirs, near)).sum() / ours.sum() > 0.95


def test_grey_is_the_luma_in_0_to_1():
    colours = torch.tensor([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1], [1, 1, 1]]).view(4, 3, 1, 1)
    assert torch.allclose(grey_of(colours).flatten(), torch.tensor([0.299, 0.587, 0.114, 1.0]))


def test_the_holes_border_is_no_edge():
    y, x = torch.meshgrid(torch.arange(48), torch.arange(48), indexing="ij")
    image = (0.02 * x - 0.015 * y).expand(1, 3, 48, 48).clone()  # a slope, which has no edge
    mask = torch.zeros(1, 1, 48, 48)
    mask[:, :, 10:40, 10:40] = 1
    edges = EdgeConnect(width=4, blocks=1).edge_map(grey_of(image), mask)
    assert (edges[mask == 0] == 0).all() and (edges[mask == 1] > 0).all()


def test_known_edges_are_cannys_and_the_generator_draws_the_hole():
    image, mask = picture()
    network = EdgeConnect(width=4, blocks=1).eval()
    edges = network.edge_map(grey_of(image), mask)
    truth = edges_of(grey_of(image))
    beside = binary_dilation(mask[0, 0].numpy() > 0, iterations=8)  # the blur mixes the fill into the border
    far = torch.from_numpy(~beside)[None, None]
    assert torch.equal(edges[far], truth[far]) and truth[far].sum() > 40
    known = network.known_edges(grey_of(image), mask)
    assert torch.equal(known, edges * (1 - mask)) and edges_of(harmonic(grey_of(image), mask))[mask == 1].any()
    drawn = network.edges(grey_of(image), edges * (1 - mask), mask)
    assert torch.allclose(edges[mask == 1], drawn[mask == 1], atol=1e-6)
    assert ((drawn > 0) & (drawn < 1)).all()


def test_both_see_white_holes_and_the_painter_the_edges():
    image, mask = picture()
    network = EdgeConnect(width=4, blocks=1).eval()
    seen = {}
    for name, part in (("edges", network.edges.network), ("painter", network.painter[0])):
        part[0].register_forward_hook(lambda layer, inputs, output, name=name: seen.update({name: inputs[0]}))
    edges = network.edge_map(grey_of(image), mask)
    network.paint(image, mask, edges)
    hole, black = mask == 1, torch.zeros_like(mask)
    known = torch.where(hole, black, edges)
    assert torch.allclose(seen["edges"], torch.cat([grey_of(image).masked_fill(hole, 1), known, mask], dim=1))
    assert torch.allclose(seen["painter"], torch.cat([((image + 1) / 2).masked_fill(hole, 1), edges], dim=1))


def test_the_edge_generator_reads_nothing_in_the_hole():
    _, mask = picture()
    network = EdgeGenerator(width=4, blocks=1).eval()
    grey, edges = torch.rand(1, 1, 48, 48), torch.rand(1, 1, 48, 48)
    others = [torch.where(mask == 1, torch.rand_like(part), part) for part in (grey, edges)]
    assert torch.equal(network(grey, edges, mask), network(*others, mask))


def test_edges_steer_the_painter_and_learn_through_it():
    image, mask = picture()
    network = EdgeConnect(width=4, blocks=1)
    none, all_over = torch.zeros_like(mask), torch.rand_like(mask)
    assert not torch.equal(network.paint(image, mask, none).output, network.paint(image, mask, all_over).output)
    network(image, mask).output.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.edges.parameters())


@pytest.mark.parametrize(
    ("settings", "key"), [({"width": 0}, "width"), ({"blocks": 0}, "blocks"), ({"sigma": 0}, "sigma")]
)
def test_impossible_numbers(settings, key):
    with pytest.raises(ValueError, match=rf"^generator\.{key}: "):
        EdgeConnect(**settings)
