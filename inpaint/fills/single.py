"""Methods that take one picture at a time, on the CPU and without a gradient: as many at once as there are threads."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from inpaint.batch import Outputs, compose
from inpaint.fills.known import clear


def one_by_one(image: Tensor, mask: Tensor, fill: Callable[[Tensor, Tensor], Tensor]) -> Outputs:
    """Fill every picture that has both a hole and known pixels with `fill(picture, hole)`.

    picture: float32 ``(3, H, W)`` with 0 in its hole. hole: bool ``(H, W)``. `fill` returns ``(3, H, W)``, of which
    only the hole is used.
    """
    pictures, holes = clear(image.detach(), mask).float().cpu(), mask[:, 0].cpu() > 0.5
    rows = [row for row, hole in enumerate(holes) if hole.any() and not hole.all()]

    def paint(row: int) -> None:
        picture, hole = pictures[row], holes[row]
        picture[:, hole] = fill(picture, hole)[:, hole]

    share_threads(rows, paint)
    return compose(pictures.to(image), image, mask)


def share_threads(rows: Sequence[int], work: Callable[[int], None]) -> None:
    """Do the `work` of each row; several share the threads that torch may use, one each, and a single one has all."""
    inference = torch.is_inference_mode_enabled()  # other threads do not know, and could not write into its tensors

    def inside(row: int) -> None:
        with torch.inference_mode(inference):
            work(row)

    threads = torch.get_num_threads()
    if min(len(rows), threads) > 1:
        try:
            with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                list(pool.map(inside, rows))
        finally:
            torch.set_num_threads(threads)  # what a thread sets is also what threads that start later have
    else:
        for row in rows:
            work(row)
