"""Experiments in repairing images with generative networks: PyTorch Lightning, Hydra, kornia.

What a notebook needs is here; `inpaint.api` describes it, with an example of all of it together:

    build     a run's module, data and trainer, from what one would type on the command line
    fit       train and evaluate; the run folder
    load      a trained network or a classical fill that repairs arrays of any size (`Predictor`)
    measure   evaluate trained models, fills and other tools' results on the same pictures
    rows      the tables of runs, for a DataFrame
    options   what there is to choose from

Bad input raises `Refused`, whose message is the line that a command would print. The commands themselves are the
modules ``inpaint.train``, ``inpaint.evaluate`` and so on. Nothing heavy is imported before it is used.
"""

from typing import TYPE_CHECKING, Any

from inpaint.settings import Refused

if TYPE_CHECKING:
    from inpaint.api import Predictor, build, fit, load, measure, options, rows

__version__ = "0.1.0"
__all__ = ["Predictor", "Refused", "__version__", "build", "fit", "load", "measure", "options", "rows"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'inpaint' has no attribute {name!r}")
    from inpaint import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
