"""Nothing is written through a link: whoever made a folder would decide which of the user's files it replaces."""

import pytest
import torch
from PIL import Image

from inpaint import evaluate, preview, train
from inpaint.evaluation.intervals import aggregate
from inpaint.evaluation.measuring import Measured
from inpaint.evaluation.results import write
from inpaint.files.folder import only_one, refuse_links, replacing, write_whole
from inpaint.files.writing import write_table
from inpaint.pictures.mask_files import MaskReader
from inpaint.predict.command import run
from inpaint.predict.jobs import Destination, MaskFiles, plan
from inpaint.probe import command as probe
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
    Image.linear_gradient("L").resize((16, 16)).point(lambda level: 255 * (level > 128)).save("mask.png")
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
        plan(place / "images", MaskFiles(place / "mask.png", reader=MaskReader()), Destination(place / "out"))
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


@pytest.mark.parametrize("name", ["metrics.csv", "results.md", "checkpoints/update_00000001.ckpt.tmp", "pictures"])
def test_a_run_folder_with_links_out_of_it_is_refused(name, place):
    """A folder as well: a data set's 00001.png would be written over, another run's checkpoints thinned out."""
    (place / "run" / "checkpoints").mkdir(parents=True)
    (place / "run" / name).symlink_to(place / ("precious" if "." in name else "elsewhere"))
    with pytest.raises(
        Refused, match=r"^hydra\.run\.dir: 1 links in .*run lead out of it and could be written through"
    ):
        refuse_links(place / "run", "hydra.run.dir")
    (place / "run" / name).unlink()
    (place / "run" / "inside").symlink_to("config.yaml")
    (place / "run" / "wandb").mkdir()
    (place / "run" / "wandb" / "debug-core.log").symlink_to(place / "precious")  # as wandb's client makes
    refuse_links(place / "run", "hydra.run.dir")
    (place / "scratch").symlink_to(place / "run")  # the whole folder, as on a cluster's scratch disk
    refuse_links(place / "scratch", "hydra.run.dir")


@pytest.mark.parametrize("name", ["results.csv", "pictures", "new"])
def test_an_evaluation_and_a_probe_refuse_before_they_measure(name, place, monkeypatch):
    (place / "run").mkdir()
    (place / "run" / name).symlink_to(place / "elsewhere" / "x")
    monkeypatch.setattr("inpaint.evaluate._load", lambda given: pytest.fail("it began"))
    monkeypatch.setattr("inpaint.probe.command.load_encoders", lambda cfg: pytest.fail("it began"))
    for command, cfg in (
        (evaluate, compose("generator=mean", name="evaluate")),
        (probe, compose(f"data.root={place / 'images'}", name="probe")),
    ):
        cfg.paths.run = "run"
        with pytest.raises(Refused, match=r"^hydra\.run\.dir: 1 links in run lead out of it"):
            command.run(cfg)


def crops(count):
    """What an evaluation kept of `count` pictures of one method."""
    picture = torch.zeros(3, 8, 8, dtype=torch.uint8)
    given = {kind: dict.fromkeys(range(count), picture) for kind in ("input", "truth")}
    rows = [{"index": n, "photograph": "x", "image_sha256": "a", "mask_sha256": "b"} for n in range(count)]
    records = [{"method": "mean", "index": n, "area": 0.1, "psnr": 20.0} for n in range(count)]
    return Measured(records, rows, given, {"mean": given["truth"]})


@pytest.mark.parametrize(
    "name",
    [
        *("results.csv", "results.json", "results.md", "results.tex", "records.csv", "validation.csv"),
        *("pictures/input/00000.png", "pictures/mean/00001.png"),
    ],
)
def test_no_file_of_an_evaluation_is_written_through_a_link(name, place):
    """One that appears while it measures."""
    (place / "run" / name).parent.mkdir(parents=True)
    (place / "run" / name).symlink_to(place / "precious")
    measured = crops(2)
    write(place / "run", aggregate(measured.records, measured.sets), measured, {"networks": {}})
    assert (place / "precious").read_text() == PRECIOUS and not (place / "run" / name).is_symlink()
    assert (place / "run" / name).stat().st_size > 0


def test_nor_a_sheet_a_table_or_a_frozen_mask(place):
    for name in ("sheet.png", "table.csv"):
        (place / name).symlink_to(place / "precious")
    write_table(place / "table.csv", ["a", "b"], [{"a": "x, y"}, {"b": 1}])
    assert (place / "table.csv").read_text() == 'a,b\n"x, y",\n,1\n'
    preview.run(compose("output=sheet.png", "samples=1", "measured=1", "data.crop=32", name="preview"))
    assert (place / "precious").read_text() == PRECIOUS and Image.open(place / "sheet.png").format == "PNG"


def test_a_sweep_in_a_folder_of_somebody_else(place, command):
    (place / "sweep").mkdir()
    (place / "sweep" / "sweep.json").symlink_to(place / "precious")
    words = ["-m", "generator=context_encoder", "hydra.sweep.dir=sweep"]
    assert "hydra.sweep.dir: 1 links in" in command(train, *words, code=2)
    (place / "sweep" / "sweep.json").unlink()
    for content in ("[" * 100_000, '{"jobs": 7}', '{"jobs": [{"x": 1}]}', "{}"):
        (place / "sweep" / "jobs.json").write_text(content)
        said = command(train, *words, code=2)
        assert "jobs.json is none of a sweep" in said and len(said.splitlines()) == 1
    assert (place / "precious").read_text() == PRECIOUS


def test_a_lock_that_is_a_link_is_none(place):
    """It would be emptied."""
    (place / "out" / "run.lock").symlink_to(place / "precious")
    with pytest.raises(Refused, match=r"run\.lock: a link, which is no lock"), only_one(place / "out" / "run.lock", ""):
        pass
    assert (place / "precious").read_text() == PRECIOUS
