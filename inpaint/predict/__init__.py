"""Pictures repaired by a trained model or a classical fill: `inpaint-predict`, and the same for a notebook."""

from inpaint.predict.command import main

__all__ = ["main"]
