"""Two ranks train what one process with the double batch trains (without batch norm), by one reduction a phase.

Two gloo processes.
"""

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from inpaint.batch import Batch
from inpaint.data.datamodule import PhotosData
from inpaint.files import checkpoint
from inpaint.losses.adversarial import RelativisticAverage, SoftMask, Wasserstein
from inpaint.losses.reconstruction import L1, L2
from inpaint.masks import Boxes
from inpaint.networks.generators.mat import UniformMAT
from tests.reliability.commands import SMALL, finish, start
from tests.reliability.ranks import fit, loader, rows, state, together
from tests.training.gan import tiny

UPDATES = 8


class Losses(Callback):
    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, module, *_):
        self.seen.append({name: value.item() for name, value in module.figures.items()})


def gan(**settings):
    return tiny(r1_gamma=1.0, r1_every=2, generator_clip=0.5, discriminator_every=2, **settings)


def alone(data, **settings):
    module, losses = gan(**settings), Losses()
    fit(module, data, UPDATES, [losses])
    return state(module), losses.seen


def in_two(rank, settings):
    module, losses = gan(**settings), Losses()
    fit(module, loader(rows(), 4, rank, 2), UPDATES, [losses], 2)
    return state(module), losses.seen


def assert_close(found, expected, apart=1e-6):
    for (values, losses), name in ((result, name) for result in found for name in expected[0]):
        assert torch.allclose(values[name], expected[0][name], rtol=0, atol=apart), name
        for ours, theirs in zip(losses, expected[1], strict=True):
            assert ours.keys() == theirs.keys()
            assert all(abs(ours[key] - theirs[key]) <= apart + 10 * apart * abs(theirs[key]) for key in theirs), (
                ours,
                theirs,
            )


def test_equal_to_the_double_batch():
    """With R1, clipping and a cadence of two; parameters, buffers, average and the logged losses."""
    assert_close(together(in_two, {}), alone(loader(rows(), 8)))


def test_equal_in_parts():
    # Spectral norm iterates at every forward pass, of which parts make more: both sides have as many here.
    assert_close(together(in_two, {"accumulate": 2}), alone(loader(rows(), 8), accumulate=2))


def mat():
    torch.manual_seed(0)  # a process of ranks has drawn for other tests before
    sizes = {"width": 8, "heads": 2, "depths": (1, 1, 1), "windows": (4, 4, 4), "halvings": 1}
    return UniformMAT(**sizes, base=4, most=8, latent=4, mapping=1, style=4)


PARTS = {  # what divides by something of the whole batch: pixels of holes, or means of verdicts; and what draws noise
    "hole": lambda: {"losses": {"hole": L1(region="hole"), "known": L2(region="known"), "per": L1(per="hole")}},
    "soft mask": lambda: {"adversarial": SoftMask(weight=0.1, kernel=5, sigma=1.0)},
    "relativistic": lambda: {"adversarial": RelativisticAverage(weight=0.1)},
    "penalty": lambda: {"adversarial": Wasserstein(weight=0.1)},
    "noise": lambda: {"generator": mat()},
}


def unlike(rows):
    """Under holes of different sizes, one of them empty."""
    for row in rows:
        row["mask"] = torch.zeros_like(row["mask"])
        row["mask"][:, 2 : 2 + 2 * (row["index"] % 7), 3:9] = 1
    return rows


def in_two_by_parts(rank, name):
    module, losses = gan(**PARTS[name]()), Losses()
    fit(module, loader(unlike(rows()), 4, rank, 2), UPDATES, [losses], 2)
    return state(module), losses.seen


@pytest.mark.parametrize("name", PARTS)
def test_equal_whatever_is_divided_or_drawn(name):
    # Untrained attention makes more of a rounding; other noise is 0.01 apart.
    apart = 1e-3 if name == "noise" else 1e-6
    assert_close(together(in_two_by_parts, name), alone(loader(unlike(rows()), 8), **PARTS[name]()), apart)


def photographs(batch_size):
    return PhotosData(Boxes(), crop=32, crops_per_image=4, validation_crops=1, batch_size=batch_size)


def in_two_from_photographs(rank):
    module = tiny()
    fit(module, photographs(2), 6, ranks=2)
    return state(module), []


def test_equal_from_photographs_to_weights():
    """The whole path: order, crops, masks, update."""
    module = tiny()
    fit(module, photographs(4), 6)
    assert_close(together(in_two_from_photographs), (state(module), []))


TWO_GPUS = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("accelerator", "apart"),
    [("cpu", 1e-6), pytest.param("gpu", 1e-3, marks=TWO_GPUS)],  # NCCL; cuDNN's convolutions are less exact
)
def test_equal_by_the_command(accelerator, apart, tmp_path):
    """Processes that Lightning starts; SGD, as Adam makes whole steps of gradients that are nearly 0."""
    settings = [f"trainer.accelerator={accelerator}"]
    for network in ("generator", "discriminator"):
        settings += [f"{network}_optimizer.{what}" for what in ("_target_=torch.optim.SGD", "lr=0.05")]
        settings.append(f"~{network}_optimizer.betas")
    started = [
        start("train", *SMALL, *settings, f"trainer.devices={devices}", f"data.batch_size={4 // devices}",
              f"hydra.run.dir=on_{devices}", cwd=tmp_path)
        for devices in (1, 2)
    ]  # fmt: skip
    for process in started:
        code, _, errors = finish(process)
        assert code == 0, errors[-3000:]
    (_, alone), (_, together) = (checkpoint.newest(tmp_path / f"on_{devices}") for devices in (1, 2))
    assert alone["inpaint"]["update"] == together["inpaint"]["update"] == 6
    for name, value in alone["state_dict"].items():
        assert torch.allclose(value, together["state_dict"][name], rtol=0, atol=apart), name


class Traffic(Callback):
    """What DDP's reducer and `all_reduce` send."""

    def __init__(self):
        self.buckets, self.sent = 0, []

    def on_train_start(self, trainer, module):
        def hook(_, bucket):
            self.buckets += 1
            done = torch.futures.Future()
            done.set_result(bucket.buffer())
            return done

        trainer.strategy.model.register_comm_hook(None, hook)

    def on_train_batch_start(self, *_):
        self.real = torch.distributed.all_reduce
        torch.distributed.all_reduce = self.count

    def on_train_batch_end(self, *_):
        torch.distributed.all_reduce = self.real

    def count(self, tensor, *arguments, **settings):
        self.sent.append(tensor.numel())
        return self.real(tensor, *arguments, **settings)


def traffic(rank):
    module, watch = tiny(), Traffic()
    fit(module, loader(rows(), 4, rank, 2), 3, [watch], 2)
    sizes = {
        name: sum(p.numel() for p in getattr(module, name).parameters()) for name in ("generator", "discriminator")
    }
    return watch.buckets, watch.sent, sizes


def test_one_reduction_a_phase_of_the_stepping_networks_gradients_alone():
    for buckets, sent, sizes in together(traffic):
        # What is logged goes along: a loss and three figures of the discriminator, the generator's two losses.
        assert sent == [sizes["discriminator"] + 4, sizes["generator"] + 2] * 3
        assert buckets == 0, "DDP reduced, too"


def conditional(rank):
    """A generator phase at every third update only; then no rank waits for gradients that are not there."""
    module = tiny(generator_every=3, adversarial_start=2)
    trainer = fit(module, loader(rows(), 4, rank, 2), 7, ranks=2)
    return trainer.global_step, state(module)


def test_phases_that_do_not_run_are_not_waited_for():
    (steps, first), (_, second) = together(conditional)
    assert steps == 7 and all(torch.equal(first[name], second[name]) for name in first)


def test_a_batch_is_what_the_ranks_have_together():
    parts = [list(loader(rows(), 4, rank, 2)) for rank in (0, 1)]
    for whole, first, second in zip(loader(rows(), 8), *parts, strict=True):
        batch: Batch = whole
        assert sorted(batch["index"].tolist()) == sorted(first["index"].tolist() + second["index"].tolist())
