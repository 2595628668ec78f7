"""What is damaged in a picture: pure functions of its pixels, without weights but for captions.

`levels.py` measures noise, JPEG's blocks and blur, `scratches.py` finds scratches and
cracks, `ridges.py` faint ones, `captions.py` text, and
`diagnosis.py` decides, with each figure and its limit. `experiments/011-adaptive-repair` has what the limits are
calibrated on and how often they are right.
"""

from inpaint.damage.diagnosis import Diagnosis, Finding, diagnose

__all__ = ["Diagnosis", "Finding", "diagnose"]
