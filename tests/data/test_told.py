"""What is said of photographs, from the files of a folder to the batch."""

import numpy as np
import pytest
import torch
from PIL import Image

from inpaint.data.datamodule import FolderData
from inpaint.masks import Full
from inpaint.settings import Refused

SETTINGS = {"crop": 16, "batch_size": 2, "crops_per_image": 2, "validation_crops": 2, "workers": 0}


@pytest.mark.parametrize("cache", ["ram", "none"])
def test_each_crop_has_what_is_said_of_its_photograph(tmp_path, cache):
    """Here the embedding is the grey level that the photograph has everywhere."""
    rows = {}
    for part in ("train", "val"):
        for level in (10, 90, 200):
            (tmp_path / part).mkdir(exist_ok=True)
            Image.new("RGB", (20, 20), (level,) * 3).save(tmp_path / part / f"{level}.png")
            (tmp_path / part / f"{level}.txt").write_text(f"level {level}")
            rows[f"{part}/{level}" + (".png" if level == 10 else "")] = np.array([level, 1.0])
    np.savez(tmp_path / "rows.npz", **rows)
    told = {"embeddings": str(tmp_path / "rows.npz"), "caption": "txt", "train": "train", "validation": "val"}
    data = FolderData(Full(), str(tmp_path), cache=cache, **told, **SETTINGS)
    data.setup("fit")
    for loader in (data.train_dataloader(), data.val_dataloader()):
        for raw in loader:
            batch = data.to_batch(raw, "cpu")
            levels = (batch["image"].mean(dim=(1, 2, 3)) + 1) * 127.5
            assert torch.allclose(batch["embedding"][:, 0], levels, atol=0.01) and (batch["embedding"][:, 1] == 1).all()
            assert batch["caption"] == [f"level {round(level)}" for level in levels.tolist()]
    del rows["val/200"]
    np.savez(tmp_path / "rows.npz", **rows)
    with pytest.raises(Refused, match=r"data.embeddings: 1 of 6 pictures have none in .*rows.npz: val/200.png"):
        FolderData(Full(), str(tmp_path), **told, **SETTINGS)
