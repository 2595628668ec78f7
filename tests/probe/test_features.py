"""Features of generators, declared or of a layer, and the classical ones."""

import numpy as np
import pytest
import skimage.feature
import torch
from PIL import Image
from torch import nn

from inpaint.networks.generators.context_encoder import ContextEncoder, FeatureContextEncoder
from inpaint.networks.generators.gated_conv import DeepFillV2
from inpaint.networks.generators.global_local import CompletionNetwork
from inpaint.probe.features import CLASSICAL, centre_square, classical_features, pooled_features
from tests.conftest import smooth_picture


@pytest.fixture
def image():
    return torch.rand(3, 3, 32, 40, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return ContextEncoder(width=4, levels=3, bottleneck=10).eval()


# ---- of generators ----------------------------------------------------------------------------------------------


def test_declared_features_are_averaged_over_the_places(encoder, image):
    maps = encoder.features(image, torch.zeros(3, 1, 32, 40))
    found = pooled_features(encoder, image)
    assert maps.shape == (3, 10, 1, 2) and found.shape == (3, 10)
    assert torch.allclose(found, (maps[..., 0, 0] + maps[..., 0, 1]) / 2, atol=1e-6)


def test_pool5_of_the_feature_learner(image):
    network = FeatureContextEncoder(width=4, side=99).eval()
    assert network.features(image, torch.zeros(3, 1, 32, 40)).shape == (3, 32, 2, 2)
    assert pooled_features(network, image).shape == (3, 32)


def test_a_layer_is_taken_before_what_follows_in_place(encoder, image):
    first = encoder.encoder[0](image).mean((2, 3))
    assert first.min() < 0
    assert torch.allclose(pooled_features(encoder, image, "encoder.0"), first, atol=1e-6)
    after = nn.functional.leaky_relu(encoder.encoder[0](image), 0.2).mean((2, 3))
    assert torch.allclose(pooled_features(encoder, image, "encoder.1"), after, atol=1e-6)
    assert not any(layer._forward_hooks for layer in encoder.modules())


def test_layers_of_networks_that_declare_nothing(image):
    assert pooled_features(CompletionNetwork(width=4), image, "layers.0").shape == (3, 4)
    # Of a layer with several outputs the first is taken; of a whole network, what is no map is not.
    assert pooled_features(DeepFillV2(width=16, rates=(2,)), image[..., :32], "attention").shape == (3, 32)


@pytest.mark.parametrize(
    ("network", "layer", "message"),
    [
        (
            lambda: CompletionNetwork(width=4),
            None,
            "layer: CompletionNetwork declares no features; give layer=NAME, one",
        ),
        (lambda: ContextEncoder(4, 3, 10), "encodr", "layer: ContextEncoder has no layer encodr; give layer=NAME, one"),
        (lambda: ContextEncoder(4, 3, 10), "", "layer:  of ContextEncoder puts out no map"),
    ],
)
def test_what_is_not_there_is_listed(network, layer, message, image):
    with pytest.raises(ValueError, match=message) as raised:
        pooled_features(network().eval(), image, layer)
    name = "layers.0 (4x32x40)" if layer is None else "encoder.0 (4x16x20)"
    assert name in str(raised.value) and "\n" not in str(raised.value)


# ---- classical --------------------------------------------------------------------------------------------------


def test_hog_is_scikit_images():
    pictures = [smooth_picture(seed, 40, 40) for seed in range(3)]
    found = classical_features(torch.stack([torch.from_numpy(picture).permute(2, 0, 1) for picture in pictures]))
    assert list(found) == list(CLASSICAL)
    for row, picture in enumerate(pictures):
        expected = skimage.feature.hog(picture, 9, (8, 8), (2, 2), "L2-Hys", channel_axis=-1)
        assert np.array_equal(found["hog"][row], expected) and found["hog"].shape == (3, 4 * 4 * 36)
        assert np.allclose(found["hog pooled"][row], expected.reshape(16, 36).mean(0))


def test_pixels_are_averages():
    crop = torch.from_numpy(smooth_picture(0, 32, 32)).permute(2, 0, 1)
    expected = skimage.measure.block_reduce(crop.numpy().astype(float), (1, 2, 2), np.mean)
    assert np.allclose(classical_features(crop[None])["pixels"][0], expected.ravel())


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((50, 80), (15, 0, 65, 50)),
        ((80, 50), (0, 15, 50, 65)),
        ((64, 64), (0, 0, 64, 64)),
        ((20, 25), (2, 0, 22, 20)),
    ],
)
def test_the_centre_square(size, box):
    picture = smooth_picture(1, *size)
    expected = Image.fromarray(picture).crop(box).resize((32, 32), Image.Resampling.LANCZOS)
    found = centre_square(torch.from_numpy(picture).permute(2, 0, 1), 32)
    assert np.array_equal(found.permute(1, 2, 0), np.array(expected))
