"""ONNX with whole numbers: what it is, that its loss is what one measures by hand, and that it takes other sizes."""

import numpy as np
import pytest
import torch

from inpaint.exchange import formats, int8, models
from inpaint.exchange.contract import example
from tests.exchange.test_formats import Blur

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("int8")
    formats.write("onnx", Blur(), folder)
    return folder, int8.write(folder / "model.onnx", folder)


def quality(graph):
    """Mean hole PSNR over the pictures, by numpy."""
    values = []
    for image, mask in int8.pictures("validation"):
        levels = [np.rint(x.numpy().astype(np.float64) * 255) for x in (graph(image, mask), image)]
        error = ((levels[0] - levels[1]) ** 2).mean(axis=1)[mask[:, 0].numpy() > 0]
        values.append(10 * np.log10(255**2 / error.mean()))
    return np.mean(values)


def test_convolutions_hold_whole_numbers(written):
    graph = onnx.load(written[0] / int8.FILE).graph
    kinds = {each.op_type for each in graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    assert any(each.data_type == onnx.TensorProto.INT8 for each in graph.initializer)


def test_the_loss_is_that_of_the_two_files(written):
    folder, loss = written
    exact, less = (formats.GRAPHS["onnx"].read(folder / name) for name in ("model.onnx", int8.FILE))
    assert loss.exact == pytest.approx(quality(exact), abs=1e-3)
    assert loss.int8 == pytest.approx(quality(less), abs=1e-3)
    assert loss.pictures == 16 and loss.size == (folder / int8.FILE).stat().st_size
    assert loss.exact != loss.int8 and loss.exact == pytest.approx(loss.int8, abs=0.5)


def test_it_is_read_like_every_other_file_and_takes_other_sizes(written):
    generator = models.generator_of(models.load(written[0] / int8.FILE))
    for size in ((64, 70), (150, 131), (20, 30)):
        image, mask = example(*size)
        image = image * 2 - 1
        outputs = generator(image, mask)
        assert torch.equal(outputs.composite * (1 - mask), image * (1 - mask))
        if min(size) >= 64:
            close = Blur()(image * (1 - mask), mask).composite
            assert (outputs.composite - close.clamp(-1, 1)).abs().max() < 0.1


def test_a_file_that_it_cannot_take_leaves_nothing(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"none")
    with pytest.raises(formats.CannotHold):
        int8.write(tmp_path / "model.onnx", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_what_it_costs_in_words():
    assert int8.Loss(16, 30.0, 29.75, 1).line.startswith("int8 loses 0.25 dB of the hole PSNR: 29.75 dB where")
    assert int8.Loss(16, 30.0, 30.08, 1).line.startswith("int8 gains 0.08 dB of the hole PSNR: 30.08 dB where")
