import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torchmetrics.functional.image import structural_similarity_index_measure

from inpaint.batch import Outputs, compose
from inpaint.losses.structure import MSSSIM, SSIM, FocalFrequency, TotalVariation
from inpaint.metrics.image import measure

LOSSES = [SSIM, lambda: MSSSIM(scales=3), TotalVariation, FocalFrequency]


@pytest.fixture
def batch():
    """Two pictures of 48 x 56 pixels with smooth and with rough parts, and a hole in each."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.linspace(0, 6, 48), torch.linspace(0, 6, 56), indexing="ij")
    smooth = torch.stack([torch.sin(x), torch.cos(y), torch.sin(x + y)])
    image = (0.7 * smooth + 0.2 * torch.randn(2, 3, 48, 56, generator=generator)).clamp(-1, 1)
    mask = torch.zeros(2, 1, 48, 56)
    mask[0, :, 10:30, 20:40] = 1
    mask[1, :, :25, 5:20] = 1
    return {"image": image, "mask": mask, "index": torch.arange(2)}


@pytest.fixture
def outputs(batch):
    noise = torch.randn(batch["image"].shape, generator=torch.Generator().manual_seed(1))
    return compose((batch["image"] + 0.3 * noise).clamp(-1, 1), batch["image"], batch["mask"])


def similarity(painted, truth):
    """SSIM and its part without luminance of pictures (3, H, W) in [0, 1], by scipy in float64."""

    def blur(x):
        return gaussian_filter(x, 1.5, mode="mirror", truncate=3.5)

    whole, structure = [], []
    for a, b in zip(painted, truth, strict=True):
        ma, mb = blur(a), blur(b)
        va, vb, cov = blur(a * a) - ma**2, blur(b * b) - mb**2, blur(a * b) - ma * mb
        structure.append((2 * cov + 0.03**2) / (va + vb + 0.03**2))
        whole.append((2 * ma * mb + 0.01**2) / (ma**2 + mb**2 + 0.01**2) * structure[-1])
    return np.mean(whole), np.mean(structure)


def numpy_pair(painted, batch):
    return ((x.double().numpy() + 1) / 2 for x in (painted, batch["image"]))


@pytest.mark.parametrize("of", ["output", "composite"])
def test_ssim_is_the_metrics(batch, outputs, of):
    painted = getattr(outputs, of)
    value = SSIM(of=of)(outputs, batch)
    expected = structural_similarity_index_measure((painted + 1) / 2, (batch["image"] + 1) / 2, data_range=1.0)
    assert value.item() == pytest.approx(1 - expected.item(), abs=1e-5)
    pairs = zip(*numpy_pair(painted, batch), strict=True)
    assert value.item() == pytest.approx(1 - np.mean([similarity(a, b)[0] for a, b in pairs]), abs=1e-5)
    evaluated = measure(Outputs(painted, painted), batch["image"], batch["mask"])["ssim"].mean()
    assert value.item() == pytest.approx(1 - evaluated.item(), abs=0.003), "which rounds to 8 bits"


@pytest.mark.parametrize("scales", [1, 2, 3])
def test_ms_ssim_against_numpy(batch, outputs, scales):
    exponents = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
    exponents = exponents[:scales] * exponents.sum() / exponents[:scales].sum()
    products = []
    for a, b in zip(*numpy_pair(outputs.output, batch), strict=True):
        product = 1.0
        for scale, exponent in enumerate(exponents):
            whole, structure = similarity(a, b)
            product *= (whole if scale == scales - 1 else structure) ** exponent
            height, width = a.shape[1] // 2, a.shape[2] // 2
            a, b = (x.reshape(3, height, 2, width, 2).mean(axis=(2, 4)) for x in (a, b))
        products.append(product)
    value = MSSSIM(scales=scales)(outputs, batch)
    assert value.item() == pytest.approx(1 - np.mean(products), abs=1e-5)


def test_one_negative_scale_does_not_silence_the_others():
    """A fractional power of a negative similarity would be NaN, and 0 times the other scales would be 0."""
    fine = 0.5 * torch.randn(1, 3, 48, 48, generator=torch.Generator().manual_seed(0)).sign()
    coarse = 0.5 * torch.linspace(-6, 6, 48).sin().expand_as(fine)
    truth = {"image": fine + coarse, "mask": torch.ones(1, 1, 48, 48)}
    output = (fine - coarse).requires_grad_(True)
    value = MSSSIM(scales=3)(compose(output, truth["image"], truth["mask"]), truth)
    value.backward()
    assert 0.9 < value < 1 and output.grad.isfinite().all() and output.grad.abs().sum() > 1e-4


@pytest.mark.parametrize("region", ["hole", "all"])
@pytest.mark.parametrize("per", ["image", "region"])
@pytest.mark.parametrize("of", ["composite", "output"])
def test_total_variation_by_hand(batch, outputs, region, per, of):
    picture, mask = getattr(outputs, of).numpy(), batch["mask"].numpy()
    height, width = mask.shape[2:]
    total, pairs = 0.0, 0
    for sample in range(2):
        near = np.zeros((height, width), bool)
        for y in range(height):
            for x in range(width):
                around = mask[sample, 0, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
                near[y, x] = region == "all" or around.max() == 1
        for y in range(height):
            for x in range(width):
                for v, u in ((y + 1, x), (y, x + 1)):
                    if v < height and u < width and near[y, x] and near[v, u]:
                        total += np.abs(picture[sample, :, y, x] - picture[sample, :, v, u]).sum()
                        pairs += 3
    expected = total / (pairs if per == "region" else picture.size)
    assert TotalVariation(region=region, per=per, of=of)(outputs, batch).item() == pytest.approx(expected, rel=1e-5)


def test_total_variation_without_a_hole(batch, outputs):
    batch["mask"] = torch.zeros_like(batch["mask"])
    assert TotalVariation(per="region")(outputs, batch) == 0


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_focal_frequency_against_numpy(batch, outputs, alpha):
    painted, truth = numpy_pair(outputs.output, batch)
    distance = np.abs(np.fft.fft2(painted, norm="ortho") - np.fft.fft2(truth, norm="ortho"))
    weights = distance**alpha
    weights = weights / weights.max(axis=(2, 3), keepdims=True)
    value = FocalFrequency(alpha=alpha)(outputs, batch)
    assert value.item() == pytest.approx((weights * distance**2).mean(), rel=1e-4)
    if alpha == 0:
        assert value.item() == pytest.approx(((painted - truth) ** 2).mean(), rel=1e-4)


def test_a_frequency_that_is_off_counts_more_than_one_that_is_right(batch):
    """The weight is held constant: the gradient is that of the weighted squares alone."""
    output = batch["image"].clone().requires_grad_(True)
    wave = torch.cos(2 * torch.pi * 5 * torch.arange(56) / 56)
    outputs = compose(output + 0.4 * wave + 0.01, batch["image"], batch["mask"])
    FocalFrequency()(outputs, batch).backward()
    spectrum = torch.fft.rfft(output.grad[0, 0].mean(dim=0)).abs()
    ratio = (spectrum[0] / spectrum[5]).item()
    # In L2 the gradients are as the amplitudes, 0.01 to 0.2 (half of the wave's); here each has its weight as well.
    assert ratio == pytest.approx((0.01 / 0.2) ** 2, rel=0.01)


@pytest.mark.parametrize("make", LOSSES)
def test_nothing_is_better_than_the_truth_and_a_step_leads_there(batch, outputs, make):
    loss = make()
    right = compose(batch["image"].clone().requires_grad_(True), batch["image"], batch["mask"])
    if not isinstance(loss, TotalVariation):
        assert loss(right, batch).item() == pytest.approx(0, abs=1e-6)
    output = outputs.output.clone().requires_grad_(True)
    before = loss(compose(output, batch["image"], batch["mask"]), batch)
    before.backward()
    assert before.dtype == torch.float32 and output.grad.isfinite().all()
    step = output.detach() - 0.02 * output.grad / output.grad.abs().max()
    assert loss(compose(step, batch["image"], batch["mask"]), batch) < before
    if isinstance(loss, TotalVariation):
        assert (output.grad[(batch["mask"] == 0).expand_as(output)] == 0).all(), "only the composite's hole moves"
    else:
        assert (output.grad * (output.detach() - batch["image"])).sum() > 0, "it leads to the truth"


@pytest.mark.parametrize("make", LOSSES)
def test_autocast_changes_nothing(batch, outputs, make):
    with torch.autocast("cpu", torch.bfloat16):
        half = make()(outputs, batch)
    assert torch.equal(half, make()(outputs, batch))
    bfloat16 = compose(outputs.output.bfloat16(), batch["image"], batch["mask"])
    assert make()(bfloat16, batch).item() == pytest.approx(half.item(), rel=0.03)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SSIM(of="coarse"), r"losses\.ssim\.of: give one of output, composite; got 'coarse'"),
        (lambda: MSSSIM(of="both"), r"losses\.ms_ssim\.of"),
        (lambda: MSSSIM(scales=6), r"losses\.ms_ssim\.scales: 6 is not one of 1\.\.5"),
        (lambda: TotalVariation(region="known"), r"losses\.total_variation\.region"),
        (lambda: TotalVariation(per="pixel"), r"losses\.total_variation\.per"),
        (lambda: TotalVariation(of="both"), r"losses\.total_variation\.of"),
        (lambda: FocalFrequency(alpha=-1), r"losses\.focal_frequency\.alpha"),
        (lambda: FocalFrequency(of="both"), r"losses\.focal_frequency\.of"),
    ],
)
def test_impossible_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_pictures_that_are_too_small(batch, outputs):
    with pytest.raises(ValueError, match=r"losses\.ms_ssim: .* at least 176 .* got 48; losses\.ms_ssim\.scales=3"):
        MSSSIM()(outputs, batch)
    small = {name: value[..., :8, :8] if name != "index" else value for name, value in batch.items()}
    with pytest.raises(ValueError, match=r"losses\.ssim: needs pictures of at least 11 pixels a side, got 8"):
        SSIM()(compose(small["image"], small["image"], small["mask"]), small)
