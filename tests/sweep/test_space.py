"""The search space in Hydra's grammar."""

import math

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from inpaint.settings import SweepError
from inpaint.sweep.space import parse_space


def parsed(*lines):
    return parse_space(OverridesParser.create().parse_overrides([*lines]))


@pytest.mark.parametrize(
    ("text", "expected", "size"),
    [
        ("a,b", CategoricalDistribution(["a", "b"]), 2),
        ("choice(8,16,32)", CategoricalDistribution(["8", "16", "32"]), 3),
        ("[l1],[l1,style]", CategoricalDistribution(["[l1]", "[l1,style]"]), 2),
        ("'a b','c,d'", CategoricalDistribution(["'a b'", "'c,d'"]), 2),
        ("range(0,7,2)", IntDistribution(0, 6, step=2), 4),
        ("range(3)", IntDistribution(0, 2), 3),
        ("range(5,0,-2)", IntDistribution(1, 5, step=2), 3),
        ("range(0,1,0.25)", FloatDistribution(0, 0.75, step=0.25), 4),
        ("interval(0,1)", FloatDistribution(0, 1), math.inf),
        ("int(interval(4,64))", IntDistribution(4, 64), 61),
        ("tag(log,interval(1e-5,1e-2))", FloatDistribution(1e-5, 1e-2, log=True), math.inf),
        ("tag(log,int(interval(1,64)))", IntDistribution(1, 64, log=True), 64),
    ],
)
def test_each_form(text, expected, size):
    fixed, (parameter,) = parsed("seed=1", f"x={text}")
    assert fixed == ["seed=1"] and parameter.distribution == expected and parameter.size == size


def test_what_is_chosen_is_an_override_that_reads_back():
    _, space = parsed("+a='x y',z", "b=tag(log,interval(1e-5,1e-2))", "losses=[l1],[l1,l2]", "c=int(interval(1,9))")
    trial = optuna.trial.FixedTrial({"a": "'x y'", "b": 3e-5, "losses": "[l1,l2]", "c": 4})
    lines = [parameter.choose(trial) for parameter in space]
    assert lines == ["+a='x y'", "b=3e-05", "losses=[l1,l2]", "c=4"]
    values = [override.value() for override in OverridesParser.create().parse_overrides(lines)]
    assert [str(getattr(values[0], "text", values[0])), *values[1:]] == ["x y", 3e-5, ["l1", "l2"], 4]


def test_samples_are_every_choice_and_the_ends_of_a_range():
    _, space = parsed("a=x,y,z", "b=range(0,7,2)", "+c=interval(0.5,1)")
    assert [p.samples for p in space] == [["a=x", "a=y", "a=z"], ["b=0", "b=6"], ["+c=0.5", "+c=1.0"]]


def test_the_last_of_two_for_one_key_counts():
    fixed, space = parsed("lr=interval(0,1)", "seed=0,1", "seed=3", "+lr=choice(1,2)", "~callbacks.panel", "name='a b'")
    assert fixed == ["seed=3", "~callbacks.panel", "name='a b'"]
    assert [(p.key, p.name) for p in space] == [("+lr", "lr")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("seed=3", "nothing to search"),
        ("x=tag(log,choice(1,2))", "x: a choice has no order"),
        ("x=tag(linear,interval(1,2))", "x: tag linear means nothing here"),
        ("x=tag(log,interval(0,1))", "x: .* cannot be searched: .*low"),
        ("x=interval(2,1)", "x: .* cannot be searched"),
        ("x=range(3,3)", "x: .* cannot be searched"),
    ],
)
def test_what_cannot_be_searched(line, message):
    with pytest.raises(SweepError, match=message):
        parsed(line)
