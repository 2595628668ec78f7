"""One rank raises, exits or never answers: all end within a time limit, with an error, and nothing is left running.

Real: `inpaint-train` on two processes that Lightning starts. Stand-in: the fault in the step; a rank that
sleeps stands for one that waits for ever in a collective of NCCL.
"""

from pathlib import Path

import pytest

from tests.checkpoints import latest_valid
from tests.reliability.commands import SMALL, finish, processes_of, start

SCRIPT = Path(__file__).with_name("failing_train.py")
FAULTS = {
    **{"first raises": "0 4 raise", "second raises": "1 4 raise", "second exits": "1 4 exit"},
    **{"second deaf": "0 4 deaf", "first deaf": "1 4 deaf"},
}


@pytest.mark.parametrize(
    "cases",
    [
        ("second deaf", "second raises"),
        pytest.param(("first deaf", "first raises", "second exits"), marks=pytest.mark.slow),
    ],
)
def test_all_ranks_end(cases, tmp_path):
    started = {
        case: start(SCRIPT, *SMALL, "trainer.devices=2", f"hydra.run.dir={case}", cwd=tmp_path, FAULT=FAULTS[case])
        for case in cases
    }
    for case, process in started.items():
        code, _, errors = finish(process)
        assert code != 0, case
        assert "injected fault" in errors or case == "second exits"
        assert processes_of(process.pid) == [], case
        newest = latest_valid(tmp_path / case)
        assert newest is not None and newest.name == "update_00000004.ckpt", "what was saved before is whole"
