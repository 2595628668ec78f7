import sys

import numpy as np
import pytest
import torch
from torch import nn

from inpaint.metrics.recognition import Recogniser

SIZE = 32


class Brightest(nn.Module):
    """Class 0, 1 or 2: the channel that is brightest after standardisation."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(2, 3))


class Sized(nn.Module):
    """Refuses pictures that are not of `SIZE` pixels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.size(2) != 32 or x.size(3) != 32:
            raise ValueError("not 32 pixels")
        return x.mean(dim=(2, 3))


def coloured(*channels, shape=(20, 28)):
    """Pictures of which one channel is bright."""
    images = torch.full((len(channels), 3, *shape), -0.5)
    for row, channel in enumerate(channels):
        images[row, channel] = 0.8
    return images


def scripted(tmp_path, network=None):
    torch.jit.save(torch.jit.script(network or Brightest()), str(tmp_path / "classifier.pt"))
    return tmp_path / "classifier.pt"


def onnx_file(tmp_path, pictures="N"):
    """The same as ONNX, for so many pictures at a time."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=0)],
        "brightest",
        [helper.make_tensor_value_info("x", kind, [pictures, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("y", kind, [pictures, 3])],
        [onnx.numpy_helper.from_array(np.array([2, 3]), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, str(tmp_path / "classifier.onnx"))
    return tmp_path / "classifier.onnx"


def test_the_largest_output_is_the_class(tmp_path):
    recogniser = Recogniser(scripted(tmp_path))
    found = recogniser(coloured(2, 0, 1, 1))
    assert found.tolist() == [2, 0, 1, 1] and found.dtype == torch.int64
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(recogniser(coloured(2, 0, 1, 1)), found)


def test_pictures_are_resized_to_the_size(tmp_path):
    file = scripted(tmp_path, Sized())
    assert Recogniser(file, size=SIZE)(coloured(1, shape=(90, 31))).tolist() == [1]
    with pytest.raises(ValueError, match=r"recogniser: .*cannot judge a picture of 224 x 224 pixels \(.*not 32 pixels"):
        Recogniser(file)


def test_mean_and_deviation_count(tmp_path):
    image = torch.zeros(1, 3, SIZE, SIZE)  # 0.5 of each channel
    for channel in range(3):
        mean = [0.4 if c == channel else 0.5 for c in range(3)]
        assert Recogniser(scripted(tmp_path), SIZE, mean, (1, 1, 1))(image).item() == channel
    assert Recogniser(scripted(tmp_path), SIZE, (0, 0, 0), (1, 0.5, 1))(image).item() == 1


@pytest.mark.parametrize("pictures", ["N", 1])
def test_onnx(tmp_path, pictures):
    recogniser = Recogniser(onnx_file(tmp_path, pictures), SIZE)
    assert recogniser(coloured(2, 0, 1, 1, 0)).tolist() == [2, 0, 1, 1, 0]


def test_onnx_of_another_size_or_junk(tmp_path):
    file = onnx_file(tmp_path)
    with pytest.raises(ValueError, match=r"recogniser: .*classifier.onnx cannot judge a picture of 48 x 48"):
        Recogniser(file, 48)
    file.write_bytes(b"junk")
    with pytest.raises(ValueError, match=r"recogniser: .*classifier.onnx is not ONNX"):
        Recogniser(file, SIZE)


def test_without_onnx_runtime_it_says_what_to_install(tmp_path, monkeypatch):
    file = onnx_file(tmp_path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match=r"recogniser: .* needs ONNX Runtime; pip install onnxruntime"):
        Recogniser(file, SIZE)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"recogniser: there is no file .*nowhere.pt"):
        Recogniser(tmp_path / "nowhere.pt")
