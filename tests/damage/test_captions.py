"""Text: from what a detector says to the pixels of letters; and the detector itself where it is installed."""

from importlib.util import find_spec

import cv2
import numpy as np
import pytest

from inpaint.damage import captions
from inpaint.damage.captions import Line
from inpaint.settings import Refused
from tests.conftest import smooth_picture


def written(level=255):
    """A picture with a word, and where that is."""
    picture = smooth_picture(1, 120, 320) // 3 + 60
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.putText(mask, "Holiday 1974", (30, 70), cv2.FONT_HERSHEY_SIMPLEX, 1.2, 255, 3)
    return np.where(mask[..., None] > 0, np.uint8(level), picture), mask > 0


def box_of(mask):
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return Line(((x + width / 2, y + height / 2), (width + 6.0, height + 6.0), 0.0), 0.9)


@pytest.mark.parametrize("level", [255, 0], ids=["light", "dark"])
def test_letters_are_told_from_what_lies_between_them(level):
    picture, truth = written(level)
    hole = captions.letters(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32), box_of(truth))
    assert (hole & truth).sum() > 0.95 * truth.sum()
    assert hole.sum() < 0.75 * np.prod(box_of(truth).box[1])


def test_lines_are_where_the_detector_marks_them_grown_as_it_shrinks():
    def network(shown):
        assert shown.dtype == np.float32 and shown.shape[:2] == (1, 3) and abs(shown).max() <= 1
        assert not any(side % 32 for side in shown.shape[2:])
        marks = np.zeros(shown.shape[2:], np.float32)
        height, width = marks.shape
        marks[int(0.4 * height) : int(0.5 * height), int(0.2 * width) : int(0.6 * width)] = 0.9
        marks[: int(0.1 * height), : int(0.1 * width)] = 0.4  # hardly probable
        return marks

    (line,) = captions.find_lines(np.zeros((200, 400, 3), np.uint8), network)
    (x, y), sides, _ = line.box
    assert (x, y) == pytest.approx((160, 90), abs=3) and line.score == pytest.approx(0.9, abs=0.02)
    marked = 20 * 160 / 180  # of an area and half a perimeter
    assert sorted(sides) == pytest.approx([20 + 1.6 * marked, 160 + 1.6 * marked], abs=4)


def test_how_much_is_written():
    lines = [Line(((0, 0), (100, 20), 0), 0.9), Line(((0, 0), (10, 60), 30), 0.9), Line(((0, 0), (30, 20), 0), 0.9)]
    assert captions.extent(lines, (200, 300)) == (100 + 60) / 200


def test_without_the_package_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setattr(captions, "find_spec", lambda name: None)
    with pytest.raises(Refused, match=r"auto\.text: .*pip install onnxruntime && pip install --no-deps rapidocr-onnxr"):
        captions.load_network()


@pytest.mark.skipif(find_spec(captions.PACKAGE) is None, reason="rapidocr-onnxruntime is not installed")
def test_the_detector_finds_a_caption():
    picture, truth = written()
    lines = captions.find_lines(picture, captions.load_network())
    assert lines and captions.extent(lines, truth.shape) > 1
    assert sum((captions.inside(line, truth.shape) & truth).sum() for line in lines) > 0.9 * truth.sum()
