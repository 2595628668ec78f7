"""Masks in files of several pictures: the layers of a PSD and the pages of a TIFF."""

from collections.abc import Sequence
from typing import Any

from PIL import Image

from inpaint.pictures.psd import Layer, read_layers, read_pixels
from inpaint.pictures.reading import BadImage, File, broken_is_refused, open_image, refusal, upright_size
from inpaint.settings import listed

MOST_PAGES = 1000
PAGE_NAME = 285  # the tag of a TIFF's page, where GIMP has the name of a layer


def open_layer(file: File, layer: int | str | None, setting: str | None) -> Image.Image:
    """Open the one picture of a file, or that of its layers or pages which is asked for.

    A layer lies on the canvas of its file, transparent where it has no pixels. A PSD without layers is its picture.

    Args:
        file: the mask.
        layer: its number from 1 up, layers from the lowest; or its name. None demands a file of one.
        setting: what chooses a layer where the user sets it; None: nothing does.

    Raises:
        BadImage: as `open_image`; or the file has no such layer, or several and none is asked for, with their names.
    """
    picture, chosen = _choose(file, layer, setting)
    if chosen is None:
        return picture
    with picture, broken_is_refused(picture):
        taken = read_pixels(picture.fp, chosen, picture.size)  # type: ignore[attr-defined]
    taken.filename = str(file)  # type: ignore[attr-defined]
    return taken


def layer_size(file: File, layer: int | str | None, setting: str | None) -> tuple[int, int]:
    """Height and width of what `open_layer` opens, upright, from the headers alone.

    Raises:
        BadImage: as there.
    """
    with _choose(file, layer, setting)[0] as picture:
        return upright_size(picture)


def _choose(file: File, layer: int | str | None, setting: str | None) -> tuple[Image.Image, Layer | None]:
    """The opened file, a TIFF at its page; and which layer of a PSD is meant, if it has any."""
    picture = open_image(file, deep=True, layered=True)
    try:
        with broken_is_refused(picture):
            layers = read_layers(picture.fp) if picture.format == "PSD" else []  # type: ignore[attr-defined]
            names = [each.name for each in layers] or _pages(picture)
        number = _number(names, layer, setting, str(file), "layers" if layers else "pages")
        if layers:
            return picture, layers[number]
        if number:
            with broken_is_refused(picture):
                picture.seek(number)
            if reason := refusal(picture, deep=True, layered=True):
                raise BadImage(f"{file}: {reason}")
        return picture, None
    except BadImage:
        picture.close()
        raise


def _pages(picture: Any) -> list[str]:
    """The names of a TIFF's pages, or nothing of a file that is one picture."""
    if picture.format != "TIFF" or not picture.is_animated:
        return []
    if picture.n_frames > MOST_PAGES:
        raise ValueError(f"{picture.n_frames} pages")
    names = []
    for page in range(picture.n_frames):
        picture.seek(page)
        names.append(str(picture.tag_v2.get(PAGE_NAME, "")))
    picture.seek(0)
    return names


def _number(names: Sequence[str], layer: int | str | None, setting: str | None, file: str, kind: str) -> int:
    """Which of the layers, from 0 up.

    Raises:
        BadImage: none, or it cannot be told.
    """
    there = listed([f"{number} {name}".strip() for number, name in enumerate(names, start=1)])
    if layer is None:
        if len(names) <= 1:
            return 0
        advice = f"give {setting}=NUMBER, or its name" if setting else "save the one that is the mask by itself"
        raise BadImage(f"{file}: has {len(names)} {kind}, {there}, and one is the mask; {advice}")
    if not names:
        raise BadImage(f"{file}: is one picture without layers, and {setting}={layer} asks for one")
    if isinstance(layer, int) and 1 <= layer <= len(names):
        return layer - 1
    if (same := names.count(str(layer))) != 1:
        wrong = f"{same} {kind} are called {layer}" if same else f"has no {kind[:-1]} {layer}"
        raise BadImage(f"{file}: {wrong}; there are {there}")
    return names.index(str(layer))
