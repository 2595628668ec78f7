"""Paint a picture in the style of another, by optimisation of its pixels.

    inpaint-stylise content=photo.jpg style=painting.jpg output=painted.png
    inpaint-stylise method=patches content=photo.jpg style=painting.jpg output=painted.png keep_colours=true
    inpaint-stylise method=face_swap content=a.jpg style=b.jpg output=c.png method.points=points.json

What is written says of itself that it is made: its XMP data have IPTC's digital source type.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig

from inpaint.cli.command import command
from inpaint.config import check, choose_device
from inpaint.pictures.names import SUFFIXES_OF, suffix_of
from inpaint.settings import ConfigError, Refused, choice, number, whole

if TYPE_CHECKING:
    import numpy as np

    from inpaint.pictures.writing import Photograph
    from inpaint.stylise.methods import Method

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF")  # that hold XMP data
LARGEST, MOST_SCALES, MOST_STEPS = 4096, 8, 100_000
MADE = b"http://cv.iptc.org/newscodes/digitalsourcetype/compositeSynthetic"
MARK = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    b'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmp:CreatorTool="inpaint-stylise" '
    b'Iptc4xmpExt:DigitalSourceType="' + MADE + b'"/></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)


def run(cfg: DictConfig) -> None:
    """Check everything, paint, write, and say where it is.

    Raises:
        Refused: a setting that means nothing, a picture that cannot be read, or weights that are nowhere to be found.
    """
    check(cfg)
    size = _within("size", cfg.size, 32, LARGEST)
    settings: dict[str, Any] = {
        "strength": number("strength", cfg.strength, 0, 1e6, "a number from 0 up"),
        "scales": None if cfg.scales is None else _within("scales", cfg.scales, 1, MOST_SCALES),
        "steps": _within("steps", cfg.steps, 1, MOST_STEPS),
        "start": choice("start", cfg.start, ("content", "noise")),
        "style_scale": number("style_scale", cfg.style_scale, 0.1, 10, "a share of the picture's longer side"),
        "seed": whole("seed", cfg.seed, 0),
    }
    if size * settings["style_scale"] > LARGEST:
        raise ConfigError(f"style_scale: {cfg.style_scale} of {size} pixels is more than {LARGEST}; give a smaller one")
    if not isinstance(cfg.keep_colours, bool):
        raise ConfigError(f"keep_colours: give true or false; got {cfg.keep_colours}")
    content, style, output = Path(cfg.content), Path(cfg.style), Path(cfg.output)
    format = _format(content, output)
    for name, file in (("content", content), ("style", style)):
        if output.exists() and file.exists() and output.samefile(file):
            raise Refused(f"output: {output} is {name} and would be overwritten")
    if output.is_dir() or (output.exists() and not _is_ours(output)):
        raise Refused(f"output: {output} is there already, and inpaint-stylise did not write it; give another file")

    from inpaint.pictures.writing import read_photograph, write_photograph
    from inpaint.stylise.faces import FaceSwap

    photograph, example = read_photograph(content), read_photograph(style)
    if hydra.utils.get_class(cfg.method._target_) is FaceSwap:
        for name, usual in {"keep_colours": False, "start": "content", "style_scale": 1.0, "seed": 0}.items():
            if cfg[name] != usual:
                raise Refused(f"{name}: method=face_swap takes all but the face from the content; leave it out")
    _refuse_unwritable(output.parent)
    device = choose_device(cfg.device)
    method: Method = hydra.utils.instantiate(cfg.method, _convert_="all")
    method.backbone.to(device)
    print(method.about)
    settings["scales"] = settings["scales"] or method.scales
    if isinstance(method, FaceSwap):
        kept = {name: settings[name] for name in ("strength", "scales", "steps")}
        painted, stopped, seam = method.swapped(
            photograph.pixels, example.pixels, (content, style), size, device, **kept
        )
        print(f"seam: {seam:.2f} times as steep as the content is there")
    else:
        painted, stopped = _painted(method, photograph, example, size, device, cfg.keep_colours, settings)
    profile = None if photograph.grey else photograph.profile  # that of a grey file is none of colours
    write_photograph(output, replace(photograph.painted(painted), grey=False, profile=profile, xmp=MARK), format)
    height, width = painted.shape[:2]
    print(f"{'stopped early' if stopped else 'done'}: {output}, {width} x {height} pixels, marked as made")


def _painted(
    method: "Method",
    photograph: "Photograph",
    example: "Photograph",
    size: int,
    device: str,
    keep_colours: bool,
    settings: dict[str, Any],
) -> "tuple[np.ndarray, bool]":
    """The content in the style, as its file has pixels, and whether that was stopped."""
    from inpaint.degradations.tone import luma
    from inpaint.stylise.methods import View, stylise
    from inpaint.stylise.pixels import as_pixels, as_tensor, shrunk

    before = as_tensor(shrunk(photograph.pixels, size)).to(device)
    style = as_tensor(shrunk(example.pixels, round(size * max(1, settings["style_scale"])))).to(device)
    painted, stopped = stylise(method, View(before), View(style), **settings)
    if keep_colours:
        painted = before + luma(painted) - luma(before)  # grey that is added to luma is added to all channels alike
    return as_pixels(painted, photograph.pixels), stopped


def _within(setting: str, value: Any, least: int, most: int) -> int:
    if whole(setting, value, least) > most:
        raise ConfigError(f"{setting}: {value} is more than {most}")
    return int(value)


def _format(content: Path, output: Path) -> str:
    """The format that the output's suffix names.

    Raises:
        Refused: there is none, or it cannot hold what the content has.
    """
    from inpaint.pictures.writing import DEEP, OPAQUE, read_header

    suffix = suffix_of(output.name)
    format = next((name for name in FORMATS if suffix in SUFFIXES_OF[name]), None)
    if format is None:
        raise ConfigError(f"output: {output.name} should end in one of .jpg, .png, .webp, .tif")
    header = read_header(content)
    if header.deep and format not in DEEP:
        raise Refused(f"output: {content} has 16 bits a channel, which {suffix} cannot hold here; give a .png")
    if header.transparent and format in OPAQUE:
        raise Refused(f"output: {content} has transparency, and {suffix} has none; give a .png")
    return format


def _refuse_unwritable(folder: Path) -> None:
    """Nothing is painted for minutes that cannot be written.

    Raises:
        Refused: the folder cannot be made, or no file in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Refused(f"output: nothing can be written into {folder} ({error.strerror})") from None


def _is_ours(file: Path) -> bool:
    """Whether a picture's XMP data say that it is a result."""
    from inpaint.pictures.reading import LARGEST_FILE

    if not file.is_file() or file.stat().st_size > LARGEST_FILE:
        return False
    return b'"inpaint-stylise"' in file.read_bytes()


def main() -> None:
    """`inpaint-stylise`."""
    command("stylise", run)
