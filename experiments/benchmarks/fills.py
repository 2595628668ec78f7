"""What does the search of `nearest_patch` cost beside one patch after another, and how near is what it finds?

    python experiments/benchmarks/fills.py                          # 128 and 256 px, two pictures, two kinds of holes
    python experiments/benchmarks/fills.py --sizes 512 --pictures 1    # minutes

The bundled photographs are filled in turns, so that all ways meet the same neighbours on a shared machine: by the
search for one patch at a time among all, as it was at first; by all patches of a turn together, among all
(`candidates=null`); and by those of a turn among `candidates=128`. Printed are medians, over the rounds, of processor
time and of wall time, and the mean over all patches of the mean square difference of their known pixels to what is
copied; for the candidates also against the nearest of all for the same patches, as other copies early on make other
patches later. With `--threads`, torch's.
"""

import argparse
import statistics
import time

import torch
import torch.nn.functional as F
from measuring import table
from skimage import data

from inpaint.batch import from_uint8
from inpaint.fills import NearestPatch, patches
from inpaint.masks import Boxes, LamaStrokes

PHOTOGRAPHS = ["astronaut", "coffee", "rocket", "chelsea"]
WAYS = {
    "one at a time": lambda: NearestPatch(candidates=None),
    "all of a turn": lambda: NearestPatch(candidates=None),
    "128 candidates": lambda: NearestPatch(),
}


def one_at_a_time(found):
    """What filled a picture first: its table is read once for each patch, and the next patch sought in all pixels."""

    def copy(picture, hole, known, patch, candidates):
        height, width = hole.shape
        half = patch // 2
        sources = F.unfold(picture[None], patch)[0].T[known.flatten()]
        canvas, todo = F.pad(picture, (half,) * 4), F.pad(hole, (half,) * 4)
        known = F.pad((~hole).float(), (half,) * 4)
        middle = todo[half : half + height, half : half + width]
        table = torch.cat([sources.square(), -2 * sources], dim=1)
        while middle.any():
            support = F.avg_pool2d(known[None], patch, stride=1, divisor_override=1)[0]
            row, column = divmod(int(torch.where(middle, support, -1).argmax()), width)
            window = (..., slice(row, row + patch), slice(column, column + patch))
            weight = known[window].expand(3, patch, patch)
            best = (table @ torch.cat([weight.flatten(), (weight * canvas[window]).flatten()])).argmin()
            source = sources[best].view(3, patch, patch)
            found.append(((source - canvas[window]).square() * weight).sum() / weight.sum())
            canvas[window] = torch.where(todo[window], source, canvas[window])
            known[window] += todo[window]
            todo[window] = False
        return canvas[:, half : half + height, half : half + width]

    return copy


def noted(nearest, found):
    """The search, whose distances are noted."""

    def search(self, asked, known):
        places = nearest(self, asked, known)
        squares = (self.canvas[places[:, None] + self.pixels] - asked).square().mean(2)
        found.extend((squares * known).sum(1) / known.sum(1))
        return places

    return search


def beside_the_nearest(image, mask):
    """Mean distance of what 128 candidates find, over that of the nearest source of all for the same patches.

    Two searches copy other things early on, and compare other patches later; here the canvas is that of one.
    """
    found, least, nearest = [], [], patches._Sources.nearest

    def search(self, asked, known):
        places = nearest(self, asked, known)

        def distances(chosen):
            return ((self.canvas[chosen[:, None] + self.pixels] - asked).square().mean(2) * known).sum(1) / known.sum(1)

        found.append(distances(places))
        if not hasattr(self, "all"):
            self.all = F.embedding(self.places[:, None] + self.pixels, self.canvas).flatten(1)
            self.all = torch.cat([self.all.square(), -2 * self.all], 1).T.contiguous()
        weights = known[..., None].expand_as(asked).flatten(1)
        table = torch.cat([weights, weights * asked.flatten(1)], 1) @ self.all
        least.append(distances(self.places[table.argmin(1)]))
        return places

    patches._Sources.nearest = search
    try:
        WAYS["128 candidates"]()(image, mask)
    finally:
        patches._Sources.nearest = nearest
    return float(torch.cat(found).mean() / torch.cat(least).mean())


def fill(way, image, mask):
    """Processor time, wall time in seconds, and the mean distance of a patch, of one way to fill a picture."""
    found, copy, nearest = [], patches._copy_patches, patches._Sources.nearest
    if way == "one at a time":
        patches._copy_patches = one_at_a_time(found)
    patches._Sources.nearest = noted(nearest, found)
    try:
        cpu, wall = time.process_time(), time.perf_counter()
        WAYS[way]()(image, mask)
        return time.process_time() - cpu, time.perf_counter() - wall, float(torch.stack(found).mean())
    finally:
        patches._copy_patches, patches._Sources.nearest = copy, nearest


def pictures(size, count):
    """Photographs ``(count, 3, size, size)`` from the middle of the bundled ones."""
    found = []
    for name in PHOTOGRAPHS[:count]:
        picture = from_uint8(torch.from_numpy(getattr(data, name)()).permute(2, 0, 1))[None]
        scale = max(1, 512 / min(picture.shape[2:])) if size > min(picture.shape[2:]) else 1
        picture = F.interpolate(picture, scale_factor=scale, mode="bilinear") if scale > 1 else picture
        top, left = ((side - size) // 2 for side in picture.shape[2:])
        found.append(picture[0, :, top : top + size, left : left + size])
    return torch.stack(found).clamp(-1, 1)


def measured(sizes=(256,), count=2, rounds=1, said=print):
    """A row for each size, kind of hole and way."""
    holes = {
        "centre": Boxes(count=(1, 1), side=(0.5, 0.5), position=(0.5, 0.5)),
        "strokes": LamaStrokes(),
    }
    rows = []
    for size in sizes:
        images = pictures(size, count)
        for kind, masks in holes.items():
            said(f"fills of {size} px, {kind}")
            mask = masks(torch.arange(len(images)) + 5, (size, size))
            seen = {way: [] for way in WAYS}
            for image, hole in zip(images.split(1), mask.split(1), strict=True):
                for _ in range(rounds):
                    for way in WAYS:
                        seen[way].append(fill(way, image, hole))
            first = "one at a time"
            for way, runs in seen.items():
                pairs = list(zip(seen[first], runs, strict=True))
                row = {"size": size, "holes": kind, "way": way}
                row["processor"], row["wall"] = (statistics.median(run[place] for run in runs) for place in (0, 1))
                row["distance"] = statistics.fmean(run[2] for run in runs)
                row["times"] = statistics.median(slow[0] / fast[0] for slow, fast in pairs)
                row["farther"] = row["distance"] / statistics.fmean(run[2] for run in seen[first])
                rows.append(row)
            pairs = zip(images.split(1), mask.split(1), strict=True)
            rows[-1]["nearest"] = statistics.fmean(beside_the_nearest(image, hole) for image, hole in pairs)
    return rows


def shown(rows):
    """Their table."""
    heading = [
        "size",
        "holes",
        "way",
        "processor (s)",
        "wall (s)",
        "against one at a time",
        "distance",
        "against it",
        "on one canvas",
    ]
    lines = [
        [
            str(row["size"]),
            row["holes"],
            row["way"],
            f"{row['processor']:.2f}",
            f"{row['wall']:.2f}",
            f"{row['times']:.1f}x",
            f"{row['distance']:.5f}",
            f"{row['farther']:.3f}",
            f"{row.get('nearest', 1.0):.3f}",
        ]
        for row in rows
    ]
    return table(heading, lines, 3)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256])
    parser.add_argument("--pictures", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, {arguments.threads} threads; per picture\n")
    print(shown(measured(arguments.sizes, arguments.pictures, arguments.rounds)))


if __name__ == "__main__":
    main()
