"""Every member of the zoo on small systems."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from optimizer_runs import descend, environment, finite, overlapping, start

import hopgym
from hopgym.optimizers import ZOO, adam, list_trained, make_optimizer

pytestmark = pytest.mark.optimised

# Of those that differ in their weights only, one: each is compiled anew.
PROGRAMS = [name for name in ZOO if name not in list_trained()]
PROGRAMS += ["learn2hop-lj13-esmc", "adam4p-lj13"]
STEPS = 300


def member(name, system, x64=False):
    env = environment(system, x64)
    return env, make_optimizer(name, system=env.system, steps=STEPS)


def layout(tree):
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(leaf.shape, leaf.dtype) for leaf in leaves]


@pytest.mark.parametrize("system", ["Gupta-Ag4Au3", "SW-Si8"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_run_stays_finite_and_descends(name, system):
    env, optimizer = member(name, system)
    given = start(system)
    starts = jnp.stack([given, given, overlapping(env, given)])
    state = hopgym.rollout(env, optimizer, jax.random.key(2), starts, STEPS).state
    assert finite(state)
    assert np.all(state.faults == 0)
    assert np.all(state.evaluations == STEPS + 1)
    assert state.positions.shape == starts.shape
    assert state.positions.dtype == jnp.float32
    assert np.all(state.best_energy[:2] < 0)
    assert state.best_energy[2] < env.system.energy_and_gradient(starts[2])[0]


@pytest.mark.parametrize("name", ZOO)
def test_shapes_and_types_under_jit_and_vmap(name):
    with jax.enable_x64(True):
        env, optimizer = member(name, "LJ-7", x64=True)

        def once(positions, key):
            state = env.reset(key, positions)
            before = optimizer.init(positions, key=key, context=env.context)
            update, after = optimizer.update(
                state.gradient,
                before,
                positions,
                value=state.energy,
                context=env.context,
            )
            return update, before, after

        update, before, after = jax.eval_shape(
            jax.jit(jax.vmap(once)),
            jnp.stack([start("LJ-7", True)] * 2),
            jax.random.split(jax.random.key(0), 2),
        )
    assert update.shape == (2, 7, 3)
    assert update.dtype == jnp.float64
    assert layout(before) == layout(after)


@pytest.mark.parametrize("name", PROGRAMS)
def test_float64_and_equal_keys_give_equal_runs(name):
    with jax.enable_x64(True):
        env, optimizer = member(name, "LJ-7", x64=True)
        one, other = jax.random.split(jax.random.key(3))
        given = start("LJ-7", True)
        starts = jnp.stack([given, given, overlapping(env, given)])
        state = jax.jit(
            jax.vmap(lambda x, key: descend(env, optimizer, x, STEPS, key))
        )(starts, jnp.stack([one, one, other]))
        overlap = np.asarray(env.system.energy_and_gradient(starts[2])[0])
    state = jax.tree.map(np.asarray, state)
    assert state.positions.dtype == jnp.float64
    assert finite(state)
    assert np.all(state.faults == 0)
    assert np.all(state.evaluations == STEPS + 1)
    assert np.all(state.positions[0] == state.positions[1])
    assert np.all(state.best_energy[:2] < 0)
    assert state.best_energy[2] < overlap


@pytest.mark.parametrize("name", ZOO)
def test_hyper_parameters_are_leaves_that_can_be_batched(name):
    env, optimizer = member(name, "LJ-7")
    numbers, rest = eqx.partition(optimizer, eqx.is_inexact_array)
    assert jax.tree.leaves(numbers)
    batch = eqx.combine(jax.tree.map(lambda x: jnp.stack([x, x]), numbers), rest)
    axes = jax.tree.map(lambda x: 0 if eqx.is_inexact_array(x) else None, batch)
    batched = eqx.filter_vmap(
        lambda optimizer: descend(env, optimizer, start("LJ-7"), 2), in_axes=(axes,)
    )
    assert eqx.filter_eval_shape(batched, batch).positions.shape == (2, 7, 3)


def test_a_batch_of_learning_rates_equals_single_runs():
    env = environment("LJ-7")
    rates = jnp.array([1e-2, 5e-3, 1e-3])
    batch = eqx.filter_vmap(lambda rate: adam(learning_rate=rate))(rates)
    run = eqx.filter_jit(
        lambda optimizer: descend(env, optimizer, start("LJ-7"), 20).positions
    )
    together = eqx.filter_vmap(run)(batch)
    for rate, positions in zip(rates, together, strict=True):
        alone = run(adam(learning_rate=float(rate)))
        np.testing.assert_allclose(positions, alone, rtol=0, atol=1e-5)
    assert float(jnp.max(jnp.abs(together[0] - together[2]))) > 1e-2


def test_hyper_parameters_have_gradients():
    env = environment("LJ-7")

    def loss(optimizer):
        return descend(env, optimizer, start("LJ-7"), 3).energy

    slope: Any = eqx.filter_jit(eqx.filter_jacfwd(loss))(adam(learning_rate=1e-3))
    assert slope.hyperparameters["learning_rate"] < 0
