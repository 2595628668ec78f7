"""The table of a folder of results: what may stand in its place, and in that of results."""

import os

import pytest

from inpaint.pictures.names import PREDICTIONS
from inpaint.predict.jobs import COLUMNS, Job, Records
from inpaint.settings import Refused


def job(folder):
    return Job(folder / "a.png", None, (folder / "out" / "a.png",), "a")


@pytest.mark.parametrize("what", ["a pipe", "a folder"])
def test_what_is_no_file_is_neither_read_nor_written(tmp_path, what):
    (os.mkfifo if what == "a pipe" else os.mkdir)(tmp_path / PREDICTIONS)
    with pytest.raises(Refused, match=r"^output: .*predictions\.csv is no file"):
        Records(tmp_path, [])


@pytest.mark.parametrize("text", ["name,score\na,1\n", "output\na\n", "=1,2\n", "hello"])
def test_a_table_of_somebody_elses_is_left_as_it_is(tmp_path, text):
    (tmp_path / PREDICTIONS).write_text(text)
    with pytest.raises(Refused, match=r"predictions\.csv is the table of something else"):
        Records(tmp_path, [])
    assert (tmp_path / PREDICTIONS).read_text() == text


def test_ones_own_is_gone_on_with(tmp_path):
    Records(tmp_path, []).append([["a.png"] * len(COLUMNS)])
    assert Records(tmp_path, []).lines["a.png"]["picture"] == "a.png"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_with_the_name_of_a_result_is_never_replaced(tmp_path, overwrite):
    (tmp_path / "out" / "a.png").mkdir(parents=True)
    with pytest.raises(Refused, match=r"1 folders have the names of results: .*a\.png"):
        Records(tmp_path / "out", []).refuse_others([job(tmp_path)], overwrite)


def test_a_file_of_somebody_elses_is_replaced_only_when_told(tmp_path):
    records = Records(tmp_path / "out", [])
    (tmp_path / "out" / "a.png").write_bytes(b"theirs")
    with pytest.raises(Refused, match="overwrite=true"):
        records.refuse_others([job(tmp_path)], False)
    records.refuse_others([job(tmp_path)], True)
