"""The stages of EdgeConnect, driven by a real Trainer on tiny networks."""

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from inpaint import rng
from inpaint.losses.adversarial import NonSaturating
from inpaint.losses.reconstruction import L1, L2
from inpaint.losses.term import Term
from inpaint.networks.discriminators import Patch
from inpaint.networks.generators.edge_connect import EdgeConnect, edges_of, grey_of
from inpaint.networks.generators.residual_unet import ResidualUNet
from inpaint.training.edge_connect import EdgeConnectGAN


class Matching(Term):
    """Mean difference of the discriminator's features."""

    def __init__(self):
        super().__init__(10.0, {"real", "fake"})

    def forward(self, outputs, batch):
        pairs = zip(outputs.real.features[0], outputs.fake.features[0], strict=True)
        return torch.stack([(real - fake).abs().mean() for real, fake in pairs]).mean()


class Recorder(Patch):
    """Remembers the pictures that it judges."""

    def forward(self, image, mask):
        self.seen = image.detach()
        return super().forward(image, mask)


def samples(count=4, size=32):
    """Discs on slopes, with holes over their rims."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    rows = []
    for index in range(count):
        disc = ((y - 14) ** 2 + (x - 12 - 2 * index) ** 2 < 64).float()
        mask = torch.zeros(1, size, size)
        mask[:, 10:22, 8 + 2 * index : 24] = 1
        planes = [disc * (1.4 - 0.3 * colour) - 0.7 + 0.01 * x for colour in range(3)]
        rows.append({"image": torch.stack(planes), "mask": mask, "index": index})
    return rows


def make(stage, adversarial=True, **settings):
    rng.seed_all(0)
    parts = {
        "generator": EdgeConnect(width=8, blocks=1),
        "losses": {"matching": Matching()} if stage == "edge" and adversarial else {"l1": L1()},
        "generator_optimizer": lambda parameters: torch.optim.Adam(parameters, 2e-3),
    }
    if adversarial:
        parts["discriminator"] = Recorder(width=4, layers=1, sees_mask=False)
        parts["discriminator_optimizer"] = lambda parameters: torch.optim.Adam(parameters, 2e-4)
        parts["adversarial"] = NonSaturating(weight=1.0, of="output")
    return EdgeConnectGAN(stage=stage, **(parts | settings))


def trainer(updates):
    return L.Trainer(
        max_steps=updates,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def fit(module, updates=2, rows=None):
    trainer(updates).fit(module, DataLoader(rows or samples(), batch_size=4))
    return module


def moved(module, stage):
    """Which of the two networks training moved."""
    before = {name: value.detach().clone() for name, value in module.generator.named_parameters()}
    fit(module)
    return {name.split(".")[0] for name, value in module.generator.named_parameters() if not value.equal(before[name])}


@pytest.mark.parametrize(("stage", "trained"), [("edge", "edges"), ("canny", "painter"), ("predicted", "painter")])
def test_each_stage_trains_one_network(stage, trained):
    assert moved(make(stage), stage) == {trained}


def test_the_edge_stages_discriminator_sees_edges_and_grey():
    module = fit(make("edge"), 1)
    image = torch.stack([row["image"] for row in samples()])
    real, fake = module.discriminator.seen.chunk(2)
    edges, grey = edges_of(grey_of(image)), grey_of(image)
    assert torch.allclose(real, 2 * torch.cat([edges, grey, grey], dim=1) - 1) and edges.sum() > 50
    assert torch.allclose(fake[:, 1:], real[:, 1:])
    assert fake[:, :1].abs().max() < 1 and fake[:, :1].std() > 0


@pytest.mark.parametrize("stage", ["edge", "canny"])
def test_realism_of_pictures_only(stage):
    module = make(stage)
    batch = {name: torch.stack([row[name] for row in samples(2)]) for name in ("image", "mask")}
    batch["index"] = torch.arange(2)
    shown = module.realism(module.repair(batch), batch)
    assert (shown is None) == (stage == "edge")


def test_the_edge_stage_does_not_draw_from_the_truth():
    """What it draws depends on the known part alone, edges beside the hole included."""
    module = make("edge").eval()
    rows = {key: torch.stack([row[key] for row in samples()]) for key in ("image", "mask")}
    other = torch.where(rows["mask"] == 1, torch.rand_like(rows["image"]), rows["image"])
    drawn = [module(module.of_edges({**rows, "image": image})).output[:, :1] for image in (rows["image"], other)]
    assert torch.equal(*drawn)
    grey = grey_of(rows["image"])
    known = module.generator.known_edges(grey, rows["mask"])
    assert torch.allclose((drawn[0] + 1) / 2, module.generator.edges(grey, known, rows["mask"]), atol=1e-5)


@pytest.mark.parametrize("stage", ["edge", "canny", "predicted"])
def test_known_pixels_are_seen_as_they_are_given(stage):
    """Where pictures are degraded, what the networks make does not change with the truth outside the holes."""
    module, rows = make(stage).eval(), {key: torch.stack([row[key] for row in samples()]) for key in ("image", "mask")}
    rows["given"] = (rows["image"] + 0.3 * torch.rand_like(rows["image"])) * (1 - rows["mask"])
    made = []
    for truth in (rows["image"], torch.where(rows["mask"] == 1, rows["image"], -rows["image"])):
        batch = {**rows, "image": truth}
        outputs = module(module.of_edges(batch) if stage == "edge" else batch)
        made.append(outputs.output[:, :1] if stage == "edge" else outputs.output)
    assert torch.equal(*made)
    if stage != "edge":
        assert torch.equal(outputs.composite * (1 - rows["mask"]), rows["given"])


@pytest.mark.parametrize("stage", ["canny", "predicted"])
def test_which_edges_the_painter_gets(stage):
    module = make(stage).eval()
    image, mask = (torch.stack([row[key] for row in samples()]) for key in ("image", "mask"))
    given = []
    module.generator.painter.register_forward_hook(lambda layer, inputs, output: given.append(inputs[0]))
    module({"image": image, "mask": mask})
    grey = grey_of(image)
    expected = edges_of(grey) if stage == "canny" else module.generator.edge_map(grey, mask)
    assert torch.equal(given[0][:, 3:], expected)
    assert torch.equal(given[0][:, :3], ((image + 1) / 2).masked_fill(mask == 1, 1))


def test_edges_are_validated_as_drawn_from_what_is_given():
    module, seen = make("predicted"), []
    module.ema.network.edges.register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0]))
    rows = [row | {"given": (row["image"] + 0.2) * (1 - row["mask"])} for row in samples()]
    trainer(1).validate(module, DataLoader(rows, batch_size=4), verbose=False)
    known = torch.stack([1 - row["mask"] for row in rows])
    expected = grey_of(torch.stack([row["given"] for row in rows])) * known
    assert seen and all(torch.allclose(grey * known, expected, atol=1e-6) for grey in seen)


def validated(module):
    return trainer(1).validate(module, DataLoader(samples(), batch_size=4), verbose=False)[0]


def test_the_edge_stage_learns_edges_and_validation_measures_them():
    module = make("edge", adversarial=False, losses={"l2": L2()}, ema_decay=0.9)
    before = validated(module)
    fit(module, 100).generator.requires_grad_(False).apply(lambda layer: [p.zero_() for p in layer.parameters(False)])
    after = validated(module)  # of the moving average
    image, mask = (torch.stack([row[key] for row in samples()]) for key in ("image", "mask"))
    truth = edges_of(grey_of(image)) == 1
    drawn = module.ema.network.edge_map(grey_of(image), mask) > 0.5
    hole = mask == 1
    hits = (drawn & truth & hole).sum()
    assert after["val/edge_recall"] == pytest.approx((hits / (truth & hole).sum()).item())
    assert after["val/edge_precision"] == pytest.approx((hits / (drawn & hole).sum()).item())
    assert before["val/edge_precision"] < 0.3 and after["val/edge_precision"] > 0.9 and after["val/edge_recall"] > 0.9
    assert "val/hole_psnr" in after


def test_a_batch_without_holes_is_validated():
    rows = [row | {"mask": torch.zeros_like(row["mask"])} for row in samples()]
    trainer(1).validate(make("predicted"), DataLoader(rows, batch_size=4), verbose=False)


def test_what_cannot_be():
    with pytest.raises(ValueError, match=r"^generator: ResidualUNet draws no edges; choose generator=edge_connect"):
        make("edge", generator=ResidualUNet(width=4))
    with pytest.raises(ValueError, match=r"^module\.stage: give one of edge, canny, predicted; got 'joint'"):
        make("joint")
