"""A file vanishes, or is overwritten by half of it, in the middle of an epoch: as if it were broken."""

import pytest
from lightning.pytorch.callbacks import Callback

from tests.reliability.photographs import data, folder
from tests.reliability.ranks import fit
from tests.training.gan import tiny


class Spoil(Callback):
    """After the first update."""

    def __init__(self, path, how):
        self.path, self.how = path, how

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == 1:
            if self.how == "vanishes":
                self.path.unlink()
            else:
                self.path.write_bytes(self.path.read_bytes()[:500])


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("how", ["vanishes", "is cut"])
def test_it_is_named_or_left_out(how, workers, tmp_path):
    root = folder(tmp_path, None)
    file = root / "03.png"
    content = file.read_bytes()
    with pytest.raises(ValueError, match=r"03\.png: .*\(train photograph 3\)"):
        fit(tiny(), data(root, workers=workers), 9, [Spoil(file, how)])

    file.write_bytes(content)
    skipping = data(root, workers=workers, on_bad_image="skip", max_bad_fraction=0.2)
    assert fit(tiny(), skipping, 9, [Spoil(file, how)]).global_step == 9
    assert list(skipping.tiles["train"].bad) == [3]
