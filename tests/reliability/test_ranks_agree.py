"""Ranks have the same weights and buffers at every save, or no checkpoint is written (two gloo processes)."""

from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn

from inpaint import ranks
from inpaint.networks.discriminators import Patch
from inpaint.networks.generators.context_encoder import ContextEncoder
from inpaint.training.record import RunRecord
from inpaint.training.saving import SaveCheckpoint
from inpaint.training.watch import RankAgreement
from tests.reliability.ranks import fit, loader, rows, state, together
from tests.training.gan import tiny


class Nudge(Callback):
    """Changes one tensor on one rank by its last bit, as a bit flip or a forgotten seed would."""

    def on_train_batch_end(self, trainer, module, *_):
        if trainer.global_rank == 1 and trainer.global_step == 3:
            value = module.discriminator.last.bias.data
            value.copy_(torch.nextafter(value, value + 1))


def run(rank, folder, nudge=False):
    """Six updates with batch norm in both networks, a save every two; the state, or the error."""
    module = tiny(
        generator=ContextEncoder(width=4, levels=2, bottleneck=8),
        discriminator=Patch(width=4, layers=2, norm="batch", spectral=False),
    )
    settings = {"name": "tiny"}
    callbacks = [RankAgreement(settings), RunRecord(folder, settings), SaveCheckpoint(folder, every=2, keep=9)]
    try:
        fit(module, loader(rows(), 4, rank, 2), 6, [*([Nudge()] if nudge else []), *callbacks], 2)
    except RuntimeError as error:
        return str(error)
    return state(module)


def test_parameters_and_buffers_are_equal_to_the_bit(tmp_path):
    first, second = together(run, str(tmp_path))
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    assert sum("running_var" in name for name in first) >= 4, "batch norm in generator, average and discriminator"
    assert len(list(tmp_path.glob("*.ckpt"))) == 3


def test_the_first_tensor_that_differs_is_named_and_nothing_is_written(tmp_path):
    for message in together(run, str(tmp_path), True):
        # The generator learns from the discriminator, so by the next save it differs as well; nothing else does.
        assert "update 4: the ranks have drifted apart" in message and "discriminator.last.bias" in message
    assert [path.name for path in sorted(tmp_path.glob("*.ckpt"))] == ["update_00000002.ckpt"]


def statistics(rank):
    """Running statistics of one layer after ranks saw different numbers, before and after they are averaged."""
    layer, frozen = nn.BatchNorm2d(3), nn.BatchNorm2d(3).eval()
    layer(torch.full((2, 3, 4, 4), float(rank)) + torch.arange(4.0))
    frozen.running_mean.fill_(rank)
    before = (layer.running_mean.clone(), layer.running_var.clone())
    ranks.average_statistics(nn.Sequential(layer, frozen, nn.BatchNorm2d(3, track_running_stats=False)))
    return before, (layer.running_mean, layer.running_var), frozen.running_mean


def test_statistics_of_batch_norm_become_means():
    (before_0, after_0, frozen_0), (before_1, after_1, frozen_1) = together(statistics)
    for a, b, mean_0, mean_1 in zip(before_0, before_1, after_0, after_1, strict=True):
        assert torch.equal(mean_0, mean_1) and torch.allclose(mean_0, (a + b) / 2)
    assert not torch.equal(before_0[0], before_1[0])
    assert frozen_0.unique().tolist() == [0] and frozen_1.unique().tolist() == [1], "those that stand still stay"


def test_alone_nothing_is_compared_or_averaged():
    value = torch.tensor([1.0, torch.nan])
    assert ranks.average_([value]) is None and value[0] == 1 and ranks.count() == 1
    assert ranks.gather(value).shape == (1, 2) and ranks.gather_texts("a") == ["a"]
    RankAgreement({"a": 1}).setup(SimpleNamespace(ckpt_path=None), None, "fit")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_digests_tell_any_difference(dtype):
    from inpaint.training.watch import _digest

    for shape in ((), (3, 2)):
        value = torch.ones(shape, dtype=dtype)
        other = value.clone()
        other.flatten()[-1] = 0
        assert _digest(value) == _digest(value.clone()) != _digest(other)
