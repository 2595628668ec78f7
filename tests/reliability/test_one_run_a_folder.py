"""A run folder has one owner, and it is free when that has ended, however it has.

Real: all processes, signals and locks. Not real: the scheduler, of which there is a variable of the environment; what
holds a run after each save, until there is a file `go`; in the long variants, a SIGSTOP that holds ranks.
"""

import multiprocessing
import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

import inpaint.train
from inpaint.compare.command import main as compare
from inpaint.evaluate import main as evaluate
from inpaint.files import checkpoint
from inpaint.files.folder import Busy, only_one
from inpaint.predict import main as predict
from inpaint.training.saving import SaveCheckpoint
from tests.reliability.commands import finish, start
from tests.reliability.rights import become_somebody_else, skip_where_somebody_else_cannot_import
from tests.reliability.runs import SMALL, assert_same, command, files, fork, train

EACH = [*SMALL, "callbacks.checkpoint.every=1", "trainer.log_every_n_steps=1"]
RUN = [*EACH, "data=folder", "data.cache=none", "data.train=train", "data.validation=val"]
LOCK = "run.lock"


def typed(main, output, *arguments, held=False, **environment):
    """A command in this process; where it is held, a save is not over before there is a file `go` beside `output`."""
    multiprocessing.set_start_method("fork", force=True)  # for readers, as in a process that no server has forked
    out = os.open(output, os.O_WRONLY | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.environ |= environment
    write = SaveCheckpoint.write

    def write_and_wait(self, *rest, **settings):
        write(self, *rest, **settings)
        while not (output.parent / "go").exists():
            time.sleep(0.02)

    if held:
        SaveCheckpoint.write = write_and_wait
    sys.exit(command(main, *arguments))


def begin(folder, *arguments, **settings):
    """A run in `folder`; what it prints is beside it in `output`."""
    output = settings.pop("output", folder.parent / "output")
    return launch(train, output, *RUN, f"hydra.run.dir={folder}", *arguments, **settings)


def launch(main, output, *arguments, target=typed, **settings):
    output.touch()
    process = fork(main, output, *arguments, target=target, wait=False, **settings)
    launched.append(process)
    return process


launched = []


@pytest.fixture(autouse=True)
def nothing_is_left():
    yield
    while launched:
        launched.pop().kill()


def holding(folder, *arguments, **settings):
    """One that has saved its first update, and waits."""
    process = begin(folder, *arguments, held=True, **settings)
    until(lambda: list(folder.glob("checkpoints/*.ckpt")), process)
    return process


def until(condition, process, limit=60):
    deadline = time.monotonic() + limit
    while not condition():
        assert process.exitcode is None and time.monotonic() < deadline, process.exitcode
        time.sleep(0.02)


def code(process, limit=60):
    process.join(limit)
    assert process.exitcode is not None, "it hangs"
    return process.exitcode


def free(folder):
    try:
        with only_one(folder / LOCK, "a run"):
            return True
    except Busy:
        return False


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    from tests.reliability.runs import data

    folder = tmp_path_factory.mktemp("one_run")
    data(folder)
    return f"data.root={folder / 'photographs'}"


@pytest.fixture(scope="module")
def undisturbed(photographs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    assert code(begin(folder, photographs)) == 0
    return folder


def of_the_run(folder):
    return {path: content for path, content in files(folder).items() if ".hydra" not in path.parts}


def test_a_second_start_is_refused_and_the_first_is_as_if_alone(tmp_path, photographs, undisturbed):
    folder = tmp_path / "run"
    first = holding(folder, photographs)
    before = of_the_run(folder)
    # What it would do otherwise: go on from the first update, with another rate, and write over what comes next.
    second = begin(folder, photographs, "generator_optimizer.lr=0.5", output=tmp_path / "second")
    assert code(second) == 2
    owner = f"{first.pid} on {socket.gethostname()}"
    assert (tmp_path / "second").read_text().strip() == (
        f"inpaint-train: hydra.run.dir: a run in {folder} is at work in another process ({owner}); "
        "wait for it, end it, or choose another folder"
    )
    assert of_the_run(folder) == before
    (tmp_path / "go").touch()
    assert code(first) == 0
    assert_same(folder, undisturbed)


def test_others_read_the_folder_of_a_run_at_work(tmp_path, photographs):
    folder = tmp_path / "run"
    holding(folder, photographs)
    before = of_the_run(folder)
    pictures, masks = Path(photographs.removeprefix("data.root="), "val"), tmp_path / "masks"
    masks.mkdir()
    for picture in pictures.iterdir():
        mask = Image.new("L", (48, 40))
        mask.paste(255, (10, 10, 20, 20))
        mask.save(masks / picture.name)
    at = [f"checkpoint={folder}", "device=cpu"]
    for main, arguments in (
        (evaluate, [*at, "trust_paths=true", "baselines=[]", f"hydra.run.dir={tmp_path}/evaluation"]),
        (predict, [*at, f"images={pictures}", f"holes={masks}", f"output={tmp_path}/repaired"]),
        (compare, [f"{tmp_path}/evaluation", f"{folder}", f"out={tmp_path}/report"]),
    ):
        assert code(launch(main, tmp_path / "read", *arguments)) == 0, (tmp_path / "read").read_text()
    assert of_the_run(folder) == before and not free(folder)


@pytest.mark.parametrize("workers", [0, 2])
def test_after_kill_minus_9_it_goes_on_at_once(tmp_path, photographs, undisturbed, workers):
    folder, arguments = tmp_path / "run", [photographs, f"data.workers={workers}"]
    first = holding(folder, *arguments)
    readers = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
    assert len(readers) >= workers and not free(folder)
    first.kill()
    first.join()
    assert free(folder), "readers that have not noticed yet hold it"
    again = begin(folder, *arguments)
    assert code(again) == 0
    assert f"going on from {folder}/checkpoints/update_00000001.ckpt" in (tmp_path / "output").read_text()
    assert_same(folder, undisturbed)


def test_a_scheduler_starts_it_again_while_it_still_stops(tmp_path, photographs, undisturbed):
    """Within the grace of the one before, the one that is started waits, and goes on from what that saves last."""
    folder = tmp_path / "run"
    first = holding(folder, photographs)
    first.terminate()
    slurm = {"SLURM_JOB_ID": "4711", "output": tmp_path / "second"}
    second = begin(folder, photographs, "callbacks.signals.grace=90", **slurm)
    until(lambda: "waiting for its end, up to 90 s" in (tmp_path / "second").read_text(), second)
    impatient = begin(folder, photographs, "callbacks.signals.grace=0.1", **slurm)
    assert code(impatient) == 2
    assert second.exitcode is None
    (tmp_path / "go").touch()
    assert code(first) == 128 + signal.SIGTERM and code(second) == 0
    assert f"going on from {folder}/checkpoints/update_00000002.ckpt" in (tmp_path / "second").read_text()
    assert_same(folder, undisturbed)


def test_ranks_that_torchrun_starts(tmp_path, photographs):
    """Each runs the same command in the same folder; a run beside them is refused."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    shared |= {"GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "test"}
    folder, two = tmp_path / "run", [photographs, "trainer.devices=2", "trainer.accelerator=cpu"]
    two_ranks = [
        begin(folder, *two, held=True, output=tmp_path / str(rank), RANK=str(rank), LOCAL_RANK=str(rank), **shared)
        for rank in range(2)
    ]
    until(lambda: list(folder.glob("checkpoints/*.ckpt")), two_ranks[0])
    assert code(begin(folder, *two, output=tmp_path / "second")) == 2
    (tmp_path / "go").touch()
    assert [code(process) for process in two_ranks] == [0, 0], (tmp_path / "1").read_text()
    assert free(folder) and checkpoint.load(folder)["inpaint"]["update"] == 3


def as_somebody_else(main, output, *arguments):
    """From where our own code begins; rights do not bind the superuser, who alone may be able to read all of Python."""
    check = inpaint.train.check

    def check_and_change(cfg):
        check(cfg)
        become_somebody_else()

    inpaint.train.check = check_and_change
    typed(main, output, *arguments)


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can become somebody else")
def test_a_finished_run_in_a_folder_that_cannot_be_written(tmp_path, photographs):
    skip_where_somebody_else_cannot_import()
    folder, arguments = tmp_path / "run", [photographs, "trainer.max_steps=1", "hydra.output_subdir=null"]
    assert code(begin(folder, *arguments)) == 0
    pictures = Path(photographs.removeprefix("data.root="))
    for path in (*tmp_path.parents[:3], tmp_path, pictures.parent, *pictures.parent.rglob("*"), *tmp_path.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    before = files(folder)
    again = [train, tmp_path / "again", *RUN, f"hydra.run.dir={folder}", *arguments]
    assert code(launch(*again, target=as_somebody_else)) == 0, (tmp_path / "again").read_text()
    assert (tmp_path / "again").read_text().strip().endswith("run is finished, nothing to do")
    assert files(folder) == before
    assert code(launch(*again, "trainer.max_steps=2", target=as_somebody_else)) != 0
    told = (tmp_path / "again").read_text().splitlines()[-1]
    assert "metrics.csv" in told and told.endswith("Permission denied"), "it is the results that cannot be written"


# ---- long variants: ranks that are started by the command line, or spawned -------------------------------------------

TWO = [*EACH, "trainer.devices=2", "trainer.accelerator=cpu", "hydra.run.dir=run", "data.batch_size=2"]


@pytest.mark.slow
def test_ranks_that_lightning_starts_by_the_command_line(tmp_path):
    code, printed, errors = finish(start("train", *TWO, cwd=tmp_path))
    assert code == 0, f"{printed}\n{errors}"
    assert checkpoint.load(tmp_path / "run")["inpaint"]["update"] == 3 and free(tmp_path / "run")


def children(process):
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


@pytest.mark.slow
def test_spawned_ranks_outlive_what_started_them(tmp_path):
    """They save and leave when it is gone; until then they write into the folder, and nobody else shall."""
    spawned = ["trainer.strategy=ddp_spawn", "adversarial=none", "trainer.max_steps=100000"]
    first = start("train", *(word for word in TWO if "discriminator" not in word), *spawned, cwd=tmp_path)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("run/checkpoints/*.ckpt")):
        assert first.poll() is None and time.monotonic() < deadline, finish(first)
        time.sleep(0.1)
    ranks = [pid for pid in children(first) if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
    assert len(ranks) == 2
    for pid in ranks:
        os.kill(pid, signal.SIGSTOP)
    first.kill()
    first.wait()
    assert not free(tmp_path / "run")
    for pid in ranks:
        os.kill(pid, signal.SIGCONT)
    while not free(tmp_path / "run"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}/fd").exists() and list(Path(f"/proc/{pid}/fd").iterdir()) for pid in ranks)
