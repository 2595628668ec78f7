"""IOPaint's own class of LaMa paints pictures with the network that ``LAMA_MODEL_URL`` names; run in its environment.

    LAMA_MODEL_URL=file:///DIR/model.pt LAMA_MODEL_MD5= python iopaint_client.py PICTURES.npz RESULTS.npz

PICTURES has arrays ``NAME`` (uint8, RGB) and ``NAME_mask`` (255 = hole); RESULTS has what IOPaint makes of them, in
RGB, with known pixels pasted (``NAME``) and as its network's composite comes back (``NAME_plain``).
"""

import importlib.util
import sys
import types

import numpy as np

spec = importlib.util.find_spec("iopaint.model")
package = types.ModuleType("iopaint.model")  # its __init__ imports diffusion models, which want torchvision
package.__path__ = list(spec.submodule_search_locations)
sys.modules["iopaint.model"] = package

from iopaint.model.lama import LaMa  # noqa: E402
from iopaint.schema import HDStrategy, InpaintRequest  # noqa: E402

pictures = dict(np.load(sys.argv[1]))
LaMa.download()
assert LaMa.is_downloaded(), "IOPaint offers a model that it finds in its cache"
model = LaMa("cpu")
results = {}
for name, picture in pictures.items():
    if not name.endswith("_mask"):
        for ending, pasted in (("", True), ("_plain", False)):
            asked = InpaintRequest(hd_strategy=HDStrategy.ORIGINAL, sd_keep_unmasked_area=pasted)
            painted = model(picture, pictures[f"{name}_mask"], asked)
            results[name + ending] = painted[:, :, ::-1]
np.savez(sys.argv[2], **results)
