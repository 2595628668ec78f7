"""Every kind of mask that conf/masks offers, on one picture: kinds.png, beside this file.

python experiments/002-masks-and-data/kinds.py
"""

from pathlib import Path

import hydra
import torch
from omegaconf import OmegaConf

from inpaint import rng
from inpaint.config import conf_dir
from inpaint.pictures.sheet import panel

FROM_FILES = {"files", "objects", "paired"}
SIDE, SAMPLES, ACROSS = 96, 4, 3


def main():
    names = sorted(path.stem for path in (conf_dir() / "masks").glob("[a-z]*.yaml") if path.stem not in FROM_FILES)
    keys = torch.tensor([rng.key("kinds", index) for index in range(SAMPLES)])
    rows, areas = [], []
    for name in names:
        with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
            node = hydra.compose("train", [f"masks={name}"]).masks
        mask = hydra.utils.instantiate(OmegaConf.to_container(node), _convert_="all")(keys, (256, 256))
        areas.append(mask.mean((1, 2, 3)).tolist())
        rows.append(torch.nn.functional.interpolate(2 * mask - 1, SIDE, mode="area").expand(-1, 3, -1, -1))
    columns = {" " * sample: torch.stack([row[sample] for row in rows]) for sample in range(SAMPLES)}  # no titles
    captions = [
        f"{name}   {', '.join(f'{area:.0%}' for area in each)}" for name, each in zip(names, areas, strict=True)
    ]
    page = panel(columns, captions, across=ACROSS, scale=1)
    page.quantize(16).save(Path(__file__).with_name("kinds.png"), optimize=True)


if __name__ == "__main__":
    main()
