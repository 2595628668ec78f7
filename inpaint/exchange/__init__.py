"""Weights that come from other code, and how they become runs of this package."""
