"""Key points: files of them, and the similarity that takes some to others."""

import json
from pathlib import Path

import numpy as np
import pytest
from skimage.transform import SimilarityTransform

from inpaint.settings import Refused
from inpaint.stylise.points import corresponding, hull, moved, read_points, similarity

FACE = {"eyes": [[10, 12], [30, 11.5]], "mouth": [[20, 30]]}
PICTURES, SIZES = [Path("x/a.jpg"), Path("b.jpg")], [(40, 50), (40, 50)]


def test_a_known_similarity_is_found():
    """Of points that it was made of to 0.1 pixels, and with noise what scikit-image finds."""
    generator = np.random.default_rng(0)
    source = generator.uniform(0, 200, (20, 2))
    true = SimilarityTransform(scale=1.7, rotation=0.4, translation=(30, -12))
    target = true(source)
    assert np.abs(moved(source, similarity(source, target)) - target).max() < 1e-9
    assert np.abs(similarity(source, target) - true.params[:2]).max() < 1e-9
    noisy = target + generator.normal(0, 0.1, target.shape)
    found = similarity(source, noisy)
    assert np.abs(moved(source, found) - target).max() < 0.1
    assert np.abs(found - SimilarityTransform.from_estimate(source, noisy).params[:2]).max() < 1e-6


def test_a_mirrored_face_is_not_mirrored_back():
    source = np.array([[0.0, 0], [4, 0], [2, 3], [1, 5]])
    assert np.linalg.det(similarity(source, source * [-1, 1])[:, :2]) > 0
    with pytest.raises(Refused, match="all points of a picture are in one place"):
        similarity(source, source * 0 + 3)


def test_json_and_csv_say_the_same(tmp_path):
    (tmp_path / "points.json").write_text(json.dumps({"a.jpg": FACE, "b.jpg": FACE, "c.jpg": {}}))
    lines = [f"{name},{part},{x},{y}" for name in ("a.jpg", "b.jpg") for part in FACE for x, y in FACE[part]]
    (tmp_path / "points.csv").write_text("\n".join(["picture,part,x,y", *lines]))
    both = [read_points(tmp_path / f"points.{kind}", PICTURES, SIZES) for kind in ("json", "csv")]
    for found in both:
        assert [list(face) for face in found] == [["eyes", "mouth"]] * 2
        assert np.array_equal(found[0]["eyes"], FACE["eyes"]) and found[1]["mouth"].shape == (1, 2)
    ours, theirs = corresponding(both[0][0], dict(reversed(both[1][1].items())))
    assert np.array_equal(ours, theirs) and ours.shape == (3, 2)


def test_bad_files(tmp_path):
    def says(text, match, name="points.json"):
        (tmp_path / name).write_text(text)
        with pytest.raises(Refused, match=match):
            read_points(tmp_path / name, PICTURES, SIZES)

    says("{", r"method\.points: .*points\.json: it is no JSON")
    says("[1]", r'it should be \{"a\.jpg"')
    says('{"a.jpg": {}}', r"has no points of a\.jpg, b\.jpg")
    says('{"a.jpg": {"eye": [[1, 2]]}}', r"has no points of b\.jpg; it has some of a\.jpg")
    for pairs in (
        "[]",
        "[[1]]",
        "[[1, null]]",
        '[["x", 2]]',
        "[[1e999, 2]]",
        "3",
        '{"x": 1}',
        "[[[1]], 2]",
        "[[1, 2, 0.9]]",
        "[1, 2]",
    ):
        says(f'{{"a.jpg": {{"eye": {pairs}}}}}', r"eye of a\.jpg should be a list of \[x, y\]")
    outside = json.dumps({"a.jpg": FACE, "b.jpg": {"eyes": [[60, 3]]}})
    says(outside, r"points of b\.jpg lie outside of its 50 x 40 pixels")
    says("picture,x\na.jpg,3", "it should have the columns picture, part, x, y", "points.csv")
    says("text", r"give a \.json or \.csv file", "points.txt")
    with pytest.raises(Refused, match=r"nowhere\.json: cannot be opened"):
        read_points(tmp_path / "nowhere.json", PICTURES, SIZES)


def test_other_points_are_refused():
    face = {part: np.array(xy, float) for part, xy in FACE.items()}
    with pytest.raises(Refused, match="mouth has 1 in content and 0 in style"):
        corresponding(face, {"eyes": face["eyes"]})
    with pytest.raises(Refused, match="at least three points"):
        corresponding({"eyes": face["eyes"]}, {"eyes": face["eyes"]})


def test_a_hull_grows_from_its_middle():
    square = np.array([[0.0, 0], [4, 0], [4, 4], [0, 4], [2, 2]])
    assert {tuple(corner) for corner in hull(square, 0.5)} == {(-1, -1), (5, -1), (5, 5), (-1, 5)}
