"""A file is replaced as a whole; what fails leaves the old one and no debris."""

import pytest

from inpaint.writing import write_whole


def test_the_new_text_replaces_the_old(tmp_path):
    file = tmp_path / "a.json"
    for text in ("eins\n", "zwei ä\n"):
        write_whole(file, text)
        assert file.read_bytes().decode() == text
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_reader_of_the_old_file_reads_it_to_its_end(tmp_path):
    file = tmp_path / "a.json"
    write_whole(file, "old")
    with file.open() as reading:
        write_whole(file, "new")
        assert reading.read() == "old"


@pytest.mark.parametrize("fails", ["write_text", "replace"])
def test_what_fails_leaves_the_old_file_and_no_debris(tmp_path, monkeypatch, fails):
    file = tmp_path / "a.json"
    write_whole(file, "old")
    whole = type(file).write_text

    def full(path, text, **settings):
        if fails == "write_text":
            whole(path, text[:1], **settings)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(file), fails, full)
    with pytest.raises(OSError, match="No space") as raised:
        write_whole(file, "new")
    assert raised.value.filename == str(file)
    monkeypatch.undo()
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
