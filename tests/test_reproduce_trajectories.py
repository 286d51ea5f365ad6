"""Hops along trajectories: Fig. 6 of the paper."""

import json

import jax
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from test_reproduce import main

import hopgym
from benchmarks.paper import trajectories
from benchmarks.paper.figure6 import find_minimum
from benchmarks.paper.registry import STUDIES
from hopgym.optimizers import AbstractOptimizer, adam

LJ13 = hopgym.get_system("LJ-13")


class Alternating(AbstractOptimizer):
    """Scales a structure by 1 + x and back again, in turn."""

    growth: float

    def init(self, positions, *, key, context):
        return jax.numpy.zeros((), int)

    def update(self, gradient, state, positions, *, value, context):
        factor = jax.numpy.where(state % 2 == 0, self.growth, 1 / (1 + self.growth) - 1)
        return factor * positions, state + 1


def test_minima_are_told_apart_by_their_energies():
    energies = np.array([[-3.0, -2.0, -2.0003], [-3.0004, -1.0, -3.0]])
    labels = trajectories._label(energies)
    assert labels.tolist() == [[1, 2, 2], [1, 3, 1]]
    returns = trajectories._find_returns(labels)
    assert returns.tolist() == [[False, False, True], [False, False, True]]


def test_lengths_are_those_after_the_best_rotation():
    generator = np.random.default_rng(0)
    before = generator.normal(size=(5, 7, 3))
    turn = Rotation.from_euler("xyz", [0.3, 1.0, -2.0])
    turned = turn.apply(before.reshape(-1, 3)).reshape(before.shape)
    np.testing.assert_allclose(
        trajectories._measure_lengths(before, turned + 3.0), 0, atol=1e-6
    )
    after = before + generator.normal(size=before.shape)
    found = trajectories._measure_lengths(before, after)
    for a, b, length in zip(before, after, found, strict=True):
        a, b = a - a.mean(axis=0), b - b.mean(axis=0)
        _, residual, *_ = Rotation.align_vectors(b, a)
        assert length == pytest.approx(residual / np.sqrt(len(a)), rel=1e-6)
    # A mirror image is another structure.
    assert (trajectories._measure_lengths(before, -before) > 0.1).all()


def test_an_optimizer_that_stays_does_not_hop():
    found = trajectories.measure(
        LJ13, Alternating(growth=1e-3), starts=3, steps=40, every=2, seed=0
    )
    assert found["hops"] == 0 and found["minima"] == 1
    assert found["length"] is None and found["returns"] is None
    assert np.shape(found["energies"]) == (3, 20) and len(found["enlarged"]) == 40


def test_updates_at_the_minimum():
    minimum = find_minimum(0)
    energy, gradient = LJ13.energy_and_gradient(minimum)
    assert float(energy) == pytest.approx(float(LJ13.reference), abs=1e-3)
    assert np.abs(gradient).max() < 1e-2
    options = {"steps": 25, "seed": 0, "window": 5}
    assert trajectories.measure_updates(LJ13, adam(), minimum, **options) == [0] * 5
    sizes = trajectories.measure_updates(
        LJ13, Alternating(growth=0.01), minimum, **options
    )
    size = np.sqrt(np.mean(np.sum(np.square(minimum), axis=-1))) / LJ13.length
    np.testing.assert_allclose(np.array(sizes), 0.01 * size, rtol=1e-4)


def test_a_quick_study(tmp_path, capsys):
    words = ("fig6", "--quick", "--optimizers", "adam", "--starts", 3)
    words += ("--steps", 60, "--out", tmp_path)
    assert main(*words) == 0
    printed = capsys.readouterr()
    assert STUDIES["fig6"].claim in printed.out and "| `adam` |" in printed.out
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    assert "trajectories of adam" in printed.err
    path = tmp_path / "trajectories-adam.json"
    before = path.read_text()
    assert main(*words) == 0
    again = capsys.readouterr()
    assert again.out == printed.out and "trajectories of" not in again.err
    other = json.loads(before)
    other["key"]["optimizer_settings"] = "others"
    for damaged in ("{", "{}", json.dumps(other)):
        path.write_text(damaged)
        assert main(*words) == 0
        assert path.read_text() == before
    assert main(*words, "--fresh") == 0
    assert "trajectories of adam" in capsys.readouterr().err
