"""A picture that is read and written has everything that its file had."""

import io
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, ImageOps, JpegImagePlugin

from inpaint.pictures import writing
from inpaint.pictures.reading import BadImage
from inpaint.pictures.writing import named, read_header, read_photograph, write_photograph, written_format
from tests.conftest import smooth_picture

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PICTURE = Image.fromarray(smooth_picture(0, 40, 56))
DEEP = np.random.default_rng(0).integers(0, 65536, (20, 31, 4), dtype=np.uint16)


def exif(orientation=1):
    made = Image.Exif()
    made[ExifTags.Base.Orientation] = orientation
    made[ExifTags.Base.Make] = "Maker"
    made.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.LensModel] = "Lens"
    return made


def copied(path, tmp_path, format=None):
    photograph = read_photograph(path)
    out = tmp_path / "out" / path.name
    write_photograph(out, photograph, format)
    return out, photograph


LOSSLESS = {
    "rgb.png": (PICTURE, {}),
    "rgba.png": (PICTURE.convert("RGBA"), {}),
    "grey.png": (PICTURE.convert("L"), {}),
    "greya.png": (PICTURE.convert("LA"), {}),
    "rgb.webp": (PICTURE, {"lossless": True}),
    "rgba.webp": (PICTURE.convert("RGBA"), {"lossless": True, "exact": True}),
    "rgb.tif": (PICTURE, {"compression": "tiff_lzw"}),
    "rgb.bmp": (PICTURE, {}),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_formats_keep_every_pixel_and_the_mode(name, tmp_path):
    picture, settings = LOSSLESS[name]
    if picture.mode in ("RGBA", "LA"):
        picture = picture.copy()
        picture.putalpha(Image.fromarray(np.arange(40 * 56, dtype=np.uint8).reshape(40, 56)))
    picture.save(tmp_path / name, **settings, **({"icc_profile": PROFILE} if not name.endswith("bmp") else {}))
    before = Image.open(tmp_path / name)
    out, _ = copied(tmp_path / name, tmp_path)
    after = Image.open(out)
    assert (after.format, after.mode, after.size) == (before.format, before.mode, before.size)
    assert np.array_equal(np.asarray(after), np.asarray(before))
    assert after.info.get("icc_profile") == before.info.get("icc_profile")


@pytest.mark.parametrize("quality", [60, 92])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_a_jpeg_keeps_its_tables_and_subsampling(quality, subsampling, tmp_path):
    PICTURE.save(tmp_path / "a.jpeg", quality=quality, subsampling=subsampling, dpi=(300, 300), progressive=True)
    out, _ = copied(tmp_path / "a.jpeg", tmp_path)
    before, after = Image.open(tmp_path / "a.jpeg"), Image.open(out)
    assert after.quantization == before.quantization and after.info["dpi"] == (300, 300)
    assert JpegImagePlugin.get_sampling(after) == subsampling and after.info["progressive"]
    difference = np.abs(np.asarray(after.convert("RGB")).astype(int) - np.asarray(before.convert("RGB")))
    assert difference.mean() < 1.5, "coded again, and no more than that"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_orientation_is_applied_and_the_rest_of_exif_stays(orientation, suffix, tmp_path):
    settings = {"lossless": True} if suffix == ".webp" else {}
    PICTURE.save(tmp_path / f"a{suffix}", exif=exif(orientation), **settings)
    out, photograph = copied(tmp_path / f"a{suffix}", tmp_path)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / f"a{suffix}")).convert("RGB"))
    assert np.array_equal(photograph.pixels, upright)
    after = Image.open(out)
    assert after.getexif().get(ExifTags.Base.Orientation, 1) == 1 and after.getexif()[ExifTags.Base.Make] == "Maker"
    assert after.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.LensModel] == "Lens"
    assert read_header(tmp_path / f"a{suffix}").size == upright.shape[:2]


DEEP_FILES = {"colour": DEEP[..., :3], "alpha": DEEP, "grey": DEEP[..., 0]}


@pytest.mark.parametrize("kind", DEEP_FILES)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_sixteen_bits_stay_with_profile_and_exif(kind, orientation, tmp_path):
    encoded = cv2.imencode(".png", DEEP_FILES[kind])[1].tobytes()
    extra = writing._chunk(b"eXIf", exif(orientation).tobytes()[6:])
    (tmp_path / "a.png").write_bytes(encoded[:33] + extra + encoded[33:])
    out, photograph = copied(tmp_path / "a.png", tmp_path)
    write_photograph(out, replace(photograph, profile=PROFILE))
    after = cv2.imread(str(out), cv2.IMREAD_UNCHANGED)
    turns = {  # by hand, of rows and columns
        **{1: lambda x: x, 2: lambda x: x[:, ::-1], 3: lambda x: x[::-1, ::-1], 4: lambda x: x[::-1]},
        **{5: lambda x: x.swapaxes(0, 1), 6: lambda x: np.rot90(x, -1), 8: lambda x: np.rot90(x)},
        7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    }
    assert after.dtype == np.uint16 and np.array_equal(after, turns[orientation](DEEP_FILES[kind]))
    header = Image.open(out)
    assert header.info["icc_profile"] == PROFILE and header.getexif()[ExifTags.Base.Make] == "Maker"
    assert header.getexif().get(ExifTags.Base.Orientation, 1) == 1


def test_a_thumbnail_of_the_picture_before_does_not_stay(tmp_path):
    small = io.BytesIO()
    PICTURE.resize((16, 16)).save(small, "JPEG")
    made = exif().tobytes()
    # A second directory, which holds the thumbnail, is linked to behind the first.
    assert made.startswith(b"Exif\0\0MM")
    body, count = made[6:], int.from_bytes(made[14:16], "big")
    link, place = 10 + 12 * count, len(body)
    entries = [(0x0103, 3, 1, b"\0\6\0\0"), (0x0201, 4, 1, (place + 42).to_bytes(4, "big"))]
    entries.append((0x0202, 4, 1, len(small.getvalue()).to_bytes(4, "big")))
    directory = (3).to_bytes(2, "big")
    for tag, kind, number, value in entries:
        directory += tag.to_bytes(2, "big") + kind.to_bytes(2, "big") + number.to_bytes(4, "big") + value
    whole = body[:link] + place.to_bytes(4, "big") + body[link + 4 :] + directory + bytes(4) + small.getvalue()
    PICTURE.save(tmp_path / "a.jpg", exif=b"Exif\0\0" + whole)
    assert small.getvalue() in (tmp_path / "a.jpg").read_bytes()
    out, _ = copied(tmp_path / "a.jpg", tmp_path)
    assert small.getvalue() not in out.read_bytes() and Image.open(out).getexif()[ExifTags.Base.Make] == "Maker"


def test_a_palette_becomes_colours_and_its_transparency_alpha(tmp_path):
    made = PICTURE.quantize(16)
    made.info["transparency"] = 3
    made.save(tmp_path / "a.png", transparency=3)
    before = np.asarray(Image.open(tmp_path / "a.png").convert("RGBA"))
    out, photograph = copied(tmp_path / "a.png", tmp_path)
    assert np.array_equal(np.asarray(Image.open(out)), before) and (before[..., 3] == 0).any()
    assert photograph.remarks == ("a palette is written as colours",)


def test_cmyk_becomes_rgb(tmp_path):
    PICTURE.convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    before = np.asarray(Image.open(tmp_path / "a.jpg").convert("RGB")).astype(int)
    out, photograph = copied(tmp_path / "a.jpg", tmp_path)
    after = Image.open(out)
    assert after.mode == "RGB" and photograph.remarks == ("CMYK is written as RGB",)
    assert np.array_equal(photograph.pixels, before)


def test_lossy_webp_stays_lossy(tmp_path):
    PICTURE.save(tmp_path / "a.webp", quality=80)
    out, _ = copied(tmp_path / "a.webp", tmp_path)
    assert b"VP8L" not in out.read_bytes()[:64] and out.stat().st_size < 20_000


def test_formats(tmp_path):
    PICTURE.save(tmp_path / "a.png")
    PICTURE.convert("RGBA").save(tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes(cv2.imencode(".png", DEEP[..., :3])[1].tobytes())
    (tmp_path / "d.tiff").write_bytes(cv2.imencode(".tiff", DEEP[..., :3])[1].tobytes())
    plain, clear, deep, tiff = (read_header(tmp_path / name) for name in ("a.png", "b.png", "c.png", "d.tiff"))
    assert [written_format(plain, wanted) for wanted in (None, "jpeg", "jpg", "webp")] == [
        "PNG",
        "JPEG",
        "JPEG",
        "WEBP",
    ]
    assert written_format(tiff, None) == "PNG" and written_format(clear, "webp") == "WEBP"
    for header, wanted, message in (
        (clear, "jpeg", "has no transparency"),
        (deep, "jpeg", "would cut 16 bits to 8"),
        (plain, "gif", "format: give one of"),
    ):
        with pytest.raises(ValueError, match=message):
            written_format(header, wanted)
    assert named(Path("x/a.JPEG"), "JPEG") == Path("x/a.JPEG") and named(Path("a.png"), "JPEG") == Path("a.jpg")
    write_photograph(tmp_path / "new.jpg", read_photograph(tmp_path / "a.png"), "JPEG")
    assert JpegImagePlugin.get_sampling(Image.open(tmp_path / "new.jpg")) == 0


def test_a_picture_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    PICTURE.save(path)
    read = Path.read_bytes

    def changing(self):
        data = read(self)
        os.utime(self, ns=(1, 1))
        return data

    monkeypatch.setattr(Path, "read_bytes", changing)
    with pytest.raises(BadImage, match=r"a\.png: was changed while it was read"):
        read_photograph(path)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "deep.png", "a.webp", "a.tif"])
def test_truncated_files_are_refused(name, tmp_path):
    if name == "deep.png":
        data = cv2.imencode(".png", DEEP)[1].tobytes()
    else:
        PICTURE.save(tmp_path / name)
        data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(BadImage, match=name):
        read_photograph(tmp_path / name)


def test_nothing_half_written_stays(tmp_path, monkeypatch):
    PICTURE.save(tmp_path / "a.png")
    photograph = read_photograph(tmp_path / "a.png")

    def full(self, file, **settings):
        Path(file).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space left"):
        write_photograph(tmp_path / "out" / "a.png", photograph)
    assert [*(tmp_path / "out").iterdir()] == []
