import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torchmetrics
from PIL import Image

from inpaint.batch import from_uint8, to_uint8
from inpaint.metrics.lpips import LPIPS, VARIANTS
from inpaint.networks.backbones import layers_of


def save_files(folder, variant):
    """Random weights as torchvision's and random heads as the authors', as small as they can be."""
    generator = torch.Generator().manual_seed(0)
    network, channels = VARIANTS[variant]
    state = {}
    for place, (_, layer) in enumerate(layers_of(network)):
        for key, value in layer.state_dict().items():
            scale = 1.5 * value[0].numel() ** -0.5 if value.dim() > 1 else 0.1
            state[f"features.{place}.{key}"] = scale * torch.randn(value.shape, generator=generator)
    heads = {
        f"lin{place}.model.1.weight": torch.rand(1, count, 1, 1, generator=generator)
        for place, count in enumerate(channels.values())
    }
    torch.save(state, folder / "network.pth")
    torch.save(heads, folder / "heads.pth")
    return str(folder / "network.pth"), str(folder / "heads.pth"), heads


def pair(size=64):
    generator = torch.Generator().manual_seed(1)
    return tuple(from_uint8(to_uint8(torch.rand(2, 3, size, size, generator=generator) * 2 - 1)) for _ in range(2))


@pytest.mark.parametrize("variant", ["alex", "squeeze"])
def test_against_loops(tmp_path, variant):
    network, file, heads = save_files(tmp_path, variant)
    metric = LPIPS(variant, network, file)
    painted, truth = pair()
    distances = metric(painted, truth)
    assert distances.shape == (2,) and distances.dtype == torch.float32
    for sample in range(2):
        total = 0.0
        for place, layer in enumerate(VARIANTS[variant][1]):
            a, b = (metric.backbone(x[sample : sample + 1], [layer])[0][0].double().numpy() for x in (painted, truth))
            head = heads[f"lin{place}.model.1.weight"].flatten().numpy()
            values = []
            for y in range(a.shape[1]):
                for x in range(a.shape[2]):
                    u, v = a[:, y, x], b[:, y, x]
                    difference = u / max(np.linalg.norm(u), 1e-10) - v / max(np.linalg.norm(v), 1e-10)
                    values.append((head * difference**2).sum())
            total += np.mean(values)
        assert distances[sample].item() == pytest.approx(total, rel=1e-4)


def test_equal_pictures_have_no_distance_and_autocast_changes_nothing(tmp_path):
    metric = LPIPS("alex", *save_files(tmp_path, "alex")[:2])
    painted, truth = pair()
    assert (metric(truth, truth) == 0).all() and torch.allclose(metric(painted, truth), metric(truth, painted))
    near, far = (metric(truth + s * (painted - truth), truth) for s in (0.05, 0.5))
    assert (near < far).all()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(metric(painted, truth), metric(painted, truth).float())
        half = metric(painted, truth)
    assert torch.equal(half, metric(painted, truth))
    assert not metric.state_dict() and not list(metric.parameters())


@pytest.mark.parametrize("variant", ["alex", "squeeze"])
def test_a_picture_below_32_pixels_has_none(tmp_path, variant):
    metric = LPIPS(variant, *save_files(tmp_path, variant)[:2])
    assert metric(*pair(32)).isfinite().tolist() == [True, True]
    assert metric(*pair(31)).isnan().tolist() == [True, True]


def test_pixels_are_those_of_a_stored_picture(tmp_path):
    metric = LPIPS("alex", *save_files(tmp_path, "alex")[:2])
    painted, truth = pair()
    assert torch.equal(metric(painted + 0.3 / 127.5, truth), metric(painted, truth))


def test_a_file_that_does_not_fit(tmp_path):
    network, file, _ = save_files(tmp_path, "alex")
    with pytest.raises(ValueError, match=r"lpips\.variant: 'vgg16' is none of"):
        LPIPS("vgg16")
    with pytest.raises(ValueError, match=r"lpips\.heads: .* does not hold the 7 heads of squeeze"):
        LPIPS("squeeze", "random", file)
    with pytest.raises(ValueError, match=r"lpips\.heads: there is no file .*none.pth"):
        LPIPS("alex", network, str(tmp_path / "none.pth"))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_authors_heads_come_with_the_package(variant):
    """Those that torchmetrics has as well, number by number."""
    theirs = Path(torchmetrics.__file__).parent / "functional" / "image" / "lpips_models" / f"{variant}.pth"
    state = torch.load(theirs, map_location="cpu", weights_only=True)
    heads = list(dict(LPIPS(variant, "random").named_buffers()).values())
    assert len(heads) == len(state)
    for place, head in enumerate(heads):
        assert torch.equal(head, state[f"lin{place}.model.1.weight"])


@pytest.mark.parametrize(
    ("variant", "weights", "published"),
    [
        ("alex", "alexnet_features_torchvision.pth", (0.721881, 0.137566)),
        ("squeeze", "squeezenet1_1_features_torchvision.pth", (0.711048, 0.147902)),
    ],
)
def test_the_authors_example(variant, weights, published):
    """Their three pictures, ``lpips_reference/ex_*.png``, with the real weights, in ``weights/``."""
    if "INPAINT_TEST_WEIGHTS" not in os.environ:
        pytest.skip("INPAINT_TEST_WEIGHTS names no folder with weights/ and lpips_reference/")
    folder = Path(os.environ["INPAINT_TEST_WEIGHTS"])
    metric = LPIPS(variant, str(folder / "weights" / weights))
    images = {}
    for name in ("ref", "p0", "p1"):
        pixels = np.asarray(Image.open(folder / "lpips_reference" / f"ex_{name}.png").convert("RGB"))
        images[name] = from_uint8(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None])
    for name, expected in zip(("p0", "p1"), published, strict=True):
        assert metric(images[name], images["ref"]).item() == pytest.approx(expected, abs=5e-6)
