"""Masks that photographs come with: how much of them is hole, looked at before anything is trained or measured."""

import logging
import math
from itertools import islice

from lightning.pytorch.utilities import rank_zero_only

from inpaint.data.sources import Source, say
from inpaint.data.tiles import Tiles
from inpaint.masks import Masks
from inpaint.pictures.mask_files import Polarity, check_shares
from inpaint.settings import Refused

LOOKED_AT = 64  # masks, evenly spread over a split, whose mean share stands for all

warn = rank_zero_only(logging.getLogger("inpaint.data").warning)


def check_drawn(masks: Masks | None, source: Source) -> None:
    """Whether the holes are drawn or come with the photographs, and where both could be, which it is.

    Raises:
        Refused: neither.
    """
    if masks is None and not source.masked:
        raise Refused("masks: masks=paired needs photographs that come with masks (data.masks_root=DIR)")
    if masks is not None and source.masked:
        say("masks: drawn, not those that the photographs come with; masks=paired takes those")


def check_masks(tiles: Tiles, polarity: Polarity | None) -> None:
    """Say how much of the photographs the masks of a split cover, as far as `LOOKED_AT` of them tell.

    Args:
        tiles: of the split.
        polarity: what the user says the hole is, if anything.

    Raises:
        Refused: no mask of the split has a hole.
        BadImage: one of those looked at cannot be read, and none may be left out.
    """
    in_order = tiles.source.shards(tiles.split) is not None
    rows = range(0, tiles.count, 1 if in_order else math.ceil(tiles.count / LOOKED_AT))[:LOOKED_AT]
    shares = [tiles.hole_share(row) for row in rows]
    if not any(shares):  # holes may be rare
        others = (tiles.hole_share(row) for row in range(tiles.count) if row not in rows)
        shares += [*islice(filter(None, others), 1)]
    hole, other = ("black", "white") if polarity == "black" else ("white", "black")
    remedy = f"{hole} is taken for the hole; data.mask_polarity={other} where {other} is"
    warning = check_shares(shares, f"masks of the {tiles.split} photographs", polarity is not None, remedy)
    looked_at = "" if len(shares) == tiles.count else f" (of {len(shares)} looked at)"
    say(
        f"masks: holes cover {sum(shares) / len(shares):.1%} of the {tiles.split} photographs{looked_at}, "
        f"{min(shares):.1%} to {max(shares):.1%} of each"
    )
    if warning:
        warn(warning)
