"""What the checkpoints of an evaluation are called."""

from pathlib import Path

import pytest

from inpaint.evaluate import _apart


def config(seed=0, weight=1.0, **others):
    terms = {"l1": {"_target_": "inpaint.losses.reconstruction.L1", "weight": weight}}
    return {"name": "unet", "seed": seed, "losses": terms, "hydra": {"job": seed}, **others}


@pytest.mark.parametrize(
    ("configs", "names"),
    [
        ([config()], ["unet"]),
        ([config(seed=0), config(seed=1)], ["unet seed=0", "unet seed=1"]),
        ([config(weight=1.0), config(weight=6.0)], ["unet losses.l1.weight=1.0", "unet losses.l1.weight=6.0"]),
        ([config(), config()], ["unet r0", "unet r1"]),  # alike
        ([config(), config(), config(seed=1)], ["unet r0", "unet r1", "unet r2"]),  # two of three are alike
        ([config(data={"root": "x" * 50}), config(data={"root": "y" * 61})], ["unet r0", "unet r1"]),  # long
    ],
)
def test_runs_of_one_name_are_told_apart_by_what_differs(tmp_path, configs, names):
    folders = [tmp_path / f"r{number}" for number in range(len(configs))]
    for folder in folders:
        folder.mkdir()
    runs = [("unet", folder, each) for folder, each in zip(folders, configs, strict=True)]
    assert _apart(runs) == names
    assert _apart([*runs, ("other", Path("x"), config())])[-1] == "other"
