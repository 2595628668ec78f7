"""A few measured pictures of two methods, for tests of averages and of tables."""

import math
from typing import Any

from inpaint.evaluation.table import SHOWN


def record(method: str, index: int, area: float, **figures: float) -> dict[str, Any]:
    """One picture; figures that are not given are 1."""
    return {"method": method, "index": index, "area": area, **dict.fromkeys(SHOWN, 1.0), **figures}


RECORDS = [
    record("telea", 0, 0.05, hole_psnr=20.0, psnr=30.0, hole_l1=8.0),
    record("telea", 1, 0.08, hole_psnr=math.inf, psnr=math.inf, hole_l1=0.0),
    record("telea", 2, 0.10, hole_psnr=18.0, psnr=28.0, hole_l1=9.0),
    record("gan [l1,style]", 0, 0.05, hole_psnr=24.0, psnr=34.0, hole_l1=6.0),
    record("gan [l1,style]", 1, 0.08, hole_psnr=25.0, psnr=35.0, hole_l1=5.0),
    record("gan [l1,style]", 2, 0.10, hole_psnr=23.0, psnr=33.0, hole_l1=7.0),
]
