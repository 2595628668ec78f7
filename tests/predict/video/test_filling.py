"""Holes filled from other frames: which frame gives a pixel, what is exact, and how much is held in memory."""

import weakref

import numpy as np
import pytest

from inpaint.predict.video.filling import Filled, Frame, fill
from tests.predict.video.clips import box, emptied, pan, photograph


def never(pixels, hole):
    raise AssertionError("nothing is to be painted")


def grey(pixels, hole):
    return np.where(hole[..., None], np.array(100, pixels.dtype), pixels)


def filled(frames, holes, window=10, paint=never):
    pairs = zip(frames, holes, strict=True)
    results = list(fill((Frame(emptied(frame, hole), hole) for frame, hole in pairs), window, paint))
    return [frame.composite for frame, _ in results], [counts for _, counts in results]


def test_on_a_camera_that_stands_still_a_moving_hole_is_filled_exactly():
    picture, holes = pan(1, (0, 0))[0], [box(10 + 13 * number, 30) for number in range(7)]
    composites, counts = filled([picture] * 7, holes)
    assert all(np.array_equal(composite, picture) for composite in composites)
    assert counts == [Filled(known=24 * 24)] * 7


def test_it_is_exact_in_sixteen_bits():
    picture = np.random.default_rng(0).integers(0, 65536, (96, 128, 3), dtype=np.uint16)
    holes = [box(10, 30), box(60, 30)]
    pairs = zip([picture, picture], holes, strict=True)
    frames = (Frame(np.where(hole[..., None], np.uint16(7), frame), hole) for frame, hole in pairs)
    assert all(np.array_equal(frame.composite, picture) for frame, _ in fill(frames, 3, never))


def test_things_that_move_before_a_still_camera_leave_the_rest_exact():
    background, thing = pan(1, (0, 0))[0], photograph(9, 20, 20)
    frames = []
    for number in range(5):
        frames.append(background.copy())
        frames[-1][70:90, 5 + 6 * number : 25 + 6 * number] = thing
    composites, _ = filled(frames, [box(30 + 20 * number, 10) for number in range(5)])
    assert all(np.array_equal(*pair) for pair in zip(composites, frames, strict=True))


def test_a_pan_by_whole_pixels_is_exact_where_a_frame_knows_it():
    frames, hole = pan(9, (4, 0)), box(52, 36)
    composites, counts = filled(frames, [hole] * 9)
    assert all(np.array_equal(*pair) for pair in zip(composites, frames, strict=True))
    assert {count.known for count in counts} == {24 * 24}


def test_a_pan_between_pixels_is_near():
    frames, hole = pan(9, (3.4, 1.2)), box(52, 36)
    composites, counts = filled(frames, [hole] * 9, paint=grey)
    errors = [a[hole].astype(float) - b[hole] for a, b in zip(composites, frames, strict=True)]
    assert sum(count.known for count in counts) > 0.9 * 9 * 24 * 24
    assert max(np.abs(error).mean() for error in errors) < 6
    assert abs(np.mean(errors)) < 0.2, "values are rounded, not cut off"


@pytest.mark.parametrize(
    ("hidden", "level"),
    [({3}, 2), ({3, 2}, 4), ({3, 2, 4}, 1), ({3, 2, 4, 1}, 5), ({3, 2, 4, 1, 5}, 0), ({3, 2, 4, 1, 5, 0}, 6)],
)
def test_the_nearest_frame_gives_a_pixel_and_of_two_the_earlier(hidden, level):
    frames = [np.full((96, 128, 3), 20 + number, np.uint8) for number in range(7)]
    hole = box(50, 40)
    composites, _ = filled(frames, [hole if number in hidden else hole & False for number in range(7)], 3, grey)
    assert (composites[3][hole] == 20 + level).all()


def test_what_lies_beyond_the_window_is_not_known():
    frames = [np.full((96, 128, 3), 20 + number, np.uint8) for number in range(7)]
    hole = box(50, 40)
    holes = [hole] * 6 + [hole & False]
    composites, counts = filled(frames, holes, 2, grey)
    assert [composite[45, 55, 0] for composite in composites] == [100, 100, 100, 100, 26, 26, 26]
    assert [count.index(24 * 24) for count in counts[:6]] == [2, 1, 1, 1, 0, 0]


def test_what_was_painted_once_stays():
    picture, calls = pan(1, (0, 0))[0], []

    def noise(pixels, hole):
        calls.append(hole.sum())
        return np.where(hole[..., None], np.random.default_rng(len(calls)).integers(0, 256, pixels.shape), pixels)

    composites, counts = filled([picture] * 4, [box(50, 40)] * 4, 2, lambda *given: noise(*given).astype(np.uint8))
    assert calls == [24 * 24] and all(np.array_equal(composite, composites[0]) for composite in composites)
    assert counts[3] == Filled(carried=24 * 24)


def test_nothing_comes_from_before_a_cut():
    frames = [photograph(1, 96, 128)] * 2 + [photograph(2, 96, 128)] * 2
    hole = box(50, 40)
    composites, counts = filled(frames, [hole & False, hole & False, hole, hole & False], 3)
    assert np.array_equal(composites[2], frames[2]) and counts[2] == Filled(known=24 * 24)
    _, counts = filled(frames, [hole & False, hole & False, hole, hole], 3, grey)
    assert counts[2:] == [Filled(painted=24 * 24), Filled(carried=24 * 24)]


def test_a_frame_that_comes_with_its_composite_keeps_it():
    picture, hole = pan(1, (0, 0))[0], box(50, 40)
    before = Frame(picture, hole, composite=grey(picture, hole))
    results = list(fill([before, Frame(emptied(picture, hole), hole)], 1, never))
    assert results[0] == (before, Filled()) and np.array_equal(results[1][0].composite, before.composite)


@pytest.mark.parametrize("length", [12, 40])
def test_memory_is_bounded_by_the_window_and_not_by_the_length(length):
    alive, most = weakref.WeakSet(), 0

    def source():
        nonlocal most
        for _ in range(length):
            frame = Frame(np.zeros((16, 16, 3), np.uint8), box(4, 4, 4, 4, (16, 16)))
            alive.add(frame)
            most = max(most, len(alive))
            yield frame
            del frame

    count = 0
    for frame, _ in fill(source(), 2, grey):
        count += frame.composite is not None
        del frame
    assert count == length and most == 2 * 2 + 1


def test_frames_without_holes_are_left_alone_and_no_frames_are_none():
    frames = pan(3, (2, 0))
    composites, counts = filled(frames, [box(0, 0, 0, 0)] * 3)
    assert all(np.array_equal(*pair) for pair in zip(composites, frames, strict=True)) and counts == [Filled()] * 3
    assert not list(fill([], 3, never))
