from itertools import pairwise

import numpy as np
import pytest
import torch

from inpaint import rng
from inpaint.data import leaves
from inpaint.data.leaves import dead_leaves


@pytest.fixture(scope="module")
def pictures():
    return np.stack([dead_leaves(rng.key("test", number), 128).numpy() for number in range(6)])


def test_a_picture_follows_from_its_key_alone(pictures):
    torch.manual_seed(1)
    again = dead_leaves(rng.key("test", 2), 128)
    assert again.dtype == torch.uint8 and again.shape == (3, 128, 128)
    assert np.array_equal(again.numpy(), pictures[2])
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


def test_the_power_falls_with_the_frequency_as_in_photographs(pictures):
    grey = pictures.astype(float).mean(1)
    grey -= grey.mean((1, 2), keepdims=True)
    power = (np.abs(np.fft.fft2(grey)) ** 2).mean(0)  # of a picture that continues over its edges
    rows, columns = np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128), indexing="ij")
    frequency = np.hypot(rows, columns)
    rings = np.geomspace(2 / 128, 0.4, 9)
    means = [power[(frequency >= low) & (frequency < high)].mean() for low, high in pairwise(rings)]
    slope = np.polyfit(np.log(np.sqrt(rings[1:] * rings[:-1])), np.log(means), 1)[0]
    assert -2.8 < slope < -1.7


def test_contrasts_have_the_heavy_tails_of_photographs(pictures):
    steps = np.diff(np.log(pictures.astype(float).mean(1) + 1), axis=2).ravel()
    assert (steps**4).mean() / (steps**2).mean() ** 2 > 6  # 3 for noise


def test_brightness_varies_most_and_green_to_red_least(pictures):
    red, green, blue = (np.log(pictures[:, channel].astype(float) + 1).ravel() for channel in range(3))
    brightness, blue_yellow, green_red = red + green + blue, red + green - 2 * blue, red - green
    assert (brightness / 3**0.5).std() > 2 * (blue_yellow / 6**0.5).std() > 2 * (green_red / 2**0.5).std() > 0
    assert 60 < pictures.mean() < 180


def test_every_octave_of_sizes_covers_the_same_area():
    shapes = leaves._Shapes(leaves._Numbers(5), 1024)
    sizes = torch.stack([(shapes.radius.log2() - shapes.radius.log2().min()).long() == n for n in range(3)])
    area = (sizes * shapes.radius**2).sum(1)
    assert area.max() / area.min() < 1.5


def test_the_topmost_shape_is_seen():
    shapes = leaves._Shapes(leaves._Numbers(7), 48)
    expected = torch.zeros(48, 48, dtype=torch.int64)
    insides = (leaves._ellipse, leaves._rectangle, leaves._polygon, leaves._blob)
    steps = torch.arange(-48, 96) + 0.5  # with what comes over the edges
    for number in range(shapes.count):
        chosen = torch.tensor([number])
        u, v = shapes.local(chosen, steps[None, None, :], steps[None, :, None])
        inside = insides[shapes.kind[number]](shapes, chosen, u, v)[0]
        expected[inside.view(3, 48, 3, 48).any(2).any(0)] = number + 1
    assert (shapes.topmost(48).view(48, 48) == expected).float().mean() > 0.999  # rounding at an edge
    assert expected.unique().numel() > 5


def test_a_picture_continues_over_its_edges(pictures):
    values = pictures.astype(float)
    inner = np.abs(np.diff(values, axis=3)).mean()
    assert np.abs(values[..., 0] - values[..., -1]).mean() < 2 * inner


def test_what_is_out_of_focus_is_blurred():
    image = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(1))
    assert torch.equal(leaves._in_focus(image, torch.zeros(1, 32, 32)), image)
    rough = [leaves._in_focus(image, torch.full((1, 32, 32), blur)).std() for blur in (0.1, 0.4, 0.7, 1.0)]
    assert sorted(rough, reverse=True) == rough and rough[-1] < 0.1 * image.std()
