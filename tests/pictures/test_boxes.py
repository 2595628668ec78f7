"""Boxes by the pictures' names: CSV as people and TensorFlow write it, and COCO's JSON; pixels that a box touches."""

import json

import numpy as np
import pytest

from inpaint.pictures.boxes import Box, Boxed, painted, read_boxes
from inpaint.settings import Refused

CSV = {
    "corners": "picture,x1,y1,x2,y2\na.png,2,1,5,4\ndeep/b.jpg,0,0,1,1\na.png,6,6,8,8\n",
    "tensorflow": "filename,width,height,class,xmin,ymin,xmax,ymax\na.png,10,9,x,2,1,5,4\n"
    "deep/b.jpg,10,9,y,0,0,1,1\na.png,10,9,x,6,6,8,8\n",
    "sides": "Name, X ,Y,Width,Height\na,2,1,3,3\ndeep/b.jpg,0,0,1,1\na,6,6,2,2\n",
}
EXPECTED = {"a": [(2, 1, 5, 4), (6, 6, 8, 8)], "deep/b": [(0, 0, 1, 1)]}
COCO = {
    "images": [{"id": 7, "file_name": "a.png", "width": 10, "height": 9}, {"id": 8, "file_name": "deep/b.jpg"}],
    "annotations": [
        {"image_id": 7, "bbox": [2, 1, 3, 3], "category_id": 1},
        {"image_id": 8, "bbox": [0, 0, 1, 1]},
        {"image_id": 7, "bbox": [6, 6, 2, 2]},
    ],
}


@pytest.mark.parametrize("kind", CSV)
def test_a_table_by_its_headings(kind, tmp_path):
    (tmp_path / "t.csv").write_text(CSV[kind])
    assert {name: boxed.boxes for name, boxed in read_boxes(tmp_path / "t.csv", "holes").items()} == EXPECTED


def test_annotations_of_coco(tmp_path):
    (tmp_path / "t.json").write_text(json.dumps(COCO))
    table = read_boxes(tmp_path / "t.json", "holes")
    assert {name: boxed.boxes for name, boxed in table.items()} == EXPECTED
    assert table["a"].size == (9, 10) and table["deep/b"].size is None


def test_the_pixels_that_a_box_touches():
    y, x = np.mgrid[:9, :10]
    hole = painted(Boxed([Box(1.5, 2, 3.2, 4.9), Box(-5, 7, 2, 99)]), (9, 10), "a", "holes")
    first = (x + 1 > 1.5) & (x < 3.2) & (y + 1 > 2) & (y < 4.9)
    assert np.array_equal(hole, first | ((x < 2) & (y + 1 > 7)))
    with pytest.raises(Refused, match=r"a has 10 x 9 pixels, and 12 x 9 in the table"):
        painted(Boxed([Box(0, 0, 1, 1)], (9, 12)), (9, 10), "a", "holes")
    for outside in (Box(10, 0, 12, 3), Box(0, -4, 3, 0)):
        with pytest.raises(Refused, match="lies outside its 10 x 9 pixels"):
            painted(Boxed([outside]), (9, 10), "a", "holes")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "t.csv",
            "picture,x1,y1\na,1,2\n",
            "its headings are picture, x1, y1; it needs picture, and x1, y1, x2",
        ),
        ("t.csv", "", "its headings are"),
        ("t.csv", "picture,x1,y1,x2,y2\n", "its headings are"),
        ("t.csv", "picture,x1,y1,x2,y2\na,1,2,x,4\n", "could not convert string to float"),
        ("t.csv", "picture,x1,y1,x2,y2\na,1,2\n", "is no table of boxes"),
        ("t.csv", "picture,x1,y1,x2,y2\na,1,2,nan,4\n", "a box of a is none: 1, 2, nan, 4"),
        ("t.csv", "picture,x1,y1,x2,y2\na,3,2,3,4\n", "a box of a is none"),
        ("t.json", "{", "no JSON"),
        ("t.json", "[]", "is no table of boxes"),
        ("t.json", '{"images": [], "annotations": []}', "has no boxes"),
        ("t.json", '{"images": [], "annotations": [{"image_id": 3, "bbox": [1, 2, 3, 4]}]}', "KeyError: 3"),
        ("none.csv", None, "none.csv does not exist"),
    ],
)
def test_what_is_no_table_is_refused_in_a_line(name, text, message, tmp_path):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(Refused, match=message) as refusal:
        read_boxes(tmp_path / name, "holes")
    assert str(refusal.value).startswith("holes: ") and "\n" not in str(refusal.value)
