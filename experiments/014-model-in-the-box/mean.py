"""A mean of the weights of two runs of one network, as an export to begin a training with.

    python experiments/014-model-in-the-box/mean.py FIRST SECOND OUTPUT --share 0.75

Where the second run went on from the first, points between the two are often as good as the better one in either figure
(Wortsman et al. 2022, *Robust fine-tuning of zero-shot models*).
"""

import argparse
from pathlib import Path

from inpaint.exchange import models, weights


def main() -> None:
    """Read both, average, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--share", type=float, default=0.75, help="of the second")
    arguments = parser.parse_args()
    second = models.load(arguments.second)
    mean = models.generator_of(second)
    before = models.generator_of(models.load(arguments.first)).state_dict()
    for name, value in mean.state_dict().items():
        value.lerp_(before[name], 1 - arguments.share)
    arguments.output.mkdir(parents=True)
    weights.write_weights(arguments.output / weights.WEIGHTS, mean)
    weights.write_config(arguments.output / weights.CONFIG, second, {})
    print(f"init_from={arguments.output}")


if __name__ == "__main__":
    main()
