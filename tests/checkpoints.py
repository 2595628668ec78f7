"""What tests ask of a folder of checkpoints."""

from inpaint.files import checkpoint


def latest_valid(folder):
    """The newest checkpoint in a folder that loads; None where there is none."""
    found = checkpoint.newest(folder)
    return found[0] if found is not None else None
