import gc
import hashlib
import logging
import os

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from inpaint.networks import backbones
from inpaint.networks.backbones import DIGESTS, FILES, HoldsBackbone, layers_of, shared

# torchvision's places of the layers that have weights, and the number of weights of its `features`.
PLACES = {
    "vgg16": [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28],
    "vgg19": [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34],
    "alexnet": [0, 3, 6, 8, 10],
    "squeezenet1_1": [0, 3, 4, 6, 7, 9, 10, 11, 12],
}
COUNTS = {"vgg16": 14_714_688, "vgg19": 20_024_384, "alexnet": 2_469_696, "squeezenet1_1": 722_496}
LAST = {"vgg16": "pool5", "vgg19": "pool5", "alexnet": "pool5", "squeezenet1_1": "fire9"}


def state_of(network, until, seed=0):
    """A state dict as torchvision's, up to a layer, with weights that keep features alive."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for place, (name, layer) in enumerate(layers_of(network)):
        for key, value in layer.state_dict().items():
            scale = 1.5 * value[0].numel() ** -0.5 if value.dim() > 1 else 0.1
            state[f"features.{place}.{key}"] = scale * torch.randn(value.shape, generator=generator)
        if name == until:
            return state
    raise AssertionError(until)


@pytest.fixture
def file(tmp_path):
    """VGG16 up to its second pooling."""
    path = tmp_path / "some vgg.pth"
    torch.save(state_of("vgg16", "pool2"), path)
    return str(path)


def picture(size=32):
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


# ---- the networks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", FILES)
def test_the_layout_is_torchvisions(network):
    with torch.device("meta"):
        layers = nn.Sequential(*(layer for _, layer in layers_of(network)))
    places = sorted({int(name.split(".")[0]) for name in layers.state_dict()})
    assert places == PLACES[network]
    assert sum(p.numel() for p in layers.parameters()) == COUNTS[network]
    if network == "squeezenet1_1":
        keys = {name.removeprefix("3.") for name in layers.state_dict() if name.startswith("3.")}
        assert keys == {
            f"{part}.{kind}" for part in ("squeeze", "expand1x1", "expand3x3") for kind in ("weight", "bias")
        }


@pytest.mark.parametrize(
    ("network", "shapes"),
    [  # at 64 pixels
        ("vgg16", {"relu1_2": (64, 64), "pool3": (256, 8), "relu5_3": (512, 4)}),
        ("vgg19", {"conv4_4": (512, 8), "relu5_4": (512, 4)}),
        ("alexnet", {"relu1": (64, 15), "relu2": (192, 7), "relu5": (256, 3)}),
        (
            "squeezenet1_1",
            {"relu1": (64, 31), "fire3": (128, 15), "fire5": (256, 7), "fire6": (384, 3), "fire9": (512, 3)},
        ),
    ],
)
def test_the_features(network, shapes):
    backbone = shared(network, "random", "torchvision", shapes, "losses.style")
    features = backbone(picture(64), list(shapes))
    assert [(x.shape[1], x.shape[2]) for x in features] == list(shapes.values())
    for name, x in zip(shapes, features, strict=True):
        assert x.isfinite().all() and x.std() > 0.05
        assert (x.min() >= 0) == (not name.startswith("conv"))


def test_the_features_of_a_file_by_hand(file):
    """Convolutions, ReLU and pooling, written out, on the picture in the convention of torchvision."""
    state, image = torch.load(file, weights_only=True), picture()
    mean, deviation = (torch.tensor(x).view(3, 1, 1) for x in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    x = ((image + 1) / 2 - mean) / deviation
    expected = []
    for place in (0, 2, 5, 7):
        x = F.conv2d(x, state[f"features.{place}.weight"], state[f"features.{place}.bias"], padding=1)
        expected.append(x)
        x = x.clamp(min=0)
        if place in (2, 7):
            x = x.unfold(2, 2, 2).unfold(3, 2, 2).amax(dim=(4, 5))
            expected.append(x)
    layers = ["conv1_1", "conv1_2", "pool1", "conv2_1", "conv2_2", "pool2"]
    found = shared("vgg16", file, "torchvision", layers, "losses.style")(image, layers)
    for mine, theirs in zip(found, expected, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-5)
    wanted = ["pool1", "conv1_1"]  # in the order in which they are asked for
    backwards = shared("vgg16", file, "torchvision", wanted, "losses.style")(image, wanted)
    assert torch.equal(backwards[0], found[2]) and torch.equal(backwards[1], found[0])


@pytest.mark.parametrize(
    ("convention", "seen"),
    [
        ("torchvision", [(1 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, (0 - 0.406) / 0.225]),
        ("caffe", [0 - 103.939, 127.5 - 116.779, 255 - 123.68]),
        ("signed", [1.0, 0.0, -1.0]),
        ("unit", [1.0, 0.5, 0.0]),
    ],
)
def test_conventions(convention, seen):
    backbone = shared("vgg16", "random", convention, ["conv1_1"], "losses.style")
    inputs = []
    handle = backbone.features[0].register_forward_hook(lambda layer, given, output: inputs.append(given[0]))
    colour = torch.tensor([1.0, 0.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 4, 4)  # red full, green half, blue none
    backbone(colour, ["conv1_1"])
    handle.remove()
    assert inputs[0][0, :, 2, 1].tolist() == pytest.approx(seen, abs=1e-4)


# ---- frozen, shared, and nobody's -------------------------------------------------------------------------------


def test_frozen_but_transparent():
    backbone = shared("vgg16", "random", "torchvision", ["relu2_1"], "losses.style")
    assert not backbone.features.training and not any(p.requires_grad for p in backbone.parameters())
    image = picture().requires_grad_(True)
    backbone(image, ["relu2_1"])[0].sum().backward()
    assert image.grad.abs().sum() > 0


def test_one_network_for_the_same_settings(file):
    settings = ("vgg16", file, "torchvision")
    first = shared(*settings, ["relu1_2"], "losses.style")
    assert len(first.features) == 4
    second = shared(*settings, ["pool2"], "losses.perceptual")
    assert second is first and len(first.features) == 10, "it has grown"
    assert shared(*settings, ["relu1_1"], "losses.mrf") is first and len(first.features) == 10
    assert shared("vgg16", file, "caffe", ["relu1_1"], "losses.mrf") is not first
    del first, second
    gc.collect()
    assert settings not in backbones._shared, "it goes with the last loss that had it"


class Holder(HoldsBackbone):
    def __init__(self):
        super().__init__()
        self.own = nn.Linear(2, 2)
        self.hold(shared("alexnet", "random", "torchvision", ["relu1"], "losses.style"))


def test_whoever_holds_it_moves_it_and_does_not_own_it():
    whole = nn.ModuleDict({"loss": Holder()})
    backbone = whole["loss"].backbone
    assert list(whole.state_dict()) == ["loss.own.weight", "loss.own.bias"]
    assert len(list(whole.parameters())) == 2 and not list(whole.buffers())
    assert backbone not in list(whole.modules())
    whole.train()
    assert not backbone.features.training
    whole.to(torch.float64)
    assert {p.dtype for p in backbone.parameters()} == {backbone.mean.dtype} == {torch.float64}
    backbone.require(["relu2"], "losses.style")  # what is added later goes where the rest is
    assert {p.dtype for p in backbone.parameters()} == {torch.float64}


def test_no_random_number_is_drawn():
    """Networks that are built afterwards start from the same weights with and without a perceptual loss."""
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    shared("vgg16", "random", "signed", ["relu1_2"], "losses.style")
    assert torch.equal(torch.rand(3), expected)


# ---- where weights come from ------------------------------------------------------------------------------------


def test_random_weights_are_the_same_in_every_run_and_said_aloud(caplog):
    with caplog.at_level(logging.INFO):
        first = shared("alexnet", "random", "torchvision", ["relu5"], "losses.style")
    assert "losses.style: alexnet with random weights, in the convention torchvision" in caplog.text
    weight = first.features[0].weight.clone()
    del first
    gc.collect()
    again = shared("alexnet", "random", "torchvision", ["relu5"], "losses.style")
    assert torch.equal(again.features[0].weight, weight)
    assert weight.std().item() == pytest.approx((2 / (3 * 11 * 11)) ** 0.5, rel=0.02)
    assert not torch.equal(again.features[8].weight[:, :256], again.features[10].weight)


def test_a_partial_file_serves_the_layers_that_it_has(file):
    shared("vgg16", file, "torchvision", ["pool2"], "losses.style")
    with pytest.raises(ValueError, match=r"losses\.mrf\.weights: .*vgg.pth has no weights for conv3_1, conv3_2 of"):
        shared("vgg16", file, "torchvision", ["conv3_2"], "losses.mrf")
    backbone = shared("vgg16", file, "torchvision", ["pool2"], "losses.style")
    assert backbone(picture(), ["pool2"])[0].shape == (2, 128, 8, 8), "the failure left it as it was"


def test_a_whole_file_of_torchvision_has_more_than_is_needed(tmp_path):
    state = state_of("alexnet", "relu5") | {"classifier.1.weight": torch.zeros(2, 2)}
    torch.save(state, tmp_path / "alexnet.pth")
    backbone = shared("alexnet", str(tmp_path / "alexnet.pth"), "torchvision", ["relu2"], "lpips")
    assert torch.equal(backbone.features[3].weight, state["features.3.weight"]) and len(backbone.features) == 5


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """A file in the hub cache, and what is in it; nothing may be downloaded."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *_, **__: pytest.fail("it asked the network"))
    path = tmp_path / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth"
    path.parent.mkdir(parents=True)
    state = state_of("alexnet", "relu1")
    torch.save(state, path)
    return path, state


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_hub_cache_is_used_before_the_network(cached, monkeypatch):
    path, state = cached
    monkeypatch.setitem(DIGESTS, "alexnet", sha256(path))
    backbone = shared("alexnet", None, "torchvision", ["relu1"], "losses.style")
    assert torch.equal(backbone.features[0].weight, state["features.0.weight"])


def test_a_file_in_the_hub_cache_that_is_not_torchvisions_is_refused(cached):
    path, _ = cached
    with pytest.raises(ValueError, match=r"^losses\.style\.weights: .* is damaged") as error:
        shared("alexnet", None, "torchvision", ["relu1"], "losses.style")
    for part in (str(path), sha256(path), "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02"):
        assert part in str(error.value)


def test_a_file_is_read_once_for_its_digest_and_again_when_it_has_changed(cached, monkeypatch):
    path, _ = cached
    read = []
    original = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *given: read.append(given) or original(*given))
    for _ in range(2):
        with pytest.raises(ValueError, match="is damaged"):
            shared("alexnet", None, "torchvision", ["relu1"], "losses.style")
    assert len(read) == 1
    path.write_bytes(b"something else")
    os.utime(path, ns=(1, 1))
    with pytest.raises(ValueError, match=sha256(path)):
        shared("alexnet", None, "torchvision", ["relu1"], "losses.style")


def test_a_file_that_the_user_names_may_be_another_one_which_is_said(cached, monkeypatch, caplog):
    path, _ = cached
    shared("alexnet", str(path), "torchvision", ["relu1"], "losses.style")
    assert f"losses.style.weights: {path} is not torchvision's alexnet-owt-7be5be79.pth" in caplog.text
    caplog.clear()
    gc.collect()
    monkeypatch.setitem(DIGESTS, "alexnet", sha256(path))
    shared("alexnet", str(path), "torchvision", ["relu1"], "losses.style")
    assert "is not torchvision's" not in caplog.text


def test_a_download_is_checked_against_the_digest(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    asked = []

    def download(url, to, hash_prefix, progress):
        asked.append((url, hash_prefix))
        torch.save(state_of("squeezenet1_1", "relu1"), to)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    backbone = shared("squeezenet1_1", None, "torchvision", ["relu1"], "losses.style")
    assert asked == [("https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth", DIGESTS["squeezenet1_1"])]
    assert len(backbone.features) == 2


def test_the_digests_begin_as_torchvisions_names_say():
    assert set(FILES) == set(DIGESTS) == {"vgg16", "vgg19", "alexnet", "squeezenet1_1"}
    for network, digest in DIGESTS.items():
        assert FILES[network].endswith(f"-{digest[:8]}.pth") and len(bytes.fromhex(digest)) == 32


def test_a_damaged_download_is_not_kept(tmp_path, monkeypatch):
    """With torch's own function, from a file:// address."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(backbones, "ADDRESS", f"file://{tmp_path}/")
    there = tmp_path / FILES["alexnet"]
    torch.save(state_of("alexnet", "relu1"), there)
    with pytest.raises(ValueError, match=r"losses\.style\.weights: put .*alexnet-owt-7be5be79.pth into .*home"):
        shared("alexnet", None, "torchvision", ["relu1"], "losses.style")
    assert not (tmp_path / "home" / "hub" / "checkpoints" / FILES["alexnet"]).exists()


def test_without_network_the_error_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(ValueError) as error:
        shared("vgg19", None, "torchvision", ["relu1_1"], "losses.style")
    for part in ("losses.style.weights: put torchvision's vgg19-dcbb9e9d.pth into", str(tmp_path), "weights=random"):
        assert part in str(error.value)
    with pytest.raises(ValueError, match=r"^lpips\.weights: put torchvision's vgg19") as error:
        shared("vgg19", None, "torchvision", ["relu1_1"], "lpips")
    assert "=random" not in str(error.value)  # no setting of a figure


def test_a_self_trained_network_out_of_a_checkpoint(tmp_path, caplog):
    """Any part of the generator's moving average whose layers stand where the backbone's do."""
    trained = {name.removeprefix("features."): value for name, value in state_of("alexnet", "relu5").items()}
    state = {"generator.encoder.0.weight": torch.zeros(64, 3, 11, 11), "ema.network.head.0.weight": torch.zeros(3)}
    state |= {f"ema.network.encoder.{name}": value for name, value in trained.items()}
    path = tmp_path / "update_00000100.ckpt"
    torch.save({"state_dict": state, "inpaint": {"kind": "inpaint checkpoint"}}, path)
    with caplog.at_level(logging.INFO):
        backbone = shared("alexnet", str(path), "signed", ["relu5"], "losses.perceptual")
    assert torch.equal(backbone.features[10].weight, trained["10.weight"])
    assert f"losses.perceptual: self-trained, ema.network.encoder of {path}" in caplog.text
    with pytest.raises(ValueError, match=r"losses\.mrf\.weights: no part .* has the layers of vgg16"):
        shared("vgg16", str(path), "signed", ["relu1_1"], "losses.mrf")


def test_files_that_are_something_else(tmp_path):
    (tmp_path / "text.pth").write_text("no weights")
    torch.save(state_of("alexnet", "relu1"), tmp_path / "alexnet.pth")
    for name, message in (
        ("missing.pth", r"losses\.style\.weights: there is no file .*missing.pth"),
        ("text.pth", r"losses\.style\.weights: .*text.pth is not a file of weights"),
        ("alexnet.pth", r"losses\.style\.weights: .* is not of vgg16: .* \(64, 3, 11, 11\), not \(64, 3, 3, 3\)"),
    ):
        with pytest.raises(ValueError, match=message):
            shared("vgg16", str(tmp_path / name), "torchvision", ["relu1_1"], "losses.style")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ("vgg11", "random", "torchvision", ["relu1_1"]),
            r"losses\.style\.backbone: give one of vgg16, .*; got 'vgg11'",
        ),
        (("vgg16", "random", "keras", ["relu1_1"]), r"losses\.style\.convention: give one of .*; got 'keras'"),
        (("vgg16", "random", "torchvision", ["relu1"]), r"losses\.style\.layers: vgg16 has no relu1; it has conv1_1"),
    ],
)
def test_what_does_not_exist(settings, message):
    with pytest.raises(ValueError, match=message):
        shared(*settings, "losses.style")
