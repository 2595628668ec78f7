"""What a run, an evaluation or a study names or links to lies in its own folder; a page that is passed on has no more.

Frozen sets, lists and tables of pictures have theirs beside the other names that lead out of a folder.
"""

import json
import shutil
from pathlib import Path

import pytest

from inpaint.compare import compare, write_html
from inpaint.compare.runs import read
from inpaint.files.folder import inside
from inpaint.settings import Refused
from inpaint.study.report import write
from inpaint.study.trials import load
from inpaint.study.votes import Vote, Votes
from tests.compare.folders import add_curves, add_pictures, add_records, add_validation, make_evaluation, make_run
from tests.study.conftest import built  # noqa: F401

SECRET = b"\x89PNG\r\n\x1a\n, but not yours"


@pytest.fixture
def places(tmp_path):
    """A run of one's own, one that somebody sent, and pictures that belong to neither."""
    for name in ("mine", "sent"):
        folder = make_run(tmp_path / "runs" / name, 20.0)
        add_pictures(folder, ("input", "truth", "unet"), [0, 1])
        add_validation(folder)
        add_records(folder, {"unet": [20.0] * 9})
        add_curves(folder, 10)
        (folder / "results.json").write_text(json.dumps({"measured": {}}))
    private = tmp_path / "private"
    private.mkdir()
    for index in range(2):
        (private / f"{index:05d}.png").write_bytes(SECRET)
    return tmp_path / "runs" / "sent", private


def left_out(sent: Path) -> str:
    """The line about the run that was sent; nothing of it is in the page, the other run is."""
    report = compare([sent.parent])
    (line,) = report.left_out
    write_html(report, sent.parents[1] / "page.html")
    page = (sent.parents[1] / "page.html").read_text()
    assert "iVBOR" in page and "bm90IHlvdXJz" not in page and "aGVsbG8" not in page
    assert [entry.name for block in report.blocks for entry in block.entries if entry.trained] == ["mine"]
    return line


@pytest.mark.parametrize("name", ["../../../private", "{private}", "unet/../../../../private", "out", "\0"])
def test_folders_that_results_name(name, places):
    sent, private = places
    (sent / "pictures" / "out").symlink_to(private, target_is_directory=True)
    folders = {"unet": name.format(private=private)}
    (sent / "results.json").write_text(json.dumps({"measured": {"folders": folders}}))
    assert "leads out of" in left_out(sent)


def test_methods_that_are_called_like_a_path(tmp_path):
    """Where results.json names no folder, a method's pictures are in the folder of its name."""
    folder = make_evaluation(tmp_path / "evaluation", {"../../private": 20.0})
    (tmp_path / "private").mkdir()
    with pytest.raises(Refused, match=r"\.\./\.\./private leads out of"):
        read(folder)


@pytest.mark.parametrize("kind", ["input", "truth", "unet"])
def test_pictures_that_are_links(kind, places):
    sent, private = places
    picture = sent / "pictures" / kind / "00001.png"
    picture.unlink()
    picture.symlink_to(private / "00001.png")
    assert f"pictures/{kind}/00001.png leads out of" in left_out(sent)


def test_a_folder_of_pictures_that_is_a_link(places):
    sent, private = places
    shutil.rmtree(sent / "pictures" / "input")
    (sent / "pictures" / "input").symlink_to(private, target_is_directory=True)
    assert "input leads out of" in left_out(sent)


@pytest.mark.parametrize(
    "file",
    ["config.yaml", "summary.json", "results.csv", "results.json", "records.csv", "validation.csv", "metrics.csv"],
)
def test_other_files_that_are_links(file, places):
    """A config would put somebody's settings, tokens among them, side by side with the others'."""
    sent, private = places
    (sent / file).rename(private / file)
    (sent / file).symlink_to(private / file)
    assert f"{file} leads out of" in left_out(sent)


def test_links_within_a_run_and_to_a_run_are_none_of_that(places):
    sent, private = places
    (sent / "pictures" / "unet" / "00001.png").unlink()
    (sent / "pictures" / "unet" / "00001.png").symlink_to("00000.png")
    shutil.move(sent, private / "run")
    sent.symlink_to(private / "run", target_is_directory=True)
    assert not compare([sent]).left_out


def test_reports_of_a_study_that_are_links(places, tmp_path):
    sent, private = places
    (private / "report.json").write_text("{}")
    study = tmp_path / "study"
    study.mkdir()
    (study / "report.json").symlink_to(private / "report.json")
    with pytest.raises(Refused, match=r"--study: .*leads out of"):
        compare([sent], study=study)


@pytest.mark.parametrize("name", ["", ".", "a", "a/b", "a/../b"])
def test_what_is_inside(name, tmp_path):
    assert inside(tmp_path, name) == tmp_path / name


def test_circles_and_names_that_no_file_can_have(tmp_path):
    (tmp_path / "link").symlink_to("link")
    for name in ("..", "a/../..", str(tmp_path.parent), "a\0b", f"../{tmp_path.name}x"):
        with pytest.raises(Refused, match="leads out of"):
            inside(tmp_path, name)


# ---- studies --------------------------------------------------------------------------------------------------------


@pytest.fixture
def study(built, tmp_path):  # noqa: F811
    return Path(shutil.copytree(built, tmp_path / "study"))


@pytest.mark.parametrize("target", ["study.json", "/etc/hostname", "images/../study.json"])
def test_pictures_of_a_study_that_are_links(target, study):
    """One to study.json stays in the folder, and names the methods."""
    picture = min((study / "images").iterdir())
    picture.unlink()
    picture.symlink_to(target if target.startswith("/") else study / target)
    with pytest.raises(Refused, match=rf"links.*{picture.name}"):
        load(study)


def test_a_folder_of_a_study_that_is_a_link(study, tmp_path):
    (study / "images").rename(tmp_path / "elsewhere")
    (study / "images").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(Refused, match="links"):
        load(study)


@pytest.mark.parametrize("name", ["votes.sqlite", "votes.sqlite-wal"])
def test_votes_that_are_a_link(name, study, tmp_path):
    """Opening a database makes tables in it."""
    (tmp_path / "cookies.sqlite").write_bytes(b"")
    (study / name).symlink_to(tmp_path / "cookies.sqlite")
    with pytest.raises(Refused, match=f"{name}: a link"):
        Votes(study / "votes.sqlite", load(study).digest)
    assert (tmp_path / "cookies.sqlite").read_bytes() == b""


@pytest.mark.parametrize("name", ["report.json", "report.csv", "report.svg"])
def test_a_report_is_not_written_through_a_link(name, study, tmp_path):
    votes = Votes(study / "votes.sqlite", load(study).digest)
    votes.join()
    votes.add(Vote(1, 0, "left", 900))
    votes.close()
    (tmp_path / "yours").write_text("yours")
    (study / name).symlink_to(tmp_path / "yours")
    write(study, 0.2)
    assert (tmp_path / "yours").read_text() == "yours" and not (study / name).is_symlink()
