"""`Predictor`: every kind of picture in hand, repaired alike; seeds, samples and batches."""

import numpy as np
import pytest
import torch
from PIL import Image

from inpaint import rng
from inpaint.fills import Mean
from inpaint.networks.generators.residual_unet import ResidualUNet
from inpaint.predict.predictor import Predictor
from inpaint.predict.refine import Refinement
from inpaint.settings import Refused
from tests.conftest import smooth_picture
from tests.predict.networks import Level, Noise

PICTURE = smooth_picture(1, 40, 60)
HOLE = np.zeros((40, 60), bool)
HOLE[10:30, 20:45] = True


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "CMYK", "1"])
def test_pictures_of_pillow(mode):
    picture = Image.fromarray(PICTURE).convert(mode)
    if mode in ("RGBA", "LA"):
        picture.putalpha(Image.fromarray(HOLE.astype(np.uint8) * 200 + 55))
    repaired = Predictor(Mean())(picture, Image.fromarray(HOLE))
    assert repaired.mode == {"P": "RGB", "CMYK": "RGB", "1": "L"}.get(mode, mode)
    before = np.asarray(picture.convert(repaired.mode))
    assert np.array_equal(np.asarray(repaired)[~HOLE], before[~HOLE])
    if mode in ("RGBA", "LA"):
        assert np.array_equal(np.asarray(repaired)[..., -1], before[..., -1])
    if mode != "1":
        assert not np.array_equal(np.asarray(repaired)[HOLE], before[HOLE])
    if mode == "RGB":
        assert np.array_equal(np.asarray(repaired), Predictor(Mean())(PICTURE, HOLE))


def test_sixteen_bits():
    deep = np.random.default_rng(0).integers(0, 65536, (40, 60, 3), dtype=np.uint16)
    repaired = Predictor(Mean())(deep, HOLE)
    assert repaired.dtype == np.uint16 and np.array_equal(repaired[~HOLE], deep[~HOLE])
    assert np.abs(repaired[HOLE] - deep[~HOLE].mean(axis=0)).max() < 1, "of 65536 levels"
    grey = Image.fromarray(deep[..., 0])
    painted = np.asarray(Predictor(Mean())(grey, Image.fromarray(HOLE)))
    assert painted.dtype == np.uint16 and np.array_equal(painted[~HOLE], deep[..., 0][~HOLE])
    assert np.abs(painted[HOLE] - deep[..., 0][~HOLE].mean()).max() < 1


def test_batches_and_lists_are_repaired_like_each_of_them():
    repair = Predictor(Mean())
    both = np.stack([PICTURE, PICTURE[::-1]])
    alone = [repair(picture, HOLE) for picture in both]
    assert np.array_equal(repair(both, HOLE), np.stack(alone))
    assert np.array_equal(repair(both, np.stack([HOLE, HOLE])), np.stack(alone))
    of_list = repair([Image.fromarray(PICTURE), both[1], torch.from_numpy(PICTURE).permute(2, 0, 1)], HOLE)
    assert np.array_equal(np.asarray(of_list[0]), alone[0]) and np.array_equal(of_list[1], alone[1])
    assert np.array_equal(of_list[2].permute(1, 2, 0).numpy(), alone[0])
    with pytest.raises(Refused, match="mask: give one, or one for each of 2 pictures; got 3"):
        repair([PICTURE, PICTURE], [HOLE] * 3)


def test_windows_of_one_size_share_batches():
    network = Level()
    pictures = [smooth_picture(number, 40, 60) for number in range(3)] + [smooth_picture(3, 50, 60)]
    holes = [HOLE, HOLE, HOLE, np.ones((50, 60), bool)]
    repaired = Predictor(network, batch_size=2).repair(pictures, holes)
    assert [size[0] for size in network.sizes] == [2, 1, 1]
    for picture, hole, one in zip(pictures, holes, repaired, strict=True):
        assert np.array_equal(one.pixels[~hole], picture[~hole]) and (one.pixels[hole] == 191).all()


def test_noise_follows_from_seed_and_sample_alone():
    pictures, holes = [PICTURE, PICTURE[::-1].copy()], [HOLE, HOLE]
    together = Predictor(Noise(), batch_size=2).repair(pictures, holes)
    alone = Predictor(Noise(), batch_size=1).repair(pictures[1:], holes[1:])
    assert np.array_equal(together[1].pixels, alone[0].pixels)
    first = Predictor(Noise())(PICTURE, HOLE)
    assert np.array_equal(first, Predictor(Noise())(PICTURE, HOLE))
    assert not np.array_equal(first, Predictor(Noise())(PICTURE, HOLE, sample=1))
    assert not np.array_equal(first, Predictor(Noise(), seed=1)(PICTURE, HOLE))
    assert Predictor(Noise()).draws_noise and not Predictor(Mean()).draws_noise


def test_raw_is_what_was_painted_everywhere():
    (repaired,) = Predictor(Level()).repair([PICTURE], [HOLE], raw=True)
    assert (repaired.raw == 191).all()
    (cropped,) = Predictor(Level(), strategy="crop", context=0).repair([PICTURE], [HOLE], raw=True)
    box = np.zeros_like(HOLE)
    box[0:32, 16:48] = True
    assert (cropped.raw[box] == 191).all() and np.array_equal(cropped.raw[~box], PICTURE[~box])


class Grey(Refinement):
    """Turns what was painted to grey."""

    about = "grey"

    def check(self, generator, largest):
        self.largest = largest

    def refine(self, generator, image, mask, output):
        return output * 0, "grey"


def test_what_was_painted_is_refined():
    grey = Grey()
    predictor = Predictor(Level(), refine=grey, batch_size=2)
    first, second = predictor([PICTURE, PICTURE], HOLE)
    assert (first[HOLE] == 128).all() and np.array_equal(first[~HOLE], PICTURE[~HOLE]) and np.array_equal(first, second)
    assert grey.done == {"grey": 2} and grey.largest == 512
    assert (predictor.unrefined()(PICTURE, HOLE)[HOLE] == 191).all()
    Predictor(Level(), refine=grey, strategy="full")
    assert grey.largest is None


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (2, 3)])
@pytest.mark.parametrize("strategy", ["auto", "pad", "crop", "tile", "resize"])
def test_pictures_of_a_pixel(size, strategy):
    picture, hole = smooth_picture(0, *size), np.ones(size, bool)
    hole[0, -1] = size == (1, 1)
    repaired = Predictor(Mean(), strategy=strategy)(picture, hole)
    assert repaired.shape == picture.shape and np.array_equal(repaired[~hole], picture[~hole])


@pytest.mark.parametrize("settings", [{"precision": "16"}, {"batch_size": 0}, {"strategy": "whole"}])
def test_settings_that_mean_nothing(settings):
    with pytest.raises(Refused, match=next(iter(settings))):
        Predictor(Mean(), **settings)


def test_all_tiles_of_another_sample_have_one_latent():
    seen = []

    class Latent(Noise):
        needs, latent = ("latent",), 4

        def forward(self, image, mask, latent=None):
            seen.append(latent)
            return super().forward(image, mask)

    predictor = Predictor(Latent(), strategy="tile", tile=32, overlap=8)
    predictor(PICTURE, HOLE, sample=1)
    rows = torch.cat(seen)
    assert len(rows) > 1 and (rows == rows[0]).all()
    seen.clear()
    predictor(PICTURE, HOLE, sample=2)
    assert (torch.cat(seen) != rows[0]).any()
    seen.clear()
    predictor(PICTURE, HOLE)
    assert seen and all(latent is None for latent in seen)


def test_what_is_said_of_all_pictures_is_heard():
    rng.seed_all(0)
    network = ResidualUNet(width=4, levels=1, condition={"label": 3, "words": 16}).eval()
    for name, weight in network.named_parameters():
        if name.startswith(("films", "head")):
            torch.nn.init.normal_(weight, 0, 0.3)
    silent = Predictor(network)(PICTURE, HOLE)
    told = [Predictor(network, **said)(PICTURE, HOLE) for said in ({"label": 2}, {"caption": "red"}, {"label": 1})]
    for number, one in enumerate([silent, *told]):
        for other in told[number:]:
            assert (one[HOLE] != other[HOLE]).any() and np.array_equal(one[~HOLE], PICTURE[~HOLE])
    for said, says in (
        ({"label": 3}, "label: there is no class 3; give 0 to 2"),
        ({"label": -1}, "label: -1"),
    ):
        with pytest.raises(Refused, match=says):
            Predictor(network, **said)
    with pytest.raises(Refused, match="caption: Mean was told no caption in training; leave it out"):
        Predictor(Mean(), caption="red")
