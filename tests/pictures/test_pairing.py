"""Folders of pictures: found in order, paired by name, and links that leave them refused."""

import pytest

from inpaint.pictures.pairing import Problem, find_images, find_results, grouped, pair_masks, refusal, unmatched


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_find_images_is_recursive_sorted_and_leaves_hidden_files_out(tmp_path):
    touch(tmp_path, "b.png", "a/c.JPG", "a/d.webp", ".hidden/e.png", "a/.f.png", "notes.txt")
    names = [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path, "data.root")]
    assert names == ["a/c.JPG", "a/d.webp", "b.png"]


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


@pytest.mark.parametrize(("photos", "masks"), [("photos", "masks"), ("photos", "photos"), ("photos", "photos/masks")])
def test_masks_belong_to_pictures_of_their_name(tmp_path, photos, masks):
    root, mask_root = tmp_path / photos, tmp_path / masks
    touch(root, "a.jpg", "b/c.d.png", "e.webp")
    ending = "_mask" if photos == masks else ""
    touch(mask_root, f"a{ending}.png", f"b/c.d{ending}.png", "e_mask.png")
    pairs = pair_masks(find_images(root, "x"), root, mask_root, "data.masks_root")
    named = {p.relative_to(root).as_posix(): m.relative_to(mask_root).as_posix() for p, m in pairs.items()}
    assert named == {"a.jpg": f"a{ending}.png", "b/c.d.png": f"b/c.d{ending}.png", "e.webp": "e_mask.png"}


def test_pictures_without_a_mask_are_counted_and_named(tmp_path):
    touch(tmp_path / "p", *(f"{n}.jpg" for n in range(9)))
    touch(tmp_path / "m", "8.png", "x.png")
    with pytest.raises(ValueError, match=r"data\.masks_root: 8 of 9 pictures .*: 0, 1, 2, 3, 4, \.\.\.$"):
        pair_masks(find_images(tmp_path / "p", "x"), tmp_path / "p", tmp_path / "m", "data.masks_root")
    touch(tmp_path / "m", "x.webp")
    with pytest.raises(ValueError, match=r"x\.png and .*x\.webp are both called x"):
        pair_masks(find_images(tmp_path / "p", "x"), tmp_path / "p", tmp_path / "m", "data.masks_root")


# ---- what does not fit


def test_results_and_what_is_not_one_of_them(tmp_path):
    touch(tmp_path, "b/two.png", "one.webp", "notes.txt", "b/three.tiff", ".hidden/x.txt", ".DS_Store")
    (tmp_path / "again").symlink_to("b")
    files, others = find_results(tmp_path, "results.lama")
    assert {name: path.relative_to(tmp_path).as_posix() for name, path in files.items()} == {
        "b/two": "b/two.png",
        "one": "one.webp",
    }
    assert [(problem.setting, problem.name) for problem in others] == [
        ("results.lama", "three.tiff"),
        ("results.lama", "notes.txt"),
    ]


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
