"""Trials of folders: balanced, keyed, complete, and nothing in a study gives a method away."""

import json
import shutil
from collections import Counter
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inpaint.pictures.mask_files import MaskReader
from inpaint.settings import Refused
from inpaint.study.__main__ import main
from inpaint.study.build import build, collect, damage, deck, destroy, schedule
from inpaint.study.trials import DAMAGED, DESTROYED, ORIGINAL, Trial, image_file, load

NAMES = ["a", "b", "c", "d"]
PAIRS = list(combinations(NAMES, 2))


def different(pictures: list[str]) -> dict[str, dict[str, str]]:
    return {name: {picture: name + picture for picture in pictures} for name in NAMES}


def command(*arguments: object) -> None:
    main(["build", *map(str, arguments)])


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[str]:
    """The lines of an error with exit code 2."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        command(*arguments)
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


@pytest.mark.parametrize(("pictures", "pairs"), [(12, 6), (10, 6), (7, 3), (4, 6), (1, 6), (5, 1)])
def test_the_deck_has_every_comparison_once_and_no_picture_twice_in_a_row_of_hands(pictures: int, pairs: int) -> None:
    names = [str(number) for number in range(pictures)]
    cards = deck(names, PAIRS[:pairs], different(names), seed=3)
    assert sorted(cards) == sorted((name, pair) for name in names for pair in PAIRS[:pairs])
    around = cards + cards
    for start in range(len(cards)):
        hand = around[start : start + pictures]
        assert len({picture for picture, _ in hand}) == pictures
        turns = Counter(pair for _, pair in hand)
        assert max(turns.values()) - min(turns[pair] for pair in PAIRS[:pairs]) <= 2


def test_equal_pictures_are_not_compared() -> None:
    digests = different(["x", "y"])
    digests["b"]["x"] = digests["a"]["x"]
    cards = deck(["x", "y"], PAIRS, digests, seed=0)
    assert ("x", ("a", "b")) not in cards and len(cards) == 2 * len(PAIRS) - 1


def dealt(seed: int = 0, trials: int = 7, catch: int = 4, participants: int = 24) -> list[list[Trial]]:
    pictures = [str(number) for number in range(14)]
    cards = deck(pictures, PAIRS, different(pictures), seed)
    return schedule(cards, pictures, "a", trials=trials, catch=catch, participants=participants, seed=seed)


@pytest.mark.parametrize("trials", [1, 7, 20, 84])
def test_sides_are_balanced_exactly_over_two_participants(trials: int) -> None:
    schedules = dealt(trials=trials)
    for first, second in zip(schedules[::2], schedules[1::2], strict=True):
        ways = Counter(trial[1:] for trial in [*first, *second])
        assert all(ways[pair] == ways[pair[::-1]] for pair in ways)
        assert sorted(first) == sorted(Trial(trial.picture, trial.right, trial.left) for trial in second)
        for one in (first, second):
            ways = Counter(trial[1:] for trial in one if not trial.is_catch)
            assert all(abs(ways[pair] - ways[pair[::-1]]) <= 1 for pair in PAIRS)
            assert len({(trial.picture, *sorted(trial[1:])) for trial in one if not trial.is_catch}) == trials


def test_every_comparison_is_shown_as_often_as_any_other() -> None:
    shown = Counter((t.picture, *sorted(t[1:])) for trials in dealt(participants=24) for t in trials if not t.is_catch)
    assert len(shown) == 84 and set(shown.values()) == {2}  # 24 participants of 7 trials: twice each of 84
    shown = Counter((t.picture, *sorted(t[1:])) for trials in dealt(participants=36) for t in trials if not t.is_catch)
    assert set(shown.values()) == {2, 4}


def test_catch_trials_are_of_pictures_that_the_participant_does_not_compare() -> None:
    for trials in dealt():
        catches = [trial for trial in trials if trial.is_catch]
        assert len(catches) == 4 and Counter(trial.left for trial in catches) == {"a": 2, DESTROYED: 2}
        compared = {trial.picture for trial in trials if not trial.is_catch}
        assert not compared & {trial.picture for trial in catches}
        assert len({trial.picture for trial in catches}) == 4


def test_orders_differ_and_the_seed_decides_everything() -> None:
    schedules = dealt()
    assert dealt() == schedules != dealt(seed=1)
    orders = [[(trial.picture, frozenset(trial[1:])) for trial in trials] for trials in schedules]
    assert all(first != second for first, second in zip(orders[::2], orders[1::2], strict=True))
    places = [place for trials in schedules for place, trial in enumerate(trials) if trial.is_catch]
    assert set(places) == set(range(11))
    assert any(trials[place].left != other.left for trials in schedules for place, other in enumerate(trials[1:]))


def test_a_study_on_disk(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exif = Image.Exif()
    exif[0x010E] = "made by lama"
    for path in (folders / "lama").rglob("*.png"):
        Image.open(path).save(path, exif=exif)
    command(
        folders / "lama", f"mine={folders / 'ours'}", "--original", folders / "original", "--masks", folders / "masks",
        "--output", folders / "study", "--trials", 5, "--catch", 1, "--participants", 6,
    )  # fmt: skip
    assert "5 pictures by lama, mine, original" in capsys.readouterr().out
    study = load(folders / "study")
    assert study.contestants == ["lama", "mine", ORIGINAL] and len(study.schedules) == 6
    assert all(len(trials) == 6 for trials in study.schedules)
    assert sorted(path.name for path in (folders / "study").iterdir()) == ["images", "study.json"]
    stored = {path.stem for path in (folders / "study" / "images").iterdir()}
    assert stored == study.names

    used = {(side, trial.picture) for trials in study.schedules for trial in trials for side in trial[1:]}
    for side, picture in used - {(DESTROYED, picture) for picture in study.files[DESTROYED]}:
        image = Image.open(image_file(folders / "study", study.files[side][picture]))
        source = Image.open(folders / side.replace("mine", "ours") / f"{picture}.png")
        assert np.array_equal(image, source)
        assert not image.getexif() and not image.text and set(image.info) <= {"dpi"}
    for picture, name in study.files[DAMAGED].items():
        hole = np.array(Image.open(folders / "masks" / f"{picture}.png")) == 255
        image = np.array(Image.open(image_file(folders / "study", name)))
        truth = np.array(Image.open(folders / "original" / f"{picture}.png"))
        assert np.array_equal(image[~hole], truth[~hole])
        assert set(np.unique(image[hole])) == {112, 144}


def test_the_same_folders_make_the_same_study_to_the_byte(folders: Path) -> None:
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        build(folders / name, {"lama": folders / "lama", "ours": folders / "ours"}, seed=seed, trials=4)
    one, two, three = ((folders / name / "study.json").read_bytes() for name in ("one", "two", "three"))
    assert one == two != three


def test_names_do_not_follow_the_method_the_name_or_the_order(folders: Path) -> None:
    """Equal pixels, equal file, whoever made it: only the pixels decide."""
    build(folders / "one", {"lama": folders / "lama", "ours": folders / "ours"})
    for method in ("lama", "ours"):
        (folders / method / "four.png").rename(folders / method / "six.png")
    build(folders / "two", {"zz": folders / "ours", "yy": folders / "lama"})
    one, two = load(folders / "one").files, load(folders / "two").files
    assert one["ours"]["hall/one"] == two["zz"]["hall/one"]
    assert one["lama"]["four"] == two["yy"]["six"]


def test_only_pairs_against_one_contestant(folders: Path) -> None:
    methods = {"lama": folders / "lama", "ours": folders / "ours"}
    study, _ = build(folders / "study", methods, folders / "original", against=ORIGINAL)
    pairs = {frozenset(trial[1:]) for trials in study.schedules for trial in trials if not trial.is_catch}
    assert pairs == {frozenset({"lama", ORIGINAL}), frozenset({"ours", ORIGINAL})}
    assert all(len(trials) == 10 + 6 for trials in study.schedules)  # all comparisons there are


def spoil(folders: Path) -> dict[str, int]:
    """One file of each kind that does not fit; how many pictures then fit."""
    (folders / "lama" / "three.png").unlink()
    Image.fromarray(np.zeros((40, 57, 3), np.uint8)).save(folders / "ours" / "four.png")
    data = (folders / "ours" / "hall" / "one.png").read_bytes()
    (folders / "ours" / "hall" / "one.png").write_bytes(data[: len(data) // 2])
    shutil.copy(folders / "lama" / "four.png", folders / "lama" / "nine.png")
    (folders / "lama" / "four.gif").write_bytes(b"II*")
    (folders / "lama" / ".DS_Store").write_bytes(b"")
    return {"pictures": 2}


def test_what_does_not_fit_is_listed_and_nothing_is_written(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(folders)
    arguments = [folders / "lama", folders / "ours", "--original", folders / "original", "--output", folders / "study"]
    lines = refused(capsys, *arguments)
    text = "\n".join(lines)
    assert "--missing skip" in lines[-1]
    for said in (
        "lama: 1 missing: three",
        "lama: 1 extra, no picture is called so: nine",
        "lama: 1 of another type than jpg, png, webp, tif, bmp: four.gif",
        "ours: 1 of another size: four (57 x 40 pixels instead of 56 x 40 pixels)",
        "ours: 1 unreadable: hall/one (",
        "one.png: broken picture",
    ):
        assert said in text
    ours = [line for line in lines if line.startswith("inpaint-study: ")]
    assert len(ours) == 6
    assert not (folders / "study").exists() and not list(folders.glob(".*"))

    command(*arguments, "--missing", "skip")
    printed = capsys.readouterr().out
    assert "2 pictures by" in printed
    for said in (
        "lama: 1 missing: three",
        "lama: 1 extra, no picture is called so: nine",
        "lama: 1 of another type than jpg, png, webp, tif, bmp: four.gif",
        "ours: 1 of another size: four",
        "ours: 1 unreadable: hall/one",
    ):
        assert said in printed
    shown = {trial.picture for trials in load(folders / "study").schedules for trial in trials}
    assert shown == {"hall/two", "fünf & <b>"}


def test_without_originals_all_folders_together_say_what_must_be_there(folders: Path) -> None:
    (folders / "lama" / "three.png").unlink()
    (folders / "ours" / "four.png").unlink()
    with pytest.raises(Refused, match=r"(?s)lama: 1 missing: three.*ours: 1 missing: four"):
        collect({"lama": folders / "lama", "ours": folders / "ours"})


def test_who_is_of_another_size_is_named_and_not_the_others(folders: Path) -> None:
    three = {"lama": folders / "lama", "ours": folders / "ours", "copy": folders / "copy"}
    shutil.copytree(folders / "ours", folders / "copy")
    Image.new("RGB", (9, 9)).save(folders / "lama" / "three.png")
    original = {"lama": folders / "lama", "original": folders / "original"}
    for methods in (three, original):  # the first of each is wrong
        with pytest.raises(
            Refused, match=r"^lama: 1 of another size: three \(9 x 9 pixels instead of 56 x 40 pixels\)\n--"
        ):
            collect(methods)


def test_masks_must_fit_too(folders: Path) -> None:
    methods = {"lama": folders / "lama", "ours": folders / "ours"}
    (folders / "masks" / "three.png").rename(folders / "masks" / "three_mask.png")
    assert len(collect(methods, folders / "masks").masks) == 5
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(folders / "masks" / "four.png")
    (folders / "masks" / "three_mask.png").unlink()
    Image.fromarray(np.full((40, 56), 7, np.uint8)).save(folders / "masks" / "hall" / "one.png")
    with pytest.raises(Refused) as error:
        collect(methods, folders / "masks")
    for said in (
        "masks: 1 of another size: four (9 x 9 pixels, its picture has 56 x 40 pixels)",
        "masks: 1 missing: three",
        "masks: 1 unusable: hall/one (",
        "not a binary mask",
    ):
        assert said in str(error.value)
    assert collect(methods, folders / "masks", skip=True).pictures == ["fünf & <b>", "hall/two"]


def test_masks_that_have_no_hole_or_nearly_nothing_else_are_no_masks(folders: Path) -> None:
    methods, masks = {"lama": folders / "lama", "ours": folders / "ours"}, folders / "masks"
    for line, level, message in (
        (slice(0), 0, r"^--masks: none of the 5 masks has a hole.*--polarity black where black is"),
        (slice(36), 255, r"^--masks: the holes cover 90% of the pictures; white is taken.*or --polarity white"),
    ):
        for path in masks.rglob("*.png"):
            mask = np.zeros((40, 56), np.uint8)
            mask[line] = level
            Image.fromarray(mask).save(path)
        with pytest.raises(Refused, match=message):
            collect(methods, masks)
    for polarity in ("white", "black"):
        assert len(collect(methods, masks, MaskReader(polarity=polarity)).masks) == 5


@pytest.mark.parametrize("place", ["lama", "original", "masks"])
@pytest.mark.parametrize("skip", [False, True])
def test_links_that_leave_a_folder_are_refused_and_never_served(folders: Path, place: str, skip: bool) -> None:
    (folders / "secret.png").write_bytes((folders / "ours" / "three.png").read_bytes())
    (folders / place / "three.png").unlink()
    (folders / place / "three.png").symlink_to(folders / "secret.png")
    methods = {name: folders / name for name in ("lama", "ours", "original")}
    with pytest.raises(Refused, match=rf"^{place}: 1 links in .*{place} leave it or lead nowhere: .*three\.png"):
        collect(methods, folders / "masks", skip=skip)


def test_two_files_of_one_name_and_an_empty_folder(folders: Path) -> None:
    methods = {name: folders / name for name in ("lama", "ours")}
    shutil.copy(folders / "lama" / "four.png", folders / "lama" / "four.webp")
    with pytest.raises(Refused, match=r"^lama: .*four\.png and .*four\.webp are both called four; remove one"):
        collect(methods, skip=True)
    shutil.rmtree(folders / "lama")
    (folders / "lama").mkdir()
    with pytest.raises(Refused, match=r"^lama: no images"):
        collect(methods)


def test_a_study_needs_a_picture_that_all_have(folders: Path) -> None:
    for path in [*(folders / "lama").rglob("*.png")]:
        path.rename(path.with_stem(f"{path.stem}_other"))
    with pytest.raises(Refused, match=r"(?s)lama: 5 missing.*METHOD: no picture is left that every contestant has"):
        collect({name: folders / name for name in ("lama", "original")}, skip=True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lama"], "give two folders of results"),
        (["lama", "x=lama", "--output", "masks"], "--output: masks is there already"),
        (["lama", "nowhere"], "nowhere is not a folder"),
        (["lama", "x/../lama"], "two methods are called lama"),
        (["lama", "original", "--original", "original"], "'original' is no name for a method"),
        (["lama", "destroyed=ours"], "'destroyed' is no name for a method"),
        (["lama", "ours", "--against", "theirs"], "--against: give one of lama, ours; got 'theirs'"),
        (["lama", "ours", "--trials", "6"], "--trials: there are 5 comparisons; got 6"),
        (["lama", "ours", "--trials", "0"], "--trials"),
        (["lama", "ours", "--participants", "3"], "--participants: give an even number"),
        (["lama", "x=lama"], "there is nothing to compare"),
    ],
)
def test_bad_input_is_one_line(
    folders: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(folders)
    (folders / "x").mkdir()
    output = [] if "--output" in arguments else ["--output", "study"]
    (line,) = refused(capsys, *arguments, *output)
    assert said in line
    assert not (folders / "study").exists()


def test_a_destroyed_picture_is_plain_to_see_whatever_it_shows() -> None:
    for grey in (0, 128, 255):
        flat = np.full((61, 47, 3), grey, np.uint8)
        broken = destroy(flat, key=grey)
        assert 0.4 < (broken != flat).any(axis=-1).mean() < 0.6
        assert np.abs(broken.astype(int) - flat).mean() > 15
        assert np.array_equal(broken, destroy(flat, key=grey))
    assert destroy(np.zeros((3, 5, 3), np.uint8), key=1).shape == (3, 5, 3)


def test_a_hole_shows_on_any_grey() -> None:
    flat = np.full((32, 32, 3), 144, np.uint8)
    hole = np.zeros((32, 32), bool)
    hole[4:28, 4:28] = True
    assert (damage(flat, hole)[hole] != 144).any()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda fields: fields.update(format="something else"), "format"),
        (lambda fields: fields.pop("files"), "files"),
        (lambda fields: fields.update(schedules=[]), "no trials"),
        (lambda fields: fields["schedules"][0].append(["hall/one", "lama", "nobody"]), "nobody"),
        (lambda fields: fields["files"]["lama"].update({"hall/one": "../../../etc/passwd"}), "name"),
        (lambda fields: fields["files"]["lama"].update({"hall/one": "0" * 32}), "gone"),
    ],
)
def test_a_study_that_was_tampered_with_is_refused(study: Path, change, said: str) -> None:
    fields = json.loads((study / "study.json").read_text())
    change(fields)
    (study / "study.json").write_text(json.dumps(fields))
    with pytest.raises(ValueError, match=said):
        load(study)


def test_a_study_reads_back_as_written(study: Path) -> None:
    text = (study / "study.json").read_text()
    assert load(study).text() == text
    participants = [load(study).schedule(number) for number in range(1, 13)]
    assert participants[:2] == participants[10:] and all(a != b for a, b in pairwise(participants))
