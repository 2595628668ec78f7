"""The flow between two frames: right where it is known what it is, also inside holes, and zero where nothing moves."""

import cv2
import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from skimage import data

from inpaint.pictures.motion import View, motion, moved, returns
from tests.predict.video.clips import box, emptied, pan, photograph

NOTHING = np.zeros((96, 128), bool)


def between(frames, holes):
    return motion(*(View(emptied(frame, hole), hole) for frame, hole in zip(frames, holes, strict=True)))


@pytest.mark.parametrize(("step", "most"), [((3, 0), 0.01), ((1.3, 0.6), 0.1), ((9, -2), 0.01)])
@pytest.mark.parametrize("there", [box(48, 36), box(62, 40)], ids=["the same hole", "another hole"])
def test_a_pan_is_found_inside_holes_too(step, most, there):
    hole = box(48, 36)
    found = between(pan(2, step), [hole, there])
    expected = -np.array(step, np.float32)
    assert np.abs(found.forward[hole] - expected).mean() < most
    assert np.abs(found.backward[there] + expected).mean() < most
    assert found.forward_holds[hole].all() and found.backward_holds[there].all()


def test_nothing_moves_to_the_bit():
    frame = pan(1, (0, 0))[0]
    frame[:40] = 200  # nothing to go by
    found = between([frame, frame], [box(10, 20), box(40, 30)])
    assert not found.forward.any() and not found.backward.any()
    assert found.forward_holds.all() and found.backward_holds.all()


def test_a_flat_border_of_a_hole_says_nothing_of_its_motion():
    hole = box(48, 36)
    for rows in (24, 36, 46):
        frames = pan(2, (6, 0))
        for frame in frames:
            frame[:rows] = 200
        assert np.abs(between(frames, [hole] * 2).forward[hole] - (-6, 0)).mean() < 0.01


def test_in_a_picture_that_is_nearly_all_flat_the_rest_is_enough():
    hole, frames = box(48, 36), [np.full((96, 128, 3), 200, np.uint8) for _ in range(2)]
    for frame, seen in zip(frames, pan(2, (6, 0)), strict=True):
        frame[76:] = seen[76:]
    assert np.abs(between(frames, [hole] * 2).forward[hole] - (-6, 0)).mean() < 3


def test_what_has_no_way_back_is_not_continued_into_holes():
    """Beside the hole of one frame lies what the hole of the other hides."""
    photo = data.astronaut().astype(np.float32)
    y, x = np.indices((200, 240), dtype=np.float32)
    shown = [cv2.remap(photo, x + 40 + right, y + 40 + down, cv2.INTER_CUBIC) for right, down in ((0, 0), (1.3, 0.6))]
    frames = [np.rint(frame).clip(0, 255).astype(np.uint8) for frame in shown]
    holes = [box(80, 70, 70, 60, (200, 240)), box(100, 80, 70, 60, (200, 240))]
    found = between(frames, holes)
    assert found.forward_holds[holes[0]].mean() > 0.97
    assert np.abs(found.forward[holes[0]] + (1.3, 0.6)).mean() < 0.1


def test_what_a_hole_holds_is_not_seen():
    first, second = pan(2, (2, 1))
    holes = [box(48, 36), box(62, 40)]
    dark = motion(View(emptied(first, holes[0], 0), holes[0]), View(emptied(second, holes[1], 0), holes[1]))
    assert all(np.array_equal(*pair) for pair in zip(dark, between([first, second], holes), strict=True))


def test_sixteen_bits_are_seen_as_eight():
    frames = pan(2, (3, 0))
    deep = motion(*(View(frame.astype(np.uint16) * 257, NOTHING) for frame in frames))
    assert np.abs(deep.forward - between(frames, [NOTHING] * 2).forward).max() < 0.05


def test_across_a_cut_nothing_holds():
    found = between([photograph(1, 96, 128), photograph(2, 96, 128)], [NOTHING] * 2)
    assert not found.forward_holds.any() and not found.backward_holds.any()


def test_where_a_flow_has_a_way_back():
    flow = np.zeros((20, 30, 2), np.float32)
    flow[..., 0] = 4
    back = -flow
    expected = np.ones((20, 30), bool)
    expected[:, 26:] = False  # leaves the frame
    assert np.array_equal(returns(flow, back), expected)
    back[5:10, 14:20, 0] = 0  # is hidden there
    expected[5:10, 10:16] = False
    assert np.array_equal(returns(flow, back), expected)


def test_frames_too_small_and_frames_without_anything_known_do_not_move():
    small = motion(*(View(frame[:10, :12], NOTHING[:10, :12]) for frame in pan(2, (3, 0))))
    assert not small.forward.any() and small.forward_holds.all()
    assert not between(pan(2, (3, 0)), [~NOTHING] * 2).forward.any()


def test_values_are_moved_as_scipy_moves_them():
    picture = photograph(3, 40, 50).astype(np.float32)
    flow = np.random.default_rng(0).integers(-96, 96, (40, 50, 2)).astype(np.float32) / 32  # OpenCV's steps
    y, x = np.indices((40, 50))
    places = [y + flow[..., 1], x + flow[..., 0]]
    bands = [map_coordinates(picture[..., band], places, order=1, mode="nearest") for band in range(3)]
    assert np.abs(moved(picture, flow) - np.stack(bands, axis=2)).max() < 0.01
