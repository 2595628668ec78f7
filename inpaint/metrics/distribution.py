"""How far repaired pictures are from real ones as sets, judged by their features: FID, KID, P-IDS and U-IDS.

Features are float ``(N, D)`` of any network (`metrics.features`); all work is done in float64. A figure is a number of
one set, so its interval comes of drawing the pictures anew: `resampled` has the figure of each draw at a fraction of
the cost of computing it anew, of which `intervals.interval_around` makes an interval.
"""

import math

import torch
from torch import Tensor

SET_FIGURES = ("fid", "kid", "p_ids", "u_ids")
BLOCK = 1024  # rows of a kernel matrix that are in memory at a time


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Frechet distance of the normal distributions with the features' means and covariances (Heusel et al. 2017).

    ``|m1 - m2|^2 + tr C1 + tr C2 - 2 tr (C1 C2)^(1/2)``. The last trace is the sum of the roots of the eigenvalues of
    ``F C2 F^T`` with ``F^T F = C1``, a symmetric matrix, or, if a set has fewer pictures than features, of the singular
    values of ``A B^T``, with A and B the features less their means over root (N - 1): exact, never complex, and without
    the matrix root that takes most of the usual computation.

    Args:
        a: features ``(N, D)``.
        b: features ``(M, D)``.

    Returns:
        The distance, at least 0; NaN for fewer than two pictures or features that are not finite.
    """
    a, b = a.double(), b.double()
    if not _usable(a, b):
        return math.nan
    distance = (a.mean(dim=0) - b.mean(dim=0)).square().sum()
    a, b = ((x - x.mean(dim=0)) / math.sqrt(len(x) - 1) for x in (a, b))
    few = min(len(a), len(b)) < a.shape[1]
    root = torch.linalg.svdvals(a @ b.T).sum() if few else _trace_of_root(a.T @ a, b.T @ b)
    return (distance + a.square().sum() + b.square().sum() - 2 * root).clamp_min(0).item()


def separator(real: Tensor, fake: Tensor) -> tuple[Tensor, float]:
    """Direction ``(D,)`` and offset of the linear SVM with squared hinge loss, higher = more real.

    Minimises ``|w|^2 / 2 + sum max(0, 1 - y (w x))^2`` with the offset as the weight of a feature that is always 1:
    what scikit-learn's ``LinearSVC(dual=False)`` minimises, which the authors use, but to the end. Newton's method in
    the primal (Chapelle 2007) with a line search; the loss is quadratic between finitely many kinks, so it ends.
    """
    x = torch.cat([real, fake])
    x = torch.cat([x, x.new_ones(len(x), 1)], dim=1)
    y = torch.cat([x.new_ones(len(real)), -x.new_ones(len(fake))])
    basis = None
    if len(x) < x.shape[1]:  # the solution lies in the span of the pictures: turn it into the first coordinates
        basis, triangle = torch.linalg.qr(x.T)
        x = triangle.T

    def loss(w: Tensor) -> Tensor:
        return w.square().sum() / 2 + (1 - y * (x @ w)).clamp_min(0).square().sum()

    w = x.new_zeros(x.shape[1])
    for _ in range(100):
        inside = x[y * (x @ w) < 1]
        sides = y[y * (x @ w) < 1]
        hessian = 2 * inside.T @ inside + torch.eye(len(w), dtype=x.dtype, device=x.device)
        step = torch.cholesky_solve((2 * inside.T @ sides)[:, None], torch.linalg.cholesky(hessian))[:, 0] - w
        length, before = 1.0, loss(w)
        while length > 1e-6 and loss(w + length * step) >= before:
            length /= 2
        if length <= 1e-6:  # nothing is lower along a direction that leads down: rounding is all that is left
            break
        w = w + length * step
    w = w if basis is None else basis @ w
    return w[:-1], w[-1].item()


def caution(figure: str, pictures: int, features: int) -> str:
    """A sentence for the reader if there are too few pictures for so many features; empty otherwise."""
    if pictures < 2:
        return f"{figure}: {pictures} picture; at least two are needed"
    if figure == "fid" and pictures <= features:
        return (
            f"fid: {pictures} pictures for {features} features: the covariance is singular and the distance too large; "
            "compare with the same number of pictures alone"
        )
    if figure in ("p_ids", "u_ids") and pictures <= features:
        # Cover 1965: more often than not, a plane separates 2 (D + 1) points in D dimensions, whatever their labels
        return (
            f"{figure}: {pictures} pictures for {features} features: a plane separates so few points of any kind, so "
            "the score tends to 0"
        )
    return ""


# ---- draws ----------------------------------------------------------------------------------------------------------


def resampled(figure: str, real: Tensor, fake: Tensor, counts: Tensor) -> Tensor:
    """A figure of each of many draws of the pictures.

    What all draws have in common is computed once: inner products of the features (KID, and FID if there are no more
    pictures than features), the slope along each picture's count (FID of more pictures, to first order, where a draw
    would cost seconds), and the SVM (P-IDS, U-IDS; so the draws say how much depends on who is judged, not on who the
    judge was trained with). For KID, the copies of a picture are no pair.

    Args:
        figure: one of `SET_FIGURES`.
        real: features ``(N, D)`` of the originals.
        fake: features ``(N, D)`` of the repaired pictures, in the same order.
        counts: ``(R, N)``, how often each draw has each picture.

    Returns:
        float64 ``(R,)``: a distance, or a score in percent. Where each picture counts once, it is the figure itself.
        NaN for fewer than two pictures, or features that are not finite.
    """
    real, fake, counts = real.double(), fake.double(), counts.to(real.device, torch.float64)
    if not _usable(real, fake):
        return counts.new_full((len(counts),), math.nan)
    if figure == "fid":
        few = len(real) <= real.shape[1]
        return _frechet_distances(real, fake, counts) if few else _frechet_by_influence(real, fake, counts)
    if figure == "kid":
        return _kernel_distances(real, fake, counts)
    return _ids(real, fake, counts)[("p_ids", "u_ids").index(figure)]


# ---- what is behind each figure -------------------------------------------------------------------------------------


def _usable(a: Tensor, b: Tensor) -> bool:
    return min(len(a), len(b)) >= 2 and bool(a.isfinite().all()) and bool(b.isfinite().all())


def _trace_of_root(first: Tensor, second: Tensor) -> Tensor:
    """``tr (C1 C2)^(1/2)`` of covariances ``(D, D)``."""
    values, vectors = torch.linalg.eigh(first)
    factor = values.clamp_min(0).sqrt()[:, None] * vectors.T
    return torch.linalg.eigvalsh(factor @ second @ factor.T).clamp_min(0).sqrt().sum()


def _frechet_distances(a: Tensor, b: Tensor, counts: Tensor) -> Tensor:
    """`frechet_distance` of each draw of no more pictures than features: ``(R,)``."""
    centre = torch.cat([a, b]).mean(dim=0)  # distances do not depend on it, rounding does
    a, b = a - centre, b - centre
    products = a @ b.T
    found = []
    for count in counts:
        some = count > 0
        total, weight = count.sum(), count[some]
        share, scale = weight / total, (weight / (total - 1)).sqrt()[:, None]
        x, y, inner = a[some], b[some], products[some][:, some]
        mean_x, mean_y = share @ x, share @ y
        spread = ((x - mean_x) * scale).square().sum() + ((y - mean_y) * scale).square().sum()
        across, down = inner @ share, share @ inner
        inner = inner - across[:, None] - down + share @ across
        root = torch.linalg.svdvals(scale * inner * scale.T).sum()
        found.append((mean_x - mean_y).square().sum() + spread - 2 * root)
    return torch.stack(found).clamp_min(0)


def _frechet_by_influence(a: Tensor, b: Tensor, counts: Tensor) -> Tensor:
    """`frechet_distance` of each draw to first order in the counts: ``(R,)``.

    The slope along C1 is ``I - T``, with T the map that transports one normal distribution onto the other (Dowson,
    Landau 1982), ``C1^(-1/2) (C1^(1/2) C2 C1^(1/2))^(1/2) C1^(-1/2)``; along C2 it is that of the way back.
    """
    apart = a.mean(dim=0) - b.mean(dim=0)
    x, y = a - a.mean(dim=0), b - b.mean(dim=0)
    first, second = (z.T @ z / (len(z) - 1) for z in (x, y))
    half, inverse = _power(first, 0.5), _power(first, -0.5)
    between = half @ second @ half
    there, back = inverse @ _power(between, 0.5) @ inverse, half @ _power(between, -0.5) @ half
    slope = 2 * x @ apart - 2 * y @ apart
    for z, transport in ((x, there), (y, back)):
        slope += (z.square().sum(dim=1) - (z @ transport * z).sum(dim=1)) * len(z) / (len(z) - 1)
    share = counts / counts.sum(dim=1, keepdim=True) - 1 / len(a)
    return frechet_distance(a, b) + share @ slope


def _power(matrix: Tensor, exponent: float) -> Tensor:
    """A power of a symmetric positive matrix ``(D, D)``, on its range alone."""
    values, vectors = torch.linalg.eigh(matrix)
    kept = values > values[-1] * len(values) * torch.finfo(values.dtype).eps
    return (vectors[:, kept] * values[kept] ** exponent) @ vectors[:, kept].T


def _kernel_distances(real: Tensor, fake: Tensor, counts: Tensor) -> Tensor:
    """Squared maximum mean discrepancy of each draw, ``(R,)``: unbiased (Binkowski et al. 2018, KID).

    The kernel is ``(x y / D + 1)^3``. The mean is that of all pairs rather than of random subsets, whose mean it is; a
    picture and itself, or its copy, are no pair. Below 0 by chance if the sets are alike; some papers print 1000 times
    it.
    """

    def total(x: Tensor, y: Tensor, pairs: bool) -> Tensor:
        found = counts.new_zeros(len(counts))
        for start in range(0, len(x), BLOCK):
            rows = slice(start, start + BLOCK)
            kernel = (x[rows] @ y.T / x.shape[1] + 1) ** 3
            if pairs:
                kernel.diagonal(start).zero_()
            found += ((counts[:, rows] @ kernel) * counts).sum(dim=1)
        return found

    pairs = counts.sum(dim=1) ** 2 - counts.square().sum(dim=1)
    across = total(real, fake, False) / (counts.sum(dim=1) * counts.sum(dim=1))
    return total(real, real, True) / pairs + total(fake, fake, True) / pairs - 2 * across


def _ids(real: Tensor, fake: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Paired and unpaired inception discriminative score (Zhao et al. 2021, section 4) of each draw: ``(R,)`` each.

    A linear SVM (`separator`) is fitted to tell the features of all original and repaired pictures apart. P-IDS is the
    share of pictures whose repair scores as more real than the original, a tie counting half; U-IDS the share of all
    pictures on the wrong side. Both are in percent, 50 where nothing tells them apart.
    """
    assert real.shape == fake.shape, f"real {tuple(real.shape)}, fake {tuple(fake.shape)}: they are pairs"
    direction, offset = separator(real, fake)
    # The score of the difference: equal features make a tie, whatever the order of sums in a product.
    fooled = ((fake - real) @ direction).sign() / 2 + 0.5
    wrong = ((real @ direction + offset <= 0).double() + (fake @ direction + offset > 0).double()) / 2
    p_ids, u_ids = (100 * (counts @ verdict) / counts.sum(dim=1) for verdict in (fooled, wrong))
    return p_ids, u_ids
