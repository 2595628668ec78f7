"""`refine=pyramid`: features of a large picture are optimised to agree with what was painted of it when small."""

import cv2
import numpy as np
import pytest
import torch

from inpaint.batch import Batch, paint
from inpaint.networks.generators.fourier import LaMa
from inpaint.networks.generators.pix2pixhd import Pix2PixHDGlobal
from inpaint.predict import refine
from inpaint.predict.predictor import Predictor
from inpaint.predict.refine import Pyramid
from inpaint.settings import Refused
from tests.conftest import smooth_picture
from tests.predict.networks import Level


def network(kind=LaMa):
    torch.manual_seed(0)
    return kind(blocks=2, width=4).eval().requires_grad_(False)


def batch(height=72, width=64, count=1):
    pictures = np.stack([smooth_picture(number, height, width) for number in range(count)])
    image = torch.from_numpy(pictures).permute(0, 3, 1, 2) / 127.5 - 1
    mask = torch.zeros(count, 1, height, width)
    mask[..., 10:54, 12:52] = 1
    return Batch(image=image, mask=mask, index=torch.arange(count))


@pytest.fixture
def courses(monkeypatch):
    """How each optimisation went."""
    kept, real = [], refine.optimise

    def noted(*arguments, **settings):
        kept.append(real(*arguments, **settings))
        return kept[-1]

    monkeypatch.setattr(refine, "optimise", noted)
    return kept


@pytest.mark.parametrize("kind", [LaMa, Pix2PixHDGlobal])
def test_the_two_halves_are_the_generator(kind):
    generator, given = network(kind), batch()
    output = generator.rear(generator.front(given["image"], given["mask"]))
    assert torch.equal(output[..., :72, :64], generator(given["image"], given["mask"]).output)
    painted = 2 * generator.decoder(generator.features(given["image"], given["mask"])) - 1
    assert torch.equal(painted, output)


def test_a_small_picture_is_the_generators_own(courses):
    generator, given, pyramid = network(), batch(count=2), Pyramid(smallest=64)
    with torch.inference_mode():
        refined = pyramid(generator, given)
        own = paint(generator, given)
    assert torch.equal(refined.output, own.output) and torch.equal(refined.composite, own.composite)
    assert not courses and pyramid.done == {"left as painted: one scale": 2}


def shrunk(pictures):
    """(1, C, 2 h, 2 w) to (h, w, C): blurred, and each pixel the mean of four."""
    blurred = cv2.GaussianBlur(pictures[0].permute(1, 2, 0).numpy(), (5, 5), 1.0, borderType=cv2.BORDER_REFLECT_101)
    blurred = blurred.reshape(*pictures.shape[-2:], -1)
    return blurred.reshape(blurred.shape[0] // 2, 2, blurred.shape[1] // 2, 2, -1).mean(axis=(1, 3))


@pytest.mark.parametrize("kind", [LaMa, Pix2PixHDGlobal])
def test_the_loss_against_the_smaller_result_falls(kind, courses):
    generator, given, pyramid = network(kind), batch(), Pyramid(smallest=32, rate=1.0)
    with torch.inference_mode():
        refined = pyramid(generator, given)
    (course,) = courses
    assert course.best < 0.98 * course.energies[0] and pyramid.done == {"2 scales": 1}
    known = given["mask"] < 0.5
    assert torch.equal(refined.composite.where(known, 0), given["image"].where(known, 0))

    # The least energy, computed once more with OpenCV from what came back.
    emptied = given["image"] * (1 - given["mask"])
    small_hole = (shrunk(given["mask"]) > 1e-6).astype(np.float32)
    small = torch.from_numpy(shrunk(emptied) * (1 - small_hole)).permute(2, 0, 1)[None]
    coarse = generator(small, torch.from_numpy(small_hole).permute(2, 0, 1)[None]).composite[0].permute(1, 2, 0).numpy()
    inside = given["mask"][0, 0].numpy().reshape(36, 2, 32, 2).mean(axis=(1, 3)) == 1
    disc = np.hypot(*np.mgrid[-7:8, -7:8]) <= 7.5
    inner = cv2.erode(inside.astype(np.uint8), disc.astype(np.uint8)) > 0
    assert 0 < inner.sum() < inside.sum()
    of_known = (refined.output - given["image"]).abs()[known.expand(-1, 3, -1, -1)].mean()
    of_hole = np.abs(shrunk(refined.output) - coarse)[inner].mean()
    assert course.best == pytest.approx(float(of_known) + of_hole, rel=1e-4)


def test_pixels_of_the_hole_are_never_read():
    generator, given = network(), batch()
    other = Batch({**given, "image": torch.where(given["mask"] > 0.5, -given["image"], given["image"])})
    outputs = [Pyramid(smallest=32, steps=2)(generator, one).output for one in (given, other)]
    assert torch.equal(*outputs)


def test_large_windows_are_refined_shrunk(courses):
    generator, given = network(), batch()
    refined = Pyramid(smallest=16, steps=2, most_pixels=40 * 40)(generator, given)
    assert refined.output.shape == given["image"].shape and refined.output.abs().max() <= 1 and len(courses) == 1
    assert [level[0].shape[-2:] for level in Pyramid(smallest=16)._levels(given["image"], given["mask"])] == [
        (18, 16),
        (36, 32),
        (72, 64),
    ]


def test_what_cannot_be_refined_is_refused():
    with pytest.raises(Refused, match=r"refine: pyramid needs a generator that is cut in two .* Level is not"):
        Predictor(Level(), refine=Pyramid())
    with pytest.raises(Refused, match=r"refine: pyramid begins at smallest=512 .* give tile=1024 or more"):
        Predictor(network(), refine=Pyramid())
    Predictor(network(), refine=Pyramid(), strategy="full")
    for name in ("smallest", "scales", "steps", "rate", "most_pixels"):
        with pytest.raises(Refused, match=f"refine.{name}"):
            Pyramid(**{name: 0})
