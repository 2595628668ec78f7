"""How much memory operations take."""

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class PeakBytes(TorchDispatchMode):
    """The most bytes of tensor storage alive at once among the results of the operations inside."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self.alive: dict[int, StorageWeakRef] = {}
        self.bytes: dict[int, int] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                self.alive[storage._cdata] = StorageWeakRef(storage)
                self.bytes[storage._cdata] = storage.nbytes()
        self.alive = {key: ref for key, ref in self.alive.items() if not ref.expired()}
        self.peak = max(self.peak, sum(self.bytes[key] for key in self.alive))
        return out
