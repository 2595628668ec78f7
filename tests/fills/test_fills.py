"""Every fill keeps its contract, and the harmonic one solves the equation that it says it solves."""

import subprocess
import sys
import threading

import cv2  # here because its import changes LD_LIBRARY_PATH, which conftest does not let a test do
import numpy as np
import pytest
import scipy.sparse as sparse
import torch
from scipy.sparse.linalg import spsolve

from inpaint.batch import from_uint8, to_uint8
from inpaint.fills import Biharmonic, Harmonic, Mean, NavierStokes, NearestNeighbour, NearestPatch, Telea, harmonic
from inpaint.settings import Refused


def from_a_collection():
    """Ramps and one flat picture, of any size."""
    ramps = torch.arange(30, dtype=torch.uint8).mul(5).expand(3, 25, 30)
    return NearestNeighbour().copy_from([ramps, ramps.flip(2).contiguous(), torch.full_like(ramps, 90)])


FILLS = [Mean, Harmonic, Telea, NavierStokes, Biharmonic, NearestPatch, from_a_collection]
every_fill = pytest.mark.parametrize("fill", FILLS, ids=lambda fill: fill.__name__)


def rectangles(count, height, width, generator, holes=3):
    """Masks ``(count, 1, height, width)`` of a few random rectangles each."""
    mask = torch.zeros(count, 1, height, width)
    for sample in mask[:, 0]:
        for _ in range(holes):
            top, left, h, w = (torch.rand(4, generator=generator) * torch.tensor([height, width, height, width])).int()
            sample[top : top + h // 2 + 1, left : left + w // 2 + 1] = 1
    return mask


def batch(count=2, height=20, width=17, seed=0):
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(count, 3, height, width, generator=generator) * 2 - 1
    return image, rectangles(count, height, width, generator)


def hard_masks(size, generator):
    """Masks ``(8, 1, size, size)`` that are hard for multigrid: big holes, thin walls, scattered pixels, the border."""
    masks = torch.zeros(8, 1, size, size)
    quarter = size // 4
    masks[0, 0, quarter:-quarter, quarter:-quarter] = 1  # a centred box
    masks[1, 0, 2:-2, 2:-2] = 1  # only a thin frame is known
    masks[2] = 1
    masks[2, 0, quarter:-quarter, quarter:-quarter] = 0  # outpainting
    masks[3, 0, :, size // 3 :] = 1  # the hole touches three sides
    masks[4] = torch.rand(1, size, size, generator=generator) < 0.9  # scattered known pixels
    masks[5] = 1
    masks[5, 0, 3::7] = 0  # known lines one pixel thin ...
    masks[5, 0, 3::7, size // 2 : size // 2 + 2] = 1  # ... with a gap in each
    masks[6] = rectangles(1, size, size, generator, holes=8)[0]
    masks[7] = 1
    masks[7, 0, size // 3, size // 5] = 0  # a single known pixel
    return masks


def exact_harmonic(image, mask):
    """The exact solution for one picture ``(3, H, W)`` and hole ``(H, W)``, by a sparse direct solve."""
    height, width = mask.shape
    index = np.arange(height * width).reshape(height, width)
    pairs = [(index[:, :-1].ravel(), index[:, 1:].ravel()), (index[:-1].ravel(), index[1:].ravel())]
    rows, columns = (np.concatenate(side) for side in zip(*pairs, strict=True))
    adjacency = sparse.coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(index.size, index.size)).tocsr()
    adjacency = adjacency + adjacency.T
    laplacian = (sparse.diags(np.asarray(adjacency.sum(axis=1)).ravel()) - adjacency).tocsr()
    hole = np.flatnonzero(mask.numpy().ravel() > 0.5)
    known = np.flatnonzero(mask.numpy().ravel() < 0.5)
    values = image.double().numpy().reshape(3, -1).copy()
    values[:, hole] = spsolve(laplacian[hole][:, hole].tocsc(), -laplacian[hole][:, known] @ values[:, known].T).T
    return torch.from_numpy(values.reshape(image.shape)).float()


@every_fill
def test_known_pixels_are_kept_and_the_hole_is_painted_in_range(fill):
    image, mask = batch()
    outputs = fill()(image, mask)
    for result in (outputs.output, outputs.composite):
        assert result.shape == image.shape and result.dtype == torch.float32
        assert torch.equal(result * (1 - mask), image * (1 - mask))
        assert result.abs().max() <= 1
    assert not list(fill().parameters())


@every_fill
@pytest.mark.parametrize("content", [0.9, torch.nan, torch.inf])
def test_the_hole_is_never_read(fill, content):
    image, mask = batch()
    expected = fill()(image, mask)
    other = fill()(torch.where(mask > 0.5, content, image), mask)
    assert torch.equal(other.output, expected.output)
    assert torch.equal(other.composite, expected.composite)


@every_fill
@pytest.mark.parametrize("size", [(1, 1), (1, 6), (5, 1), (2, 3), (9, 14)])
def test_no_hole_all_hole_and_any_size(fill, size):
    image, mask = batch(3, *size)
    mask[1], mask[2] = 0, 1
    composite = fill()(torch.where(mask > 0.5, torch.nan, image), mask).composite
    assert composite.isfinite().all()
    assert torch.equal(composite[1], image[1])
    assert torch.equal(composite[2], torch.zeros_like(image[2]))


@every_fill
def test_a_constant_picture_is_restored(fill):
    image, mask = batch()
    image = from_uint8(torch.full_like(image, 200).byte())
    tolerance = 5 / 127.5 if fill is Telea else 2e-6  # OpenCV's Telea is off by a few levels (its issue 25404)
    torch.testing.assert_close(fill()(image, mask).composite, image, rtol=0, atol=tolerance)


@every_fill
def test_a_picture_does_not_depend_on_the_others_of_its_batch(fill):
    image, mask = batch(4)
    whole = fill()(image, mask).composite
    for k in range(4):
        torch.testing.assert_close(fill()(image[k : k + 1], mask[k : k + 1]).composite[0], whole[k], rtol=0, atol=1e-6)


def test_torch_has_its_threads_afterwards():
    before = torch.get_num_threads()
    NearestPatch()(*batch(3))
    now = []
    thread = threading.Thread(target=lambda: now.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert torch.get_num_threads() == before and now == [before]


def test_the_module_needs_only_torch():
    code = "import sys, inpaint.fills; print([name for name in ('cv2', 'skimage', 'lightning') if name in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_mean_is_the_mean_of_the_known_pixels():
    image, mask = batch(1)
    output = Mean()(image, mask).output
    for channel in range(3):
        expected = image[0, channel][mask[0, 0] < 0.5].mean()
        torch.testing.assert_close(output[0, channel][mask[0, 0] > 0.5], expected.expand(int(mask.sum())))


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("content", ["noise", "edge"])
def test_harmonic_is_near_the_exact_solution(size, content):
    generator = torch.Generator().manual_seed(size)
    mask = hard_masks(size, generator)
    if content == "noise":
        image = torch.rand(len(mask), 3, size, size, generator=generator) * 2 - 1
    else:
        ramp = torch.arange(size) + 0.3 * torch.arange(size)[:, None]
        image = torch.where(ramp > 0.6 * size, 1.0, -1.0).expand(len(mask), 3, size, size).clone()
    exact = torch.stack([exact_harmonic(picture, hole[0]) for picture, hole in zip(image, mask, strict=True)])

    def error(cycles):
        square = (harmonic(image, mask, cycles) - exact).square() * mask
        return (square.sum((1, 2, 3)) / (3 * mask.sum((1, 2, 3)))).sqrt().max()

    assert error(2) <= 0.01
    assert error(4) <= 0.001
    assert error(16) <= 2e-5  # what float32 allows: the frame of the known pixels is far from the middle


@pytest.mark.parametrize("size", [(1, 40), (37, 1), (33, 50), (63, 65)])
def test_harmonic_is_near_the_exact_solution_at_any_size(size):
    image, mask = batch(1, *size, seed=3)
    exact = exact_harmonic(image[0], mask[0, 0])
    assert (harmonic(image, mask, cycles=3)[0] - exact).square().mean().sqrt() <= 0.01
    torch.testing.assert_close(harmonic(image, mask, cycles=20)[0], exact, rtol=0, atol=2e-6)


def test_harmonic_continues_a_ramp():
    ramp = torch.linspace(-1, 1, 48).expand(1, 3, 40, 48) * 0.5 + torch.linspace(-1, 1, 40)[:, None] * 0.5
    mask = torch.zeros(1, 1, 40, 48)
    mask[..., 1:25, 5:30] = 1
    mask[..., 28:39, 33:47] = 1
    torch.testing.assert_close(harmonic(ramp, mask, cycles=12), ramp, rtol=0, atol=2e-6)
    assert (harmonic(ramp, mask) - ramp).abs().max() < 0.01


def rim_of(mask):
    """The known pixels that have a hole pixel above, below, left or right."""
    cross = torch.tensor([[[[0.0, 1, 0], [1, 0, 1], [0, 1, 0]]]])
    return (torch.nn.functional.conv2d(mask, cross, padding=1) > 0.5) & (mask < 0.5)


def test_harmonic_keeps_the_maximum_principle():
    generator = torch.Generator().manual_seed(5)
    mask = hard_masks(64, generator)
    image = torch.rand(len(mask), 3, 64, 64, generator=generator)
    image = torch.where(rim_of(mask), 0.3 + 0.2 * image, 4 * image - 2)  # only the rim may have a say
    inside = harmonic(image, mask, cycles=12)[(mask > 0.5).expand_as(image)]
    assert inside.min() >= 0.3 - 1e-4 and inside.max() <= 0.5 + 1e-4


def test_harmonic_gradient_is_that_of_the_exact_solution():
    image, mask = batch(1, 6, 5)
    image = image.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda given: harmonic(given, mask, cycles=12), image)


def test_harmonic_gradient_reaches_the_rim_and_never_the_hole():
    image, mask = batch(2, 33, 30)
    image = torch.where(mask > 0.5, torch.nan, image).requires_grad_()
    (harmonic(image, mask) * mask).sum().backward()
    assert (image.grad[(mask > 0.5).expand_as(image)] == 0).all()
    assert (image.grad[rim_of(mask).expand_as(image)] > 0).all()
    # Each hole pixel is a weighted mean of rim pixels, so the weights given away add up to the pixels of the hole.
    torch.testing.assert_close(image.grad.sum(), 3 * mask.sum(), rtol=2e-3, atol=0)


def test_harmonic_is_the_same_for_any_scale_memory_format_and_autocast():
    image, mask = batch(2, 32, 32)
    expected = harmonic(image, mask)
    assert torch.equal(harmonic(image.to(memory_format=torch.channels_last), mask), expected)
    torch.testing.assert_close(harmonic(image * 2.0**-40, mask) * 2.0**40, expected)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(harmonic(image, mask), expected)


@pytest.mark.parametrize(("name", "value", "least"), [("cycles", -1, 0), ("sweeps", 0, 1)])
def test_harmonic_refuses_what_it_cannot_do(name, value, least):
    with pytest.raises(Refused, match=rf"^generator\.{name}: {value} is no whole number from {least} up$"):
        Harmonic(**{name: value})


@pytest.mark.parametrize(("fill", "method"), [(Telea, "INPAINT_TELEA"), (NavierStokes, "INPAINT_NS")])
@pytest.mark.parametrize("radius", [3, 5])
def test_opencv_fills_equal_a_direct_call(fill, method, radius):
    image, mask = batch(1, 40, 50)
    bgr = to_uint8(torch.where(mask > 0.5, 0, image))[0].flip(0).permute(1, 2, 0).contiguous().numpy()
    expected = cv2.inpaint(bgr, (mask[0, 0] * 255).byte().numpy(), radius, getattr(cv2, method))[..., ::-1].copy()
    composite = to_uint8(fill(radius)(image, mask).composite)[0].permute(1, 2, 0)
    assert torch.equal(composite, torch.from_numpy(expected))


@pytest.mark.parametrize("split_regions", [False, True])
def test_biharmonic_continues_a_quadratic_better_than_harmonic(split_regions):
    image = (torch.linspace(-1, 1, 40).square() * 1.6 - 0.8).expand(1, 3, 40, 40)
    mask = torch.zeros(1, 1, 40, 40)
    mask[..., 8:18, 8:18] = 1
    mask[..., 24:34, 20:32] = 1
    error = (Biharmonic(split_regions)(image, mask).composite - image).abs().max()
    assert error < 0.2 * (Harmonic()(image, mask).composite - image).abs().max()
