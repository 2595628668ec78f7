"""Ranks that were started with different settings refuse to train, with a diff.

So do the ranks of a sweep that would each search on their own.

Real: two processes as torchrun or srun would start them, and two gloo processes.
"""

import socket
from types import SimpleNamespace

from inpaint.training.watch import RankAgreement
from tests.reliability.commands import SMALL, finish, start
from tests.reliability.ranks import together


def setup(rank, weight, checkpoints=(None, None)):
    config = {"seed": 1, "losses": {"l1": {"weight": weight if rank else 1.0}}, "paths": {"run": "runs/one"}}
    try:
        RankAgreement(config).setup(SimpleNamespace(ckpt_path=checkpoints[rank]), None, "fit")
    except ValueError as error:
        return str(error)
    return "agreed"


def test_only_differences_are_refused_and_both_ranks_say_them():
    assert together(setup, 1.0) == ["agreed", "agreed"]
    for message in together(setup, 2.0):
        assert message.splitlines()[1:] == ["losses.l1.weight: 1.0 on rank 0, 2.0 on rank 1"]


def test_ranks_that_found_different_checkpoints_do_not_go_on():
    """One looked before a run that was about to end had saved its last."""
    found = [
        f"{place}/run/checkpoints/update_0000000{update}.ckpt" for place, update in (("/a", 4), ("/b", 4), ("/b", 6))
    ]
    assert together(setup, 1.0, found[:2]) == ["agreed", "agreed"]
    for message in together(setup, 1.0, found[::2]):
        told = "resume: update_00000004.ckpt on rank 0, update_00000006.ckpt on rank 1"
        assert message.splitlines()[1:] == [told]


def test_a_rank_that_does_not_see_the_checkpoint_is_refused():
    """As on machines whose folders are not one; it would begin anew, and average with what the others have learnt."""
    for message in together(setup, 1.0, [None, "one/checkpoints/update_00000500.ckpt"]):
        assert "one hydra.run.dir that all of them see" in message
        assert message.splitlines()[1:] == ["resume: None on rank 0, update_00000500.ckpt on rank 1"]


def test_two_commands_with_different_settings(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launched = [
        start(
            *("train", *SMALL, "trainer.devices=2", "hydra.run.dir=one", f"losses.l1.weight={rank + 1}"),
            cwd=tmp_path,
            **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"},
            **{"RANK": str(rank), "LOCAL_RANK": str(rank), "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "test"},
        )
        for rank in (0, 1)
    ]
    for process in launched:
        code, _, errors = finish(process)
        assert code == 2
        assert "inpaint-train: trainer.devices: the ranks were started with different settings" in errors
        assert "inpaint-train: losses.l1.weight: 1 on rank 0, 2 on rank 1" in errors
        assert "Traceback" not in errors
    assert not (tmp_path / "one" / "checkpoints").exists()
