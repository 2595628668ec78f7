"""A folder of twenty photographs, with one among them that is odd or broken."""

import io

import numpy as np
from PIL import Image

from inpaint.data.datamodule import FolderData
from inpaint.masks import Boxes
from tests.conftest import smooth_picture


def encoded(picture, form, **settings):
    stream = io.BytesIO()
    picture.save(stream, format=form, **settings)
    return stream.getvalue()


PICTURE = Image.fromarray(smooth_picture(7, 60, 90))
JPEG = encoded(PICTURE, "JPEG", quality=95)
EXIF = Image.Exif()
EXIF[0x0112] = 6  # turned by a quarter
SIXTEEN = Image.fromarray(np.full((60, 90), 40_000, np.uint16))
REFUSED = {
    "truncated.jpg": JPEG[: len(JPEG) // 2],
    "cut by two bytes.jpg": JPEG[:-2],
    "empty.png": b"",
    "text.png": b"<html>404 not found</html>",
    "sixteen bits.png": encoded(SIXTEEN, "PNG"),
    "one pixel.png": encoded(PICTURE.resize((1, 1)), "PNG"),
    "animated.webp": encoded(PICTURE, "WEBP", save_all=True, append_images=[PICTURE.rotate(90)]),
}
READ = {
    "cmyk.jpg": encoded(PICTURE.convert("CMYK"), "JPEG", quality=95),
    "palette.png": encoded(PICTURE.quantize(256), "PNG"),
    "turned.jpg": encoded(PICTURE, "JPEG", quality=95, exif=EXIF),
    "transparent.png": encoded(PICTURE.convert("RGBA"), "PNG"),
    "grey.webp": encoded(PICTURE.convert("L"), "WEBP"),
}


def folder(tmp_path, odd):
    """Twenty good pictures, and one of `odd`, in order of their names; eight validate."""
    for number in range(20):
        Image.fromarray(smooth_picture(number, 60, 60)).save(tmp_path / f"{number:02d}.png")
    if odd is not None:
        (tmp_path / f"05 {odd}").write_bytes((REFUSED | READ)[odd])
    (tmp_path / "validation.txt").write_text("\n".join(f"{n:02d}.png" for n in range(12, 20)))
    (tmp_path / "train.txt").write_text(
        "\n".join(sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".txt" and path.name < "12"))
    )
    return tmp_path


def data(root, batch_size=4, **settings):
    defaults = {"crop": 32, "crops_per_image": 1, "validation_crops": 1, "cache": "none"}
    lists = {"train": "train.txt", "validation": "validation.txt"}
    return FolderData(Boxes(), str(root), **lists, batch_size=batch_size, **(defaults | settings))
