"""Annealing: canonical averages, schedule, container."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from optimizer_runs import environment, start

import hopgym
from hopgym.optimizers import Annealing, make_optimizer


@functools.cache
def mean_excess(system, temperature):
    """Mean energy above the minimum it started in, over replicas and time."""
    env = environment(system)
    quenched = hopgym.rollout(
        env,
        make_optimizer("fire", system=env.system, steps=2000),
        jax.random.key(0),
        8,
        2000,
    ).state
    lowest = quenched.best_positions[jnp.argmin(quenched.best_energy)]
    frames = hopgym.rollout(
        env,
        Annealing(6000, hot=temperature, cold=temperature, quench=0.0),
        jax.random.key(1),
        jnp.tile(lowest, (64, 1, 1)),
        6000,
        frames=600,
    ).frames
    assert frames is not None
    return float(np.mean(frames.energy[100:]) - jnp.min(quenched.best_energy))


def test_a_dimer_has_the_canonical_energy():
    # The weight of a distance r is r^2 exp(-V(r) / T).
    temperature = 0.08
    distance = np.linspace(0.7, 2.0, 20001)
    energy = distance**-12 - 2 * distance**-6
    weight = distance**2 * np.exp(-(energy + 1) / temperature)
    expected = np.sum(weight * energy) / np.sum(weight)
    assert mean_excess("LJ-2", temperature) == pytest.approx(expected + 1, rel=0.04)


def test_a_cold_cluster_has_the_energy_of_equipartition():
    # Each of the 3 N - 6 vibrations has T / 2; they are nearly harmonic.
    temperature = 0.01
    assert mean_excess("LJ-7", temperature) == pytest.approx(0.075, rel=0.05)


def test_the_temperature_falls_as_documented():
    schedule = Annealing(1000, hot=0.4, cold=0.1, quench=0.2).temperature
    steps = jnp.array([0, 400, 799, 800, 999, 5000])
    temperatures = jax.vmap(schedule)(steps)
    np.testing.assert_allclose(temperatures[:2], [0.4, 0.2], rtol=1e-6)
    np.testing.assert_allclose(temperatures[2], 0.1, rtol=1e-2)
    assert np.all(temperatures[3:] == 0)


def test_annealing_depends_on_the_key_and_ends_at_rest():
    env = environment("LJ-7")
    result = hopgym.rollout(
        env,
        make_optimizer("annealing", system=env.system, steps=3000),
        jax.random.key(0),
        jnp.stack([start("LJ-7")] * 2),
        3000,
    )
    first, second = result.state.positions
    assert jnp.max(jnp.abs(first - second)) > 0.1
    # Thermal gradients are about 3 at the lowest temperature.
    assert jnp.max(jnp.abs(result.state.gradient)) < 1


def test_an_evaporated_atom_comes_back():
    env = environment("LJ-7")
    far = start("LJ-7").at[0].add(8.0)
    optimizer = Annealing(4000, hot=0.05, cold=0.05)
    result = hopgym.rollout(env, optimizer, jax.random.key(0), far[None], 4000)
    positions = result.state.positions[0]
    reach = jnp.linalg.norm(positions - jnp.mean(positions, axis=0), axis=1)
    assert jnp.max(reach) < 2.5
