"""A frozen set: what is written is read back by key, and nothing else passes."""

import csv
import hashlib
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from inpaint import rng
from inpaint.masks import Files
from inpaint.masks.frozen import COLUMNS, Crop, digest, write_frozen

SIZE = (12, 20)


def crops(count=6):
    """Crops with keys in no order."""
    generator = np.random.default_rng(0)
    for index in range(count):
        mask = torch.from_numpy(generator.random((1, *SIZE)) < 0.1 * (index + 2))
        image = torch.from_numpy(generator.integers(0, 256, (3, *SIZE), dtype=np.uint8))
        area = mask.float().mean().item()
        yield Crop(index, f'a, "b"/ä {index}.png', area, rng.key("test", index), image, mask.byte() * 255)


@pytest.fixture
def frozen(tmp_path):
    assert write_frozen(tmp_path / "set", crops(), images=True) == 6
    return tmp_path / "set"


def lines(folder):
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def rewrite(folder, change):
    """The manifest with its lines changed in place."""
    rows = lines(folder)
    change(rows)
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        manifest = csv.DictWriter(file, COLUMNS)
        manifest.writeheader()
        manifest.writerows(rows)


def test_every_key_gets_its_mask_whatever_the_batch(frozen):
    kind, given = Files(str(frozen)), list(crops())
    for order in ([0, 1, 2, 3, 4, 5], [5, 2], [3, 3, 0]):
        mask = kind(torch.tensor([given[index].key for index in order]), SIZE)
        assert mask.dtype == torch.float32
        assert torch.equal(mask * 255, torch.stack([given[index].mask for index in order]).float())


def test_other_photographs_are_refused(frozen):
    """Keys tell rows, so another collection of as many crops would get the same masks."""
    kind = Files(str(frozen)).frozen
    kind.check_number(6)
    with pytest.raises(
        ValueError, match=r"masks\.root: .* made of other photographs or crops: it has 6, the data 5; give"
    ):
        kind.check_number(5)
    keys, images = torch.tensor([crop.key for crop in crops()]), torch.stack([crop.image for crop in crops()])
    kind.check(keys[2:4], images[2:4])
    images[2] = 255 - images[2]
    with pytest.raises(ValueError, match=r"made of other photographs or crops: 1 of 3 that were compared differ"):
        kind.check(keys[:3], images[:3])


def test_any_tool_can_read_it(frozen):
    for line, crop in zip(lines(frozen), crops(), strict=True):
        image, mask = (Image.open(frozen / line[name]) for name in ("image", "mask"))
        assert image.mode == "RGB" and mask.mode == "L" and image.size == mask.size == (20, 12)
        assert np.array_equal(np.array(image), crop.image.permute(1, 2, 0)) and np.array_equal(mask, crop.mask[0])
        assert line["image_sha256"] == hashlib.sha256(np.array(image).tobytes()).hexdigest()
        assert line["mask_sha256"] == hashlib.sha256(np.array(mask).tobytes()).hexdigest()
        assert line["photograph"] == crop.photograph and int(line["mask_key"]) == crop.key
        assert float(line["hole_area"]) == (np.array(mask) == 255).mean(dtype=np.float32)
        assert (line["height"], line["width"]) == ("12", "20")


def test_without_images(tmp_path):
    write_frozen(tmp_path, crops())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.csv", "masks"]
    assert lines(tmp_path)[0]["image"] == "" and len(Files(str(tmp_path)).pool) == 6


def test_it_may_move_and_its_masks_may_serve_as_any(frozen, tmp_path):
    shutil.move(frozen, tmp_path / "other")
    assert len(Files(str(tmp_path / "other")).pool) == 6
    drawn = Files(str(tmp_path / "other" / "masks"), "white", flip=True)
    assert drawn(torch.arange(9), (30, 30)).shape == (9, 1, 30, 30)


@pytest.mark.parametrize("content", ["file", "full"])
def test_nothing_is_written_over(tmp_path, content):
    folder = tmp_path / "set"
    if content == "file":
        folder.write_text("")
    else:
        folder.mkdir()
        (folder / "something").write_text("")
    with pytest.raises(ValueError, match=r"^freeze: .*set exists and is not an empty folder"):
        write_frozen(folder, crops())


def test_other_keys_and_sizes_are_refused_with_what_to_do(frozen):
    kind, own = Files(str(frozen)), torch.tensor([crop.key for crop in crops()])
    foreign = torch.tensor([own[0], own[1] + 1, -(2**63), 2**63 - 1])
    with pytest.raises(ValueError, match=r"^masks\.root: .*no mask for 3 of 4 samples; .*same crops\. .*/masks"):
        kind(foreign, SIZE)
    with pytest.raises(ValueError, match=r"^masks\.root: .* have 20 x 12 pixels, the pictures 12 x 20; .*same crops"):
        kind(own, (20, 12))


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"polarity": "black"}, "polarity"),
        ({"threshold": 128}, "threshold"),
        ({"flip": True}, "flip"),
        ({"rotate": (0, 10)}, "rotate"),
        ({"scale": (1, 2)}, "scale"),
        ({"dilate": (0, 0.1)}, "dilate"),
        ({"area": (0, 0.5)}, "area"),
    ],
)
def test_settings_that_would_change_the_masks_are_refused(frozen, settings, key):
    with pytest.raises(ValueError, match=rf"^masks\.{key}: .*is a frozen set.* leave {key} at the default"):
        Files(str(frozen), **settings)


def tampered(folder):
    mask = np.array(Image.open(folder / "masks" / "000003.png"))
    mask[0, 0] ^= 255
    Image.fromarray(mask).save(folder / "masks" / "000003.png")


def larger(folder):
    Image.fromarray(np.zeros((24, 10), np.uint8)).save(folder / "masks" / "000003.png")


def gone(folder):
    (folder / "masks" / "000003.png").unlink()


def no_manifest(folder):
    (folder / "manifest.csv").write_text("name,size\na,1\n")


def cut(folder):
    whole = (folder / "manifest.csv").read_text()
    (folder / "manifest.csv").write_text(whole[: len(whole) // 2])


def empty(folder):
    rewrite(folder, lambda rows: rows.clear())


def two_sizes(folder):
    rewrite(folder, lambda rows: rows[2].update(width=21))


def twice(folder):
    rewrite(folder, lambda rows: rows[2].update(mask_key=rows[4]["mask_key"]))


def no_number(folder):
    rewrite(folder, lambda rows: rows[2].update(mask_key="x"))


def huge(folder):
    rewrite(folder, lambda rows: rows[2].update(mask_key=2**70))


def outside(folder):
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(folder.parent / "mask.png")
    rewrite(folder, lambda rows: rows[2].update(mask="../mask.png"))


NO_MANIFEST = "manifest.csv is not the manifest of a frozen set"
BAD = {
    tampered: "000003.png is not the mask that was frozen",
    larger: "000003.png is not the mask that was frozen",
    gone: "000003.png: cannot be opened",
    no_manifest: NO_MANIFEST,
    cut: NO_MANIFEST,
    no_number: NO_MANIFEST,
    huge: NO_MANIFEST,
    empty: "manifest.csv names crops of 0 sizes",
    two_sizes: "manifest.csv names crops of 2 sizes",
    twice: "manifest.csv names the same mask_key twice",
    outside: "mask.png leads out of",
}


@pytest.mark.parametrize("damage", BAD, ids=lambda damage: damage.__name__)
def test_what_was_changed_is_refused(frozen, damage):
    damage(frozen)
    with pytest.raises(ValueError, match=rf"^masks\.root: .*{BAD[damage]}"):
        Files(str(frozen))


def test_digests_are_of_the_bytes_as_shown():
    pixels = torch.arange(24, dtype=torch.uint8).view(3, 2, 4)
    by_hand = bytes(pixels[channel, row, column] for row in range(2) for column in range(4) for channel in range(3))
    assert digest(pixels) == hashlib.sha256(by_hand).hexdigest()
