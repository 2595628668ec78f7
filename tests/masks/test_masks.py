"""Masks: exact pixels against a brute-force painter, purity, statistics, memory, and messages for wrong arguments."""

import functools
import hashlib
import inspect
import math
from pathlib import Path

import pytest
import torch
import torch._dynamo  # meta tensors import it at their first use, and it sets an environment variable, as no test may
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from inpaint import masks, rng
from inpaint.masks import Boxes, Masks, Mixture, Shapes, Strokes, paint

CONF = Path(__file__).parent.parent.parent / "conf"
KINDS: dict[str, Masks] = {
    "boxes": Boxes(),
    "centre": Boxes(count=(1, 1), side=(0.5, 0.5), position=(0.5, 0.5)),
    "strokes": Strokes(),
    "scribbles": Strokes(count=(4, 50), segments=(1, 5), length=(0.04, 0.2), width=(0.02, 0.06), turn=(0, 180)),
    "mixture": Mixture({"boxes": Boxes(), "strokes": Strokes()}),
    "nested": Mixture({"thin": Strokes(width=(0.03, 0.05)), "rest": Mixture({"boxes": Boxes(), "strokes": Strokes()})}),
}


def keys(count: int) -> Tensor:
    return torch.tensor([rng.key(0, "mask", index) for index in range(count)])


@functools.cache
def many(name: str) -> Tensor:
    """2000 masks of 64 px, bool ``(2000, 1, 64, 64)``."""
    return torch.cat([KINDS[name](part, (64, 64)) > 0.5 for part in keys(2000).split(250)])


def areas(mask: Tensor) -> Tensor:
    return mask.float().mean((1, 2, 3))


def points(size: masks.Size) -> tuple[Tensor, Tensor]:
    """Pixel centres, x ``(1, W)`` and y ``(H, 1)``, in float64."""
    return torch.arange(size[1], dtype=torch.float64), torch.arange(size[0], dtype=torch.float64)[:, None]


def edge_distance(capsules: Tensor, size: masks.Size) -> Tensor:
    """Pixel centres to the edges of capsules ``(B, 5)``: segment distance - radius, ``(B, H, W)``, < 0 inside."""
    x, y = points(size)
    x0, y0, x1, y1, radius = capsules.double()[..., None, None].unbind(1)
    dx, dy = x1 - x0, y1 - y0
    t = (((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy)).nan_to_num(0).clamp(0, 1)  # 0 / 0 for a disc
    return ((x - x0 - t * dx) ** 2 + (y - y0 - t * dy) ** 2).sqrt() - radius


def painted(size: masks.Size, boxes: Tensor | None = None, capsules: Tensor | None = None) -> Tensor:
    """`paint`, one shape a sample, shapes ``(B, 4)`` or ``(B, 5)``: bool ``(B, H, W)``."""
    batch = len(boxes if boxes is not None else capsules)
    shapes = Shapes(
        torch.zeros(batch, 0, 4) if boxes is None else boxes[:, None],
        torch.zeros(batch, 0, 5) if capsules is None else capsules[:, None],
    )
    mask = paint(shapes, size)[:, 0]
    assert ((mask == 0) | (mask == 1)).all()
    return mask > 0.5


# ------------------------------------------------------------------------------------------------ form and purity


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("size", [(64, 64), (48, 80), (37, 5), (2, 3), (1, 1)])
def test_form(name: str, size: masks.Size) -> None:
    mask = KINDS[name](keys(40), size)
    assert mask.shape == (40, 1, *size) and mask.dtype == torch.float32 and mask.is_contiguous()
    assert not mask.requires_grad
    assert ((mask == 0) | (mask == 1)).all()
    assert (mask.sum((1, 2, 3)) > 0).all(), "an empty mask"


@pytest.mark.parametrize("name", KINDS)
def test_mask_depends_on_its_key_alone(name: str) -> None:
    kind, size, each = KINDS[name], (48, 64), keys(64)
    whole = kind(each, size)
    assert torch.equal(whole[:16], torch.cat([kind(key, size) for key in each[:16].split(1)]))
    assert torch.equal(whole, torch.cat([kind(part, size) for part in each.split(7)]))
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(whole[order], kind(each[order], size))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        assert torch.equal(whole, kind(each, size)), "the global generator plays a part"


@pytest.mark.parametrize("name", [name for name in KINDS if name != "centre"])
def test_keys_give_different_masks(name: str) -> None:
    mask = KINDS[name](keys(300), (64, 64)).to(torch.uint8)
    assert len({sample.numpy().tobytes() for sample in mask}) >= 299


def test_masks_are_the_same_on_every_machine() -> None:
    """Pinned pixels: if this fails, masks of finished experiments cannot be drawn again. Change it knowingly."""
    boxes = Boxes(count=(1, 4), side=(0.1, 0.6), margin=0.05)
    strokes = Strokes(count=(1, 5), segments=(1, 6), length=(0.1, 0.4), width=(0.04, 0.25), turn=(0, 90))
    mask = Mixture({"boxes": boxes, "strokes": strokes}, {"boxes": 1, "strokes": 2})(keys(256), (96, 128))
    digest = hashlib.sha256(mask.to(torch.uint8).numpy().tobytes()).hexdigest()
    assert digest[:16] == "9d3e5a49c274dd7e"


@pytest.mark.parametrize("name", KINDS)
def test_other_devices_never_wait(name: str) -> None:
    """Meta tensors have no numbers: whatever needs one (.item, nonzero, boolean indexing) raises on them."""
    mask = KINDS[name](keys(7).to("meta"), (32, 40))
    assert mask.device.type == "meta" and mask.shape == (7, 1, 32, 40)


@pytest.mark.parametrize("name", KINDS)
def test_other_devices_paint_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the CPU leaves out empty shapes and untouched rows; here it goes the long way of a GPU."""
    pruned = KINDS[name](keys(32), (48, 40))
    monkeypatch.setattr(masks.shapes, "HOST", "no device")
    assert torch.equal(pruned, KINDS[name](keys(32), (48, 40)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", KINDS)
def test_gpu_paints_the_same_bits_without_waiting(name: str) -> None:
    device_keys = keys(64).cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        mask = KINDS[name](device_keys, (64, 96))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(mask.cpu(), KINDS[name](keys(64), (64, 96)))


# --------------------------------------------------------------------------------------------------------- pixels


def test_capsules_equal_point_to_segment_distance() -> None:
    """Random capsules, many of them partly or wholly off the picture, thin, steep, level, or without length."""
    size, count = (40, 56), 600
    u = torch.rand(count, 5, generator=torch.Generator().manual_seed(0))
    capsules = u * torch.tensor([96.0, 80.0, 96.0, 80.0, 12.0]) - torch.tensor([20.0, 20.0, 20.0, 20.0, 0.0])
    capsules[:60, 4] *= 0.05  # thinner than a pixel
    capsules[60:120, 3] = capsules[60:120, 1]  # level
    capsules[120:180, 2] = capsules[120:180, 0]  # upright
    capsules[180:240, 2:4] = capsules[180:240, :2]  # discs
    for place, tiny in enumerate((1e-7, -1e-6, 1e-5, -1e-4, 1e-3, -1e-2)):  # almost level, almost upright, almost discs
        rows = slice(240 + 20 * place, 260 + 20 * place)
        capsules[rows, 3] = capsules[rows, 1] + tiny
        rows = slice(360 + 20 * place, 380 + 20 * place)
        capsules[rows, 2] = capsules[rows, 0] + tiny
        rows = slice(480 + 5 * place, 485 + 5 * place)
        capsules[rows, 2:4] = capsules[rows, :2] + tiny
    capsules[340:360, 1] = capsules[340:360, 1].round()  # almost level, with an edge that crosses a row of centres
    capsules[340:360, 3] = capsules[340:360, 1] + 0.008
    capsules[340:360, 4] = capsules[340:360, 4].ceil() - 0.004
    distance = edge_distance(capsules, size)
    decided = distance.abs() > 2e-5  # px; nearer to the edge than float32 can tell
    assert (~decided).sum() < 100
    assert torch.equal(painted(size, capsules=capsules)[decided], (distance <= 0)[decided])
    assert 0.05 < (distance <= 0).float().mean() < 0.5, "the comparison would be of nothing"


def test_capsule_edges_belong_to_it() -> None:
    """Ties: level, upright and point capsules of whole and half numbers, whose distances are exact, edge included."""
    size = (12, 14)
    x, y = points(size)
    for x0, y0, length, radius in [
        (3, 4, 5, 2),
        (3, 4, 5, 0),
        (3.5, 4.5, 5, 1.5),
        (-2, 6, 4, 3),
        (11, 10, 6, 1),
        (5, 5, 0, 4),
    ]:
        ends = [(x0 + length, y0), (x0 - length, y0), (x0, y0 + length), (x0, y0 - length)]
        capsules = torch.tensor([(x0, y0, x1, y1, radius) for x1, y1 in ends], dtype=torch.float32)
        for (x1, y1), mask in zip(ends, painted(size, capsules=capsules), strict=True):
            dx = (min(x0, x1) - x).clamp(min=0) + (x - max(x0, x1)).clamp(min=0)
            dy = (min(y0, y1) - y).clamp(min=0) + (y - max(y0, y1)).clamp(min=0)
            assert torch.equal(mask, dx * dx + dy * dy <= radius * radius)


def test_a_brush_stroke_has_no_gaps_between_its_segments() -> None:
    path = torch.tensor([[8.0, 8.0], [30.3, 11.7], [20.1, 35.2], [50.9, 40.4]])
    capsules = torch.cat([path[:-1], path[1:], torch.full((3, 1), 4.0)], 1)
    whole = paint(Shapes(torch.zeros(1, 0, 4), capsules[None]), (48, 64))[0, 0] > 0.5
    assert torch.equal(whole, painted((48, 64), capsules=capsules).any(0))
    corners = torch.cat([path, path, torch.full((4, 1), 4.0)], 1)
    assert not (painted((48, 64), capsules=corners).any(0) & ~whole).any()


def test_boxes_equal_slices() -> None:
    size = (20, 30)
    x, y = points(size)
    boxes = torch.rand(300, 4, generator=torch.Generator().manual_seed(0)) * 50 - 10
    boxes[:100] = boxes[:100].round()  # whole numbers: exactly half of the edges is included
    boxes[100:120, 2:] = boxes[100:120, :2]  # no width
    boxes = torch.cat([boxes, torch.tensor([[0, 0, 30, 20], [-1e6, -1e6, 1e6, 1e6], [30, 0, 40, 20], [3, 4, 5, 6]])])
    for (x0, y0, x1, y1), mask in zip(boxes.double(), painted(size, boxes=boxes), strict=True):
        assert torch.equal(mask, (x0 <= x) & (x < x1) & (y0 <= y) & (y < y1))
    assert painted(size, boxes=torch.tensor([[3.0, 4.0, 5.0, 6.0]]))[0, 4:6, 3:5].all()


def test_switched_off_and_far_shapes_leave_nothing() -> None:
    capsules = torch.tensor([[-1.0] * 5, [1e6, 1e6, 2e6, 1e6, 50], [-90, 5, -60, 5, 20], [5, 90, 6, 99, 60]])
    assert not painted((16, 16), capsules=capsules).any()
    assert not painted((16, 16), boxes=torch.full((1, 4), -1.0)).any()


@pytest.mark.parametrize("count", [127, 128, 300, 33_000])
def test_counters_do_not_overflow(count: int) -> None:
    shapes = Shapes(torch.tensor([1.0, 1, 3, 3]).expand(1, count, 4), torch.zeros(1, 0, 5))
    assert torch.equal(paint(shapes, (4, 4))[0, 0].nonzero(), torch.tensor([[1, 1], [1, 2], [2, 1], [2, 2]]))


# ----------------------------------------------------------------------------------------------------- statistics


@pytest.mark.parametrize(
    ("name", "mean", "least", "most"),
    [("boxes", 0.255, 0.008, 0.75), ("strokes", 0.277, 0.002, 0.85), ("mixture", 0.266, 0.002, 0.85)],
)
def test_areas(name: str, mean: float, least: float, most: float) -> None:
    area = areas(many(name))
    assert abs(area.mean() - mean) < 0.015
    assert least < area.min() and area.max() < most


def test_default_mixture_spreads_the_areas() -> None:
    share = torch.histc(area := areas(many("mixture")), bins=10, min=0, max=1) / 2000
    assert (share[:5] > 0.08).all() and share[5] > 0.02, share
    assert (area > 0.7).float().mean() < 0.02


def test_centre_is_exact() -> None:
    mask = KINDS["centre"](keys(3), (64, 64))
    assert mask[:, :, 16:48, 16:48].all() and (mask.mean((1, 2, 3)) == 0.25).all()
    assert KINDS["centre"](keys(3), (64, 96))[:, :, 16:48, 32:64].all(), "also in the middle of an oblong picture"
    corner = Boxes(count=(1, 1), side=(0.5, 0.5), margin=0.125, position=(1, 1)).draw(keys(1), (64, 96)).boxes
    assert corner.tolist() == [[[56, 24, 88, 56]]]


def test_boxes_are_uniform_and_keep_the_margin() -> None:
    size, margin = (100, 160), 12
    boxes = Boxes(count=(1, 3), side=(0.2, 0.5), margin=0.12).draw(keys(4000), size).boxes
    drawn = boxes[..., 2] > boxes[..., 0]
    assert torch.equal(drawn.sum(1).bincount() > 1200, torch.tensor([False, True, True, True]))
    x0, y0, x1, y1 = boxes[drawn].unbind(1)
    assert x0.min() == margin and x1.max() == 160 - margin and y0.min() == margin and y1.max() == 100 - margin
    for length, place, room in [(x1 - x0, x0 - margin, 160 - 24), (y1 - y0, y0 - margin, 100 - 24)]:
        assert length.min() == 20 and length.max() == 50 and abs(length.mean() - 35) < 0.5
        assert_uniform((place + 0.5) / (room - length + 1))
    assert abs(torch.corrcoef(torch.stack((x1 - x0, y1 - y0, x0, y0)))[0, 1]) < 0.05


def assert_uniform(values: Tensor) -> None:
    """On [0, 1), by the Kolmogorov-Smirnov distance (2 / sqrt(n) is passed by chance once in 1500 times)."""
    values = values.sort().values
    assert values[0] >= 0 and values[-1] < 1
    assert (values - torch.linspace(0, 1, len(values))).abs().max() < 2 / math.sqrt(len(values))


def test_strokes_are_polylines_inside_the_picture() -> None:
    size, strokes, segments = (100, 160), 3, 4
    kind = Strokes(count=(2, strokes), segments=(1, segments), length=(0.1, 0.3), width=(0.04, 0.1), turn=(20, 60))
    drawn = kind.draw(keys(3000), size).capsules
    x0, y0, x1, y1, radius = drawn.view(3000, segments, strokes, 5).unbind(3)
    on = radius > 0
    assert set(on[:, 0].sum(1).tolist()) == {2, 3} and set(on[:, :, 0].sum(1).tolist()) == {1, 2, 3, 4}
    assert not (on[:, 1:] & ~on[:, :-1]).any(), "a stroke goes on after its end"
    assert torch.equal(x1[:, :-1][on[:, 1:]], x0[:, 1:][on[:, 1:]]), (
        "a segment begins elsewhere than the last one ended"
    )
    assert (radius[on].min() >= 2) and radius[on].max() <= 5 and not (radius[:, 1:] != radius[:, :1])[on[:, 1:]].any()
    for low, high, side in [(x0, x1, 160), (y0, y1, 100)]:
        assert min(low[on].min(), high[on].min()) >= -0.5 and max(low[on].max(), high[on].max()) <= side - 0.5
        assert_uniform((low[:, 0][on[:, 0]] + 0.5) / side)
    inside = on & (x1.sub(79.5).abs() < 79) & (y1.sub(49.5).abs() < 49)  # no bounce
    length, heading = torch.hypot(x1 - x0, y1 - y0), torch.atan2(y1 - y0, x1 - x0)
    assert length[inside].min() > 9.9 and length[inside].max() < 30.1
    turn = ((heading[:, 1:] - heading[:, :-1]).rad2deg() + 180) % 360 - 180
    turn = turn[inside[:, 1:] & inside[:, :-1]]
    assert turn.abs().min() > 19.5 and turn.abs().max() < 60.5 and abs(turn.mean()) < 2
    far = (
        on[:, 0] & (x0[:, 0].sub(79.5).abs() < 49) & (y0[:, 0].sub(49.5).abs() < 19)
    )  # whose first segment cannot bounce
    assert_uniform(heading[:, 0][far] / (2 * math.pi) % 1)


def test_strokes_do_not_pile_up_at_the_edges() -> None:
    cover = many("strokes").float().mean((0, 1))
    blocks = cover.view(8, 8, 8, 8).mean((1, 3)) / cover.mean()
    assert blocks.min() > 0.65 and blocks.max() < 1.3


@pytest.mark.parametrize("name", KINDS)
def test_areas_hardly_depend_on_the_resolution(name: str) -> None:
    small, large = (areas(KINDS[name](keys(100), size)) for size in [(64, 64), (256, 256)])
    assert (small - large).abs().max() < (0.06 if name == "scribbles" else 0.03)  # scribbles are 1.5 px wide at 64
    assert abs((small - large).mean()) < (0.02 if name == "scribbles" else 0.003)


# -------------------------------------------------------------------------------------------------------- mixture


def test_probabilities_are_respected() -> None:
    kinds = {"boxes": Boxes(), "strokes": Strokes(), "never": Strokes(), "nested": Mixture({"centre": KINDS["centre"]})}
    mask = Mixture(kinds, {"boxes": 1, "strokes": 2, "never": 0, "nested": 1})(keys(4000), (16, 16))
    own = {name: kind(rng.fold(keys(4000), f"kind {name}"), (16, 16)) for name, kind in kinds.items()}
    taken = torch.stack([(mask == drawn).flatten(1).all(1) for drawn in own.values()])
    assert taken.any(0).all(), "a sample takes no kind"
    for share, expected in zip(taken.float().mean(1).tolist(), (0.25, 0.5, 0, 0.25), strict=True):
        assert abs(share - expected) < 0.03  # two kinds may paint the same 16 x 16 pixels by chance


def test_a_mixture_takes_the_masks_of_its_kinds() -> None:
    """What a kind draws depends on its name alone, so adding another kind leaves the samples that keep theirs alone."""
    two = Mixture({"boxes": Boxes(), "strokes": Strokes()}, {"boxes": 1, "strokes": 1})(keys(100), (64, 64))
    three = Mixture(
        {"boxes": Boxes(), "strokes": Strokes(), "more": Boxes()}, {"boxes": 1, "strokes": 0.5, "more": 0.5}
    )
    same = (two == three(keys(100), (64, 64))).all(3).all(2).all(1)
    assert 60 < same.sum() < 90
    alone = Mixture({"boxes": Boxes()})(keys(100), (64, 64))
    assert torch.equal(alone, Boxes()(rng.fold(keys(100), "kind boxes"), (64, 64)))


# --------------------------------------------------------------------------------------------------------- memory


class PeakBytes(TorchDispatchMode):
    """The most bytes of tensor storage alive at once among the results of the operations inside."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self.alive: dict[int, StorageWeakRef] = {}
        self.bytes: dict[int, int] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                self.alive[storage._cdata] = StorageWeakRef(storage)
                self.bytes[storage._cdata] = storage.nbytes()
        self.alive = {key: ref for key, ref in self.alive.items() if not ref.expired()}
        self.peak = max(self.peak, sum(self.bytes[key] for key in self.alive))
        return out


@pytest.mark.parametrize("device", ["cpu", "meta"])  # meta goes the way of a GPU, without the numbers
def test_memory_grows_with_the_pixels_not_with_the_shapes(device: str) -> None:
    batch, size = 64, (128, 128)
    peaks = []
    for count in (250, 500):
        capsules = torch.rand(batch, count, 5, generator=torch.Generator().manual_seed(0)) * 128
        capsules[..., 4] /= 16
        with PeakBytes() as memory:
            paint(Shapes(torch.zeros(batch, 0, 4, device=device), capsules.to(device)), size)
        peaks.append(memory.peak / (batch * size[0] * size[1]))
    assert 5 < peaks[0] < 25, "bytes a pixel; one for each pixel and shape would be 250"
    assert peaks[1] < 1.25 * peaks[0], "only the shapes themselves may take more, 20 bytes each"


# --------------------------------------------------------------------------------------------- arguments, configs


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (lambda: Boxes(count=(4, 1)), "masks.count"),
        (lambda: Boxes(count=(0, 1)), "masks.count"),
        (lambda: Boxes(count=(1, 2.5)), "masks.count"),
        (lambda: Boxes(count=3), "masks.count"),
        (lambda: Boxes(count=(1, 10**9)), "masks.count"),
        (lambda: Boxes(side=(0.5, 0.2)), "masks.side"),
        (lambda: Boxes(side=(0.5, 1.2)), "masks.side"),
        (lambda: Boxes(side=(-0.1, 0.2)), "masks.side"),
        (lambda: Boxes(side=(0.1, 0.2, 0.3)), "masks.side"),
        (lambda: Boxes(side=(float("nan"), 0.2)), "masks.side"),
        (lambda: Boxes(side="ab"), "masks.side"),
        (lambda: Boxes(side=(0.1, 0.9), margin=0.1), "masks.side"),
        (lambda: Boxes(margin=0.5), "masks.margin"),
        (lambda: Boxes(margin=-0.1), "masks.margin"),
        (lambda: Boxes(margin=None), "masks.margin"),
        (lambda: Boxes(position=(0, 2)), "masks.position"),
        (lambda: Strokes(count=(0, 3)), "masks.count"),
        (lambda: Strokes(segments=(0, 3)), "masks.segments"),
        (lambda: Strokes(segments=(5, 3)), "masks.segments"),
        (lambda: Strokes(length=(-1, 0.2)), "masks.length"),
        (lambda: Strokes(length=(0.1, float("inf"))), "masks.length"),
        (lambda: Strokes(width=(0.3, 0.2)), "masks.width"),
        (lambda: Strokes(width=None), "masks.width"),
        (lambda: Strokes(turn=(0, 270)), "masks.turn"),
        (lambda: Mixture({}), "masks.kinds"),
        (lambda: Mixture({"boxes": Boxes()}, {"boxs": 1}), "masks.probabilities"),
        (lambda: Mixture({"boxes": Boxes()}, {}), "masks.probabilities"),
        (lambda: Mixture({"boxes": Boxes()}, {"boxes": 1, "strokes": 1}), "masks.probabilities"),
        (lambda: Mixture({"boxes": Boxes()}, {"boxes": -1}), "masks.probabilities"),
        (lambda: Mixture({"boxes": Boxes()}, {"boxes": float("nan")}), "masks.probabilities"),
        (lambda: Mixture({"boxes": Boxes()}, {"boxes": "often"}), "masks.probabilities"),
        (lambda: Mixture({"boxes": Boxes()}, {"boxes": 0}), "masks.probabilities"),
    ],
)
def test_wrong_arguments_name_their_key(build, key: str) -> None:
    with pytest.raises(ValueError, match=rf"^{key}: give "):
        build()


def test_unknown_kinds_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(boxes, strokes\).*'boxs'.*'strokes'"):
        Mixture({"boxes": Boxes(), "strokes": Strokes()}, {"boxes": 0.5, "boxs": 0.5})


@pytest.mark.parametrize("kind", [Boxes, Strokes])
def test_config_lists_every_default(kind: type) -> None:
    config = OmegaConf.to_container(OmegaConf.load(CONF / "masks" / f"{kind.__name__.lower()}.yaml"))
    defaults = {name: parameter.default for name, parameter in inspect.signature(kind).parameters.items()}
    assert config.pop("_target_") == f"inpaint.masks.{kind.__name__}"
    assert {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()} == defaults


@pytest.mark.parametrize("name", ["boxes", "centre", "strokes", "mixture"])
def test_configs_build(name: str) -> None:
    with initialize_config_dir(str(CONF.absolute()), version_base="1.3"):
        config = compose(overrides=[f"+masks={name}"]).masks
    assert torch.equal(instantiate(config)(keys(20), (32, 32)), KINDS[name](keys(20), (32, 32)))
