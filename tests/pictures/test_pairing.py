"""Folders of pictures: found in order, paired by name, and links that leave them refused."""

import logging
import unicodedata

import pytest

from inpaint.pictures.pairing import (
    Problem,
    find_images,
    find_results,
    grouped,
    match_masks,
    pair_masks,
    refusal,
    unmatched,
)


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_find_images_is_recursive_sorted_and_leaves_hidden_files_out(tmp_path):
    touch(tmp_path, "b.png", "a/c.JPG", "a/d.webp", ".hidden/e.png", "a/.f.png", "notes.txt")
    names = [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path, "data.root")]
    assert names == ["a/c.JPG", "a/d.webp", "b.png"]


def test_thumbnails_of_network_drives_and_systems_are_left_alone(tmp_path, caplog):
    litter = (
        "@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg",
        "._a.jpg",
        "Thumbs.db",
        ".DS_Store",
        "__MACOSX/._a.jpg",
        "#recycle/b.jpg",
    )
    touch(tmp_path, "a.jpg", *litter)
    assert [path.name for path in find_images(tmp_path, "data.root")] == ["a.jpg"]
    assert not caplog.records


def test_every_suffix_of_a_type_that_is_read_and_others_are_counted_in_a_line(tmp_path, caplog):
    read = ["1.jfif", "2.jpe", "3.TIF", "4.tiff", "5.bmp", "6.jpeg"]
    touch(tmp_path, *read, "a.gif", "b/c.GIF", "d.heic", "notes.txt")
    with caplog.at_level(logging.WARNING):
        assert [path.name for path in find_images(tmp_path, "images")] == read
    assert caplog.messages == ["images: left out, of other types than jpg, png, webp, tif, bmp: 2 .gif, 1 .heic"]
    for name in read:
        (tmp_path / name).unlink()
    with pytest.raises(ValueError, match=r"images: no images .*; there are 2 \.gif, 1 \.heic, which are not read"):
        find_images(tmp_path, "images")


def test_no_images_and_no_folder(tmp_path):
    with pytest.raises(ValueError, match=r"data\.root: no images"):
        find_images(tmp_path, "data.root")
    with pytest.raises(ValueError, match=r"data\.root: .*is not a folder"):
        find_images(tmp_path / "missing", "data.root")


def test_links_inside_are_followed_once_and_links_that_leave_are_refused(tmp_path):
    root = tmp_path / "root"
    touch(root, "a/one.png")
    touch(tmp_path, "secret/two.png")
    (root / "again.png").symlink_to("a/one.png")
    (root / "folder").symlink_to("a")
    assert [path.name for path in find_images(root, "data.root")] == ["one.png", "again.png"]
    (root / "file.png").symlink_to(tmp_path / "secret" / "two.png")
    (root / "outside").symlink_to(tmp_path / "secret")
    (root / "nowhere.png").symlink_to("missing.png")
    (root / "circle.png").symlink_to("circle.png")
    with pytest.raises(ValueError, match=r"data\.root: 4 links .*circle\.png, .*file\.png, .*nowhere\.png, .*outside;"):
        find_images(root, "data.root")


# ---- masks


def paired(root, masks):
    """Names of masks by the names of the results."""
    pairs = pair_masks(find_images(root, "x"), root, masks, "holes")
    return {pair.file.as_posix(): pair.mask.relative_to(masks).as_posix() for pair in pairs}


@pytest.mark.parametrize(("photos", "masks"), [("photos", "masks"), ("photos", "photos"), ("photos", "photos/masks")])
def test_masks_belong_to_pictures_of_their_name(tmp_path, photos, masks):
    root, mask_root = tmp_path / photos, tmp_path / masks
    touch(root, "a.jpg", "b/c.d.png", "e.webp")
    ending = "_mask" if photos == masks else ""
    touch(mask_root, f"a{ending}.png", f"b/c.d{ending}.png", "e_mask.png")
    named = paired(root, mask_root)
    assert named == {"a.jpg": f"a{ending}.png", "b/c.d.png": f"b/c.d{ending}.png", "e.webp": "e_mask.png"}


def test_pictures_without_a_mask_are_counted_and_named(tmp_path):
    touch(tmp_path / "p", *(f"{n}.jpg" for n in range(9)))
    touch(tmp_path / "m", "8.png", "x.png")
    with pytest.raises(ValueError, match=r"data\.masks_root: 8 of 9 pictures .*: 0, 1, 2, 3, 4, \.\.\.$"):
        pair_masks(find_images(tmp_path / "p", "x"), tmp_path / "p", tmp_path / "m", "data.masks_root")
    touch(tmp_path / "m", "x.webp")
    with pytest.raises(ValueError, match=r"x\.png and .*x\.webp are both called x"):
        pair_masks(find_images(tmp_path / "p", "x"), tmp_path / "p", tmp_path / "m", "data.masks_root")


def test_a_name_is_the_same_however_its_accents_are_spelt(tmp_path):
    """A Mac writes them decomposed (NFD), others composed (NFC)."""
    composed, decomposed = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))
    assert composed != decomposed
    touch(tmp_path, f"p/{decomposed}.jpg", f"m/{composed}.png", f"r/{composed}.png")
    assert paired(tmp_path / "p", tmp_path / "m") == {f"{decomposed}.jpg": f"{composed}.png"}
    files, _ = find_results(tmp_path / "r", "results.lama")
    (pair,), _ = match_masks(find_images(tmp_path / "p", "x"), tmp_path / "p", tmp_path / "m", "holes")
    assert unmatched(files, [pair.name], "lama") == []
    touch(tmp_path, f"r/{decomposed}.png")
    with pytest.raises(ValueError, match="are both called"):
        find_results(tmp_path / "r", "results.lama")


@pytest.mark.parametrize("masks", ["p", "m"])
def test_the_masks_of_lamas_evaluation_sets(tmp_path, masks):
    """One mask has any number; several make as many results, which are called like them."""
    touch(tmp_path, "p/s/one.png", "p/two.png", f"{masks}/s/one_mask001.png")
    touch(tmp_path, f"{masks}/two_mask000.png", f"{masks}/two_mask001.png")
    assert paired(tmp_path / "p", tmp_path / masks) == {
        "s/one.png": "s/one_mask001.png",
        "two_mask000.png": "two_mask000.png",
        "two_mask001.png": "two_mask001.png",
    }


def test_a_photograph_may_be_called_like_a_mask(tmp_path):
    touch(tmp_path, "p/carnival_mask.png", "p/a.png", "m/carnival_mask.png", "m/a_mask.png")
    both = {"a.png": "a_mask.png", "carnival_mask.png": "carnival_mask.png"}
    assert paired(tmp_path / "p", tmp_path / "m") == both
    touch(tmp_path, "p/a_mask.png")
    with pytest.raises(ValueError, match=r"holes: 1 of 2 pictures have no mask of their name in .*: carnival_mask$"):
        paired(tmp_path / "p", tmp_path / "p")
    touch(tmp_path, "p/carnival_mask_mask.png")
    assert paired(tmp_path / "p", tmp_path / "p") == {**both, "carnival_mask.png": "carnival_mask_mask.png"}


def test_no_mask_wins_over_another_in_silence(tmp_path):
    touch(tmp_path, "p/a.jpg", "m/a.png", "m/a_mask.png")
    with pytest.raises(ValueError, match=r"holes: .*a\.png and .*a_mask\.png are both masks of a; remove one"):
        paired(tmp_path / "p", tmp_path / "m")


# ---- what does not fit


def test_what_a_prediction_wrote_beside_its_results_is_none(tmp_path, caplog):
    touch(
        tmp_path, "a.png", "raw/b.png", "figures/pictures/a.png", "holes/a.png", "raw/raw/b.png", "side_by_side/c.png"
    )
    touch(tmp_path, "c_1.png", "c_2.png")
    listed = ["a.png", "holes/a.png", "raw/b.png", "raw/raw/b.png", "c_1.png", "c_2.png", "side_by_side/c.png"]
    everything = {*find_results(tmp_path, "results.lama")[0]}
    (tmp_path / "predictions.csv").write_text("\n".join(["output,picture", *(f"{name},x" for name in listed)]))
    files, _ = find_results(tmp_path, "results.lama")
    assert {*files} == {"a", "raw/b", "c_1", "c_2"} and len(everything) == 8
    assert "figures/pictures/a, holes/a, raw/raw/b, side_by_side/c" in caplog.text
    for text in ("output\n", "picture,mask\na.png,b.png\n", "\0", ""):
        (tmp_path / "predictions.csv").write_text(text)
        assert {*find_results(tmp_path, "results.lama")[0]} == everything  # somebody else's table


def test_results_and_what_is_not_one_of_them(tmp_path, caplog):
    touch(tmp_path, "b/two.png", "one.webp", "b/three.gif", ".hidden/x.txt", ".DS_Store")
    touch(tmp_path, "notes.txt", "b/settings.TXT", "log.json", "README")
    (tmp_path / "again").symlink_to("b")
    files, others = find_results(tmp_path, "results.lama")
    assert {name: path.relative_to(tmp_path).as_posix() for name, path in files.items()} == {
        "b/two": "b/two.png",
        "one": "one.webp",
    }
    assert [(problem.setting, problem.name) for problem in others] == [("results.lama", "three.gif")]
    said = [message for message in caplog.messages if "no pictures" in message]
    assert said == ["results.lama: left alone, as they are no pictures: 1 README, 1 .json, 2 .txt"]


def test_what_is_missing_and_what_is_too_much():
    assert unmatched({"a": 1, "z": 1}, ["a", "b"], "lama") == [
        Problem("lama", "missing", "b"),
        Problem("lama", "extra, no picture is called so", "z"),
    ]
    assert unmatched(["a", "b"], ["b", "a"], "lama") == []


def test_problems_are_grouped_counted_and_named():
    problems = [Problem("lama", "missing", str(number)) for number in range(7)]
    problems += [Problem("masks", "unusable", "a", "a.png: grey"), Problem("masks", "unusable", "b", "b.png: torn")]
    assert grouped(problems) == [
        "lama: 7 missing: 0, 1, 2, 3, 4, ...",
        "masks: 2 unusable: a, b (a.png: grey)",
    ]
    assert str(refusal(problems[-1:], "missing: skip")) == "masks: 1 unusable: b (b.png: torn)\nmissing: skip"
