"""Networks made elsewhere that come as one file, TorchScript or ONNX, and judge pictures.

TorchScript is code: torch runs what the file says, with the rights of who runs it. What would write or open files, ask
other machines or talk to the terminal is refused by its name before anything is loaded, but a program can always take
time and memory without end. ONNX has no operator that does any of it, and ONNX Runtime reads external data from the
file's own folder alone; prefer it for a file from somebody else. No config can name these classes (`inpaint.groups`),
so such a file stands on a command line.
"""

import logging
import re
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaint.batch import finite, from_uint8, to_uint8
from inpaint.files.tensors import has_one_directory
from inpaint.networks.backbones import CONVENTIONS
from inpaint.settings import Refused

log = logging.getLogger("inpaint.metrics.foreign")

MEAN, DEVIATION = CONVENTIONS["torchvision"].mean, CONVENTIONS["torchvision"].deviation  # of ImageNet, RGB in [0, 1]
TORCHSCRIPT = (".pt", ".ts", ".pth", ".torchscript")
CODE = 64 << 20  # bytes of a TorchScript file that are no weights
# What no network has that judges or paints pictures: operators that take the name of a file or another machine, the one
# way to write an operator's name in pieces (a number names a layer of a sequence), printing, threads (whose warnings
# nobody catches), and libraries of operators other than torch's own.
ACTS = re.compile(
    rb"\b(save|from_file|load_tensor|rpc_sync|rpc_async|rpc_remote|_?print|Print|fork)\b|"
    rb"\bgetattr\b(?!\([\w.]+, \"\d+\"\))|"
    rb"\bops\s*\.\s*(?!(?:aten|prim|quantized|_quantized)\b)\w+|torch\.classes\.(?!quantized\b)\w+"
)


class Foreign(nn.Module):
    """A network from a file: pictures ``(B, 3, H, W)`` in [-1, 1] to float32 ``(B, K)``, in float32, without gradients.

    Pictures are rounded to 8 bits as they would be stored, resized to ``size x size`` pixels (bilinear, antialiased,
    whatever their shape) and standardised: RGB in [0, 1], less the mean, over the deviation. A TorchScript network
    whose `forward` has an argument ``return_features``, as NVIDIA's for FID have, does all but the rounding itself: it
    is given bytes of any size and asked for features.

    Args:
        file: TorchScript (``.pt``, ``.ts``) or ONNX (``.onnx``, which needs the package onnxruntime and runs on
            the CPU), one input of pictures and one output of K numbers each.
        key: the config's key that error messages begin with.
        size: pixels.
        mean: of each channel.
        deviation: of each channel.
        known: whether the file's contents were compared with a sha256, so that nothing is asked of it.

    Raises:
        Refused: a file that is not there, is of another kind, would do something else than compute, or does not make
            ``(1, K)`` of one picture.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        file: Path,
        key: str,
        size: int = 224,
        mean: Sequence[float] = MEAN,
        deviation: Sequence[float] = DEVIATION,
        known: bool = False,
    ) -> None:
        super().__init__()
        self.size, self.about = size, f"{key}: {file}"
        for name, values in (("mean", mean), ("deviation", deviation)):
            self.register_buffer(name, torch.tensor(list(values)).view(-1, 1, 1), persistent=False)
        self.network = _load(file, key, known)
        schema = getattr(self.network.forward, "schema", None)  # of TorchScript
        self.prepares = schema is not None and any(each.name == "return_features" for each in schema.arguments)
        found = self(torch.zeros(1, 3, size, size))
        if not isinstance(found, Tensor) or found.dim() != 2:
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise Refused(f"{key}: {file} makes {shape} of one picture; what is needed is (1, K)")
        self.width = found.shape[1]

    @torch.no_grad()
    def forward(self, pictures: Tensor) -> Tensor:
        """What the network says of each picture, ``(B, K)``; NaN of one with pixels that are not finite.

        Raises:
            Refused: the network fails.
        """
        what = f"{self.about} cannot judge a picture of {self.size} x {self.size} pixels"
        with torch.autocast(pictures.device.type, enabled=False), refused_if_it_fails(what):
            stored = to_uint8(pictures)
            if self.prepares:
                said = self.network(stored, return_features=True)
            else:
                x = from_uint8(stored)
                if x.shape[-2:] != (self.size, self.size):
                    x = F.interpolate(x, (self.size, self.size), mode="bilinear", align_corners=False, antialias=True)
                said = self.network(((x + 1) / 2 - self.mean) / self.deviation)
        if not isinstance(said, Tensor) or said.dim() != 2:
            return said
        return torch.where(finite(pictures)[:, None], said.float(), torch.nan)


@contextmanager
def refused_if_it_fails(what: str) -> Iterator[None]:
    """Whatever a foreign network raises is said in a line, and what it warns of is not written to the terminal.

    Args:
        what: the beginning of that line.

    Raises:
        Refused: it fails.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]  # TorchScript's is the last
        raise Refused(f"{what} ({reason[:200]})") from None


def onnx_session(file: Path, key: str) -> Any:
    """A session of ONNX Runtime on the CPU, with as many threads as torch has.

    Args:
        file: ONNX.
        key: the config's key that error messages begin with.

    Raises:
        Refused: the package is not there. What it says of a file that it cannot read is its own error.
    """
    try:
        import onnxruntime
    except ImportError:
        raise Refused(f"{key}: {file} needs ONNX Runtime; pip install onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # its log shows the file's own texts
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


class _Onnx(nn.Module):
    """A session of ONNX Runtime with the interface of a network, on the CPU whatever the pictures' device."""

    def __init__(self, file: Path, key: str) -> None:
        super().__init__()
        self.session = onnx_session(file, key)
        self.input = self.session.get_inputs()[0]

    def forward(self, x: Tensor) -> Tensor:
        parts = x.split(1) if self.input.shape[0] == 1 else [x]  # some are exported for one picture at a time
        found = [self.session.run(None, {self.input.name: part.cpu().numpy()})[0] for part in parts]
        return torch.cat([torch.from_numpy(each) for each in found]).to(x.device)


def _load(file: Path, key: str, known: bool) -> nn.Module:
    if not file.is_file():
        raise Refused(f"{key}: there is no file {file}")
    if file.suffix.lower() not in (*TORCHSCRIPT, ".onnx"):
        raise Refused(f"{key}: {file} is neither TorchScript ({', '.join(TORCHSCRIPT)}) nor ONNX (.onnx)")
    try:
        if file.suffix.lower() == ".onnx":
            return _Onnx(file, key).eval()
        if not known:
            refuse_acts(file, key)
            log.warning(
                f"{key}: {file} is TorchScript, a program that runs here with your rights; take one from people you "
                "trust, or ONNX"
            )
        network = torch.jit.load(file, map_location="cpu")
    except Refused:
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        kind = "ONNX" if file.suffix.lower() == ".onnx" else "TorchScript, which torch.jit.save writes"
        raise Refused(f"{key}: {file} is not {kind} ({reason[:200]})") from None
    return network.eval()


def refuse_acts(file: Path, key: str) -> None:
    """Refuse a TorchScript file by the words in its code, comments and texts included: loading it may run some.

    Raises:
        Refused: naming the word.
        Exception: whatever a file that is no zip archive makes zipfile raise.
    """
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if not has_one_directory(file):
            raise ValueError("its directory is none of torch's")
        # torch finds members whatever the case of their names, and packs nothing but code.
        code = [each for each in members if each.filename.lower().endswith((".py", ".pkl"))]
        packed = [each for each in members if each.compress_type != zipfile.ZIP_STORED]
        if sum(each.file_size for each in {id(each): each for each in (*code, *packed)}.values()) > CODE:
            raise Refused(f"{key}: {file} holds more than {CODE >> 20} MB that are no weights")
        if not any(each.filename.endswith("/constants.pkl") for each in members):
            raise ValueError("it has no constants.pkl")
        for each in code:
            if found := ACTS.search(archive.read(each)):
                word = found[0].decode(errors="replace")
                raise Refused(f"{key}: {file} says {word!r} in {each.filename}, which no network needs; use ONNX")
