"""What measuring costs beside what the field does, in one run: `make bench-rooms`.

1. Images a second, one thread: L1, L2, PSNR and SSIM by a loop over scikit-image, by torchmetrics, and here.
2. The share of deep figures (LPIPS, features for FID and KID) that the network itself takes.
3. FID of 2048 features: the matrix root of scipy against the trace by eigen- or singular values, and what the
   draws of a bootstrap cost.

Everything is a ratio within this run, and of the processor's seconds on one thread, since machines differ and are
shared.
"""

import argparse
import statistics
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy import linalg
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from threadpoolctl import threadpool_limits
from torchmetrics.functional.image import peak_signal_noise_ratio as torchmetrics_psnr
from torchmetrics.functional.image import structural_similarity_index_measure

from inpaint.batch import compose, from_uint8, to_uint8
from inpaint.data.sources import Photos
from inpaint.metrics.distribution import SET_FIGURES, frechet_distance, resampled
from inpaint.metrics.features import feature_network
from inpaint.metrics.image import MEASURES, measure
from inpaint.metrics.lpips import LPIPS, VARIANTS

SAME = ("l1", "l2", "psnr", "ssim")


def show(title, heading, rows):
    table = Table(*heading, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, str) else f"{cell:.3g}" for cell in row))
    Console(width=120).print(table)


def seconds(work):
    start = time.process_time()
    work()
    return time.process_time() - start


def medians(rounds, works):
    """Of alternating rounds, so that all meet the same neighbours on a shared machine; the first warms up."""
    taken = [{name: seconds(work) for name, work in works.items()} for _ in range(rounds + 1)][1:]
    return {name: statistics.median(each[name] for each in taken) for name in works}


def photographs(count, size):
    """Crops of the bundled photographs, with a hole in the middle filled badly: truth, mask, outputs."""
    sources = [Photos().read("train", row)["image"] for row in range(Photos().count("train"))]
    sources = [source for source in sources if min(source.shape[-2:]) >= size]
    crops = []
    for number in range(count):
        source = sources[number % len(sources)]
        top, left = ((extent - size) * (7 * number % 11) // 11 for extent in source.shape[-2:])
        crops.append(source[:, top : top + size, left : left + size])
    image = from_uint8(torch.stack(crops))
    mask = torch.zeros(count, 1, size, size)
    mask[..., size // 4 : 3 * size // 4, size // 3 : 4 * size // 5] = 1
    return image, mask, compose(image.roll(3, dims=-1) * 0.9, image, mask)


def throughput(rounds, count=16, size=256):
    image, mask, outputs = photographs(count, size)
    truth, painted = (to_uint8(x).permute(0, 2, 3, 1).numpy().copy() for x in (image, outputs.composite))

    def scikit_image():
        for a, b in zip(truth, painted, strict=True):
            error = a.astype(np.float64) - b
            np.abs(error).mean(), np.square(error).mean(), peak_signal_noise_ratio(a, b, data_range=255)
            gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
            structural_similarity(a, b, channel_axis=-1, data_range=255, **gaussian)

    def torchmetrics():
        a, b = ((to_uint8(x).float() / 255) for x in (image, outputs.composite))
        (a - b).abs().mean(dim=(1, 2, 3)), (a - b).square().mean(dim=(1, 2, 3))
        torchmetrics_psnr(a, b, data_range=1.0, reduction="none", dim=(1, 2, 3))
        structural_similarity_index_measure(a, b, data_range=1.0, reduction="none")

    works = {
        "scikit-image, one by one": scikit_image,
        "torchmetrics": torchmetrics,
        "inpaint": lambda: measure(outputs, image, mask, SAME),
        f"inpaint, all {len(MEASURES)} figures": lambda: measure(outputs, image, mask),
    }
    taken = medians(rounds, works)
    base = taken["scikit-image, one by one"]
    rows = [[name, count / each, base / each, ">= 3" if name == "inpaint" else ""] for name, each in taken.items()]
    show(f"L1, L2, PSNR, SSIM of {size} px, one thread", ["", "images/s", "ratio", "promised"], rows)


@contextmanager
def timed(network):
    """Seconds spent in the calls of a network so far, in a list of one."""
    spent, forward = [0.0], network.forward

    def watched(*arguments):
        start = time.process_time()
        found = forward(*arguments)
        spent[0] += time.process_time() - start
        return found

    network.forward = watched
    yield spent
    del network.forward


def share(count=48, batch=8, size=256):
    image, _, outputs = photographs(count, size)
    rows = []
    for variant in VARIANTS:
        heads = Path(tempfile.mkdtemp()) / "heads.pth"
        channels = VARIANTS[variant][1].values()
        torch.save({f"lin{n}.model.1.weight": torch.rand(1, c, 1, 1) for n, c in enumerate(channels)}, heads)
        metric = LPIPS(variant, "random", str(heads))
        pairs = list(zip(outputs.composite.split(batch), image.split(batch), strict=True))
        metric(*pairs[0])
        with timed(metric.backbone) as spent:
            total = seconds(lambda metric=metric, pairs=pairs: [metric(*pair) for pair in pairs])
        rows.append([f"LPIPS {variant}", count / total, f"{100 * spent[0] / total:.1f} %", ">= 80 %"])
    for name in ("vgg16:relu5_3", "squeezenet1_1:fire9"):
        network = feature_network(name, "random")
        network(image[:batch])

        def evaluate(network=network):
            real, fake = (torch.cat([*map(network, x.split(batch))]) for x in (image, outputs.composite))
            for figure in SET_FIGURES:
                resampled(figure, real, fake, torch.ones(1, count))

        with timed(network.network.backbone) as spent:
            total = seconds(evaluate)
        rows.append([f"FID, KID, IDS of {name}", count / total, f"{100 * spent[0] / total:.1f} %", ">= 80 %"])
    show(f"Deep figures of {size} px", ["", "pairs/s", "in the network", "promised"], rows)


def by_matrix_root(a, b):
    a, b = a.numpy(), b.numpy()
    first, second = (np.cov(x, rowvar=False) for x in (a, b))
    root = linalg.sqrtm(first @ second).real
    return np.square(a.mean(0) - b.mean(0)).sum() + np.trace(first + second - 2 * root)


def frechet(features=2048):
    random = np.random.default_rng(0)
    mix = random.normal(size=(features, features)) * np.linspace(1, 0.1, features)[:, None] / features**0.5
    rows = []
    for pictures in (1000, 3000):
        a, b = (torch.from_numpy(np.maximum(random.normal(size=(pictures, features)) @ mix, 0)) for _ in range(2))
        found = {}
        taken = {
            "root": seconds(lambda a=a, b=b, found=found: found.update(root=by_matrix_root(a, b))),
            "ours": seconds(lambda a=a, b=b, found=found: found.update(ours=frechet_distance(a, b))),
        }
        drawn = torch.from_numpy(random.integers(0, pictures, (100, pictures)))
        counts = torch.stack([torch.bincount(each, minlength=pictures) for each in drawn])
        draws = seconds(lambda a=a, b=b, counts=counts: resampled("fid", a, b, counts))
        off = abs(found["ours"] / found["root"] - 1)
        rows.append([f"{pictures}", taken["root"], taken["ours"], taken["root"] / taken["ours"], f"{off:.0e}", draws])
    heading = ["pictures", "sqrtm, s", "here, s", "ratio", "difference", "100 draws, s"]
    show(f"FID of {features} features", heading, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds of the throughput")
    parser.add_argument("--only", choices=("throughput", "share", "frechet"), help="one part alone")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread\n")
    parts = {"throughput": lambda: throughput(options.rounds), "share": share, "frechet": frechet}
    for name, part in parts.items():
        if options.only in (None, name):
            with threadpool_limits(1), torch.no_grad():
                part()


if __name__ == "__main__":
    main()
