"""Lists of pictures as collections come with them, and what is said of lines that name none."""

import pytest

from inpaint.data.lists import read_list

PICTURES = ["a/airfield/00000001.jpg", "train/cat/1.png", "#beach.png", "two words 7.jpg", "caf\u00e9.png"]


def read(tmp_path, *lines):
    (tmp_path / "list.txt").write_text("\n".join(lines), encoding="utf-8")
    return read_list(tmp_path / "list.txt", PICTURES, tmp_path / "root", "data.train")


@pytest.mark.parametrize(
    ("line", "picture"),
    {
        "/a/airfield/00000001.jpg 0": "a/airfield/00000001.jpg",  # Places
        "train/cat/1.png -1": "train/cat/1.png",  # CelebA
        r"train\cat\1.png": "train/cat/1.png",
        "./train/cat/1.png": "train/cat/1.png",
        "#beach.png": "#beach.png",
        "two words 7.jpg": "two words 7.jpg",
        "cafe\u0301.png\t3": "caf\u00e9.png",
    }.items(),
)
def test_lines_of_the_field(tmp_path, line, picture):
    assert read(tmp_path, "# a comment", "", line) == [picture]


def test_absolute_lines_inside_the_folder_and_through_a_link_to_it(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "root").symlink_to("real")
    lines = [f"{tmp_path / name}/{picture}" for name, picture in zip(("root", "real"), PICTURES, strict=False)]
    assert read(tmp_path, *lines) == PICTURES[:2]


def test_every_wrong_line_is_counted(tmp_path):
    lines = ["../a.png", "/etc/b.png", r"C:\b.png", "train/../train/cat/1.png", "gone.png 0", "train"]
    with pytest.raises(ValueError, match=r"data\.train: of 8 lines in .*list\.txt.*: "
                       r"4 lead out of the folder \(\.\./a\.png, /etc/b\.png, C:\\b\.png, train/\.\./train/cat/1.*\); "
                       r"2 name no picture there \(gone\.png 0, train\); "
                       r"1 stand there twice \(train/cat/1\.png\)$"):  # fmt: skip
        read(tmp_path, *lines, "train/cat/1.png", "/train/cat/1.png 5")
