"""A worker dies or hangs: an error within the loader's time, no waiting for ever.

Real: the workers, their deaths. Stand-in: a source that kills its reader. A full /dev/shm kills a worker by SIGBUS,
which is the third case; it is not filled here.
"""

import os
import signal
import time

import pytest

from inpaint.data import datamodule
from inpaint.data.datamodule import InpaintingData
from inpaint.data.sources import Photos
from inpaint.masks import Boxes
from inpaint.settings import Refused
from inpaint.training.launching import refusals
from tests.reliability.ranks import fit
from tests.training.gan import tiny


class Deadly(Photos):
    """Ends the process that reads its sixth picture."""

    def __init__(self, how):
        self.how = how

    def read(self, split, row):
        if split == "train" and row == 5:
            if self.how == "exits":
                os._exit(3)
            elif self.how == "hangs":
                time.sleep(600)
            os.kill(os.getpid(), signal.SIGKILL if self.how == "is killed" else signal.SIGBUS)
        return super().read(split, row)


@pytest.mark.parametrize("how", ["exits", "is killed", "has no shared memory", "hangs"])
def test_training_ends_with_an_error(how, monkeypatch):
    monkeypatch.setattr(
        datamodule, "PATIENCE", 2 if how == "hangs" else 60
    )  # death is noticed at once, also under load
    settings = {"crop": 32, "crops_per_image": 1, "validation_crops": 1, "batch_size": 2, "workers": 2}
    data = InpaintingData(Deadly(how), Boxes(), cache="none", **settings)
    error, said = Refused, r"^data\.workers: (one (exited|is killed)|/dev/shm).*; data\.workers=0 needs"
    if how == "hangs":
        error, said = RuntimeError, "DataLoader timed out after 2 seconds"
    with pytest.raises(error, match=said), refusals():
        fit(tiny(), data, 20)
