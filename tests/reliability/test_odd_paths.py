"""Spaces and letters of any script in every path, on two ranks, which Lightning starts with these paths.

One photograph is called in Latin-1, as old archives are: its name is no UTF-8, and stands spelt out in every file.
"""

import os

import numpy as np
from PIL import Image

from inpaint.compare.runs import read
from inpaint.data.splits import place
from inpaint.files.untrusted import read_json, read_table
from tests.conftest import smooth_picture
from tests.reliability.commands import SMALL, run

ODD = "Bündel № 1, 写真 (it's)"
LATIN = os.fsdecode(b"caf\xe9 2.png")


def quoted(path):
    """As Hydra's grammar has it: in single quotes, those within it escaped."""
    return "'" + str(path).replace("'", r"\'") + "'"


def test_train_and_predict(tmp_path):
    here = tmp_path / ODD
    photos = here / "Fotos für später"
    photos.mkdir(parents=True)
    for number in range(8):
        Image.fromarray(smooth_picture(number, 48, 48)).save(photos / f"größe {number} 写.png")
    Image.fromarray(smooth_picture(8, 48, 48)).save(photos / LATIN)
    assert place(LATIN) < 0.6  # it validates
    mask = np.zeros((48, 48), np.uint8)
    mask[10:30, 10:30] = 255
    Image.fromarray(mask).save(here / "Maske ä.png")

    settings = ["data=folder", f"data.root={quoted(photos)}", "data.validation=0.6", "data.crops_per_image=8"]
    folder = here / "Läufe" / "1"
    run(
        *("train", *SMALL, *settings, "data.crops_per_image=8", "trainer.devices=2", "trainer.max_steps=2"),
        *("trainer.val_check_interval=2", f"hydra.run.dir={quoted(folder)}"),
        cwd=here,
    )
    names = {line["photograph"] for line in read_table(folder / "validation.csv")}
    assert (folder / "results.md").is_file() and any("写.png" in name for name in names) and r"caf\udce9 2.png" in names
    assert read_json(folder / "summary.json")["updates"] == 2 and len(read(folder)) == 1

    run(
        *("predict", f"checkpoint={quoted(folder)}", f"images={quoted(photos)}"),
        *(f"holes={quoted(here / 'Maske ä.png')}", f"output={quoted(here / 'aus gabe')}"),
        cwd=here,
    )
    assert len(list((here / "aus gabe").glob("größe * 写.png"))) == 8 and (here / "aus gabe" / LATIN).is_file()


def test_without_quotes_the_message_shows_them(tmp_path):
    _, errors = run("train", "data=folder", "data.root=Fotos ü", cwd=tmp_path, code=2)
    assert errors.count("\n") == 1 and """need quotes that reach Hydra: "data.root='Fotos ü'\"""" in errors
