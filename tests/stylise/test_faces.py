"""A face in the place of another, on faces that are drawn: where its patches come from, and what stays."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from inpaint.cli.command import call
from inpaint.settings import Refused
from inpaint.stylise import command, faces
from inpaint.stylise.faces import FaceSwap, coloured_like, seam
from inpaint.stylise.methods import Patches
from inpaint.stylise.points import drawn, hull
from tests.conftest import smooth_picture
from tests.stylise.faces import GREEN, content, drawn_face, style

SMALL = {"backbone": "vgg16", "weights": "random", "style_layers": ["relu1_2"], "content_layers": ["relu1_2"]}
FILES = (Path("a.png"), Path("b.png"))
(CONTENT, OURS), (STYLE, THEIRS) = content(), style()
LIGHT = CONTENT.mean(axis=2)


@pytest.fixture
def points(tmp_path):
    """A file of the points of both."""
    found = {"a.png": OURS, "b.png": THEIRS}
    named = {name: {part: xy.tolist() for part, xy in face.items()} for name, face in found.items()}
    (tmp_path / "points.json").write_text(json.dumps(named))
    return str(tmp_path / "points.json")


def swapped(points, style=STYLE, files=FILES, steps=4, **settings):
    return FaceSwap(points, **SMALL, **settings).swapped(CONTENT, style, files, 128, "cpu", scales=1, steps=steps)


def near(pixels, colour, within=60):
    return np.abs(pixels.astype(int) - colour).max(axis=2) < within


def eyes(face, size, grown):
    """Where the eyes are, by their points alone."""
    region = np.zeros(size, np.uint8)
    for part in ("left_eye", "right_eye"):
        cv2.fillConvexPoly(region, hull(face[part], grown).round().astype(np.int32), 1)
    return region > 0


def test_the_face_is_the_others_and_what_is_around_stays_to_the_bit(points):
    result = swapped(points)
    face = drawn(OURS, CONTENT.shape[:2], -0.1, 1) >= 0
    assert not result.stopped and np.array_equal(result.pixels[~face], CONTENT[~face])
    assert near(CONTENT, GREEN).sum() > 30 and not near(result.pixels, GREEN, 40).any()
    blue = result.pixels[..., 2].astype(int) - result.pixels[..., 0] > 40
    assert blue.sum() > 30 and not (blue & ~eyes(OURS, CONTENT.shape[:2], 0.5)).any(), "irises are in eyes alone"
    assert result.seam < 1.5


def test_patches_of_an_eye_come_from_that_eye(points, monkeypatch):
    """Even if the picture begins as the content: none comes from elsewhere, and without parts some would."""
    violations, real, start = [], Patches.chosen, faces.stylise
    monkeypatch.setattr(faces, "stylise", lambda *arguments, **_: start(*arguments, start="content"))

    def counted(self, mine, parts, theirs, their_parts):
        chosen = real(self, mine, parts, theirs, their_parts)
        free = real(self, mine, None, theirs, None)
        width = mine.shape[-1] - 2
        for number in (2, 3):  # the eyes' places among the parts, after the mouth
            asking = (parts == number)[0, 0, 1:-1, 1:-1].flatten()
            assert asking.any() and (chosen[asking] >= 0).all()
            rows, columns = (their_parts[0, 0] == number).nonzero().T
            box = (rows.min(), rows.max(), columns.min(), columns.max())
            for found in (chosen, free):
                row, column = found[asking] // width + 1, found[asking] % width + 1
                inside = (row >= box[0]) & (row <= box[1]) & (column >= box[2]) & (column <= box[3])
                violations.append(int((~inside).sum()))
        return chosen

    monkeypatch.setattr(Patches, "chosen", counted)
    swapped(points, rounds=1, steps=1)
    assert violations and sum(violations[0::2]) == 0 < sum(violations[1::2])


def test_a_face_in_its_own_place_is_itself(points):
    both = {"a.png": OURS}
    Path(points).write_text(json.dumps({n: {p: xy.tolist() for p, xy in f.items()} for n, f in both.items()}))
    result = swapped(points, style=CONTENT, files=(FILES[0], FILES[0]))
    assert np.abs(result.pixels.astype(int) - CONTENT).max() <= 2 and result.seam == pytest.approx(1, abs=0.02)


def test_skin_gets_the_contents_colours_before_it_is_blended(points):
    """Blending moves colours alike; the spread of a harder light is taken off before."""
    hard, _ = style(light=12)
    skin = drawn(OURS, CONTENT.shape[:2], -0.2, 3) == 0
    spreads = [x[skin].std() for x in (swapped(points, style=hard).pixels.mean(axis=2), LIGHT)]
    assert spreads[0] < 1.4 * spreads[1]


def test_colours_get_the_mean_and_the_spread_of_others():
    pale, other = 80 + smooth_picture(1, 40, 31) // 6, 120 + smooth_picture(1, 50, 31) // 4
    everywhere = np.ones(pale.shape[:2], bool), np.ones(other.shape[:2], bool)
    made = coloured_like(pale, everywhere[0], other, everywhere[1])
    labs = [cv2.cvtColor((x / 255).astype(np.float32), cv2.COLOR_RGB2LAB).reshape(-1, 3) for x in (made, other)]
    assert np.abs(labs[0].mean(axis=0) - labs[1].mean(axis=0)).max() < 1
    assert np.abs(labs[0].std(axis=0) / labs[1].std(axis=0) - 1).max() < 0.1
    deep = coloured_like(pale.astype(np.uint16) * 257, everywhere[0], other, everywhere[1])
    assert deep.dtype == np.uint16 and np.abs(deep / 257 - made).max() <= 1


def test_a_seam_is_what_steps_across_the_rim():
    picture = np.tile(np.arange(20, dtype=np.uint8) * 2, (10, 1))[..., None].repeat(3, axis=2)
    inside = np.zeros((10, 20), bool)
    inside[:, 8:] = True
    stepped = picture + 4 * inside[..., None].astype(np.uint8)
    assert seam(picture, picture, inside) == 1 and seam(stepped, picture, inside) == pytest.approx((6 + 1) / (2 + 1))
    assert seam(picture, picture, inside | True) == 1


def test_a_large_picture_keeps_its_size_and_its_bits(points, monkeypatch):
    """The part with the face is swapped shrunk, and pasted as large as it was."""
    seen = []
    monkeypatch.setattr(faces, "stylise", lambda method, view, example, *_, **__: (seen.append(view), example)[0:0] or
                        (example.pixels, False))  # fmt: skip
    large = cv2.resize(CONTENT, None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST).astype(np.uint16) * 257
    scaled = {part: (xy + 0.5) * 3 - 0.5 for part, xy in OURS.items()}
    named = {"a.png": scaled, "b.png": THEIRS}
    Path(points).write_text(json.dumps({n: {p: xy.tolist() for p, xy in f.items()} for n, f in named.items()}))
    result = FaceSwap(points, **SMALL).swapped(large, STYLE, FILES, 64, "cpu")
    assert max(seen[0].pixels.shape[-2:]) == 64 and result.pixels.dtype == np.uint16
    face = drawn(scaled, large.shape[:2], 0.15, 4) >= 0
    assert np.array_equal(result.pixels[~face], large[~face]) and (result.pixels != large)[face].mean() > 0.6


def test_the_command_marks_the_result(points, tmp_path, capsys):
    Image.fromarray(np.dstack([CONTENT, np.full(CONTENT.shape[:2], 200, np.uint8)])).save(tmp_path / "a.png")
    Image.fromarray(STYLE).save(tmp_path / "b.png")
    settings = ["method=face_swap", f"content={tmp_path}/a.png", f"style={tmp_path}/b.png", f"method.points={points}"]
    settings += ["method.backbone=vgg16", "method.weights=random", "method.style_layers=[relu1_2]", "steps=2"]
    settings += ["method.content_layers=[relu1_2]", "device=cpu", "scales=1", f"output={tmp_path}/c.png"]
    call("stylise", command.run, settings)
    with Image.open(tmp_path / "c.png") as written:
        assert written.size == (64, 72) and written.mode == "RGBA" and written.getextrema()[3] == (200, 200)
        assert "digitalsourcetype/compositeSynthetic" in written.info["XML:com.adobe.xmp"]
    assert "times as steep as the content is there" in capsys.readouterr().out
    for setting in ("keep_colours=true", "start=noise", "style_scale=2", "seed=3"):
        with pytest.raises(Refused, match=f"{setting.split('=')[0]}: method=face_swap takes all but the face"):
            call("stylise", command.run, [*settings, setting])


def test_what_is_refused(points):
    far = drawn_face((40, 40), (19, 19), 8, 0.0, (205, 160, 130), GREEN, (110, 120, 130))
    for settings, says in (
        ({}, r"method\.points: give a file of key points, or method\.landmarks"),
        ({"points": points, "landmarks": "x.onnx"}, "one of the two"),
        ({"points": points, "grown": -1}, "method.grown: give a share"),
        ({"landmarks": "x.pt"}, r"x\.pt should be an \.onnx file"),
    ):
        with pytest.raises(Refused, match=says):
            FaceSwap(**settings, **SMALL)
    named = {"a.png": far[1], "b.png": THEIRS}
    Path(points).write_text(json.dumps({n: {p: xy.tolist() for p, xy in f.items()} for n, f in named.items()}))
    with pytest.raises(Refused, match="content: its face has 11 x 14 pixels; 32 a side are the least"):
        FaceSwap(points, **SMALL).swapped(far[0], STYLE, FILES, 128, "cpu")
    with pytest.raises(Refused, match=r"two pictures are called a\.png"):
        swapped(points, files=(FILES[0], Path("b/a.png")))
    line = {"eyes": [[5, 5], [30, 30], [55, 55]]}
    Path(points).write_text(json.dumps({"a.png": line, "b.png": line}))
    with pytest.raises(Refused, match="the points of content lie on a line"):
        swapped(points)


def test_a_network_finds_points(tmp_path):
    pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper, save

    shares = np.array([[0.3, 0.4, 0.7, 0.4, 0.5, 0.55, 0.4, 0.7, 0.6, 0.7]], np.float32)
    pixels = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, 3, 32, 32])]
    says = [helper.make_tensor_value_info("points", TensorProto.FLOAT, [1, 10])]
    mean = helper.make_node("ReduceMean", ["pixels"], ["mean"], keepdims=0)
    nodes = [
        mean,
        helper.make_node("Mul", ["mean", "none"], ["nothing"]),
        helper.make_node("Add", ["shares", "nothing"], ["points"]),
    ]
    for name, factor, width in (("shares", 1, 10), ("pixels", 32, 10), ("odd", 1, 8), ("outside", -1, 10)):
        constants = [
            numpy_helper.from_array(shares[:, :width] * factor, "shares"),
            numpy_helper.from_array(np.zeros(1, np.float32), "none"),
        ]
        says[0].type.tensor_type.shape.dim[1].dim_value = width
        graph = helper.make_graph(nodes, "points", pixels, says, constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        save(model, tmp_path / f"{name}.onnx")
    for name in ("shares", "pixels"):
        found = FaceSwap(landmarks=str(tmp_path / f"{name}.onnx"), landmarks_size=32, **SMALL).landmarker(CONTENT)
        assert [len(found[part]) for part in ("right_eye", "left_eye", "nose", "mouth")] == [1, 1, 1, 2]
        assert np.allclose(found["right_eye"], [[0.3 * 64 - 0.5, 0.4 * 72 - 0.5]], atol=1e-3)
    with pytest.raises(Refused, match=r"^method\.landmarks: the network finds points outside of the picture's 64 x 72"):
        FaceSwap(landmarks=str(tmp_path / "outside.onnx"), landmarks_size=32, **SMALL).landmarker(CONTENT)
    with pytest.raises(Refused, match=r"odd\.onnx says 8 numbers; 136 or 10 are wanted"):
        FaceSwap(landmarks=str(tmp_path / "odd.onnx"), landmarks_size=32, **SMALL)


def test_parts_of_a_drawn_map():
    parts = drawn(OURS, CONTENT.shape[:2], 0.0, 1)
    assert {*np.unique(parts)} == {-1, 0, 1, 2, 3} and parts[0, 0] == -1
    for number, part in enumerate(("mouth", "left_eye", "right_eye"), start=1):
        row, column = OURS[part].mean(axis=0).round().astype(int)[::-1]
        assert parts[row, column] == number
    assert torch.from_numpy(parts).dtype == torch.int64
