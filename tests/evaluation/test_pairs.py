"""Folders paired by name: what fits is read, what does not is named, and nothing is measured before."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inpaint.batch import to_uint8
from inpaint.evaluation.measuring import evaluate
from inpaint.evaluation.pairs import Pairs, find_pairs, frozen_pairs
from inpaint.masks.frozen import Crop, digest, write_frozen
from inpaint.pictures.mask_files import MaskReader, Polarity
from tests.conftest import smooth_picture

NAMES = ("a", "deep/b", "deep/c", "d", "e")


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Images of two sizes and three kinds, their masks, and results of two tools."""
    for number, name in enumerate(NAMES):
        picture = smooth_picture(number, 40, 50 if name != "d" else 60)
        hole = np.zeros(picture.shape[:2], np.uint8)
        hole[5 : 15 + number, 8:20] = 255
        for folder in ("images", "holes", "lama", "mine"):
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
        kind = (".png", ".jpg", ".webp")[number % 3]
        Image.fromarray(picture).save(tmp_path / "images" / f"{name}{kind}", quality=95)
        Image.fromarray(hole).save(tmp_path / "holes" / f"{name}{'_mask' if name == 'd' else ''}.png")
        for tool, shift in (("lama", 5), ("mine", 9)):
            painted = np.where(hole[..., None] > 0, picture // 2 + shift, picture)
            Image.fromarray(painted.astype(np.uint8)).save(tmp_path / tool / f"{name}.png")
    return tmp_path


def pair(folders: Path, tools: tuple[str, ...] = ("lama", "mine"), **settings: object) -> Pairs:
    pairs, lacking = find_pairs(folders / "images", folders / "holes")
    results = {tool: folders / tool for tool in tools}
    return Pairs(pairs, results, lacking=lacking, **settings)  # type: ignore[arg-type]


def test_pictures_holes_and_results_belong_together(folders: Path) -> None:
    pictures = pair(folders)
    assert [pictures.name(index) for index in range(5)] == ["a", "d", "deep/b", "deep/c", "e"]
    seen = []
    for part in pictures.parts():
        batch = pictures.batch(part, "cpu")
        result = to_uint8(pictures.result("mine", part, "cpu"))
        assert batch["index"].tolist() == part and set(batch["mask"].unique().tolist()) == {0, 1}
        for row, index in enumerate(part):
            name = pictures.name(index)
            hole = np.array(Image.open(folders / "holes" / f"{name}{'_mask' if name == 'd' else ''}.png")) / 255
            assert np.array_equal(batch["mask"][row, 0].numpy(), hole)
            painted = np.array(Image.open(folders / "mine" / f"{name}.png"))
            assert np.array_equal(result[row].permute(1, 2, 0).numpy(), painted)
            seen.append(name)
    assert seen == ["a", "d", "deep/b", "deep/c", "e"]


def test_lamas_evaluation_sets_and_results_called_like_their_masks(folders: Path) -> None:
    (folders / "holes" / "a.png").rename(folders / "holes" / "a_mask001.png")
    shutil.copy(folders / "holes" / "e.png", folders / "holes" / "e_mask000.png")
    (folders / "holes" / "e.png").rename(folders / "holes" / "e_mask001.png")
    for name in ("a_mask001", "e_mask000", "e_mask001"):
        shutil.copy(folders / "lama" / f"{name[0]}.png", folders / "lama" / f"{name}.png")
    for name in ("a", "e"):
        (folders / "lama" / f"{name}.png").unlink()
    pictures = pair(folders, tools=("lama",))
    assert [pictures.name(index) for index in pictures.pairs] == [
        "a",
        "d",
        "deep/b",
        "deep/c",
        "e_mask000",
        "e_mask001",
    ]
    assert [pictures.photograph(index) for index in (0, 4, 5)] == ["a", "e", "e"]
    assert pictures.results["lama"]["a"].name == "a_mask001.png"
    assert pictures.results["lama"]["e_mask000"].name == "e_mask000.png"


def test_parts_hold_pictures_of_one_size(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pair(folders).parts() == [[0], [1], [2, 3, 4]]
    assert pair(folders, batch_size=2).parts() == [[0], [1], [2, 3], [4]]
    monkeypatch.setattr("inpaint.evaluation.pairs.AT_ONCE", 40 * 50 + 1)
    assert pair(folders).parts() == [[0], [1], [2], [3], [4]]


def test_what_was_measured_are_the_files_in_8_bits(folders: Path) -> None:
    pictures = pair(folders)
    crops = evaluate({"lama": None}, pictures, figures=["psnr"]).crops
    assert [crop["photograph"] for crop in crops] == [pictures.name(index) for index in pictures.pairs]
    first, hole = (torch.from_numpy(np.array(Image.open(folders / f / "a.png"))) for f in ("images", "holes"))
    assert crops[0]["image_sha256"] == digest(first.permute(2, 0, 1))
    assert crops[0]["hole_area"] == pytest.approx(10 * 12 / (40 * 50)) and set(hole.unique().tolist()) == {0, 255}
    assert crops[0]["mask_sha256"] == digest(hole[None])


# ---- what does not fit ------------------------------------------------------------------------------------------


def missing(folders: Path) -> None:
    (folders / "lama" / "a.png").unlink()
    (folders / "lama" / "deep" / "b.png").unlink()


def extra(folders: Path) -> None:
    shutil.copy(folders / "lama" / "a.png", folders / "lama" / "z.png")


def resized(folders: Path) -> None:
    Image.open(folders / "lama" / "a.png").resize((25, 20)).save(folders / "lama" / "a.png")


def wrong_type(folders: Path) -> None:
    (folders / "lama" / "deep" / "b.png").rename(folders / "lama" / "deep" / "b.gif")


def no_picture(folders: Path) -> None:
    (folders / "lama" / "a.png").write_text("text")


def truncated(folders: Path) -> None:
    content = (folders / "lama" / "a.png").read_bytes()
    (folders / "lama" / "a.png").write_bytes(content[: len(content) // 2])


def sixteen_bits(folders: Path) -> None:
    Image.fromarray(np.zeros((40, 50), np.uint16)).save(folders / "lama" / "a.png")


def no_mask(folders: Path) -> None:
    (folders / "holes" / "deep" / "c.png").unlink()


def mask_of_another_size(folders: Path) -> None:
    Image.open(folders / "holes" / "a.png").resize((51, 40), Image.Resampling.NEAREST).save(folders / "holes" / "a.png")


def three_levels(folders: Path) -> None:
    mask = np.array(Image.open(folders / "holes" / "a.png"))
    mask[0, :] = 128
    Image.fromarray(mask).save(folders / "holes" / "a.png")


def broken_image(folders: Path) -> None:
    (folders / "images" / "a.png").write_text("text")


# damage, what the line of the refusal says, how many pictures are left
UNFIT = {
    missing: (r"results\.lama: 2 missing: a, deep/b", 3),
    extra: (r"results\.lama: 1 extra, no picture is called so: z", 5),
    resized: (r"results\.lama: 1 of another size: a \(25 x 20 pixels, its picture 50 x 40\)", 4),
    wrong_type: (r"results\.lama: 1 of another type than .*bmp: b\.gif\nresults\.lama: 1 missing: deep/b", 4),
    no_picture: (r"results\.lama: 1 unreadable: a \(.*a\.png: not a readable", 4),
    truncated: (r"results\.lama: 1 unreadable: a \(.*a\.png: broken picture", 4),
    sixteen_bits: (r"results\.lama: 1 unreadable: a \(.*more than 8 bits", 4),
    no_mask: (r"holes: 1 missing: deep/c", 4),
    mask_of_another_size: (r"holes: 1 of another size: a \(51 x 40 pixels, its picture 50 x 40\)", 4),
    three_levels: (r"holes: 1 unusable: a \(.*not a binary mask, it has 3 grey levels .*threshold=auto", 4),
    broken_image: (r"images: 1 unreadable: a \(", 4),
}


@pytest.mark.parametrize("damage", UNFIT, ids=lambda damage: damage.__name__)
def test_what_does_not_fit_is_refused_by_name(damage: Callable[[Path], None], folders: Path) -> None:
    damage(folders)
    with pytest.raises(ValueError, match=rf"^{UNFIT[damage][0]}(.|\n)*missing=skip leaves these out"):
        pair(folders)


@pytest.mark.parametrize("damage", UNFIT, ids=lambda damage: damage.__name__)
def test_or_left_out_for_all_methods_alike(damage: Callable[[Path], None], folders: Path) -> None:
    if damage is no_mask:
        (folders / "lama" / "deep" / "c.png").unlink()  # or it is one more file that is too much
        (folders / "mine" / "deep" / "c.png").unlink()
    damage(folders)
    pictures = pair(folders, skip=True)
    left = UNFIT[damage][1]
    assert len(pictures) == left and pictures.total == 5 and len(pictures.problems) >= 1
    assert sum(len(part) for part in pictures.parts()) == left
    for part in pictures.parts():
        assert len(pictures.result("lama", part, "cpu")) == len(pictures.result("mine", part, "cpu")) == len(part)


def test_many_are_counted_and_a_few_named(folders: Path) -> None:
    for name in NAMES:
        Image.new("RGB", (9, 9)).save(folders / "lama" / f"{name}.png")
    for number in range(8):
        shutil.copy(folders / "mine" / "a.png", folders / "mine" / f"z{number}.png")
    with pytest.raises(ValueError) as refused:
        pair(folders)
    lines = str(refused.value).splitlines()
    assert lines[0].startswith("results.mine: 8 extra, no picture is called so: z0, z1, z2, z3, z4, ...")
    assert lines[1].startswith("results.lama: 5 of another size: a, d, deep/b, deep/c, e (9 x 9 pixels")
    with pytest.raises(ValueError, match="5 of another size"):  # nothing would be left
        pair(folders, skip=True)


def test_white_that_covers_most_is_asked_about(folders: Path) -> None:
    for path in (folders / "holes").rglob("*.png"):
        Image.fromarray(255 - np.array(Image.open(path))).save(path)
    with pytest.raises(ValueError, match=r"^polarity: white covers 9\d% of the masks.*polarity=black"):
        pair(folders, ())
    readers = [MaskReader(polarity=polarity, prefix="") for polarity in ("black", "white")]
    inverted, meant = (pair(folders, (), reader=reader).batch([0], "cpu")["mask"] for reader in readers)
    assert torch.equal(inverted, 1 - meant) and inverted.mean() < 0.1
    with pytest.raises(ValueError, match=r"^polarity: give white or black"):
        MaskReader(polarity="grey", prefix="")


@pytest.mark.parametrize("polarity", [None, "white"])
def test_results_that_are_the_truth_in_every_hole_and_not_around_it_were_made_with_the_other_masks(
    polarity: Polarity | None, folders: Path
) -> None:
    pair(folders, reader=MaskReader(polarity=polarity, prefix=""))
    for path in (folders / "holes").rglob("*.png"):
        Image.fromarray(255 - np.array(Image.open(path))).save(path)
    expected = (
        r"^polarity: every result \(10\) equals the truth where the masks are white and differs from it where they are "
        r"black, so black is the hole here; give polarity=black$"
    )
    with pytest.raises(ValueError, match=expected):
        pair(folders, reader=MaskReader(polarity=polarity, prefix=""))
    assert len(pair(folders, reader=MaskReader(polarity="black", prefix=""))) == 5
    # One result that was painted elsewhere, or is the truth everywhere, leaves it open.
    shutil.copy(folders / "images" / "a.png", folders / "lama" / "a.png")
    assert len(pair(folders, reader=MaskReader(polarity="white", prefix=""))) == 5


def test_masks_without_a_hole_measure_nothing(folders: Path) -> None:
    for path in (folders / "holes").rglob("*.png"):
        Image.fromarray(0 * np.array(Image.open(path))).save(path)
    with pytest.raises(ValueError, match=r"^holes: none of the 5 masks has a hole.*polarity=black where black is"):
        pair(folders)


@pytest.mark.parametrize("place", ["images", "holes", "lama"])
def test_empty_folders_and_links_that_leave(place: str, folders: Path) -> None:
    setting = {"lama": r"results\.lama"}.get(place, place)
    outside = folders / "outside.png"
    Image.new("RGB", (50, 40)).save(outside)
    (folders / place / "link.png").symlink_to(outside)
    with pytest.raises(ValueError, match=rf"^{setting}: 1 links in .* leave it"):
        pair(folders)
    shutil.rmtree(folders / place)
    with pytest.raises(ValueError, match=rf"^{setting}: .*{place} is not a folder"):
        pair(folders)
    (folders / place).mkdir()
    with pytest.raises(ValueError, match=rf"^{setting}: no images"):
        pair(folders)


def test_two_files_of_one_name(folders: Path) -> None:
    for place, setting in (("images", "images"), ("lama", r"results\.lama")):
        shutil.copy(folders / "lama" / "a.png", folders / place / "a.webp")
        with pytest.raises(ValueError, match=rf"^{setting}: .*a\.png and .*a\.webp are both called a"):
            pair(folders)
        (folders / place / "a.webp").unlink()


# ---- a frozen set -----------------------------------------------------------------------------------------------


@pytest.fixture
def frozen(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    crops = []
    for index in range(4):
        image = torch.from_numpy(generator.integers(0, 256, (3, 20, 24), dtype=np.uint8))
        mask = torch.zeros(1, 20, 24, dtype=torch.uint8)
        mask[:, 2 : 6 + index, 3:9] = 255
        crops.append(Crop(index, f"p{index}", mask.float().mean().item() / 255, 1000 - index, image, mask))
    write_frozen(tmp_path / "set", crops, images=True)
    shutil.copytree(tmp_path / "set" / "images", tmp_path / "copies")
    return tmp_path / "set"


def test_a_frozen_set_pairs_by_its_numbers(frozen: Path) -> None:
    pictures = Pairs(frozen_pairs(frozen), {"copies": frozen.parent / "copies"})
    (part,) = pictures.parts()
    batch = pictures.batch(part, "cpu")
    assert batch["index"].tolist() == [0, 1, 2, 3] and pictures.name(2) == "000002"
    assert [pictures.photograph(index) for index in part] == ["p0", "p1", "p2", "p3"]
    assert torch.equal(batch["image"], pictures.result("copies", part, "cpu"))
    assert batch["mask"].sum(dim=(1, 2, 3)).tolist() == [24, 30, 36, 42]


@pytest.mark.parametrize("name", ["images/000002.png", "masks/000001.png"])
def test_a_frozen_set_that_was_changed_is_refused(frozen: Path, name: str) -> None:
    pixels = np.array(Image.open(frozen / name))
    pixels[0, 0] ^= 255
    Image.fromarray(pixels).save(frozen / name)
    with pytest.raises(ValueError, match=rf"^frozen: 1 not as they were frozen: {Path(name).name}"):
        Pairs(frozen_pairs(frozen), {"copies": frozen.parent / "copies"})


def test_a_frozen_set_needs_images_inside_it(frozen: Path) -> None:
    manifest = frozen / "manifest.csv"
    text = manifest.read_text()
    manifest.write_text(text.replace("images/000001.png", "../copies/000001.png"))
    with pytest.raises(ValueError, match=r"^frozen: .*000001\.png leads out of"):
        frozen_pairs(frozen)
    manifest.write_text(text.replace("images/000001.png", ""))
    with pytest.raises(ValueError, match=r"^frozen: .*holds masks only; .*images=true"):
        frozen_pairs(frozen)
    manifest.unlink()
    with pytest.raises(ValueError, match=r"^frozen: .*manifest\.csv is not the manifest"):
        frozen_pairs(frozen)
