"""What an encoder has learnt: how well its features tell classes apart, beside features that nobody learnt."""

from inpaint.probe.command import main

__all__ = ["main"]
