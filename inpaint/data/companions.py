"""Photographs that come degraded as well: two folders whose pictures are paired by their names."""

from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from inpaint.pictures.names import called
from inpaint.pictures.pairing import find_by_name
from inpaint.pictures.reading import BadImage, read_image
from inpaint.settings import Refused, listed

SETTING = "data.given_root"


class Companions:
    """The degraded pictures of a folder's photographs, of the same relative names.

    Args:
        truths: the photographs, below `root`; those that lie in `folder` are left out, where that is inside `root`.
        root: what names are relative to.
        folder: the degraded pictures, of the photographs' sizes or all the same whole number of times smaller.
        size_of: height and width of a file.

    Attributes:
        truths: the photographs that are left.
        scale: how many times fewer pixels a side the degraded pictures have, as the first says that can be opened.

    Raises:
        Refused: as `pairing.find_by_name`; the two folders are one, photographs have no degraded picture, or there are
            degraded ones of no photograph, with counts and names.
    """

    def __init__(
        self, truths: Sequence[Path], root: Path, folder: Path, size_of: Callable[[Path], tuple[int, int]]
    ) -> None:
        files, self.size_of = find_by_name(folder, SETTING), size_of
        if folder.resolve() == root.resolve():
            raise Refused(f"{SETTING}: {folder} is the folder of the truths; give another one")
        if folder.resolve().is_relative_to(root.resolve()):
            inside = root / folder.resolve().relative_to(root.resolve())
            truths = [path for path in truths if not path.is_relative_to(inside)]
        names = {path: called(path.relative_to(root)) for path in truths}
        if lacking := [name for name in names.values() if name not in files]:
            what = f"{len(lacking)} of {len(names)} photographs have no picture of their name in {folder}"
            raise Refused(f"{SETTING}: {what}: {listed(lacking)}")
        if extra := sorted(files.keys() - names.values()):
            raise Refused(f"{SETTING}: {len(extra)} of {len(files)} pictures there have no truth: {listed(extra)}")
        self.truths = list(truths)
        self.files = {path: files[name] for path, name in names.items()}
        self.scale = self._scale()

    def _scale(self) -> int:
        for truth, file in self.files.items():
            try:
                large, small = self.size_of(truth), self.size_of(file)
            except BadImage:
                continue
            return max(1, large[0] // max(1, small[0]))
        return 1

    def check(self, truth: Path, size: Sequence[int]) -> None:
        """Whether the degraded picture of a photograph has the size that it has to have.

        Args:
            truth: the photograph.
            size: its height and width.

        Raises:
            BadImage: it has not, or cannot be opened.
        """
        self._fit(truth, size, self.size_of(self.files[truth]))

    def read(self, truth: Path, size: Sequence[int]) -> Tensor:
        """The degraded picture of a photograph of that height and width: uint8 ``(3, H / scale, W / scale)``.

        Raises:
            BadImage: it cannot be read, or has another size.
        """
        picture = read_image(self.files[truth])
        self._fit(truth, size, picture.shape[1:])
        return picture

    def _fit(self, truth: Path, size: Sequence[int], small: Sequence[int]) -> None:
        if tuple(side * self.scale for side in small) != tuple(size):
            times = "as many" if self.scale == 1 else f"{self.scale} times fewer"
            raise BadImage(
                f"{self.files[truth]}: it has {small[1]} x {small[0]} pixels, and its truth {truth} has {size[1]} x "
                f"{size[0]}; it needs {times} a side, as the first one has"
            )
