"""Pictures with their holes and what other tools made of them: folders paired by name, checked before any work.

The hole of the picture ``a/b`` (`pictures.pairing`) is the mask of that name, or of ``a/b_mask``, and a tool's result
the file of that name in the tool's folder. A picture with several masks, ``a/b_mask001`` and so on, stands once for
each, and is called like the mask. Results may always be called like the masks, as LaMa calls them.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from inpaint.batch import Batch, from_uint8
from inpaint.masks.frozen import Frozen, digest
from inpaint.pictures.mask_files import MOSTLY, MaskReader, check_shares
from inpaint.pictures.names import called
from inpaint.pictures.pairing import (
    Problem,
    find_by_name,
    find_results,
    grouped,
    match_masks,
    refusal,
    unmatched,
)
from inpaint.pictures.reading import BadImage, read_image
from inpaint.progress import in_threads
from inpaint.settings import Refused

AT_ONCE = 2**21  # pixels of the pictures that are measured together, at most
THREADS = 4
NOISE = 12.0  # levels, root mean square, by which pictures that are the same may differ where one was a JPEG
ROUNDING = 2.0  # likewise where both are lossless
READER = MaskReader(prefix="")


@dataclass(frozen=True)
class Pair:
    """A picture under its hole.

    index: its number.
    name: what its files are called.
    photograph: what it was cut from; its own name, if it is whole.
    image, hole: the files.
    digests: sha256 of the pixels of both, where they are known beforehand.
    mask: what its mask is called, by which some tools call their results.
    """

    index: int
    name: str
    photograph: str
    image: Path
    hole: Path
    digests: tuple[str, str] | None = None
    mask: str = ""


class Look(NamedTuple):
    """What is seen of one picture's files.

    problems: what is wrong with them.
    size: height and width.
    white: the share of the mask that is white; None where it cannot be read.
    swapped: of each result, whether the truth stands in the hole and not around it.
    """

    problems: list[Problem]
    size: tuple[int, int] = (0, 0)
    white: float | None = None
    swapped: Sequence[bool] = ()


class Pairs:
    """Pictures of any sizes with their holes, and the results of other tools.

    Args:
        pairs: the pictures.
        results: method to folder.
        reader: how masks are read; without a polarity, white is the hole unless it covers most of them, which is
            refused.
        skip: leave out, for all methods alike, pictures that do not fit or that a method lacks; else they are refused.
        batch_size: pictures of one size that are measured together, at most.
        lacking: problems that are known before.

    Raises:
        Refused: files that do not fit, by setting and kind, with counts and the first names; or masks without a hole,
            or of the other polarity than the results were made with.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        results: Mapping[str, Path],
        reader: MaskReader = READER,
        skip: bool = False,
        batch_size: int = 16,
        lacking: Sequence[Problem] = (),
    ) -> None:
        self.reader, self.batch_size = reader, batch_size
        problems = list(lacking)
        self.results = {name: _results(name, folder, pairs, problems) for name, folder in results.items()}
        found, self.sizes = self._check(pairs)
        problems += found
        self.pairs = {pair.index: pair for pair in pairs if pair.index in self.sizes}
        self.total = len(pairs) + len(lacking)
        if (problems and not skip) or not self.pairs:
            raise refusal(problems, "missing: error; missing=skip leaves these out, for all methods alike")
        self.problems = grouped(problems)

    def _check(self, pairs: Sequence[Pair]) -> tuple[list[Problem], dict[int, tuple[int, int]]]:
        """Decode everything; what does not fit, and height and width of each picture that does, by its number.

        Raises:
            Refused: the masks have no hole, white covers most of them, or the results were made with the others.
        """
        problems: list[Problem] = []
        sizes, white = {}, []
        swapped: list[bool] = []
        for pair, seen in zip(pairs, in_threads(self._look, pairs, THREADS, "checking", "pictures"), strict=True):
            problems += seen.problems
            swapped += seen.swapped
            if not seen.problems and all(pair.name in files for files in self.results.values()):
                sizes[pair.index] = seen.size
            if seen.white is not None:
                white.append(seen.white)
        polarity = self.reader.polarity or "white"
        other = "white" if polarity == "black" else "black"
        if swapped and all(swapped):
            raise Refused(
                f"polarity: every result ({len(swapped)}) equals the truth where the masks are {polarity} and differs "
                f"from it where they are {other}, so {other} is the hole here; give polarity={other}"
            )
        if white and self.reader.polarity is None and (mean := sum(white) / len(white)) > MOSTLY:
            raise Refused(
                f"polarity: white covers {mean:.0%} of the masks, and white is the hole here; give polarity=black if "
                "black is the hole in these files, or polarity=white if the holes are that large"
            )
        holes = [1 - share if polarity == "black" else share for share in white]
        check_shares(holes, "holes", True, f"{polarity} is the hole; polarity={other} where {other} is")
        return problems, sizes

    def _look(self, pair: Pair) -> Look:
        """One picture with its mask and its results."""
        problems, swapped = [], []
        try:
            image = read_image(pair.image)
            size = (image.shape[1], image.shape[2])
            if pair.digests is not None and digest(image) != pair.digests[0]:
                problems.append(Problem("frozen", "not as they were frozen", pair.image.name))
        except BadImage as error:
            return Look([Problem("images", "unreadable", pair.name, str(error))])
        mask, white = None, None
        try:
            marked = self.reader.look(pair.hole)
            mask, white = self.reader.holes(marked), float(marked.white.mean())
            if (
                pair.digests is not None
                and digest(torch.from_numpy(marked.white)[None].byte() * 255) != pair.digests[1]
            ):
                problems.append(Problem("frozen", "not as they were frozen", pair.hole.name))
            if tuple(mask.shape[1:]) != size:
                problems.append(Problem("holes", "of another size", pair.name, _sizes(mask.shape[1:], size)))
                mask = None
        except BadImage as error:
            problems.append(Problem("holes", "unusable", pair.name, str(error)))
        for method, files in self.results.items():
            if (path := files.get(pair.name)) is None:
                continue
            try:
                result = read_image(path)
                if (shape := tuple(result.shape[1:])) != size:
                    problems.append(Problem(f"results.{method}", "of another size", pair.name, _sizes(shape, size)))
                elif mask is not None:
                    swapped.append(is_swapped(image, result, mask[0] > 0.5))
            except BadImage as error:
                problems.append(Problem(f"results.{method}", "unreadable", pair.name, str(error)))
        return Look(problems, size, white, swapped)

    def __len__(self) -> int:
        return len(self.pairs)

    def name(self, index: int) -> str:
        """What a picture's files are called."""
        return self.pairs[index].name

    def photograph(self, index: int) -> str:
        """What a picture was cut from."""
        return self.pairs[index].photograph

    def parts(self) -> list[list[int]]:
        """Numbers of successive pictures of one size, in order."""
        found: list[list[int]] = []
        for index in self.pairs:
            height, width = size = self.sizes[index]
            most = max(1, min(self.batch_size, AT_ONCE // (height * width)))
            if found and self.sizes[found[-1][0]] == size and len(found[-1]) < most:
                found[-1].append(index)
            else:
                found.append([index])
        return found

    def batch(self, part: Sequence[int], device: str) -> Batch:
        """The pictures and holes of a part."""
        pairs = [self.pairs[index] for index in part]
        with ThreadPoolExecutor(THREADS) as pool:
            image = torch.stack(list(pool.map(lambda pair: read_image(pair.image), pairs)))
            mask = torch.stack(list(pool.map(lambda pair: self.reader(pair.hole), pairs)))
        return Batch(image=from_uint8(image.to(device)), mask=mask.to(device), index=torch.tensor(part))

    def result(self, method: str, part: Sequence[int], device: str) -> Tensor:
        """What another tool made of a part: float32 ``(B, 3, H, W)`` in [-1, 1]."""
        paths = [self.results[method][self.name(index)] for index in part]
        with ThreadPoolExecutor(THREADS) as pool:
            return from_uint8(torch.stack(list(pool.map(read_image, paths))).to(device))


def is_swapped(image: Tensor, result: Tensor, hole: Tensor) -> bool:
    """Whether a result has the truth in its hole and something else around it: what was painted is the other side.

    Args:
        image: the truth, uint8 ``(3, H, W)``.
        result: of the same shape.
        hole: bool ``(H, W)``.
    """
    squares = (image.float() - result.float()).square().mean(dim=0)
    if not hole.any() or hole.all():
        return False
    inside, around = (squares[part].mean().sqrt().item() for part in (hole, ~hole))
    return inside <= NOISE and around > 2 * inside + ROUNDING


def find_pairs(images: Path, holes: Path) -> tuple[list[Pair], list[Problem]]:
    """Pictures of a folder with the masks of another, and those that have none.

    Raises:
        Refused: a folder is missing or empty, holds links that leave it, or two files of one name.
    """
    found = find_by_name(images, "images")
    matches, lacking = match_masks([*found.values()], images, holes, "holes")
    pairs = [
        Pair(
            index=index,
            name=match.name,
            photograph=called(match.picture.relative_to(images)),
            image=match.picture,
            hole=match.mask,
            mask=called(match.mask.relative_to(holes)),
        )
        for index, match in enumerate(matches)
    ]
    return pairs, [Problem("holes", "missing", name) for name in lacking]


def frozen_pairs(root: Path) -> list[Pair]:
    """The crops of a frozen set; results are called like its image files, ``000007``.

    Raises:
        Refused: no frozen set, or one without images.
    """
    frozen = Frozen(root, "frozen")
    pairs = [
        Pair(
            index=index,
            name=crop.mask.stem,
            photograph=crop.photograph,
            image=crop.image,
            hole=crop.mask,
            digests=(crop.image_sha256, crop.mask_sha256),
        )
        for index, crop in frozen.crops.items()
        if crop.image is not None
    ]
    if len(pairs) < len(frozen.crops):
        raise Refused(
            f"frozen: {root} holds masks only; freeze it with images=true (inpaint-preview), or give data=..."
        )
    return pairs


def _results(method: str, folder: Path, pairs: Sequence[Pair], problems: list[Problem]) -> dict[str, Path]:
    """The result of each picture; what is missing, too much or no picture is noted."""
    setting = f"results.{method}"
    files, others = find_results(folder, setting)
    own = {pair.name: pair.name if pair.name in files or pair.mask not in files else pair.mask for pair in pairs}
    problems += others + unmatched(files, own.values(), setting)
    return {name: files[file] for name, file in own.items() if file in files}


def _sizes(found: Sequence[int], expected: Sequence[int]) -> str:
    return f"{found[1]} x {found[0]} pixels, its picture {expected[1]} x {expected[0]}"
