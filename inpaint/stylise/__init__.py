"""A picture painted in the style of another: `inpaint-stylise`."""

from inpaint.stylise.command import main

__all__ = ["main"]
