"""Every degradation that conf/degradation offers, truth and given: kinds.jpg, beside this file.

python experiments/015-degradations/kinds.py
"""

from pathlib import Path

import hydra
import torch
from omegaconf import OmegaConf
from skimage.data import astronaut

from inpaint import rng
from inpaint.batch import from_uint8
from inpaint.config import conf_dir
from inpaint.pictures.sheet import as_large, panel

SIDE, SAMPLES, ACROSS = 96, 4, 3


def main():
    names = sorted(path.stem for path in (conf_dir() / "degradation").glob("[a-z]*.yaml") if path.stem != "none")
    keys = torch.tensor([rng.key("kinds", index) for index in range(SAMPLES - 1)])
    truth = from_uint8(torch.from_numpy(astronaut()[20 : 20 + SIDE, 170 : 170 + SIDE].copy()).permute(2, 0, 1))[None]
    rows = []
    for name in names:
        with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
            node = hydra.compose("train", [f"degradation={name}"]).degradation
        degradation = hydra.utils.instantiate(OmegaConf.to_container(node), _convert_="all")
        given = degradation(truth.expand(len(keys), -1, -1, -1), keys)
        rows.append(torch.cat([truth, as_large(given, SIDE)]))
    columns = {" " * sample: torch.stack([row[sample] for row in rows]) for sample in range(SAMPLES)}  # no titles
    page = panel(columns, names, across=ACROSS, scale=1)
    page.save(Path(__file__).with_name("kinds.jpg"), quality=90)


if __name__ == "__main__":
    main()
