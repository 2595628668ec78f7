"""`inpaint-predict`: what it takes, what it writes and where, and what it says of what is bad."""

import csv
import os
import shutil
from threading import Event

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import inpaint
from inpaint import predict
from inpaint.config.untrained import build_baseline
from inpaint.evaluation.pairs import Pairs, find_pairs
from inpaint.evaluation.results import publish
from inpaint.files import checkpoint
from inpaint.files.folder import only_one
from inpaint.networks.generators.fourier import LaMa
from inpaint.pictures.pairing import find_results
from inpaint.predict.jobs import find_pictures
from inpaint.predict.predictor import Predictor
from inpaint.settings import Refused
from tests.conftest import smooth_picture
from tests.predict.networks import Level, Noise

HOLE = np.zeros((40, 60), np.uint8)
HOLE[10:30, 20:45] = 255
KNOWN = HOLE == 0


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Four pictures in three formats and two folders, and one mask."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images/deep").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.jpg", "deep/c.webp", "deep/d.png")):
        picture = Image.fromarray(smooth_picture(number, 40, 60))
        picture.save(tmp_path / "images" / name, **({"lossless": True} if name.endswith("webp") else {}))
    Image.fromarray(HOLE).save(tmp_path / "mask.png")
    return tmp_path


@pytest.fixture
def repair(command):
    def run(*arguments, code=0, generator="mean", images="images"):
        given = [f"generator={generator}", f"images={images}", "holes=mask.png", "output=out"]
        keys = {argument.split("=")[0] for argument in arguments}
        used = [word for word in given[generator is None :] if word.split("=")[0] not in keys]
        return command(predict, *used, *arguments, code=code)

    return run


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def pictures(folder):
    return [name for name in files(folder) if not name.endswith((".csv", ".lock"))]


def pixels(path):
    return np.asarray(Image.open(path))


# ---- in -------------------------------------------------------------------------------------------------------------


def test_the_tree_is_mirrored_in_each_pictures_own_format(place, repair):
    said = repair()
    assert said.splitlines()[-1] == "4 pictures repaired, in out" and "sizes: full (4)" in said
    assert "format=png keeps them to the bit" in said
    assert pictures(place / "out") == ["a.png", "b.jpg", "deep/c.webp", "deep/d.png"]
    for name in ("a.png", "deep/c.webp", "deep/d.png"):
        before, after = pixels(place / "images" / name), pixels(place / "out" / name)
        assert np.array_equal(after[KNOWN], before[KNOWN]) and not np.array_equal(after, before)


def test_a_command_and_a_predictor_do_the_same(place, repair):
    repair("strategy=crop", "context=4")
    predictor = Predictor(build_baseline("mean"), strategy="crop", context=4)
    for name in ("a.png", "deep/c.webp", "deep/d.png"):
        expected = predictor(Image.open(place / "images" / name), Image.open(place / "mask.png"))
        assert np.array_equal(pixels(place / "out" / name), np.asarray(expected))


def test_patterns_lists_and_files(place):
    root = place / "images"
    (place / "few.txt").write_text("images/a.png\n\nimages/deep/c.webp\n# images/b.jpg\n")
    (place / "null.lst").write_bytes(b"images/a.png\0images/b.jpg\0")
    (place / "images" / "x [1].png").write_bytes((root / "a.png").read_bytes())
    cases = {
        "images/*.jpg": (["b.jpg"], "images"),
        "images/**/*.png": (["a.png", "deep/d.png", "x [1].png"], "images"),
        "images/de*/c.webp": (["deep/c.webp"], "images"),
        "images/x [1].png": (["x [1].png"], "images"),
        str(place / "few.txt"): (["a.png", "deep/c.webp"], "images"),
        str(place / "null.lst"): (["a.png", "b.jpg"], "images"),
        "images/deep/d.png": (["deep/d.png"], "images/deep"),
    }
    for given, (expected, home) in cases.items():
        found, where = find_pictures(given)
        assert sorted(path.resolve() for path in found) == sorted(root / name for name in expected), given
        assert where.resolve() == place / home, given


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ("nowhere", "images: nowhere is no file, folder, pattern or list"),
        ("images/*.gif", "images: no file has a name like"),
        ("bad.txt", r"images: 1 of 2 pictures in bad.txt are not there: .*gone.png"),
        ("empty.txt", "images: empty.txt names no pictures"),
    ],
)
def test_nothing_there(images, message, place):
    (place / "bad.txt").write_text("images/a.png\nimages/gone.png\n")
    (place / "empty.txt").write_text("\n")
    with pytest.raises(Refused, match=message):
        find_pictures(images)


def test_a_list_names_pictures_as_the_lists_of_the_field_do(place, repair):
    (place / "images" / "deep" / "d.png").rename(place / "images" / "#beach.png")
    (place / "images" / "all.txt").write_text("# a comment\n#beach.png\na.png 0\n")
    repair("images=images/all.txt")
    assert pictures(place / "out") == ["#beach.png", "a.png"]


def test_names_that_go_up_stay_below_the_output(place, repair):
    (place / "lists").mkdir()
    (place / "lists" / "all.txt").write_text("../images/a.png\n../images/deep/../deep/d.png\n")
    repair("images=lists/all.txt")
    assert pictures(place / "out") == ["a.png", "deep/d.png"]


def test_odd_names(place, repair):
    for name in ("写 真.png", "two\nlines.png", "a;b=c, d.png", "ü" * 60 + ".png"):
        shutil.copy(place / "images" / "a.png", place / "images" / name)
    repair()
    assert pictures(place / "out") == pictures(place / "images")
    assert "were done before" in repair()


def test_results_inside_the_folder_of_pictures_are_no_pictures(place, repair):
    repair("output=images/out")
    assert "4 pictures repaired" in repair("output=images/out")
    assert pictures(place / "images/out") == ["a.png", "b.jpg", "deep/c.webp", "deep/d.png"]


# ---- out ------------------------------------------------------------------------------------------------------------


def test_another_format(place, repair):
    said = repair("format=png")
    assert pictures(place / "out") == ["a.png", "b.png", "deep/c.png", "deep/d.png"] and "coded again" not in said
    assert np.array_equal(pixels(place / "out/b.png")[KNOWN], pixels(place / "images/b.jpg")[KNOWN])


def test_two_pictures_of_one_name(place, repair):
    shutil.copy(place / "images/b.jpg", place / "images/a.jpg")
    repair("images='images/a.*'")
    assert pictures(place / "out") == ["a.jpg", "a.png"]
    assert "would both be written to out2/a.png" in repair("format=png", "output=out2", code=2)
    assert not (place / "out2").exists()


def test_sixteen_bits_and_a_hole_that_is_no_hole(place, repair):
    deep = np.random.default_rng(0).integers(0, 65536, (40, 60, 3), dtype=np.uint16)
    cv2.imwrite(str(place / "deep.png"), deep)
    repair("images=deep.png")
    after = cv2.imread(str(place / "out/deep.png"), cv2.IMREAD_UNCHANGED)
    assert after.dtype == np.uint16 and np.array_equal(after[KNOWN], deep[KNOWN])
    assert np.abs(after[~KNOWN] - deep[KNOWN].mean(axis=0)).max() < 1
    assert "format: jpeg would cut 16 bits to 8" in repair("images=deep.png", "format=jpeg", "output=x", code=2)


def test_extras(place, repair, monkeypatch):
    monkeypatch.setattr(predict.command, "build_fill", lambda node: Level())
    repair("extras=[side_by_side,raw]", "images=images/deep")
    assert pictures(place / "out") == [
        *("c.webp", "d.png", "raw/c.png", "raw/d.png", "side_by_side/c.png", "side_by_side/d.png")
    ]
    before, after = pixels(place / "images/deep/d.png"), pixels(place / "out/d.png")
    assert np.array_equal(pixels(place / "out/side_by_side/d.png"), np.concatenate([before, after], axis=1))
    assert (pixels(place / "out/raw/d.png") == 191).all()


def test_samples(place, repair, monkeypatch):
    assert "samples: this generator draws no noise" in repair("samples=2", code=2)
    monkeypatch.setattr(predict.command, "build_fill", lambda node: Noise())
    repair("samples=3", "images=images/a.png")
    assert pictures(place / "out") == ["a_1.png", "a_2.png", "a_3.png"]
    first, second, third = (pixels(place / "out" / f"a_{number}.png") for number in (1, 2, 3))
    assert not np.array_equal(first, second) and not np.array_equal(second, third)
    repair("samples=3", "images=images/a.png", "output=again")
    assert np.array_equal(pixels(place / "again/a_2.png"), second)


def test_the_pictures_themselves_are_replaced_only_when_it_is_said(place, repair):
    before = pixels(place / "images/a.png")
    assert "is an input and would be overwritten" in repair("output=images", code=2)
    assert np.array_equal(pixels(place / "images/a.png"), before)
    repair("output=images", "overwrite=true")
    after = pixels(place / "images/a.png")
    assert not np.array_equal(after, before) and np.array_equal(after[KNOWN], before[KNOWN])
    assert "4 pictures were done before" in repair("output=images", "overwrite=true")
    message = "mask.png is an input and would be overwritten; give another folder\n"
    assert repair("images=mask.png", "output=.", "overwrite=true", code=2).endswith(message)


def test_files_of_others_are_not_replaced(place, repair):
    (place / "out").mkdir()
    shutil.copy(place / "mask.png", place / "out/a.png")
    said = repair(code=2)
    assert "output: 1 files are there that are no results of an earlier run: out/a.png" in said
    assert pixels(place / "out/a.png").shape == (40, 60) and pictures(place / "out") == ["a.png"]
    repair("overwrite=true")
    assert pixels(place / "out/a.png").shape == (40, 60, 3)


def test_a_second_run_does_what_is_not_done_and_whole(place, repair, monkeypatch):
    repair()
    states = {name: (place / "out" / name).stat().st_mtime_ns for name in pictures(place / "out")}
    (place / "out/b.jpg").unlink()
    os.utime(place / "images/a.png", ns=(1, 1))  # another picture
    said = repair()
    assert "2 pictures were done before" in said
    changed = {name for name in states if (place / "out" / name).stat().st_mtime_ns != states[name]}
    assert changed == {"a.png", "b.jpg"}
    assert "were done before" not in repair("seed=1"), "other settings"
    (place / "out/deep/d.png").write_bytes(b"cut")  # not as it was written, so no longer ours
    assert "out/deep/d.png" in repair("seed=1", code=2)


def test_a_kill_loses_nothing(place, repair, monkeypatch):
    """Between any two files; what is half-written is swept up, and a torn record is no record."""
    monkeypatch.setattr(predict.command, "build_fill", lambda node: Killed())

    class Killed(Level):
        def forward(self, image, mask):
            if len(self.sizes) == 2:
                raise KeyboardInterrupt
            return super().forward(image, mask)

    with pytest.raises(KeyboardInterrupt):
        repair()
    assert pictures(place / "out") == ["a.png", "b.jpg"]
    (place / "out/.c.0123456789abcdef.webp").write_bytes(b"half")
    with (place / "out/predictions.csv").open("a") as file:
        file.write("deep/c.webp,images/deep/c.w")
    monkeypatch.setattr(predict.command, "build_fill", lambda node: Level())
    assert "2 pictures were done before" in repair()
    assert pictures(place / "out") == ["a.png", "b.jpg", "deep/c.webp", "deep/d.png"]
    with (place / "out/predictions.csv").open() as file:
        lines = [line for line in csv.DictReader(file) if line["modified"]]
    assert [line["output"] for line in lines] == ["a.png", "b.jpg", "deep/c.webp", "deep/d.png"]
    assert {(line["hole"], line["taken"]) for line in lines} == {(f"{np.mean(~KNOWN):.6f}", "full")}
    assert "4 pictures were done before" in repair()


def test_one_command_at_a_time_in_a_folder(place, repair):
    with only_one(place / "out/.inpaint-predict.lock", "x"):
        assert "a prediction in out is at work in another process" in repair(code=2)
    assert pictures(place / "out") == []


def test_a_picture_is_written_while_the_next_is_painted(place, repair, monkeypatch):
    begun, in_time = [Event() for _ in range(5)], []
    begun[4].set()  # nothing is painted beside the last
    write, paint = predict.command._finish, Predictor.repair

    def finish(*arguments):
        in_time.append(begun[len(in_time) + 1].wait(60))
        write(*arguments)

    def repairing(*arguments, **settings):
        next(event for event in begun if not event.is_set()).set()
        return paint(*arguments, **settings)

    monkeypatch.setattr(predict.command, "_finish", finish)
    monkeypatch.setattr(Predictor, "repair", repairing)
    repair()
    assert in_time == [True] * 4 and pictures(place / "out") == ["a.png", "b.jpg", "deep/c.webp", "deep/d.png"]


# ---- figures --------------------------------------------------------------------------------------------------------


def test_figures_are_those_of_an_evaluation(place, repair):
    shutil.copytree(place / "images", place / "truth")
    said = repair("truth=truth", "format=png")
    assert "hole PSNR" in said or "PSNR" in said
    (place / "holes/deep").mkdir(parents=True)
    for name in ("a", "b", "deep/c", "deep/d"):
        shutil.copy(place / "mask.png", place / "holes" / f"{name}.png")
    shutil.copytree(place / "out", place / "results", ignore=shutil.ignore_patterns("figures", "*.csv", ".*"))
    pairs, _ = find_pairs(place / "truth", place / "holes")
    assert find_results(place / "out", "results.x")[0].keys() == find_results(place / "results", "results.x")[0].keys()
    publish(place / "other", {"Mean": None}, Pairs(pairs, {"Mean": place / "results"}), "cpu", {})
    for name in ("results.csv", "records.csv", "validation.csv"):
        tables = [list(csv.reader((folder / name).open())) for folder in (place / "out/figures", place / "other")]
        for line, other in zip(*tables, strict=True):
            for field, expected in zip(line, other, strict=True):
                same = field == expected or float(field) == pytest.approx(float(expected), rel=1e-5)
                assert same, f"{name}: {field} and {expected}"


def test_a_refinement_stands_beside_what_was_painted(place, repair):
    shutil.copytree(place / "images", place / "truth")
    network = "refine.weights=random refine.texture_layers=[relu1_2] refine.content_layers=[relu1_1] refine.steps=2"
    arguments = ["refine=texture", *network.split(), "truth=truth/a.png", "images=images/a.png"]
    said = repair(*arguments)
    assert "texture: patches of relu1_2 and content of relu1_1, vgg19 with random weights" in said
    assert "windows refined: 1 scale (1)" in said
    rows = [*csv.DictReader((place / "out/figures/results.csv").open())]
    figures = {row["method"]: row["hole_l1"] for row in rows if row["area"] == "all"}
    assert {*figures} == {"Mean", "unrefined"} and figures["Mean"] != figures["unrefined"]
    again = repair(*arguments)
    assert "1 pictures were done before" in again and "windows refined" not in again
    assert "refine: pyramid needs a generator that is cut in two" in repair("refine=pyramid", code=2)


TEXTURE = {
    "backbone": "vgg16",
    "weights": "random",
    "texture_layers": ["relu1_2"],
    "content_layers": ["relu1_1"],
    "steps": 2,
}
LAMA = {"_target_": "inpaint.networks.generators.fourier.LaMa", "blocks": 1, "width": 4}


@pytest.mark.parametrize(
    ("refine", "own", "model"),
    [
        ("texture", TEXTURE, {"generator": "mean"}),
        ("pyramid", {"smallest": 20, "rate": 1.0, "steps": 2}, {"checkpoint": "lama.ckpt"}),
    ],
)
def test_a_notebook_refines_as_the_command_does(refine, own, model, place, repair):
    torch.manual_seed(0)
    checkpoint.save_generator(place / "lama.ckpt", LaMa(1, 4), {"name": "lama", "generator": LAMA}, 1)
    settings = {f"refine.{name}": value for name, value in own.items()}
    given = [f"{name}={value}".replace("'", "") for name, value in (settings | model).items()]
    is_fill = "generator" in model
    repair(f"refine={refine}", "strategy=full", "images=images/a.png", *given, generator="mean" if is_fill else None)
    predictor = inpaint.load(**model, refine=refine, strategy="full", **settings)
    picture, hole = Image.open("images/a.png"), Image.open("mask.png")
    repaired = predictor(picture, hole)
    assert np.array_equal(np.asarray(repaired), pixels("out/a.png"))
    assert not np.array_equal(np.asarray(repaired), np.asarray(predictor.unrefined()(picture, hole)))
    if not is_fill:
        again = Predictor.load("lama.ckpt", refine=refine, strategy="full", **settings)(picture, hole)
        assert np.array_equal(np.asarray(again), np.asarray(repaired))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"refine": "piramid"}, "refine: give one of none, pyramid, texture.* did you mean pyramid"),
        (
            {"refine": "texture", "refine.step": 2},
            "refine.step: no setting of refine=texture; did you mean refine.steps",
        ),
        ({"refine.steps": 2}, "refine.steps: is a setting of refine=NAME, which is not given"),
        ({"refine": "texture", "refine.steps": 0}, "refine.steps: 0 is no whole number"),
    ],
)
def test_refinements_that_mean_nothing(settings, message):
    with pytest.raises(Refused, match=message):
        inpaint.load(generator="mean", **settings)


def test_truths_that_do_not_fit(place, repair):
    shutil.copytree(place / "images", place / "truth")
    (place / "truth/a.png").unlink()
    assert "truth: 1 of 4 pictures have none in truth: a" in repair("truth=truth", code=2)
    Image.new("RGB", (9, 9)).save(place / "truth/a.png")
    assert "truth: 1 of 4 have another size than their picture: a" in repair("truth=truth", code=2)


# ---- bad input ------------------------------------------------------------------------------------------------------


def test_bad_pictures_stop_no_other_and_are_named_at_the_end(place, repair):
    whole = (place / "images/deep/d.png").read_bytes()
    (place / "images/cut.png").write_bytes(whole[: len(whole) // 2])
    (place / "images/text.png").write_text("no picture")
    frames = [Image.fromarray(smooth_picture(number, 40, 60)) for number in range(3)]
    frames[0].save(place / "images/moving.webp", save_all=True, append_images=frames[1:], lossless=True)
    frames[0].save(place / "images/moving.png", save_all=True, append_images=frames[1:])
    Image.new("1", (10000, 9500)).save(place / "images/huge.png")
    said = repair(code=1)
    assert said.startswith("inpaint-predict: 5 of 9 pictures are not written:\n")
    for name, reason in {
        "cut.png": "broken", "text.png": "not a readable", "moving.webp": "an animated WEBP of 3 frames",
        "moving.png": "an animated PNG of 3 frames", "huge.png": "10000 x 9500 pixels, more than 89 million",
    }.items():  # fmt: skip
        assert [line for line in said.splitlines() if name in line and reason in line], name
    assert pictures(place / "out") == ["a.png", "b.jpg", "deep/c.webp", "deep/d.png"]


def test_a_picture_that_changes_after_it_was_looked_at(place, repair, monkeypatch):
    plan = predict.command.plan

    def planned(*arguments):
        jobs = plan(*arguments)
        Image.fromarray(smooth_picture(0, 41, 60)).save(place / "images/a.png")
        return jobs

    monkeypatch.setattr(predict.command, "plan", planned)
    assert "images/a.png: was changed since it was looked at" in repair(code=1)
    assert pictures(place / "out") == ["b.jpg", "deep/c.webp", "deep/d.png"]


def test_a_pixel_and_20000_of_them(place, repair):
    for size in ((1, 1), (20000, 3)):
        Image.new("RGB", size, (9, 8, 7)).save(place / "odd.png")
        mask = np.zeros(size[::-1], np.uint8)
        mask[:, size[0] // 2 :] = 255
        Image.fromarray(mask).save(place / "mask.png")
        repair("images=odd.png", "overwrite=true", "polarity=white")
        assert Image.open(place / "out/odd.png").size == size


def test_a_mask_of_another_size_and_no_mask(place, repair):
    (place / "holes").mkdir()
    mask = Image.new("L", (60, 40))
    mask.paste(255, (10, 10, 20, 20))
    mask.save(place / "holes/a.png")
    assert "3 of 4 pictures have no mask of their name in holes: b" in repair("holes=holes", code=2)
    Image.new("L", (61, 40), 255).save(place / "holes/a.png")
    assert "the mask has 61 x 40 pixels, its picture images/a.png has 60 x 40" in repair(
        "holes=holes", "images=images/a.png", code=2
    )
    assert not (place / "out").exists()


def test_output_that_cannot_be_written(place, repair, monkeypatch):
    (place / "file").write_text("x")
    assert "output: file is a file; give a folder" in repair("output=file", code=2)
    assert "file/below: Not a directory" in repair("output=file/below", code=2)


def test_a_full_disk_ends_in_a_line_and_keeps_what_is_done(place, repair, monkeypatch):
    save, written = Image.Image.save, []

    def full(self, file, **settings):
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        written.append(file)
        return save(self, file, **settings)

    monkeypatch.setattr(Image.Image, "save", full)
    said = repair(code=2)
    assert "out/deep/c.webp: No space left on device" in said and said.count("\n") == 1
    assert pictures(place / "out") == ["a.png", "b.jpg"]
    monkeypatch.setattr(Image.Image, "save", save)
    assert "2 pictures were done before" in repair()


def test_a_checkpoint_of_another_format_version(place, repair):
    torch.save({"inpaint": {"format": 99}}, place / "x.ckpt")
    said = repair("checkpoint=x.ckpt", generator=None, code=2)
    assert said.count("\n") == 1 and "x.ckpt" in said
