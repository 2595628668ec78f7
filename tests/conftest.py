"""What several tests need: small photographs, a small run, and a check that no test leaves anything behind."""

import copy
import gc
import logging
import os
import re
import signal
import sys
from functools import lru_cache
from pathlib import Path

# Threads that wait for each other spin, so two of them on two shared cores may be far slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2  # noqa: F401  these three set variables of their own when they are imported
import hydra._internal.defaults_list
import hydra.version
import kornia  # noqa: F401
import lightning  # noqa: F401
import numpy as np
import omegaconf.base
import pytest
import torch
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.hydra import Hydra
from PIL import Image

# A suite in the background begins deaf to Ctrl-C, and so would the processes that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["tests.sweeps"]

# All configs refer to the same few settings, and ask for Hydra's version time and again: a third of their composing.
omegaconf.base.parse = lru_cache(maxsize=None)(omegaconf.base.parse)
hydra.version._get_version = lru_cache(maxsize=None)(hydra.version._get_version)

# For each config Hydra writes down what an interpolation in a list of defaults could refer to, and none has one; it
# copies all that it knows of where configs are, to change a list of them.
choices = hydra._internal.defaults_list._create_interpolation_map
hydra._internal.defaults_list._create_interpolation_map = lambda overrides, defaults, added: (
    choices(overrides, defaults, added) if any(default.is_interpolation() for default in defaults) else None
)
ConfigRepository.__deepcopy__ = lambda self, memo: copy.copy(self)

# A million objects of libraries come to stay; looking through them time and again is a quarter of a worker's start.
gc.disable()


modules = [0]


def pytest_collection_finish():
    """Garbage is looked for among what tests make alone."""
    gc.freeze()
    gc.enable()
    modules[0] = len(sys.modules)


def pytest_runtest_teardown():
    """Nor is it among what a test has imported, such as Optuna and its databases."""
    if len(sys.modules) > modules[0] + 50:
        gc.collect()
        gc.freeze()
        modules[0] = len(sys.modules)


@pytest.fixture(autouse=True, scope="session")
def state_of_its_own(tmp_path_factory):
    """Nothing is written below the home of whoever runs the tests (`references.fingerprints` keeps a key there)."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))  # and `data.headers` sizes


@pytest.fixture(autouse=True, scope="session")
def exact_arithmetic():
    """Tests compute alike on every machine: what a trainer chooses by itself is float32, one operation at a time."""
    from inpaint.training import trainer

    fastest = trainer.fastest
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "fastest", lambda device: dict(trainer.REFERENCE))
        yield fastest


@pytest.fixture(autouse=True, scope="session")
def composed_once():
    """Hydra composes each config twice, first to see whether it asks for a sweep, which is left out where it cannot."""
    get_mode = Hydra.get_mode

    def mode(self, config_name, overrides):
        asks = any(re.match(r"\+*(sweep|experiment|hydra\.mode)\b|--config-dir|-cd", word) for word in sys.argv[1:])
        return get_mode(self, config_name, overrides) if asks else None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Hydra, "get_mode", mode)
        yield


@pytest.fixture(autouse=True, scope="session")
def short_farewell():
    """A loader that an error has left to the garbage collector waits .5 s for each worker, not 5: its queues are closed
    before it says that work is over, so none of them hears of it and each is ended."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.5)
        yield


@pytest.fixture(autouse=True)
def nothing_left_behind(state_of_its_own):
    """The environment is as it was, and no Hydra is left initialised."""
    from hydra.core.global_hydra import GlobalHydra

    environment = dict(os.environ)
    yield
    GlobalHydra.instance().clear()
    # Lightning marks the process for its workers; everything else that a test sets, it must unset.
    allowed = {"PL_GLOBAL_SEED", "PYTEST_CURRENT_TEST", "WANDB_SERVICE", "KMP_INIT_AT_FORK", "KMP_DUPLICATE_LIB_OK"}
    allowed |= {"LD_LIBRARY_PATH"}  # OpenCV's package, when it is first imported
    allowed |= {"_TORCHINDUCTOR_PYOBJECT_TENSOR_DATA_PTR"}  # torch.compile
    left = {
        name
        for name in set(environment) | set(os.environ)
        if environment.get(name) != os.environ.get(name) and name not in allowed
    }
    os.environ.clear()
    os.environ.update(environment)
    assert not left, f"the test changed the environment: {sorted(left)}"


def smooth_picture(seed: int, height: int, width: int) -> np.ndarray:
    """A coloured picture with structure: uint8 (H, W, 3)."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 16.0
    waves = [np.sin(generator.uniform(0.3, 2) * x + generator.uniform(0.3, 2) * y + phase) for phase in range(3)]
    return (
        (127.5 + 100 * np.stack(waves, axis=-1) + generator.normal(0, 3, (height, width, 3))).clip(0, 255).astype("u1")
    )


@pytest.fixture
def photo_folder(tmp_path: Path) -> Path:
    """Twelve small photographs in three formats, two of them in a sub-folder with a space and an accent."""
    root = tmp_path / "photos"
    (root / "ein Bündel").mkdir(parents=True)
    for number in range(12):
        folder = root / "ein Bündel" if number % 6 == 0 else root
        suffix = (".png", ".jpg", ".webp")[number % 3]
        Image.fromarray(smooth_picture(number, 80 + number, 100)).save(folder / f"photo {number:02d}{suffix}")
    return root


@pytest.fixture
def mask_folder(tmp_path: Path) -> Path:
    """Six masks, 255 = hole, of three sizes, one of them in a sub-folder; box holes of 5 to 30 % of the area."""
    root = tmp_path / "masks"
    (root / "more").mkdir(parents=True)
    for number, (height, width) in enumerate(((40, 40), (60, 40), (40, 70)) * 2):
        mask = np.zeros((height, width), np.uint8)
        mask[5 : 15 + 2 * number, 8 : 20 + 2 * number] = 255
        Image.fromarray(mask).save((root / "more" if number == 5 else root) / f"mask {number}.png")
    return root


@pytest.fixture
def batch():
    """Four random images with one box hole each: image, mask, index."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(4, 3, 16, 16, generator=generator) * 2 - 1
    mask = torch.zeros(4, 1, 16, 16)
    for sample in range(4):
        mask[sample, :, 2 + sample : 9 + sample, 3:12] = 1
    return {"image": image, "mask": mask, "index": torch.arange(4)}


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Runs a command in this process and a folder of its own; returns what it printed, after checking its exit code."""
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    before = root.level, root.handlers[:]
    enabled = [logger for logger in logging.root.manager.loggerDict.values() if not getattr(logger, "disabled", True)]

    def run(module, *arguments, code=0):
        monkeypatch.setattr(sys, "argv", [f"inpaint-{module.__name__.split('.')[-1]}", *map(str, arguments)])
        ended = 0
        try:
            module.main()
        except SystemExit as end:
            ended = end.code
        printed = capsys.readouterr()
        assert ended == code, printed.out + printed.err
        return printed.err if code else printed.out

    yield run
    root.level, root.handlers[:] = before  # Hydra sets up logging
    for logger in enabled:
        logger.disabled = False


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium, which keeps what its console and its network said; the test is skipped where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, driver = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
    if not (chromium.exists() and driver.exists()):
        pytest.skip("needs Debian's packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = str(chromium)
    flags = ("headless", "no-sandbox", "disable-gpu", "disable-background-networking", "no-first-run")
    for flag in (*flags, "window-size=1200,900"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(driver)))
    yield opened
    opened.quit()


@pytest.fixture(autouse=True)
def no_filters_of_a_command():
    """A command that ran in this process has put its filter into pytest's handlers, which are there for all tests."""
    yield
    for handler in logging.getLogger().handlers:
        handler.filters.clear()
