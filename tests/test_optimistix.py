"""Optimizers of hopgym as minimisers of Optimistix."""

import sys

import jax
import numpy as np
import pytest

import hopgym
from hopgym.optimizers import make_optimizer

optimistix = pytest.importorskip("optimistix")


@pytest.fixture(scope="module")
def problem():
    system = hopgym.get_system("LJ-5")
    start = system.sample(jax.random.key(3))
    return system, hopgym.Environment(system).context, start


def minimised(problem, name, steps, force=0.0):
    from hopgym.optimizers.optimistix_minimiser import Minimiser

    system, context, start = problem
    optimizer = make_optimizer(name, system=system, steps=steps)
    return optimistix.minimise(
        lambda x, _: system.energy_and_gradient(x)[0],
        Minimiser(
            optimizer=optimizer,
            context=context,
            key=jax.random.key(0),
            force=force,
        ),
        start,
        max_steps=steps,
        throw=False,
    )


def test_a_descent_stops_in_a_minimum(problem):
    found = minimised(problem, "lbfgs", 500, force=1e-2)
    _, gradient = problem[0].energy_and_gradient(found.value)
    assert np.abs(gradient).max() < 1e-2
    assert 0 < int(found.stats["evaluations"]) < 500
    assert found.result == optimistix.RESULTS.successful


def test_a_search_returns_its_lowest_structure(problem):
    found = minimised(problem, "bh-lbfgs", 600)
    energy, _ = problem[0].energy_and_gradient(found.value)
    assert int(found.stats["evaluations"]) == 600
    np.testing.assert_allclose(energy, found.stats["energy"], rtol=1e-6)
    np.testing.assert_allclose(energy, problem[0].reference, atol=1e-3)


def test_without_optimistix_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optimistix", None)
    monkeypatch.delitem(
        sys.modules, "hopgym.optimizers.optimistix_minimiser", raising=False
    )
    with pytest.raises(ImportError, match=r'pip install "hopgym\[optimistix\]"'):
        __import__("hopgym.optimizers.optimistix_minimiser")
