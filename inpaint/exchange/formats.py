"""Graphs of a generator in the three formats that other programs run: written, compared with it, and read back."""

import logging
import os
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from inpaint.batch import SAID
from inpaint.exchange.contract import Contract, Exported, Restoring, draws_noise, example, graph_sizes
from inpaint.files.folder import replacing
from inpaint.metrics.foreign import onnx_session, refuse_acts
from inpaint.settings import Refused

log = logging.getLogger("inpaint.exchange")

EXPORTERS = ("torch", "onnx_ir", "onnxscript")  # packages that log what they do to a graph

SIZES = ((64, 96), (120, 77), (200, 131))  # of the pictures on which a file and its network are compared
TRACED = (96, 128)  # size of the example that a graph is made with
TOLERANCE = 1e-4  # of [0, 1], in float32


class CannotHold(Exception):
    """A format that this network cannot have, and why."""


class Differs(Exception):
    """A file that was written and does not paint what its network paints."""


class Written(NamedTuple):
    """A file that paints what its network paints.

    Attributes:
        format: its format's name.
        file: its own.
        size: in bytes.
        opset: of ONNX; None elsewhere.
        difference: the largest between its composites and the network's, in [0, 1]; None where another figure says it.
    """

    format: str
    file: str
    size: int
    opset: int | None
    difference: float | None


def write(name: str, generator: nn.Module, folder: Path, scale: int | None = None) -> Written:
    """Write the graph in a format of `GRAPHS`, load it back, and compare both at `SIZES`; else nothing stays.

    Args:
        name: of the format.
        generator: in evaluation mode, on the CPU, without gradients.
        folder: of the file.
        scale: of a generator that restores whole pictures, how many times more pixels a side it makes.

    Raises:
        CannotHold: the generator draws noise, or the format has no form of what it does.
        Differs: what was written paints something else.
        OSError: the disk refuses it.
    """
    kind = GRAPHS[name]
    contract = _contract(generator, scale)
    with replacing(folder / kind.file) as scratch:
        try:
            with torch.no_grad(), _quiet():
                opset = kind.write(contract, scratch)
        except OSError:
            raise
        except Exception as error:  # whatever an exporter raises
            raise CannotHold(_reason(error)) from error
        try:
            graph = kind.read(scratch)
        except Exception as error:  # whatever a format makes its reader raise
            raise Differs(f"it cannot be read back ({_reason(error)})") from error
        try:
            difference = compare(contract, graph)
        except Refused as error:  # the network itself takes no such picture
            raise CannotHold(str(error)) from error
        size = scratch.stat().st_size
    return Written(name, kind.file, size, opset, difference)


@lru_cache(maxsize=1)  # of all formats
def _contract(generator: nn.Module, scale: int | None) -> Contract | Restoring:
    if draws_noise(generator, scale=scale):
        raise CannotHold("its generator draws noise, by keys that a graph does not have; model.safetensors holds it")
    if told := [name for name in getattr(generator, "needs", ()) if name in SAID]:
        raise CannotHold(
            f"its generator is told the {told[0]} of a picture, which a graph is not; model.safetensors holds it"
        )
    network = _numbered(generator)
    return (Contract(network) if scale is None else Restoring(network, scale)).eval()


class _Numbered(nn.ModuleDict):
    """A `ModuleDict` under whose names graphs have numbers: they are code, where ``global`` and spaces are no names."""

    def __init__(self, layers: nn.ModuleDict) -> None:
        super().__init__()
        self.numbers = {name: str(number) for number, name in enumerate(layers)}
        for name, layer in layers.items():
            self.add_module(self.numbers[name], layer)

    def __getitem__(self, key: str) -> nn.Module:
        return super().__getitem__(self.numbers[key])

    def items(self) -> Any:
        return [(name, self[name]) for name in self.numbers]


def _numbered(network: nn.Module) -> nn.Module:
    """A copy of a network, whose layers have names that graphs can have."""
    network = deepcopy(network)
    for module in [*network.modules()]:
        for name, layer in module.named_children():
            if isinstance(layer, nn.ModuleDict):
                setattr(module, name, _Numbered(layer))
    return network


def compare(contract: Contract | Restoring, graph: Callable[..., Tensor]) -> float:
    """The largest difference between two pictures at `SIZES`.

    Raises:
        Differs: it is more than `TOLERANCE`, or the graph fails at a size, or paints NaN on a picture of one colour.
    """
    largest = 0.0
    for height, width in SIZES:
        inputs = _inputs(contract, height, width)
        with torch.no_grad():
            expected = contract(*inputs)
            try:
                painted = graph(*inputs)
            except Exception as error:  # whatever a graph raises that was made for another size
                raise Differs(f"it fails at {height} x {width} pixels ({_reason(error)})") from error
        difference = float((painted - expected).abs().max()) if painted.shape == expected.shape else float("nan")
        if not difference <= TOLERANCE:
            raise Differs(f"it differs from its network by {difference:.1e} at {height} x {width} pixels")
        largest = max(largest, difference)
    # Where all has one colour, little is left of what a network divides by; what is left may be noise, and differ.
    inputs = (torch.full((1, 3, *SIZES[0]), 0.5), *_inputs(contract, *SIZES[0])[1:])
    with torch.no_grad():
        if contract(*inputs).isfinite().all() and not graph(*inputs).isfinite().all():
            raise Differs("it paints NaN or infinite pixels on a picture of one colour, and its network does not")
    return largest


def _inputs(contract: Contract | Restoring, height: int, width: int) -> tuple[Tensor, ...]:
    return example(height, width)[: len(contract.inputs)]


# ---- the formats -----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)  # two formats are made of it, and it takes the longest
def _exported(contract: Contract | Restoring) -> Any:
    smallest, largest = graph_sizes()
    height, width = (torch.export.Dim(name, min=smallest, max=largest) for name in ("height", "width"))
    sizes = {2: height, 3: width}
    return torch.export.export(
        contract,
        _inputs(contract, *TRACED),
        dynamic_shapes=dict.fromkeys(contract.inputs, sizes),
        strict=False,
        prefer_deferred_runtime_asserts_over_guards=True,  # what it cannot prove for all sizes is asked of each picture
    )


def _write_program(contract: Contract | Restoring, path: Path) -> None:
    torch.export.save(_exported(contract), path)


def _read_program(path: Path) -> Callable[..., Tensor]:
    module = torch.export.load(path).module()
    return lambda *inputs: module(*(x.cpu() for x in inputs)).to(inputs[0].device)


def _write_onnx(contract: Contract | Restoring, path: Path) -> int:
    try:
        from onnxscript.optimizer import fold_constants, inline, remove_unused_nodes
    except ImportError:
        raise CannotHold("it needs onnxscript; pip install onnxscript") from None
    # The exporter's own optimization takes an added 1e-12 for 0, and 0 / 0 comes back that it kept out.
    program = torch.onnx.export(
        _exported(contract), dynamo=True, verbose=False, input_names=[*contract.inputs], optimize=False
    )
    assert program is not None
    for simplify in (inline, fold_constants, remove_unused_nodes):
        simplify(program.model)
    program.save(path)
    return program.model.opset_imports[""]


def onnx_inputs(path: Path) -> list[str]:
    """The names of a file's inputs."""
    return [each.name for each in onnx_session(path, "checkpoint").get_inputs()]


def _read_onnx(path: Path) -> Callable[..., Tensor]:
    session = onnx_session(path, "checkpoint")
    names = [each.name for each in session.get_inputs()]
    if len(names) not in (len(Contract.inputs), len(Restoring.inputs)):
        raise ValueError(f"it takes {len(names)} inputs")

    def run(*inputs: Tensor) -> Tensor:
        arrays = dict(zip(names, (x.cpu().numpy() for x in inputs), strict=True))
        return torch.from_numpy(session.run(None, arrays)[0]).to(inputs[0].device)

    return run


def _write_torchscript(contract: Contract | Restoring, path: Path) -> None:
    traced = torch.jit.trace(contract, _inputs(contract, *TRACED), check_trace=False)
    torch.jit.save(traced, path)


def _read_torchscript(path: Path) -> nn.Module:
    refuse_acts(path, "checkpoint")
    return torch.jit.load(path, map_location="cpu").eval()


class Graph(NamedTuple):
    """A format of graphs.

    Attributes:
        file: its name in an exported folder.
        write: the contract to a file; returns the opset of ONNX.
        read: a file to the contract's function.
        any_size: whether it takes pictures of every size, and not `graph_sizes` alone.
    """

    file: str
    write: Callable[[Contract | Restoring, Path], int | None]
    read: Callable[[Path], Callable[..., Tensor]]
    any_size: bool = False


GRAPHS = {
    "torch_export": Graph("model.pt2", _write_program, _read_program),
    "onnx": Graph("model.onnx", _write_onnx, _read_onnx),
    "torchscript": Graph("model.pt", _write_torchscript, _read_torchscript, any_size=True),
}
CODE = {"torchscript": "TorchScript", "torch_export": "a program of torch.export"}


# ---- reading ---------------------------------------------------------------------------------------------------------


def format_of(path: Path) -> str | None:
    """The format of a file by its name, and of a ``.pt`` by its contents; None where it is no graph."""
    suffix = path.suffix.lower()
    named = {Path(graph.file).suffix: name for name, graph in GRAPHS.items()}.get(suffix)
    return named if named != "torchscript" or _is_torchscript(path) else None


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def read(path: Path, name: str, scale: int | None = None) -> Exported:
    """A graph as a generator.

    Args:
        path: a file that keeps a contract, from here or from elsewhere.
        name: its format, as `format_of` says.
        scale: as of `Exported`.

    Raises:
        Refused: it is none, lacks a package, or would do something else than compute.
    """
    kind = GRAPHS[name]
    if not path.is_file():
        raise Refused(f"checkpoint: {path} does not exist")
    if name in CODE:
        log.warning(
            f"checkpoint: {path} is {CODE[name]}, which runs here with your rights; take one from people you trust, or "
            "safetensors or ONNX"
        )
    try:
        with _quiet():
            graph = kind.read(path)
    except Refused:
        raise
    except Exception as error:  # whatever a foreign file makes a reader raise
        raise Refused(f"checkpoint: {path} cannot be read ({_reason(error)})") from None
    smallest, largest = (1, None) if kind.any_size else graph_sizes()
    return Exported(graph, path.name, smallest, largest, scale).eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporters warn of, log and print."""
    loggers = [logging.getLogger(name) for name in EXPORTERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _reason(error: Exception) -> str:
    if "Constraints violated" in str(error) or "Specializations unexpectedly" in str(error):
        return "it computes otherwise at some sizes, and a graph is one for all"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:200]
