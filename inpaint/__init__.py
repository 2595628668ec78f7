"""Experiments in repairing images with generative networks: PyTorch Lightning, Hydra, kornia.

Nothing heavy is imported here, so that the commands answer `--help` at once.
"""

__version__ = "0.1.0"
