import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, ImageOps

from inpaint.pictures import reading
from inpaint.pictures.reading import (
    LARGEST,
    BadImage,
    Encoded,
    decode,
    fit,
    image_size,
    open_image,
    read_image,
)


def picture(height=6, width=9, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(height, width):
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 9 + y / 17), np.sin(x / 5), np.cos(y / 7)], axis=-1)
    return (127.5 + 120 * waves).astype(np.uint8)


def encoded(image, **settings):
    stream = io.BytesIO()
    image.save(stream, **settings)
    return stream.getvalue()


def pixels(path, **settings):
    return read_image(path, **settings).permute(1, 2, 0).numpy()


# ---- opened and decoded


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
def test_every_8_bit_mode_becomes_rgb(tmp_path, mode):
    original = Image.fromarray(picture()).convert(mode)
    original.save(tmp_path / "x.png")
    assert read_image(tmp_path / "x.png").dtype == torch.uint8
    assert np.array_equal(pixels(tmp_path / "x.png"), np.array(original.convert("RGB")))


JPEGS = {
    "4:2:0": {"subsampling": 2},
    "4:4:4": {"subsampling": 0},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "stored as RGB": {"keep_rgb": True},
}


@pytest.mark.parametrize("kind", [*JPEGS, "grey", "CMYK"])
def test_jpegs_have_pillows_pixels(tmp_path, kind):
    image = Image.fromarray(smooth(61, 97))
    image = image.convert({"grey": "L", "CMYK": "CMYK"}.get(kind, "RGB"))
    image.save(tmp_path / "x.jpg", quality=80, **JPEGS.get(kind, {}))
    assert np.array_equal(pixels(tmp_path / "x.jpg"), np.array(Image.open(tmp_path / "x.jpg").convert("RGB")))


def test_plain_jpegs_are_not_decoded_by_pillow_and_others_are(tmp_path, monkeypatch):
    Image.fromarray(smooth(40, 50)).save(tmp_path / "rgb.jpg")
    Image.fromarray(smooth(40, 50)).convert("CMYK").save(tmp_path / "cmyk.jpg")
    expected = pixels(tmp_path / "cmyk.jpg")
    decoded = []
    load = Image.Image.convert
    monkeypatch.setattr(
        Image.Image, "convert", lambda self, *a, **k: (decoded.append(self.mode), load(self, *a, **k))[1]
    )
    pixels(tmp_path / "rgb.jpg")
    assert decoded == []
    assert np.array_equal(pixels(tmp_path / "cmyk.jpg"), expected) and decoded == ["CMYK"]


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("resize", [None, 8])
def test_exif_orientation_is_applied_as_pillow_does(tmp_path, suffix, orientation, resize):
    path = tmp_path / f"turned.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(smooth(16, 24)).save(path, exif=exif, **({"lossless": True} if suffix == "webp" else {}))
    upright = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    found = pixels(path, resize=resize)
    assert image_size(path, resize) == found.shape[:2]
    if resize is None:
        assert np.array_equal(found, np.array(upright))
    else:
        width, height = upright.size
        small = upright.resize((width // 2, height // 2), Image.Resampling.LANCZOS)
        assert np.abs(found.astype(int) - np.array(small)).max() <= 1


def test_orientation_in_xmp_counts_in_the_header_too(tmp_path):
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    Image.fromarray(picture()).save(tmp_path / "x.jpg", xmp=xmp)
    assert image_size(tmp_path / "x.jpg") == (9, 6) == pixels(tmp_path / "x.jpg").shape[:2]


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_an_orientation_behind_the_pixels_counts_in_the_header_too(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    raw = encoded(Image.fromarray(picture()), format="PNG")
    late = raw[:-12] + chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) + raw[-12:]
    (tmp_path / "late.png").write_bytes(late)
    expected = np.array(ImageOps.exif_transpose(Image.open(tmp_path / "late.png")))
    assert np.array_equal(pixels(tmp_path / "late.png"), expected)
    assert image_size(tmp_path / "late.png") == (9, 6) == expected.shape[:2]
    shard = Encoded(io.BytesIO(late), "shard.tar/late.png")
    assert image_size(shard) == (9, 6) and np.array_equal(pixels(shard), expected)


GARBAGE = (
    b"Exif\0\0garbagegarbage",
    b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01",
    b"Exif\0\0MM\0*\0\0\xff\xff",
    b"Exif\0\0",
)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
@pytest.mark.parametrize("exif", GARBAGE)
def test_damaged_exif_data_is_passed_over_as_in_every_viewer(tmp_path, suffix, exif, recwarn):
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(smooth(6, 9)).save(path, exif=exif, **({"lossless": True} if suffix == "webp" else {"quality": 95}))
    found = pixels(path)
    assert image_size(path) == found.shape[:2] == (6, 9)
    assert np.abs(found.astype(int) - smooth(6, 9)).mean() < 20
    assert not recwarn.list


def test_pillows_warnings_do_not_reach_the_terminal(tmp_path, recwarn):
    palette = Image.fromarray(smooth(6, 9)).convert("P")
    palette.save(tmp_path / "x.png", transparency=bytes(range(256)))
    assert np.array_equal(pixels(tmp_path / "x.png"), np.array(palette.convert("RGB")))
    assert not recwarn.list


@pytest.mark.parametrize("suffix", ["tif", "bmp", "jfif", "jpe"])
def test_other_types_and_suffixes(tmp_path, suffix):
    for mode in ("RGB", "L", "P", "1") + (("RGBA", "CMYK") if suffix == "tif" else ()):
        if suffix in ("jfif", "jpe") and mode in ("P", "1"):
            continue
        image = Image.fromarray(smooth(12, 9)).convert(mode)
        image.save(
            tmp_path / f"x.{suffix}", **({"compression": "tiff_lzw"} if suffix == "tif" and mode == "RGB" else {})
        )
        expected = np.array(Image.open(tmp_path / f"x.{suffix}").convert("RGB"))
        assert np.array_equal(pixels(tmp_path / f"x.{suffix}"), expected)


def header_only_png(width, height, bits=8):
    ihdr = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + chunk(b"IDAT", zlib.compress(b"\0" * 10)) + chunk(b"IEND", b"")


def header_only_jpeg(width, height):
    frame = struct.pack(">BHHB", 8, height, width, 3) + bytes([1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1])
    whole = encoded(Image.new("RGB", (16, 16)), format="JPEG")
    place = whole.index(b"\xff\xc0")
    return whole[: place + 4] + frame + whole[place + 4 + len(frame) :]


def frames(count=3):
    return [Image.fromarray(picture(16, 16, seed)) for seed in range(count)]


def animation(form):
    first, *rest = frames()
    return encoded(first, format=form, save_all=True, append_images=rest)


TURNED_JPEG = encoded(Image.fromarray(smooth(64, 64)), format="JPEG", quality=95)
NOISE_PNG = encoded(Image.fromarray(picture(64, 64)), format="PNG")
NOISE_WEBP = encoded(Image.fromarray(picture(64, 64)), format="WEBP")
BAD = {
    "text": (b"<html>not found</html>", "not a readable picture \\(jpg, png, webp, tif, bmp\\)$"),
    "empty": (b"", "not a readable"),
    "gif": (animation("GIF"), "but a GIF; save the frame"),
    "animated png": (animation("PNG"), "an animated PNG of 3 frames"),
    "animated webp": (animation("WEBP"), "an animated WEBP of 3 frames"),
    "16-bit grey": (encoded(Image.fromarray(picture()[..., 0].astype(np.uint16)), format="PNG"), "more than 8 bits"),
    "pages": (animation("TIFF"), "a TIFF of 3 pages; save the one you want"),
    "16-bit tif": (encoded(Image.fromarray(picture()[..., 0].astype(np.uint16)), format="TIFF"), "more than 8 bits"),
    "truncated tif": (encoded(Image.fromarray(picture(64, 64)), format="TIFF")[:6000], "(broken|cannot be opened)"),
    "truncated bmp": (encoded(Image.fromarray(picture(64, 64)), format="BMP")[:-3000], "broken picture"),
    "16-bit colour": (header_only_png(4, 4, bits=16), "more than 8 bits"),
    "png bomb": (header_only_png(9433, 9436), "9433 x 9436 pixels, more than 89 million"),
    "png bigger bomb": (header_only_png(100_000, 100_000), "exceeds limit"),
    "jpeg bomb": (header_only_jpeg(65_500, 65_500), "exceeds limit"),
    "truncated png": (NOISE_PNG[:-3000], "broken picture"),
    "truncated webp": (NOISE_WEBP[:-1000], "(broken|cannot be opened|not a readable)"),
    "truncated jpeg": (TURNED_JPEG[: len(TURNED_JPEG) // 2], "broken picture"),
    "jpeg without its end": (TURNED_JPEG[:-2], "broken picture"),
    "jpeg without pixels": (TURNED_JPEG[: TURNED_JPEG.index(b"\xff\xda")], "(broken picture|cannot be opened)"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_read_is_refused_by_name(tmp_path, kind):
    data, reason = BAD[kind]
    (tmp_path / "bad one.jpg").write_bytes(data)
    with pytest.raises(BadImage, match=rf"bad one\.jpg: .*{reason}"):
        read_image(tmp_path / "bad one.jpg")
    with pytest.raises(BadImage, match=rf"^shard\.tar/bad one: .*{reason}"):
        read_image(Encoded(io.BytesIO(data), "shard.tar/bad one"))


@pytest.mark.parametrize("kind", ["gif", "animated png", "16-bit colour", "png bomb", "jpeg bomb", "text"])
def test_headers_tell_what_is_refused(tmp_path, kind):
    (tmp_path / "bad.jpg").write_bytes(BAD[kind][0])
    with pytest.raises(BadImage, match=r"bad\.jpg: "):
        image_size(tmp_path / "bad.jpg")


def test_a_missing_file(tmp_path):
    with pytest.raises(BadImage, match=r"gone\.png: cannot be opened \(No such file"):
        read_image(tmp_path / "gone.png")


def test_no_truncated_jpeg_is_accepted():
    """Wherever it is cut: libjpeg only warns about that, and pads."""
    for settings in ({}, {"progressive": True}, {"restart_marker_rows": 1}):
        whole = encoded(Image.fromarray(smooth(24, 32)), format="JPEG", **settings)
        read_image(Encoded(io.BytesIO(whole), "whole"))
        for length in range(0, len(whole), 7):
            with pytest.raises(BadImage):
                read_image(Encoded(io.BytesIO(whole[:length]), "cut"))


def test_damaged_jpegs_are_pillows_to_judge():
    generator = np.random.default_rng(0)
    whole = encoded(Image.fromarray(smooth(24, 32)), format="JPEG")
    judged = {True: 0, False: 0}
    for _ in range(200):
        damaged = bytearray(whole)
        damaged[generator.integers(200, len(whole))] ^= 1 << int(generator.integers(8))
        try:
            with Image.open(io.BytesIO(damaged), formats=["JPEG"]) as opened:
                expected = np.array(opened.convert("RGB"))
        except Exception:
            expected = None
        try:
            found = pixels(Encoded(io.BytesIO(damaged), "damaged"))
        except BadImage:
            found = None
        assert (found is None) == (expected is None)
        assert expected is None or np.array_equal(found, expected)
        judged[expected is None] += 1
    assert min(judged.values()) > 10


def test_a_jpeg_of_several_pictures_is_its_first(tmp_path):
    first, *rest = [Image.fromarray(smooth(16 + n, 16)) for n in range(3)]
    first.save(tmp_path / "many.jpg", format="MPO", save_all=True, append_images=rest)
    assert np.array_equal(pixels(tmp_path / "many.jpg"), np.array(Image.open(tmp_path / "many.jpg").convert("RGB")))
    assert image_size(tmp_path / "many.jpg") == (16, 16)


def test_a_colour_profile_changes_nothing(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.fromarray(smooth(16, 16)).save(tmp_path / "with.png", icc_profile=profile)
    assert np.array_equal(pixels(tmp_path / "with.png"), smooth(16, 16))


# ---- shrunk


@pytest.mark.parametrize(
    ("size", "resize", "expected"),
    [
        ((90, 60), 30, (45, 30)),
        ((60, 91), 30, (30, 46)),
        ((90, 60), 60, (90, 60)),
        ((90, 60), 100, (90, 60)),
        ((90, 60), None, (90, 60)),
        ((20, 9000), 1, (1, 450)),
    ],
)
def test_the_shorter_side_is_shrunk_and_never_enlarged(size, resize, expected):
    assert fit(size, resize) == expected


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("resize", [20, 60, 150, 400])
def test_shrinking_is_antialiased(tmp_path, suffix, resize):
    """Within a few grey levels of Lanczos over all pixels, also where a JPEG is decoded small."""
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(smooth(300, 420)).save(path, **({"quality": 95} if suffix == "jpg" else {}))
    whole = Image.open(path).convert("RGB")
    found = pixels(path, resize=resize)
    assert found.shape == (*image_size(path, resize), 3) and min(found.shape[:2]) == min(resize, 300)
    expected = whole.resize(found.shape[1::-1], Image.Resampling.LANCZOS) if resize < 300 else whole
    assert np.abs(found.astype(int) - np.array(expected)).mean() < (2 if resize == 20 else 0.6)
    with open_image(path) as opened:
        decode(opened, "RGB", resize)
        assert (opened.size != (420, 300)) == (suffix == "jpg" and resize == 20)
    stripes = np.repeat(np.arange(420)[None, :, None] % 2 * 255, 300, axis=0).repeat(3, axis=2).astype(np.uint8)
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    if resize == 60:
        assert np.abs(pixels(tmp_path / "stripes.png", resize=resize)[:, 2:-2].astype(int) - 127.5).max() < 3


@pytest.mark.parametrize(
    "settings", [{}, {"compression": "tiff_lzw"}, {"resize": 20}], ids=["plain", "packed", "resize"]
)
def test_a_tiff_is_read_as_pillow_reads_it(tmp_path, settings):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 51, 3), dtype=np.uint8)
    resize = settings.pop("resize", None)
    Image.fromarray(pixels).save(tmp_path / "a.tif", **settings)
    expected = Image.fromarray(pixels)
    if resize is not None:
        expected = expected.resize((26, 20), Image.Resampling.LANCZOS, reducing_gap=reading.GAP)
    assert np.array_equal(read_image(tmp_path / "a.tif", resize).permute(1, 2, 0).numpy(), np.array(expected))
    (tmp_path / "a.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:-1000])
    with pytest.raises(BadImage):
        read_image(tmp_path / "a.tif")


def test_largest_is_below_where_pillow_warns():
    assert LARGEST < Image.MAX_IMAGE_PIXELS


def test_scans_are_counted_only_where_there_may_be_several(tmp_path, monkeypatch):
    """Which takes a tenth of the time of reading a common JPEG."""
    counted = []
    monkeypatch.setattr(reading, "_scans", lambda stream: counted.append(stream) or 1)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8))
    for name, colours, settings in (("a", "RGB", {}), ("b", "L", {}), ("c", "CMYK", {"subsampling": 0})):
        picture.convert(colours).save(tmp_path / f"{name}.jpg", **settings)
        read_image(tmp_path / f"{name}.jpg")
    assert not counted
    picture.save(tmp_path / "d.jpg", progressive=True)
    read_image(tmp_path / "d.jpg")
    assert len(counted) == 1
    data = (tmp_path / "a.jpg").read_bytes()
    scan = data.index(b"\xff\xda")  # one of its three channels alone, as in a file of three scans
    (tmp_path / "e.jpg").write_bytes(data[:scan] + bytes.fromhex("ffda0008010100003f00") + data[scan + 14 :])
    with contextlib.suppress(BadImage):
        read_image(tmp_path / "e.jpg")
    assert len(counted) == 2


def test_a_jpeg_with_more_scans_than_anybody_writes_is_broken(tmp_path):
    Image.fromarray(smooth(64, 64)).save(tmp_path / "a.jpg", progressive=True)
    sound = (tmp_path / "a.jpg").read_bytes()
    assert read_image(tmp_path / "a.jpg").shape == (3, 64, 64) and 5 < sound.count(b"\xff\xda") < 20
    last = sound.rindex(b"\xff\xda")
    (tmp_path / "b.jpg").write_bytes(sound[:last] + sound[last:-2] * 200 + sound[-2:])
    with pytest.raises(BadImage, match=r"b\.jpg: broken picture \(2\d\d scans, more than 100\)"):
        read_image(tmp_path / "b.jpg")
