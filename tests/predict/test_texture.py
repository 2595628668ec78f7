"""`refine=texture`: pixels of a hole are optimised until their features are made of patches of what is around."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from inpaint.batch import Batch, paint
from inpaint.fills import Mean
from inpaint.losses.mrf import nearest
from inpaint.networks.backbones import shared
from inpaint.predict import texture
from inpaint.predict.predictor import Predictor
from inpaint.predict.texture import Texture
from inpaint.settings import Refused
from tests.conftest import smooth_picture

LAYERS = {"backbone": "vgg16", "weights": "random", "texture_layers": ["relu2_1"], "content_layers": ["relu2_1"]}
PICTURE = smooth_picture(1, 48, 56)
HOLE = np.zeros((48, 56), bool)
HOLE[18:32, 20:36] = True
IMAGE = torch.from_numpy(PICTURE).permute(2, 0, 1)[None] / 127.5 - 1
MASK = torch.from_numpy(HOLE)[None, None].float()


def test_the_energy_falls_and_what_is_known_stays(monkeypatch):
    courses, real = [], texture.optimise

    def noted(*arguments, **settings):
        courses.append(real(*arguments, **settings))
        return courses[-1]

    monkeypatch.setattr(texture, "optimise", noted)
    refine = Texture(**LAYERS, smallest=24, steps=8)
    predictor = Predictor(Mean(), refine=refine)
    refined, plain = predictor(PICTURE, HOLE), predictor.unrefined()(PICTURE, HOLE)
    assert np.array_equal(refined[~HOLE], PICTURE[~HOLE]) and not np.array_equal(refined[HOLE], plain[HOLE])
    assert len(courses) == 2 and all(course.best < 0.9 * course.energies[0] for course in courses)
    assert refine.done == {"2 scales": 1} and np.array_equal(refined, predictor(PICTURE, HOLE))


def test_references_are_of_wholly_known_places():
    refine = Texture(**LAYERS, turns=[10.0], zooms=[1.1])
    references = refine.references(IMAGE, MASK)["relu2_1"]
    for value in (5.0, float("nan")):
        other = torch.where(MASK > 0.5, value, IMAGE)
        assert torch.equal(refine.references(other, MASK)["relu2_1"], references)
    known = IMAGE.clone()
    known[..., 2, 2] += 1
    assert not torch.equal(refine.references(known, MASK)["relu2_1"], references)
    plain = Texture(**LAYERS).references(IMAGE, MASK)["relu2_1"]
    assert torch.equal(references[:, : plain.shape[1]], plain) and references.shape[1] > plain.shape[1] > 0


@pytest.mark.parametrize("layer", ["relu1_2", "relu2_1", "pool2", "relu3_1"])
def test_which_features_see_the_hole(layer):
    """Against gradients, of weights that cancel nowhere."""
    backbone = shared("vgg16", "random", "unit", [layer], "test")
    state = {name: value.clone() for name, value in backbone.features.state_dict().items()}
    try:
        for name, value in backbone.features.state_dict().items():
            value.fill_(0.01 if name.endswith("weight") else 0.1)
        (reached,) = backbone.reached(MASK, [layer])
        before, after = (backbone(picture, [layer])[0] for picture in (IMAGE * 0, IMAGE * 0 + MASK))
        assert torch.equal((before - after).abs().amax(dim=1, keepdim=True) > 0, reached > 0.5)
        assert 0 < reached.mean() < 1
    finally:
        backbone.features.load_state_dict(state)


def test_the_energy_of_a_layer_is_the_distance_to_the_nearest_patches():
    refine, generator = Texture(**LAYERS), torch.Generator().manual_seed(0)
    features, now = torch.rand(2, 1, 5, 12, 14, generator=generator).unbind()
    references = torch.rand(45, 30, generator=generator)
    target = refine._target(features, MASK, references)
    touched = F.unfold(F.adaptive_max_pool2d(MASK, (12, 14)), 3)[0].amax(dim=0) > 0.5
    before, patches = (F.unfold(x, 3)[0][:, touched] for x in (features, now))
    cosine = F.normalize(before, dim=0).T @ F.normalize(references, dim=0)
    distance = (patches - references[:, cosine.argmax(dim=1)]).square().sum(dim=0).mean()
    assert float(target.energy(now)) == pytest.approx(float(distance / references.square().sum(dim=0).mean()), rel=1e-4)


def test_nearest_in_blocks():
    patches, references = torch.randn(2, 8, 50, generator=torch.Generator().manual_seed(1)).unbind()
    assert torch.equal(nearest(patches, references, most=120), nearest(patches, references))
    assert torch.equal(nearest(3 * references[:, 7:9], references), torch.tensor([7, 8]))


def test_without_free_surroundings_the_generators_picture_stays():
    refine = Texture(**LAYERS)
    hole = torch.ones_like(MASK)
    hole[..., :4] = 0
    batch = Batch(image=torch.cat([IMAGE, IMAGE]), mask=torch.cat([hole, MASK * 0]), index=torch.arange(2))
    refined = refine(Mean(), batch)
    assert torch.equal(refined.composite, paint(Mean(), batch).composite)
    assert {*refine.done} == {
        "left as painted: no patch of its surroundings is free of the hole",
        "left as painted: no hole",
    }


def test_it_says_with_which_network(tmp_path):
    assert "patches of relu4_1 and content of relu4_2, vgg16 with random weights" in Texture("vgg16", "random").about
    network = shared("vgg16", "random", "unit", ["relu3_3"], "test")
    state = {f"features.{name}": value for name, value in network.features.state_dict().items()}
    torch.save({name: value for name, value in state.items() if int(name.split(".")[1]) < 16}, tmp_path / "vgg.pth")
    about = Texture("vgg16", str(tmp_path / "vgg.pth"), "caffe").about
    assert "patches of relu2_1, relu3_1 and content of relu3_3" in about and f"{tmp_path}/vgg.pth (caffe)" in about


def test_bad_settings():
    for settings, match in (
        ({"backbone": "alexnet"}, "refine.backbone"),
        ({"weights": "nowhere.pth"}, "refine.weights: there is no file"),
        ({"texture": -1.0}, "refine.texture"),
        ({"steps": 0}, "refine.steps"),
        ({"zooms": [0]}, "refine.zooms"),
        ({"texture_layers": ["conv9"]}, "refine.layers: vgg16 has no conv9"),
    ):
        with pytest.raises(Refused, match=match):
            Texture(**{**LAYERS, **settings})
