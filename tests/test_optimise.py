"""The one engine that optimises pictures and features: minima, stops, seeds."""

import signal

import pytest
import torch

from inpaint import rng
from inpaint.optimise import optimise
from inpaint.settings import Refused

GOAL = torch.tensor([[3.0, -2.0], [0.5, 8.0]])


def start():
    return torch.zeros(2, 2, requires_grad=True)


def distance(x):
    return lambda: (torch.tensor([[1.0, 2.0], [5.0, 0.5]]) * (x - GOAL).square()).sum()


@pytest.mark.parametrize(("method", "rate", "steps"), [("lbfgs", 1.0, 30), ("adam", 0.5, 120)])
def test_a_minimum_is_reached(method, rate, steps):
    x = start()
    course = optimise([x], distance(x), steps, method=method, rate=rate)
    assert torch.allclose(x, GOAL, atol=0.05) and len(course.energies) == steps + 1 and not course.stopped
    assert course.best == min(course.energies) == pytest.approx(distance(x)().item())


def test_it_ends_where_the_energy_was_least():
    x = start()
    course = optimise([x], distance(x), 5, method="adam", rate=100.0)  # far beyond, and further
    assert course.energies[-1] > course.energies[0] == course.best and torch.equal(x, torch.zeros(2, 2))


def test_an_energy_that_is_not_finite_ends_it():
    x, calls = start(), []

    def energy():
        calls.append(1)
        return distance(x)() * (float("nan") if len(calls) > 3 else 1)

    course = optimise([x], energy, 50, method="adam", rate=0.1)
    assert len(calls) == 5 and x.isfinite().all() and course.best == course.energies[2]


def test_ctrl_c_ends_it_with_what_there_is_and_twice_ends_all(capsys):
    x, calls = start(), []

    def energy():
        calls.append(1)
        if len(calls) == 4:
            signal.raise_signal(signal.SIGINT)
        return distance(x)()

    course = optimise([x], energy, 50, method="adam", rate=0.1, label="painting")
    assert course.stopped and len(course.energies) == 5 and course.best == course.energies[-1] < course.energies[0]
    assert "painting: stopped" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def impatient():
        signal.raise_signal(signal.SIGINT)
        return distance(x)()

    with pytest.raises(KeyboardInterrupt):
        optimise([x], impatient, 50)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_noise_of_an_energy_follows_from_the_seed():
    def result(seed):
        x = start()
        optimise([x], lambda: (x - rng.uniform_for(x[None], 2, 2)[0]).square().sum(), 5, method="adam", seed=seed)
        return x.detach()

    assert torch.equal(result(1), result(1)) and not torch.equal(result(1), result(2))


def test_settings():
    x = start()
    with pytest.raises(Refused, match="method: give one of adam, lbfgs"):
        optimise([x], distance(x), 5, method="sgd")
    with pytest.raises(Refused, match="steps"):
        optimise([x], distance(x), -1)
