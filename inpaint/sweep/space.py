"""What a search may choose, in Hydra's grammar of sweeps, as Optuna's distributions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from inpaint.settings import SweepError

GRAMMAR = "a,b | choice(a,b) | range(0,8,2) | interval(0,1) | int(interval(4,64)) | tag(log,interval(1e-5,1e-2))"


@dataclass(frozen=True)
class Parameter:
    """One setting that a search chooses.

    Attributes:
        key: as on the command line, with ``+`` where the config does not have it.
        distribution: where its values come from; those of a choice are texts in Hydra's grammar.
    """

    key: str
    distribution: BaseDistribution

    @property
    def name(self) -> str:
        """In the study."""
        return self.key.lstrip("+")

    def choose(self, trial: Trial) -> str:
        """The override of a trial: what it has already, or what the sampler proposes."""
        value: Any
        match self.distribution:
            case CategoricalDistribution(choices=choices):
                value = trial.suggest_categorical(self.name, choices)
            case IntDistribution(low=low, high=high, step=step, log=log):
                value = trial.suggest_int(self.name, low, high, step=step, log=log)
            case FloatDistribution(low=low, high=high, step=step, log=log):
                value = trial.suggest_float(self.name, low, high, step=step, log=log)
        return self.override(value)

    def override(self, value: Any) -> str:
        """The override ``key=value`` that sets a value, as one would type it."""
        return f"{self.key}={value}"

    @property
    def samples(self) -> list[str]:
        """Overrides that show whether the config takes what may be chosen: every choice, the ends of a range."""
        match self.distribution:
            case CategoricalDistribution(choices=choices):
                return [self.override(choice) for choice in choices]
            case IntDistribution(low=low, high=high) | FloatDistribution(low=low, high=high):
                return [self.override(low), self.override(high)]
        raise AssertionError(self.distribution)

    @property
    def size(self) -> float:
        """How many values there are."""
        match self.distribution:
            case CategoricalDistribution(choices=choices):
                return len(choices)
            case IntDistribution(low=low, high=high, step=step) | FloatDistribution(low=low, high=high, step=step):
                return round((high - low) / step) + 1 if step else math.inf
        raise AssertionError(self.distribution)


def parse_space(overrides: Sequence[Override]) -> tuple[list[str], list[Parameter]]:
    """Overrides as those that all trials share and those that are searched; of two for one key, the last counts.

    Raises:
        SweepError: nothing is searched, or a sweep cannot be.
    """
    fixed: dict[str, str] = {}
    searched: dict[str, Parameter] = {}
    for override in overrides:
        key = override.get_key_element()
        name = key.lstrip("+")
        fixed.pop(name, None)
        searched.pop(name, None)
        if override.is_sweep_override():
            searched[name] = Parameter(key, _distribution(key, override))
        else:
            line = override.input_line if override.is_delete() else None
            fixed[name] = line or f"{key}={override.get_value_element_as_str()}"
    if not searched:
        raise SweepError(f"sweep: nothing to search; give settings a range, KEY={GRAMMAR}")
    return [*fixed.values()], [*searched.values()]


def _distribution(key: str, override: Override) -> BaseDistribution:
    sweep = override.value()
    tags: set[str] = getattr(sweep, "tags", set())
    if unknown := tags - {"log"}:
        raise SweepError(f"{key}: tag {', '.join(sorted(unknown))} means nothing here; log is known")
    log = "log" in tags
    if override.is_choice_sweep():
        if log:
            raise SweepError(f"{key}: a choice has no order, so no log; give tag(log,interval(LOW,HIGH))")
        return CategoricalDistribution([*override.sweep_string_iterator()])
    try:
        if isinstance(sweep, IntervalSweep):
            assert sweep.start is not None and sweep.end is not None
            if isinstance(sweep.start, int):
                return IntDistribution(sweep.start, int(sweep.end), log=log)
            return FloatDistribution(sweep.start, sweep.end, log=log)
        assert isinstance(sweep, RangeSweep)
        values = sorted(sweep.range())
        if all(isinstance(value, int) for value in values):
            return IntDistribution(values[0], values[-1], log=log, step=int(abs(sweep.step)))
        return FloatDistribution(values[0], values[-1], log=log, step=abs(float(sweep.step)))
    except (ValueError, IndexError) as error:
        raise SweepError(f"{key}: {override.get_value_string()} cannot be searched: {error}") from None
