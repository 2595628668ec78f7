import hashlib

import pytest
import torch
from torch import nn

from inpaint.batch import from_uint8, to_uint8
from inpaint.metrics import features
from inpaint.metrics.features import feature_network
from inpaint.networks.backbones import shared


class Mean(nn.Module):
    """Three features: each channel's mean of what it is given, times 2."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x.mean(dim=(2, 3))


class Nvidia(nn.Module):
    """The interface of NVIDIA's files: bytes of any size."""

    def forward(self, img: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        if img.dtype != torch.uint8:
            raise ValueError("bytes, please")
        x = img.float().mean(dim=(2, 3))
        return torch.cat([x, x], dim=1) if return_features else x[:, :1]


class Spread(nn.Module):
    """The deviation of each channel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.std(dim=(2, 3))


class Images(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def save(network, path):
    torch.jit.save(torch.jit.script(network), str(path))
    return str(path)


def pictures(*shape):
    return torch.rand(shape or (2, 3, 40, 48), generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_a_file_is_given_standardised_pictures(tmp_path):
    file = save(Mean(), tmp_path / "mean.pt")
    network = feature_network(file, size=40)
    image = pictures(2, 3, 40, 40)
    unit = to_uint8(image).double() / 255
    expected = 2 * (unit.mean(dim=(2, 3)) - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(network(image), expected.float(), rtol=1e-5, atol=1e-6)
    digest = hashlib.sha256((tmp_path / "mean.pt").read_bytes()).hexdigest()
    assert network.name == f"mean.pt (sha256 {digest[:8]}, 40 px)" and network.size == 3


def test_pictures_are_resized_and_what_is_smooth_stays(tmp_path):
    network = feature_network(save(Mean(), tmp_path / "mean.pt"), size=24)
    assert network(pictures()).shape == (2, 3)
    flat = from_uint8(torch.full((1, 3, 7, 90), 200, dtype=torch.uint8))
    same = from_uint8(torch.full((1, 3, 24, 24), 200, dtype=torch.uint8))
    torch.testing.assert_close(network(flat), network(same))


def test_resizing_averages(tmp_path):
    """Of noise, a picture of a quarter of the side keeps about a quarter of the deviation (here a bit less)."""
    network = feature_network(save(Spread(), tmp_path / "spread.pt"), size=64)
    assert (network(pictures(1, 3, 256, 256)) / network(pictures(1, 3, 64, 64)) < 0.3).all()


def test_nvidias_files_prepare_pictures_themselves(tmp_path, monkeypatch):
    file = save(Nvidia(), tmp_path / "other.pt")
    network = feature_network(file)
    image = pictures()
    means = to_uint8(image).float().mean(dim=(2, 3))
    assert torch.allclose(network(image), torch.cat([means, means], dim=1))
    assert network.size == 6 and "px" not in network.name

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    with pytest.raises(ValueError, match=rf"features: put https.*inception-2015-12-05.pt into {folder}"):
        feature_network("inception")
    folder.mkdir(parents=True)
    save(Nvidia(), folder / "inception-2015-12-05.pt")
    with pytest.raises(ValueError, match=r"is not NVIDIA's file, whose sha256 is f58cb9b6"):
        feature_network("inception")
    digest = hashlib.sha256((folder / "inception-2015-12-05.pt").read_bytes()).hexdigest()
    monkeypatch.setattr(features, "INCEPTION_SHA256", digest)
    network = feature_network("inception")
    assert network.name == "inception-2015-12-05" and torch.allclose(network(image)[:, 3:], means)


def test_a_layer_of_a_backbone(tmp_path):
    network = feature_network("squeezenet1_1:fire3", weights="random")
    assert network.name == "squeezenet1_1:fire3 (random weights)" and network.size == 128
    image = from_uint8(to_uint8(pictures(2, 3, 64, 72)))
    held = shared("squeezenet1_1", "random", "torchvision", ["fire3"], "features")(image, ["fire3"])[0]
    found = network(image)
    assert torch.allclose(found, held.flatten(2).mean(dim=2), rtol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(network(image), found)
    assert not network.state_dict() and not list(network.parameters()), "nothing to save or to train"


def test_pictures_are_rounded_and_ask_for_no_gradient(tmp_path):
    network = feature_network("alexnet:relu1", weights="random")
    image = from_uint8(to_uint8(pictures(1, 3, 64, 64)))
    assert torch.equal(network(image + 0.3 / 127.5), network(image))
    assert not network(image.requires_grad_()).requires_grad


def test_what_is_no_feature_network(tmp_path):
    with pytest.raises(ValueError, match=r"features: 'vgg99:relu1' is neither inception, nor a file that is there"):
        feature_network("vgg99:relu1")
    with pytest.raises(ValueError, match=r"features.layers: alexnet has no relu9; it has conv1"):
        feature_network("alexnet:relu9", "random")
    junk = tmp_path / "junk.pt"
    junk.write_bytes(b"junk")
    with pytest.raises(ValueError, match=r"features: .*junk.pt is not TorchScript"):
        feature_network(str(junk))
    with pytest.raises(ValueError, match=r"features: .*image.pt makes \(1, 3, 224, 224\) of one picture"):
        feature_network(save(Images(), tmp_path / "image.pt"))
    picture = tmp_path / "a.png"
    picture.write_bytes(b"junk")
    with pytest.raises(ValueError, match=r"is neither TorchScript \(.pt, .*\) nor ONNX"):
        feature_network(str(picture))
