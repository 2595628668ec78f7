import re
import zlib
from pathlib import Path
from types import SimpleNamespace

import torch

import inpaint
from inpaint.batch import (
    Batch,
    Verdict,
    compose,
    from_uint8,
    given,
    mismatched,
    paint,
    said_to,
    split,
    teach,
    to_uint8,
    twice,
    words,
)


def test_every_byte_survives_the_round_trip():
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(from_uint8(levels)), levels)
    assert from_uint8(levels).min() == -1 and from_uint8(levels).max() == 1


def test_to_uint8_rounds_and_clamps():
    values = torch.tensor([-2.0, -1.0, -0.9, 0.0, 0.002, 1.0, 7.0])
    expected = [0, 0, 13, 128, 128, 255, 255]  # -0.9 is level 12.75, 0 is 127.5 (to even: 128)
    assert to_uint8(values).tolist() == expected


def test_composite_equals_the_image_bit_for_bit_outside_the_hole(batch):
    image, mask = batch["image"], batch["mask"]
    image[0, 0, 0, 0] = -0.0
    output = torch.full_like(image, torch.inf)
    for dtype in (torch.float32, torch.bfloat16):
        composite = compose(output.to(dtype), image, mask).composite
        known = (mask == 0).expand_as(image)
        assert composite.dtype == image.dtype and torch.equal(composite[known], image[known])
        assert torch.signbit(composite[0, 0, 0, 0])
        assert composite[~known].isinf().all()


def test_a_network_sees_nothing_of_the_truth_in_a_hole(batch):
    """Whatever is in the hole, a network gets the same; outside it, the picture bit for bit."""
    seen = []

    def network(image, mask):
        seen.append(image)
        return compose(image, image, mask)

    hole = (batch["mask"] == 1).expand_as(batch["image"])
    other = {**batch, "image": batch["image"].masked_fill(hole, 0.7)}
    outputs = [paint(network, each) for each in (batch, other)]
    assert torch.equal(*seen) and torch.equal(seen[0], given(batch)) and not seen[0][hole].any()
    assert torch.equal(seen[0][~hole], batch["image"][~hole])
    assert torch.equal(outputs[0].composite, outputs[1].composite)


def test_no_other_file_takes_the_truth_away():
    """`batch.given` does; discriminators split what they judge, and fills and masks work on their own grids."""
    emptied = re.compile(r"image[\w\"\]]*\s*\*\s*\(1 - |batch\[.image.\] \* ")
    files = Path(inpaint.__file__).parent.rglob("*.py")
    found = {path.name for path in files if "networks" not in path.parts and emptied.search(path.read_text())}
    assert found == {"batch.py"}


def test_a_verdict_on_real_and_fake_together_splits_into_both():
    logits, features = torch.randn(6, 1, 4, 4), (torch.randn(6, 8, 9, 9), torch.randn(6, 4, 5, 5))
    real, fake = Verdict((logits, logits[..., :2]), (features, features[:1])).halves()
    assert torch.equal(torch.cat([real.logits[0], fake.logits[0]]), logits) and fake.logits[1].shape == (3, 1, 4, 2)
    assert [len(scale) for scale in real.features] == [2, 1] == [len(scale) for scale in fake.features]
    assert torch.equal(fake.features[0][1], features[1][3:])


def test_parts_have_the_texts_of_their_pictures(batch):
    parts = split({**batch, "caption": ["a", "b", "c", "d"]}, 3)
    assert [(part["index"].tolist(), part["caption"]) for part in parts] == [([0, 1], ["a", "b"]), ([2, 3], ["c", "d"])]
    assert torch.equal(torch.cat([part["image"] for part in parts]), batch["image"])
    assert [len(part["index"]) for part in split(batch, 9)] == [1] * 4
    clips = split({**batch, "frames": 2}, 4)
    assert [part["index"].tolist() for part in clips] == [batch["index"][:2].tolist(), batch["index"][2:].tolist()]
    assert all(part["frames"] == 2 for part in clips)


def test_a_network_gets_no_truth_by_the_names_of_its_needs(batch):
    seen = {}

    class Curious(torch.nn.Module):
        needs = ("image", "given", "mask", "index", "truth", "label")

        def forward(self, image, mask, **others):
            seen.update(others)
            return compose(image, image, mask)

    batch = Batch(**{**batch, "label": torch.zeros(len(batch["index"]), dtype=torch.int64)})
    paint(Curious(), batch)
    assert {*seen} == {"label"}
    teach(Curious(), batch)
    assert {*seen} == {"label", "truth"} and torch.equal(seen["truth"], batch["image"])


def test_words_are_numbers_of_their_own_behind_which_nothing_stands():
    """CRC-32, as zlib has it: of the word in lower case."""
    found = words(["A red disc.", "", "one two three four five six seven eight nine"])
    assert found.shape == (3, 16) and found.dtype == torch.int64
    assert found[0].tolist() == [zlib.crc32(word.encode()) for word in ("a", "red", "disc")] + [0] * 13
    assert not found[1].any() and (found[2] != 0).sum() == 9


def test_a_picture_under_what_is_said_of_another():
    said = {"label": torch.tensor([0, 0, 1, 0]), "caption": ["a", "a", "b", "c"], "latent": torch.rand(4, 2)}
    wrong, several = mismatched(said)
    assert several and wrong["label"].tolist() == [1, 1, 0, 0] and wrong["caption"] == ["b", "b", "c", "a"]
    assert torch.equal(wrong["latent"], said["latent"])
    wrong, several = mismatched({"embedding": torch.ones(3, 5)})
    assert not several and torch.equal(wrong["embedding"], torch.ones(3, 5))


def test_what_a_discriminator_is_told(batch):
    judge = SimpleNamespace(needs=("words", "given", "label"))
    batch = Batch(**{**batch, "caption": ["a", "b", "c", "d"]})
    told = said_to(judge, batch)
    assert {*told} == {"words", "given"} and torch.equal(told["given"], given(batch))
    both = twice(told | {"caption": ["a", "b"], "frames": 2})
    assert torch.equal(both["words"], words(["a", "b", "c", "d"] * 2)) and both["caption"] == ["a", "b"] * 2
    assert both["frames"] == 2 and not said_to(SimpleNamespace(), batch)
