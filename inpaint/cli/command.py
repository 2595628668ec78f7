"""How a command begins and ends: Hydra's grammar, and one clear line with exit code 2 for bad input.

A command is `main = lambda: command("train", run)`, and in Python `call("train", run, overrides)`. What is `Refused`,
or what a disk refuses, is the user's to change and told in a line; every other error is ours, and shows its traceback.
"""

import copy
import errno
import functools
import io
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import hydra
from hydra._internal.config_repository import ConfigRepository
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from inpaint.cli import job, paths, typed
from inpaint.cli.explain import explain, hydra_of, no_option, no_setting, refuse_namesakes, shortened, too_long
from inpaint.config import conf_dir
from inpaint.config.references import without_values
from inpaint.files.untrusted import YAML, Unreadable, measure_yaml, read_text
from inpaint.parts import refuse_from_config
from inpaint.settings import ConfigError, Refused, SweepError, printable

Made = TypeVar("Made")

KERNELS = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
# What a user's folder can be at fault for.
DISK = (errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR)


def command(name: str, run: Callable[[DictConfig], Any]) -> None:
    """Run `run` with the config ``conf/<name>.yaml`` under Hydra; exits with 2 after one line for bad input."""
    if message := too_long(sys.argv[1:]) or no_option(name, sys.argv[1:]):
        _leave(name, message)
    if message := no_setting(name, sys.argv[1:]) or paths.unreadable(name, sys.argv[1:]):
        _leave(name, message)
    if (words := re.match(r"help[= ]?(.*)", " ".join(sys.argv[1:]))) is not None:
        return _help(name, words[1])
    sys.argv[1:] = paths.as_texts(name, sys.argv[1:])

    def chosen(cfg: DictConfig) -> Any:
        refuse_namesakes()
        refuse_from_config([*HydraConfig.get().job.env_set, *HydraConfig.get().job.env_copy])
        paths.settle(name, cfg)
        with _few_kernels(name, cfg):
            return run(cfg)

    def task(cfg: DictConfig) -> Any:
        for handler in logging.getLogger().handlers:  # those that Hydra has set up
            handler.addFilter(_spelt_out)
        if job.ours():
            return job.run_job(name, cfg, chosen, lambda error: without_values(_told(name, error), cfg))
        try:
            return chosen(cfg)
        except Exception as error:
            # In a sweep Hydra keeps the error, goes on with the other jobs and raises it at the end.
            message = _for_the_user(error)
            if message and HydraConfig.get().mode == RunMode.MULTIRUN:
                print(f"inpaint-{name}: job {HydraConfig.get().job.num} failed: {message}", file=sys.stderr)
            if message is None and isinstance(error, HydraException | OmegaConfBaseException):
                message = explain(name, error, typed.typed())
            if message is None or shown or HydraConfig.get().mode == RunMode.MULTIRUN:
                raise
            _leave(name, without_values(message, cfg))

    HydraConfig.instance().cfg = None  # of an earlier command in this process
    shown = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra raise its errors instead of printing them
    try:
        with bounded_yaml(), hidden_parts():
            hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=name)(task)()
    except Exception as error:
        if shown:
            raise
        if message := _for_the_user(error):
            _leave(name, message, code=2 if isinstance(error, SweepError) or not HydraConfig.initialized() else 1)
        if not isinstance(error, HydraException | OmegaConfBaseException):
            raise
        _leave(name, explain(name, error, [word for word in sys.argv[1:] if not word.startswith("-")]))
    finally:
        os.environ.pop("HYDRA_FULL_ERROR")
        if shown is not None:
            os.environ["HYDRA_FULL_ERROR"] = shown


def _help(name: str, topic: str) -> None:
    """``inpaint-NAME help``, ``help OPTION`` or ``help=OPTION``."""
    from inpaint.cli.manual import manual

    try:
        print(manual(name, topic or None))
    except Refused as error:
        _leave(name, str(error))


def call(name: str, run: Callable[[DictConfig], Made], overrides: Sequence[str]) -> Made:
    """What `run` returns for the config that ``inpaint-NAME OVERRIDES`` has: the command for a caller in Python.

    Raises:
        Refused: whatever the command would say in a line and exit with 2; a disk's error is raised as it is.
    """
    if message := too_long(overrides) or no_option(name, overrides) or paths.unreadable(name, overrides):
        raise Refused(message)
    overrides = paths.as_texts(name, overrides)
    made: list[Made] = []
    errors: list[tuple[Exception, DictConfig]] = []

    def task(cfg: DictConfig) -> None:
        try:
            refuse_namesakes()
            paths.settle(name, cfg)
            with _few_kernels(name, cfg):
                made.append(run(cfg))
        except Exception as error:  # kept from Hydra, which would print about it
            errors.append((error, cfg))

    try:
        with bounded_yaml(), hidden_parts(), hydra_of(name) as ours:
            ours.run(name, task, list(overrides), with_log_configuration=False)
    except (HydraException, OmegaConfBaseException) as wrong:
        raise Refused(explain(name, wrong, overrides)) from wrong
    for error, cfg in errors:
        refused = error.__cause__ if isinstance(error, InstantiationException) else error
        if isinstance(refused, Refused):
            refused.args = (without_values(str(refused), cfg),)
            raise refused
        if isinstance(error, HydraException | OmegaConfBaseException | RecursionError):
            raise Refused(without_values(_for_the_user(error) or explain(name, error, overrides), cfg)) from None
        raise error
    return made[0]


@contextmanager
def _few_kernels(name: str, cfg: DictConfig) -> Iterator[None]:
    """Where pictures have any sizes, oneDNN keeps fewer of the kernels that it compiles for each size on a CPU.

    It would keep 1024 of them, and memory would grow with the number of pictures. It asks the environment at its first
    convolution; a process that has had one before keeps what it has.
    """
    if os.environ.get(KERNELS) or not (name == "predict" or (name == "evaluate" and cfg.images)):
        yield
        return
    os.environ[KERNELS] = "16"
    try:
        yield
    finally:
        os.environ.pop(KERNELS, None)


def _told(name: str, error: Exception) -> str:
    """What to say of an error in a job of a sweep, whoever raised it."""
    if message := _for_the_user(error):
        return message
    if isinstance(error, HydraException | OmegaConfBaseException):
        return explain(name, error, typed.typed())
    return f"{type(error).__name__}: {error}"


def _for_the_user(error: BaseException) -> str | None:
    """The message of what was refused, or of a disk; None for an error that no input was refused for."""
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        error = error.__cause__  # `instantiate` wraps what a constructor raises
    if isinstance(error, Refused) and re.match(r"Caught \w+ in DataLoader worker", str(error)):
        return str(error).strip().splitlines()[-1].partition(": ")[2]
    if isinstance(error, Refused):
        return str(error)
    if isinstance(error, OSError) and error.errno in DISK:
        return f"{error.filename or 'the disk'}: {error.strerror}"
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return f"{Path(str(error.filename)).name[:40]}...: no file can have a name of that length"
    if isinstance(error, RecursionError):
        return "config: nested more deeply than can be followed"
    return None


_load = OmegaConf.load


@functools.lru_cache(maxsize=256)
def _parsed(text: str) -> Any:
    """Hydra composes each config twice, the first time to see whether it asks for a sweep, and a sweep's for each job.

    Raises:
        Unreadable: the text stands for too much.
    """
    measure_yaml(text)
    return _load(io.StringIO(text))


@contextmanager
def bounded_yaml() -> Iterator[None]:
    """Hydra reads yaml files only as far as one can: not a pipe, and not one whose aliases stand for a billion values.

    It reads each with `OmegaConf.load`, and copies what an alias stands for wherever that is.
    """
    load = OmegaConf.load

    def bounded(file: Any) -> Any:
        name = file if isinstance(file, str | Path) else getattr(file, "name", "a yaml file")
        try:
            text = read_text(Path(name), YAML) if isinstance(file, str | Path) else file.read(YAML + 1)
            if len(text) > YAML:
                raise Unreadable(f"it has more than {YAML} characters")
            return copy.deepcopy(_parsed(text))
        except Unreadable as error:
            raise ConfigError(f"{name}: {error}") from None

    OmegaConf.load = staticmethod(bounded)  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        OmegaConf.load = staticmethod(load)  # type: ignore[method-assign]


@contextmanager
def hidden_parts() -> Iterator[None]:
    """Hydra lists no option whose name begins with _, as it is a part of others: in ``--help``, ``glob(*)``, a shell's
    completion and errors.

    For each list it copies all that it knows of where configs are, to exchange the list of places, which a shallow copy
    has of its own: the rest took half of the time of ``--help``.
    """
    listed, deep = ConfigRepository.get_group_options, vars(ConfigRepository).get("__deepcopy__")

    def public(self: ConfigRepository, group_name: str, results_filter: ObjectType | None = ObjectType.CONFIG) -> Any:
        return [option for option in listed(self, group_name, results_filter) if not option.startswith("_")]

    ConfigRepository.get_group_options = public  # type: ignore[method-assign]
    ConfigRepository.__deepcopy__ = lambda self, memo: copy.copy(self)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        ConfigRepository.get_group_options = listed  # type: ignore[method-assign]
        del ConfigRepository.__deepcopy__  # type: ignore[attr-defined]
        if deep is not None:
            ConfigRepository.__deepcopy__ = deep  # type: ignore[attr-defined]


def _spelt_out(record: logging.LogRecord) -> bool:
    """What a file's name or text would command a terminal is spelt out in its logged lines."""
    record.msg, record.args = printable(record.getMessage()), ()
    return True


def _leave(name: str, message: str, code: int = 2) -> None:
    for line in shortened(printable(message)):
        print(f"inpaint-{name}: {line}", file=sys.stderr)
    sys.exit(code)
