"""Two real processes with a gloo group between them, started once for all tests that need them.

`together(job, *arguments)` calls a function of a test module in both and returns what each gave back. A job that raises
in one rank may leave the other waiting, so both are then ended, and the next call starts new ones.
"""

import atexit
import os
import tempfile
import traceback
from multiprocessing.connection import wait
from pathlib import Path

import lightning as L
import torch

from inpaint import rng
from tests.reliability.runs import FORKS

RANKS = 2
PATIENCE = 60  # seconds that a job may take
AFTER_AN_ERROR = 5  # seconds that the other rank has then


class RankError(AssertionError):
    """A job raised; `texts` are the tracebacks of the ranks that did."""

    def __init__(self, texts):
        super().__init__("\n".join(f"rank {rank}:\n{text}" for rank, text in texts.items()))
        self.texts = texts


def _serve(rank, rendezvous, connection):
    os.environ |= {
        # As torchrun sets them, so that a Trainer takes the processes that are there.
        **{"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(RANKS), "LOCAL_WORLD_SIZE": str(RANKS)},
        **{"GROUP_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500", "TORCHELASTIC_RUN_ID": "tests"},
        "OMP_NUM_THREADS": "1",
    }
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{rendezvous}", rank=rank, world_size=RANKS)
    while True:
        job, arguments = connection.recv()
        try:
            connection.send((job(rank, *arguments), None))
        except BaseException:
            connection.send((None, traceback.format_exc()))


class _Pool:
    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.ends, self.processes = [], []
        for rank in range(RANKS):
            ours, theirs = FORKS.Pipe()
            arguments = (rank, str(Path(self.folder.name) / "rendezvous"), theirs)
            self.processes.append(FORKS.Process(target=_serve, args=arguments, daemon=True))
            self.ends.append(ours)
            self.processes[-1].start()

    def run(self, job, arguments):
        for end in self.ends:
            end.send((job, arguments))
        found, errors, waiting = [None] * RANKS, {}, list(self.ends)
        # A rank that waits for one that has failed waits for nothing.
        while waiting and (ready := wait(waiting, AFTER_AN_ERROR if errors else PATIENCE)):
            for end in ready:
                rank = self.ends.index(end)
                found[rank], error = end.recv()
                waiting.remove(end)
                if error:
                    errors[rank] = error
        for end in waiting:
            errors[self.ends.index(end)] = "no answer"
        if errors:
            raise RankError(errors)
        return found

    def close(self):
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.join()
        self.folder.cleanup()


_pools: list[_Pool] = []


def together(job, *arguments):
    """What ``job(rank, *arguments)`` returns in each of two processes.

    Raises:
        RankError: it raised in one, or took too long.
    """
    if not _pools:
        _pools.append(_Pool())
    try:
        return _pools[0].run(job, arguments)
    except BaseException:
        close()
        raise


@atexit.register
def close():
    """End the processes."""
    while _pools:
        _pools.pop().close()


# ---- a small run, alone or in each of the processes -------------------------------------------------------------


def fit(module, data, updates, callbacks=(), ranks=1, **settings):
    """Train on a CPU; returns the trainer."""
    defaults = {
        "max_steps": updates,
        "max_epochs": -1,
        "accelerator": "cpu",
        "devices": ranks,
        "strategy": "ddp" if ranks > 1 else "auto",
        "logger": False,
        "callbacks": list(callbacks),
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        "num_sanity_val_steps": 0,
    }
    trainer = L.Trainer(**(defaults | settings))
    trainer.fit(module, data)
    return trainer


def state(module):
    """All parameters and buffers, as bytes can be compared."""
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def rows(count=48, size=16):
    """Random pictures with box holes, the same wherever they are made."""
    pixels = rng.uniform(torch.arange(count), 3 * size * size).view(count, 3, size, size) * 2 - 1
    found = []
    for index in range(count):
        mask = torch.zeros(1, size, size)
        mask[:, index % 5 : index % 5 + 6, 4:12] = 1
        found.append({"image": pixels[index], "mask": mask, "index": index})
    return found


def loader(samples, batch_size, rank=0, ranks=1):
    """Batches in order; the ranks take samples in turn, so that their batches together are one of all."""
    return torch.utils.data.DataLoader(samples[rank::ranks], batch_size=batch_size)
