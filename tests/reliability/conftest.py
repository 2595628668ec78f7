"""What the tests of one fault after another share: the run that nothing happened to."""

import pytest

from tests.reliability.runs import UPDATES, fork


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """The folder of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert fork(folder, UPDATES) == 0
    return folder
