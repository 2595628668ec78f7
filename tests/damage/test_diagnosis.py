"""Decisions: pure functions of pictures, with figures and reasons."""

import cv2
import numpy as np
import pytest
from skimage import data

from inpaint.damage import diagnose
from inpaint.damage.diagnosis import KINDS
from tests.damage.test_scratches import ASTRONAUT, scratched


def decided(*arguments, **options):
    found = diagnose(*arguments, **options)
    return {finding.kind for finding in found.findings if finding.damaged}


def test_a_clean_photograph_has_nothing_and_each_figure_is_below_its_limit():
    found = diagnose(ASTRONAUT)
    assert [finding.kind for finding in found.findings] == [kind for kind in KINDS if kind != "text"]
    assert all(finding.figure <= finding.limit and finding.reason.endswith(": no") for finding in found.findings)
    assert not found.hole.any()


def test_each_damage_is_decided_alone():
    rng = np.random.default_rng(0)
    noisy = (ASTRONAUT + rng.normal(0, 25, ASTRONAUT.shape)).clip(0, 255).astype(np.uint8)
    coded = cv2.imdecode(cv2.imencode(".jpg", ASTRONAUT, [cv2.IMWRITE_JPEG_QUALITY, 10])[1], 1)
    assert decided(noisy) == {"noise"}
    assert decided(coded) == {"jpeg"}
    assert decided(cv2.GaussianBlur(ASTRONAUT, (0, 0), 3)) == {"blur"}
    assert decided(scratched(ASTRONAUT, 245)[0]) == {"scratches"}


def test_holes_are_what_is_transparent_and_what_is_masked():
    alpha = np.full((320, 320), 255, np.uint8)
    alpha[10:20] = 254
    mask = np.zeros((320, 320), bool)
    mask[30:40] = True
    found = diagnose(ASTRONAUT, alpha, mask)
    assert np.array_equal(found.hole, (alpha < 255) | mask) and found.findings[0].share == 20 / 320
    assert not mask[10].any()  # the argument stays as it was


def test_scratches_always_and_never():
    damaged, _ = scratched(ASTRONAUT, 245)
    assert not diagnose(damaged, lines="never").hole.any()
    usual, always = diagnose(damaged).hole, diagnose(damaged, lines="always").hole
    assert usual.any() and (always >= usual).all() and always.sum() > usual.sum()
    assert diagnose(ASTRONAUT, lines="always").hole.any()  # though there is too little to be sure


def test_text_is_hole_and_no_scratch():
    picture = ASTRONAUT.copy()
    cv2.putText(picture, "Kodak 1974", (30, 200), cv2.FONT_HERSHEY_SIMPLEX, 1.3, (255, 255, 255), 2)
    truth = (picture != ASTRONAUT).any(2)
    y, x = np.nonzero(truth)

    def network(shown):
        scale = shown.shape[2] / 320
        marks = np.zeros(shown.shape[2:], np.float32)
        marks[int(y.min() * scale) : int(y.max() * scale), int(x.min() * scale) : int(x.max() * scale)] = 0.9
        return marks

    found = diagnose(picture, network=network)
    assert {finding.kind for finding in found.findings if finding.damaged} == {"text"}
    assert (found.hole & truth).sum() > 0.9 * truth.sum()


def test_16_bits_are_decided_as_8():
    deep = data.astronaut()[:160, :160].astype(np.uint16) * 257
    assert diagnose(deep).findings == diagnose(data.astronaut()[:160, :160]).findings


def test_it_is_a_pure_function_of_the_picture():
    damaged, _ = scratched(ASTRONAUT, 245)
    before = damaged.copy()
    first, second = diagnose(damaged), diagnose(damaged)
    assert first.findings == second.findings and np.array_equal(first.hole, second.hole)
    assert np.array_equal(damaged, before)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (40, 40)])
def test_pictures_of_any_size_are_decided(size):
    found = diagnose(np.zeros((*size, 3), np.uint8))
    assert not found.hole.any() and found.hole.shape == size
    assert "blur cannot be measured" in [finding.reason for finding in found.findings]
