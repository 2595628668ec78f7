"""Mask files: which pixels they mark, whatever program they come from, or why that cannot be told.

Every command that takes masks reads them here. What is marked is called white: the brighter of two levels, what is
opaque in a mask that is a layer, or what has the colour that was painted. Which of white and black is the hole is the
polarity.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageColor
from PIL.Image import Resampling
from torch import Tensor

from inpaint.pictures.layers import layer_size, open_layer
from inpaint.pictures.reading import BadImage, File, broken_is_refused, decode, has_alpha
from inpaint.settings import Refused, choice, listed

Polarity = Literal["white", "black"]
Threshold = int | Literal["auto"] | None
Colour = tuple[int, int, int]
CHANNELS = ("auto", "alpha", "grey", "red", "green", "blue")

FLAT = 32  # colours at most in a picture of flat areas, such as a map of classes
LINE = 8.0  # levels, root mean square, by which the colours of a mask may lie off the line between two of them
EDGE = 8  # part of the range of levels, at both of its ends, where a mask has most of its pixels
CORE = 0.6  # the share of a mask's pixels that lie there; of a photograph's, a tenth or two
SAME = 2.0  # levels between colours that rounding has made of one
MOSTLY = 0.6  # mean share of holes above which they may well be what is known


class Marked(NamedTuple):
    """What a mask file marks.

    white: bool ``(H, W)``.
    source: what of the file it is: "grey", "alpha", another channel, or the colour.
    threshold: the grey level from which it is white, where the file has others than 0 and 255.
    """

    white: np.ndarray
    source: str = "grey"
    threshold: int | None = None

    @property
    def remark(self) -> str:
        """What was taken for the mask, if that is not plain: ``alpha``, ``grey levels from 38 up``."""
        source = "" if self.source == "grey" else self.source
        level = "" if self.threshold is None else f"{source and ', '}grey levels from {self.threshold} up"
        return source + level


@dataclass(frozen=True)
class MaskReader:
    """How mask files are read.

    Args:
        threshold: grey levels at or above it are white, 1..255; "auto" is the level between the two around which a
            mask's levels lie (Otsu 1979); None demands a mask of two levels.
        channel: what of a file is its mask; "auto" is its grey levels, or its alpha where all that shows has one
            colour.
        polarity: what the hole is; None is white, as nobody said.
        colour: red, green and blue, 0..255: white is what was painted over with it, and not what is bright.
        tolerance: levels by which each of them may differ from `colour`.
        layer: of files of several layers or pages, PSD and TIFF, the one that is the mask: its number from 1 up, or
            its name; None demands files of one.
        prefix: what the settings of this command begin with, as in ``data.mask_threshold``; None: it has none.
        complete: whether the command has settings for colour and layer as well.

    Raises:
        Refused: naming the setting, for a value that means nothing.
    """

    threshold: Threshold = None
    channel: str = "auto"
    polarity: Polarity | None = None
    colour: Colour | None = None
    tolerance: int = 10
    layer: int | str | None = None
    prefix: str | None = None
    complete: bool = False

    def __post_init__(self) -> None:
        level = self.threshold
        is_level = isinstance(level, int) and not isinstance(level, bool) and 1 <= level <= 255
        if not (level is None or level == "auto" or is_level):
            raise Refused(f"{self.prefix}threshold: give a grey level, 1..255, auto or null; got {level!r}")
        choice(f"{self.prefix}channel", self.channel, CHANNELS)
        if self.polarity not in (None, "white", "black"):
            raise Refused(f"{self.prefix}polarity: give white or black, what the hole is; got {self.polarity!r}")
        if self.layer is not None and (
            isinstance(self.layer, bool)
            or not isinstance(self.layer, int | str)
            or self.layer == ""
            or (isinstance(self.layer, int) and self.layer < 1)
        ):
            raise Refused(f"{self.prefix}layer: give a number from 1 up, or a name; got {self.layer!r}")
        if not (isinstance(self.tolerance, int) and 0 <= self.tolerance <= 255):
            raise Refused(f"{self.prefix}tolerance: give levels, 0..255; got {self.tolerance!r}")
        if self.colour is not None and (level is not None or self.channel != "auto"):
            raise Refused(
                f"{self.prefix}colour: pixels of that colour are the mask, with no threshold and no channel; leave "
                f"{self.prefix}{'channel' if level is None else 'threshold'} out"
            )

    def __call__(self, file: File, resize: int | None = None) -> Tensor:
        """float32 ``(1, H, W)``, exactly 0 or 1, 1 = hole.

        Args:
            file: the mask.
            resize: the shorter side is shrunk to this many pixels, taking the nearest of the mask's own.

        Raises:
            BadImage: as `look`.
        """
        return self.holes(self.look(file, resize))

    def holes(self, marked: Marked) -> Tensor:
        """What is marked as `__call__` returns it."""
        hole = ~marked.white if self.polarity == "black" else marked.white
        return torch.from_numpy(hole.astype(np.float32))[None]

    def look(self, file: File, resize: int | None = None) -> Marked:
        """What the file marks.

        Raises:
            BadImage: naming the file and what was found in it: it cannot be read, is a picture and no mask, does not
                tell which of colour and alpha is the mask, or has other levels than the threshold asks for.
        """
        with open_layer(file, self.layer, self._chooses) as picture:
            return self.of_pixels(decode(in_8_bits(picture), mode_of(picture), resize, Resampling.NEAREST), str(file))

    def size(self, file: File) -> tuple[int, int]:
        """Height and width of a mask, upright, from the header alone.

        Raises:
            BadImage: the file cannot be opened, or does not tell which of its layers is the mask.
        """
        return layer_size(file, self.layer, self._chooses)

    @property
    def _chooses(self) -> str | None:
        """The setting by which users choose a layer, if the command has one."""
        return f"{self.prefix}layer" if self.complete else None

    def of_pixels(self, pixels: np.ndarray, name: str) -> Marked:
        """What pixels mark, uint8 ``(H, W)`` or with 3 or 4 channels ``(H, W, C)``, as Pillow's `mode_of` gives them.

        Raises:
            BadImage: as `look`, naming `name`.
        """
        if self.colour is not None:
            return self._painted(name, pixels[..., :3] if pixels.ndim == 3 else np.stack([pixels] * 3, axis=2))
        if self.channel == "alpha" and (pixels.ndim == 2 or pixels.shape[2] < 4):
            raise BadImage(f"{name}: has no alpha channel, which {self.prefix}channel asks for")
        if pixels.ndim == 2:
            return self._binary(name, pixels, "grey")
        return self._chosen(name, pixels) if self.channel != "auto" else self._found(name, pixels)

    def _painted(self, name: str, pixels: np.ndarray) -> Marked:
        """What has the colour that was painted."""
        assert self.colour is not None
        distance = np.abs(pixels.astype(np.int16) - np.array(self.colour, np.int16)).max(axis=2)
        white = distance <= self.tolerance
        if not white.any():
            nearest = pixels.reshape(-1, 3)[distance.argmin()]
            raise BadImage(
                f"{name}: no pixel has the colour {_name(self.colour)} within {self.tolerance} levels; the nearest has "
                f"{_name(nearest.tolist())}"
            )
        return Marked(white, _name(self.colour))

    def _chosen(self, name: str, bands: np.ndarray) -> Marked:
        """The channel that was asked for."""
        if self.channel == "alpha":
            return self._binary(name, bands[..., 3], "alpha")
        if self.channel == "grey":
            return self._binary(name, _grey(bands[..., :3]), "grey")
        return self._binary(name, bands[..., ("red", "green", "blue").index(self.channel)], self.channel)

    def _found(self, name: str, bands: np.ndarray) -> Marked:
        """The mask of a file with colour or alpha: what varies of the two, if that is a mask."""
        colour, alpha = bands[..., :3], bands[..., 3:]
        if alpha.size and (alpha != alpha[0, 0]).any():
            if _one_colour(colour, alpha):
                return self._binary(name, alpha[..., 0], "alpha")
            advice = (
                f"give {self.prefix}channel=alpha, where opaque is white, or {self.prefix}channel=grey"
                if self.prefix is not None
                else "save it without transparency"
            )
            raise BadImage(
                f"{name}: both its colours and its transparency vary, and only one can be the mask; {advice}"
            )
        if (colour == colour[..., :1]).all():
            return self._binary(name, colour[..., 0], "grey")
        flat = _flat_colours(colour)
        if len(flat) == 2 and not isinstance(self.threshold, int):
            dark, bright = sorted(flat, key=_luminance)
            if _luminance(dark) < _luminance(bright):
                return Marked((colour == bright).all(axis=2), f"{_name(bright)} on {_name(dark)}")
        if _off_the_line(colour) > LINE and not (flat and isinstance(self.threshold, int)):
            raise BadImage(self._no_mask(name, flat))
        return self._binary(name, _grey(colour), "grey")

    def _no_mask(self, name: str, flat: Mapping[Colour, float]) -> str:
        """What a picture of colours is called, and what can be done."""
        if not flat:
            what = f"{name}: a colour picture, not a mask"
            if self.complete:
                return f"{what}; {self.prefix}colour='#ff0000' takes what was painted over it in that colour"
            return f"{what}; a mask is black and white"
        shares = [f"{_name(colour)} {share:.1%}" for colour, share in flat.items()]
        what = f"{name}: not a binary mask, it has {len(flat)} colours ({listed(shares)})"
        if self.complete:
            return f"{what}; {self.prefix}colour='{_name([*flat][1])}' takes one of them"
        return f"{what}; a mask has two, black and white"

    def _binary(self, name: str, levels: np.ndarray, source: str) -> Marked:
        """Two levels of many."""
        counts = np.bincount(levels.reshape(-1), minlength=256)
        present = np.flatnonzero(counts)
        low, high, threshold = int(present[0]), int(present[-1]), self.threshold
        if len(present) == 1:
            if isinstance(threshold, int) and 0 < low < threshold:
                raise BadImage(f"{name}: its one grey level is {low}, below {self.prefix}threshold={threshold}")
            if not isinstance(threshold, int) and low not in (0, 1, 255):
                raise BadImage(
                    f"{name}: not a binary mask, it has one grey level, {low}; all hole is 255, and no hole is 0"
                )
            return Marked(levels > 0 if threshold is None or threshold == "auto" else levels >= threshold, source)
        if isinstance(threshold, int):
            if not low < threshold <= high:
                what = "would be empty" if threshold > high else "would be all white"
                raise BadImage(
                    f"{name}: {what} with {self.prefix}threshold={threshold}, as its grey levels lie from {low} to "
                    f"{high}; {_otsu(counts)} lies between"
                )
            plain = [*present] in ([0, 1], [0, 255])
            return Marked(levels >= threshold, source, None if plain else threshold)
        if len(present) == 2:
            threshold = (low + high + 1) // 2
            return Marked(levels >= threshold, source, None if low == 0 and high in (1, 255) else threshold)
        edge = (high - low) // EDGE
        core = counts[: low + edge + 1].sum() + counts[high - edge :].sum()
        if core < CORE * levels.size:
            raise BadImage(
                f"{name}: not a binary mask, it has {len(present)} grey levels from {low} to {high}, and only "
                f"{core / levels.size:.0%} of its pixels are near these two: a grey picture, not a mask"
            )
        threshold = _otsu(counts)
        if self.threshold is None:
            advice = f"; {self.prefix}threshold=auto takes it from {threshold} up" if self.prefix is not None else ""
            raise BadImage(
                f"{name}: not a binary mask, it has {len(present)} grey levels from {low} to {high}; a mask is 0 "
                f"(known) and 255 (hole), saved without JPEG{advice}"
            )
        return Marked(levels >= threshold, source, threshold)


def colour_of(value: object, setting: str) -> Colour:
    """Red, green and blue, 0..255, of ``#ff0000``, ``ff0000``, ``#f00`` or the name of a colour in HTML.

    Raises:
        Refused: naming `setting`, if it is none of them.
    """
    text = f"{value:06d}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    for spelt in (text, f"#{text}"):
        try:
            return ImageColor.getcolor(spelt, "RGB")  # type: ignore[return-value]
        except ValueError:
            continue
    raise Refused(f"{setting}: give a colour, \"{setting}='#ff0000'\" or {setting}=red; got {value!r}")


def in_8_bits(picture: Image.Image) -> Image.Image:
    """A picture of 16 bits of grey in 256 levels: of 0 and 65535, 0 and 255; 0 and 1, or 0 and 255, stay as they are.

    Pillow itself cuts off what is above 255. Of 16 bits of colour it takes the upper 8.
    """
    if not picture.mode.startswith("I;16"):
        return picture
    with broken_is_refused(picture):
        levels = np.asarray(picture)
    largest = levels.max(initial=0)
    made = Image.fromarray((levels if largest <= 255 else levels // 257).astype(np.uint8))
    made.info, made.format, made.filename = picture.info, picture.format, picture.filename  # type: ignore[attr-defined]
    return made


def mode_of(picture: Image.Image) -> str:
    """The mode of Pillow in which all that may be a mask is still there: L, RGB or RGBA."""
    if has_alpha(picture):
        return "RGBA"
    return "L" if picture.mode in ("1", "L") or picture.mode.startswith("I;16") else "RGB"


def _grey(colour: np.ndarray) -> np.ndarray:
    """uint8 ``(H, W)``: the luminance of ``(H, W, 3)``, as Pillow rounds it."""
    return np.array(Image.fromarray(np.ascontiguousarray(colour)).convert("L"))


def _one_colour(colour: np.ndarray, alpha: np.ndarray) -> bool:
    """Whether all that shows has one colour; what is nearly transparent has lost some of its bits to rounding."""
    shown = alpha[..., 0] > 0
    most_opaque = np.unravel_index(alpha.argmax(), alpha.shape)[:2]
    apart = np.abs(colour[shown].astype(np.int16) - colour[most_opaque].astype(np.int16)).max(axis=1)
    return bool((apart * (alpha[shown][:, 0] / 255) <= SAME).all())


def _flat_colours(colour: np.ndarray) -> dict[Colour, float]:
    """The colours of a picture of flat areas and their shares, the most frequent first; none of any other picture."""
    packed = colour.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    values, counts = np.unique(packed, return_counts=True)
    if len(values) > FLAT:
        return {}
    order = np.argsort(-counts, kind="stable")
    return {
        (value >> 16, value >> 8 & 255, value & 255): share
        for value, share in zip(values[order].tolist(), (counts[order] / packed.size).tolist(), strict=True)
    }


def _luminance(colour: Colour) -> int:
    """A thousand times the luminance of ITU-R BT.601, as Pillow's grey has it."""
    red, green, blue = colour
    return 299 * red + 587 * green + 114 * blue


def _name(colour: Sequence[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _off_the_line(colour: np.ndarray) -> float:
    """How far colours lie off the line that fits them best, root mean square in levels.

    A mask in two colours has all others between these, at smooth edges; a photograph has not.
    """
    pixels = colour.reshape(-1, 3).astype(np.float64)
    spread = np.linalg.eigvalsh(np.cov(pixels, rowvar=False, bias=True))
    return float(np.sqrt(max(0.0, spread[:2].sum())))


def _otsu(counts: np.ndarray) -> int:
    """The level from which on pixels are white, so that the levels on both sides differ least (Otsu 1979).

    Args:
        counts: pixels of each level, int64 ``(256,)``.

    Returns:
        1..255; of a range of equally good ones, its middle.
    """
    levels = np.arange(256)
    below = counts.cumsum()[:-1].astype(np.float64)  # pixels of the levels 0..t-1, for t = 1..255
    above = counts.sum() - below
    inside = (below > 0) & (above > 0)
    sums = (counts * levels).cumsum()[:-1].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - ((counts * levels).sum() - sums) / above) ** 2
    between = np.where(inside, between, -1)
    best = np.flatnonzero(between >= between.max() * (1 - 1e-12)) + 1
    return int((best[0] + best[-1] + 1) // 2)


def check_shares(shares: Iterable[float], setting: str, settled: bool, remedy: str = "") -> str | None:
    """Look at how much of each picture is hole, before any work.

    Args:
        shares: of each mask, 0..1.
        setting: what the masks are called where the user sets them.
        settled: whether the user said the polarity.
        remedy: what to do where the holes may be what is known, as in ``polarity=black``.

    Returns:
        A warning where the holes cover so much that they may well be what is known, or None.

    Raises:
        Refused: no mask has a hole.
    """
    shares = list(shares)
    if shares and not any(shares):
        what = "the mask has no hole" if len(shares) == 1 else f"none of the {len(shares)} masks has a hole"
        raise Refused(f"{setting}: {what}, so there is nothing to paint; {remedy}")
    mean = sum(shares) / len(shares) if shares else 0
    if mean > MOSTLY and not settled:
        return f"{setting}: the holes cover {mean:.0%} of the pictures; {remedy}"
    return None
