"""A source of another package is told in a line what it should have given, before its pictures are kept."""

import pytest
import torch

from inpaint.data.datamodule import InpaintingData
from inpaint.data.sources import Photos
from inpaint.masks.boxes import Boxes
from inpaint.pictures.mask_files import MaskReader
from inpaint.settings import Refused


class Grey:
    """Six pictures of 40 x 48; `changed` replaces what it reads, and `given` its size."""

    masked, mask_reader = False, MaskReader()

    def __init__(self, changed=None, given=(40, 48), masked=False):
        self.changed, self.given, self.masked = changed, given, masked

    def count(self, split):
        return 3

    def name(self, split, row):
        return f"{split}/{row}"

    def size(self, split, row):
        return self.given

    def read(self, split, row):
        pixels = torch.full((3, 40, 48), 100, dtype=torch.uint8)
        picture = {"image": pixels, **({"mask": pixels[:1] // 100} if self.masked else {})}
        return picture if self.changed is None else self.changed(picture)

    def shards(self, split):
        return None


@pytest.mark.parametrize("masked", [False, True])
def test_a_right_one_is_a_collection_like_any_other(masked):
    data = InpaintingData(Grey(masked=masked), None if masked else Boxes(), crop=32, batch_size=2)
    data.setup("fit")
    assert data.validation_batch(2, torch.device("cpu"))["image"].shape == (2, 3, 32, 32)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"changed": lambda p: p["image"]}, "should read a dict with the picture as image; it gave a Tensor"),
        ({"changed": lambda p: {}}, r"should read image as uint8 \(3, H, W\); it gave NoneType"),
        ({"changed": lambda p: {"image": p["image"] / 255}}, r"\(3, H, W\); it gave torch.float32 \(3, 40, 48\)"),
        ({"changed": lambda p: {"image": p["image"][:1]}}, r"it gave torch.uint8 \(1, 40, 48\)"),
        ({"changed": lambda p: {"image": p["image"].permute(1, 2, 0)}}, r"it gave torch.uint8 \(40, 48, 3\)"),
        ({"given": (48, 40)}, r"should give the size, .* \(40, 48\); it gave \(48, 40\)"),
        ({"masked": True, "changed": lambda p: p | {"mask": 255 * p["mask"]}}, "a mask of 0 and 1; .* up to 255"),
    ],
)
def test_a_wrong_one_is_told_so(settings, message):
    with pytest.raises(Refused, match=message) as caught:
        InpaintingData(Grey(**settings), None if settings.get("masked") else Boxes(), crop=32)
    assert str(caught.value).startswith(f"data: {Grey.__module__}.Grey should ") and "\n" not in str(caught.value)


def test_what_it_lacks_is_named():
    class Half:
        masked = False

        def count(self, split):
            return 3

    with pytest.raises(Refused, match="Half has no mask_reader, name, size, read, shards, which "):
        InpaintingData(Half(), Boxes())


def test_our_own_are_not_tried(monkeypatch):
    monkeypatch.setattr(Photos, "read", lambda *_: pytest.fail("it was read"))
    InpaintingData(Photos(), Boxes(), crop=32)
