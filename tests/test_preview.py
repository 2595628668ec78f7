"""inpaint-preview: what it shows, measures and freezes; and that an evaluation on a frozen set is the same one."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inpaint import evaluate, preview, train
from inpaint.data.datamodule import FolderData, PhotosData
from inpaint.evaluation import table
from inpaint.masks import Boxes, Files, Strokes
from inpaint.pictures.sheet import LINE
from tests.commands import run

ROOT = Path(__file__).parents[1]
SMALL = ["data.validation_crops=3", "data.crop=32"]


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# ---- the sheet and the statistics -------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "validation"])
def test_the_sheet_shows_what_the_data_module_gives(command, photo_folder, split):
    settings = ["data=folder", f"data.root={photo_folder}", "data.validation=0.4", "data.crop=32", "data.batch_size=3"]
    settings += ["data.crops_per_image=1", "data.validation_crops=1"]
    command(preview, *settings, "masks=strokes", f"split={split}", "samples=4", "output=sheet.png")
    page = np.array(Image.open("sheet.png"))

    data = FolderData(Strokes(), str(photo_folder), validation=0.4, crop=32, batch_size=3, crops_per_image=1,
                      validation_crops=1)  # fmt: skip
    data.setup("fit")
    if split == "train":
        batches = [data.on_after_batch_transfer(raw, 0) for raw in data.train_dataloader()]
        image, mask = (torch.cat([batch[name] for batch in batches])[:4] for name in ("image", "mask"))
    else:
        batch = data.validation_batch(4, torch.device("cpu"))
        image, mask = batch["image"], batch["mask"]
    pictures = [image, mask.expand_as(image) * 2 - 1, image * (1 - mask)]
    for sample in range(4):
        for place, picture in enumerate(pictures):
            x = sample * (3 * 128 + 8) + place * 128
            window = page[2 * LINE : 2 * LINE + 128 : 4, x : x + 128 : 4]
            expected = ((picture[sample] + 1) * 127.5).round().clamp(0, 255).permute(1, 2, 0)
            assert np.array_equal(window, expected.byte()), (sample, place)


def test_the_statistics_are_of_as_many_masks_as_asked_for(command):
    printed = command(preview, "masks=centre", "data.crop=64", "measured=50", "samples=2", "output=a.png")
    assert "hole area of 50 masks of 64 x 64 pixels: mean 25.0%, deviation 0.0%, 0.0% empty" in printed
    lines = {line.split("%")[0]: line.split() for line in printed.splitlines() if line[:1].isdigit()}
    assert len(lines) == 10 and lines["20-30 "][-2:] == ["50", "100.0%"] and "█" * 40 in lines["20-30 "]
    assert lines["10-20 "][-2:] == ["0", "0.0%"]
    assert printed.rstrip().endswith("sheet: a.png")


def test_mean_and_deviation():
    statistics = preview.Statistics([0.0, 0.0, 0.25, 0.75], (8, 12))
    assert "4 masks of 12 x 8 pixels: mean 25.0%, deviation 30.6%, 50.0% empty" in statistics.summary
    assert statistics.counts["0-10 %"] == 2 and statistics.counts["70-80 %"] == 1


def test_more_samples_than_there_are(command):
    command(preview, *SMALL, "split=validation", "samples=50", "output=all.png")
    assert Image.open("all.png").height > 3 * (128 + LINE)


# ---- the frozen set ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("masks", ["mixture", "files"])
def test_an_evaluation_on_the_frozen_set_is_the_same(command, mask_folder, masks):
    kind = ["masks=mixture"] if masks == "mixture" else ["masks=files", f"masks.root={mask_folder}", "masks.flip=true"]
    printed = command(preview, *SMALL, *kind, "split=validation", "samples=2", "freeze=frozen", "images=true")
    assert "frozen set: 12 crops and their masks in frozen; masks=files masks.root=frozen reads it" in printed

    arguments = [*SMALL, "generator=mean", "baselines=[]"]
    command(evaluate, *arguments, *kind, "hydra.run.dir=first")
    printed = command(evaluate, *arguments, "masks=files", "masks.root=frozen", "hydra.run.dir=second",
                      "data.batch_size=5")  # fmt: skip
    assert "masks: 12 frozen masks in frozen, their digests verified" in printed
    assert Path("first/validation.csv").read_bytes() == Path("second/validation.csv").read_bytes()
    first, second = (table.read_csv(Path(place, "results.csv")) for place in ("first", "second"))
    for one, other in zip(first, second, strict=True):
        assert (one.area, one.method, one.images) == (other.area, other.method, other.images)
        assert all(one.means[name] == other.means[name] for name in ("hole_l1", "hole_psnr", "psnr"))

    for frozen, measured in zip(rows(Path("frozen/manifest.csv")), rows(Path("first/validation.csv")), strict=True):
        assert measured.items() <= frozen.items()
    assert len(list(Path("frozen/images").iterdir())) == len(list(Path("frozen/masks").iterdir())) == 12


def test_a_frozen_set_does_not_train_and_says_so(command):
    command(preview, *SMALL, "samples=2", "measured=2", "freeze=frozen")
    error = command(preview, *SMALL, "masks=files", "masks.root=frozen", "split=train", code=2)
    assert "masks.root: frozen is a frozen set" in error and "give masks.root=frozen/masks" in error
    error = command(preview, *SMALL[:1], "data.crop=48", "masks=files", "masks.root=frozen", "split=validation", code=2)
    assert "have 32 x 32 pixels, the pictures 48 x 48" in error
    command(preview, *SMALL, "masks=files", "masks.root=frozen/masks", "masks.polarity=white", "samples=2")


def test_validation_under_frozen_masks_is_bit_for_bit(command, tmp_path):
    command(preview, *SMALL, "masks=boxes", "freeze=frozen", "samples=1", "measured=1")
    settings = {"crop": 32, "validation_crops": 3}
    drawn, frozen = (PhotosData(kind, **settings) for kind in (Boxes(), Files("frozen")))
    for one, other in zip(drawn.evaluation_dataloader(), frozen.evaluation_dataloader(), strict=True):
        assert torch.equal(
            drawn.on_after_batch_transfer(one, 0)["mask"], frozen.on_after_batch_transfer(other, 0)["mask"]
        )


# ---- bad input --------------------------------------------------------------------------------------------------

BAD = {
    "split": (["split=test"], "split: test is neither train nor validation"),
    "samples": (["samples=0"], "samples: 0 is no number from 1 up"),
    "measured": (["measured=many"], "measured: many is no number"),
    "suffix": (["output=sheet.jpg"], "output: give a PNG file"),
    "folder": (["output=nowhere/sheet.png"], "output: give a PNG file in a folder that exists"),
    "images": (["images=true"], "images: belongs to a frozen set"),
    "full": (["freeze=full"], "freeze: full exists and is not an empty folder"),
    "key": (["sample=3"], "sample: no such setting; did you mean samples?"),
    "root": (["masks=files"], "masks.root: needs a value (masks.root=...)"),
    "no folder": (["masks=files", "masks.root=nowhere"], "masks.root: nowhere is not a folder"),
    "no file": (["masks=objects", "masks.annotations=nowhere"], "masks.annotations: nowhere does not exist"),
    "argument": (["masks=strokes", "masks.count=[3,1]"], "masks.count: give [low, high]"),
    "crop": (["data.crop=2000"], "smaller than"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(command, case):
    arguments, message = BAD[case]
    Path("full").mkdir()
    Path("full", "something").write_text("")
    error = command(preview, *arguments, code=2)
    assert error.startswith("inpaint-preview: ") and message in error and len(error.splitlines()) == 1
    assert not list(Path().glob("*.png"))


def test_as_a_user_types_it(tmp_path):
    """A process of its own: what is said about masks from files reaches the terminal; help imports nothing heavy."""
    masks = tmp_path / "masks"
    masks.mkdir()
    hole = np.zeros((40, 40), np.uint8)
    hole[:10] = 255
    Image.fromarray(hole).save(masks / "a.png")
    arguments = ["data.crop=32", "masks=files", "masks.root=masks", "samples=2", "measured=2"]
    done = run("preview", *arguments, cwd=tmp_path)
    assert "masks: 1 files in masks, 40 x 40 pixels; white is the hole, as it covers less of them (25.0%" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["masks", "preview.png"]
    code = (
        "import sys\nfrom inpaint.preview import main\nsys.argv = ['inpaint-preview', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert not {'torch', 'lightning', 'kornia', 'PIL'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr


# ---- what a fill depends on -------------------------------------------------------------------------------------


def explanation(path, crop=32):
    """The columns of the sheet's first sample: uint8 ``(crop, crop, 3)`` each."""
    page, scale = np.array(Image.open(path)), 128 // crop
    columns = [page[2 * LINE : 2 * LINE + 128 : scale, left : left + 128 : scale] for left in range(0, 385, 128)]
    return [column for column in columns if column.shape == (crop, crop, 3)]


def test_what_a_fill_depends_on_is_drawn_for_a_generator(command):
    """A harmonic fill depends on the rim of its hole: of a box in the middle, on what touches it and no corner."""
    settings = ["generator=harmonic", "masks=centre", "split=validation", "samples=1", "block=4", *SMALL]
    printed = command(preview, "explain=why.png", *settings)
    assert "explained: why.png, 1 pictures in blocks of 4 pixels" in printed and not Path("preview.png").exists()
    given, filled, depends = explanation("why.png")[:3]
    assert (depends[8:24, 8:24] == 255).all() and (given[8:24, 8:24] == 128).all() and filled.std() > 0
    colour = depends.astype(int).max(2) - depends.astype(int).min(2)
    rim = [colour[4:8, 8:24], colour[24:28, 8:24], colour[8:24, 4:8], colour[8:24, 24:28]]
    assert min(part.mean() for part in rim) > 60 and colour[:4].max() < 10 and colour[28:, 28:].max() < 10


def test_what_a_checkpoint_depends_on_is_drawn_with_its_data_masks_and_attention(command):
    network = ["generator.width=4", "generator.attention=2"]
    command(train, "+debug=tiny", "trainer.max_steps=1", "adversarial=none", "masks=centre", "data.crop=32", *network,
            "baselines=[]", "hydra.run.dir=run")  # fmt: skip
    command(preview, "checkpoint=run", "explain=why.png", "split=validation", "samples=1")
    columns = explanation("why.png")
    assert len(columns) == 4, "masked, filled, depends on, attention"
    assert all((column[8:24, 8:24] == 255).all() and (column[:8] < 255).any() for column in columns[2:])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["explain=why.png"], "explain: give explain=FILE.png with checkpoint=RUN, or with generator=OPTION"),
        (["generator=mean"], "explain: give explain=FILE.png with checkpoint=RUN, or with generator=OPTION"),
        (["explain=why.jpg", "generator=mean"], "explain: give a PNG file in a folder that exists; got why.jpg"),
        (["explain=why.png", "generator=mean", "freeze=set"], "explain: draws what a fill depends on and nothing"),
        (["explain=why.png", "generator=mean", "block=0"], "block: 0 is no whole number from 1 up"),
        (["explain=why.png", "generator=mean", "masks=full"], "masks: all of each picture is to be restored"),
        (["explain=why.png", "generator=residual_unet"], "ResidualUNet must be trained first"),
    ],
)
def test_what_cannot_be_explained_is_refused(command, settings, message):
    assert message in command(preview, *SMALL, *settings, code=2)
    assert not Path("why.png").exists()
