"""Nothing is written through a link: whoever made a folder would decide which of the user's files it replaces."""

import pytest
from PIL import Image

from inpaint.folder import only_one, refuse_links, replacing, write_whole
from inpaint.predict.command import plan, run
from inpaint.settings import Refused
from tests.conftest import smooth_picture
from tests.options import compose

PRECIOUS = "the user's own\n"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Pictures, a mask, an output folder, and a file of the user's beside them."""
    monkeypatch.chdir(tmp_path)
    for name in ("images", "images/deep", "out"):
        (tmp_path / name).mkdir()
    for name in ("images/a.png", "images/deep/b.png"):
        Image.fromarray(smooth_picture(0, 16, 16)).save(name)
    Image.new("L", (16, 16), 255).save("mask.png")
    (tmp_path / "precious").write_text(PRECIOUS)
    (tmp_path / "elsewhere").mkdir()
    return tmp_path


PLANTED = {
    "a file": ("out/a.png", "precious"),
    "a file that is not there yet": ("out/a.png", "new"),
    "a file inside": ("out/a.png", "out/other.png"),
    "a folder": ("out/deep", "elsewhere"),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_predict_refuses_before_it_begins(kind, place):
    link, target = PLANTED[kind]
    (place / link).symlink_to(place / target)
    with pytest.raises(Refused, match=r"^output: .* is a link, or behind one that leads out of .*out; remove it"):
        plan(place / "images", place / "mask.png", place / "out")
    assert (place / "precious").read_text() == PRECIOUS and not any((place / "elsewhere").iterdir())


def test_an_output_folder_that_is_a_link_is_the_users_own_choice(place):
    (place / "linked").symlink_to(place / "elsewhere")
    cfg = compose("generator=mean", "images=images", "holes=mask.png", "output=linked", "device=cpu", name="predict")
    run(cfg)
    written = sorted(path.relative_to(place).as_posix() for path in (place / "elsewhere").rglob("*.png"))
    assert written == ["elsewhere/a.png", "elsewhere/deep/b.png"]


def test_what_is_replaced_is_the_link(place):
    """Should one appear while the command is at work."""
    (place / "out" / "x.txt").symlink_to(place / "precious")
    write_whole(place / "out" / "x.txt", "new")
    assert (place / "precious").read_text() == PRECIOUS and (place / "out" / "x.txt").read_text() == "new"
    assert not (place / "out" / "x.txt").is_symlink() and len([*(place / "out").iterdir()]) == 1
    with pytest.raises(ZeroDivisionError), replacing(place / "out" / "x.txt") as scratch:
        scratch.write_text("half")
        raise ZeroDivisionError
    assert (place / "out" / "x.txt").read_text() == "new" and len([*(place / "out").iterdir()]) == 1


@pytest.mark.parametrize("name", ["metrics.csv", "results.md", "checkpoints/update_00000001.ckpt.tmp"])
def test_a_run_folder_with_links_to_files_outside_is_refused(name, place):
    (place / "run" / "checkpoints").mkdir(parents=True)
    (place / "run" / name).symlink_to(place / "precious")
    with pytest.raises(
        Refused, match=r"^hydra\.run\.dir: 1 links in .*run lead out of it and could be written through"
    ):
        refuse_links(place / "run", "hydra.run.dir")
    (place / "run" / name).unlink()
    (place / "run" / "panels").symlink_to(place / "elsewhere")  # as onto a cluster's scratch disk
    (place / "run" / "inside").symlink_to("config.yaml")
    (place / "run" / "wandb").mkdir()
    (place / "run" / "wandb" / "debug-core.log").symlink_to(place / "precious")  # as wandb's client makes
    refuse_links(place / "run", "hydra.run.dir")


def test_a_lock_that_is_a_link_is_none(place):
    """It would be emptied."""
    (place / "out" / "run.lock").symlink_to(place / "precious")
    with pytest.raises(Refused, match=r"run\.lock: a link, which is no lock"), only_one(place / "out" / "run.lock", ""):
        pass
    assert (place / "precious").read_text() == PRECIOUS
