"""L-BFGS by the kernel against the formulas in JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernel_cases import (
    by_both,
    by_instruction_sets,
    needs_kernels,
    starts,
)

from hopgym import Environment, get_system
from hopgym.context import Context
from hopgym.environment import take_step
from hopgym.optimizers import LBFGS


def walk(system, **options):
    """A function of starts and steps: positions and histories after them."""
    environment, optimizer = Environment(system), LBFGS(**options)

    def one(positions, steps):
        state = environment.reset(jax.random.key(0), positions)
        opt_state = optimizer.init(
            positions, key=jax.random.key(0), context=environment.context
        )

        def step(_, carry):
            return take_step(environment, optimizer, *carry)

        state, opt_state = jax.lax.fori_loop(0, steps, step, (state, opt_state))
        history = (opt_state.pairs, opt_state.sy, opt_state.yy, opt_state.inverse)
        return state.positions, history

    return jax.jit(jax.vmap(one, (0, None)))


@needs_kernels
@pytest.mark.parametrize("name, memory", [("LJ-2", 6), ("LJ-13", 1), ("LJ-38", 6)])
def test_steps(backend, double, name, memory):
    system = get_system(name)
    where = starts(system, 3)
    compute = walk(system, memory=memory)
    mine, formulas = by_both(
        backend, lambda: [compute(where, steps) for steps in (1, 16)]
    )
    for found in mine.values():
        for steps, walked, expected in zip((1, 16), found, formulas, strict=True):
            # Rounding grows with every step.
            tolerance = (1e-12 if double else 2e-6) * (1 if steps == 1 else 200)
            np.testing.assert_allclose(walked[0], expected[0], rtol=0, atol=tolerance)
            for a, b in zip(walked[1], expected[1], strict=True):
                largest = np.abs(b).max(axis=tuple(range(1, b.ndim)), keepdims=True)
                assert np.all(np.abs(a - b) <= 100 * tolerance * (1 + largest))


@needs_kernels
@pytest.mark.sanitize
def test_replicas_do_not_depend_on_each_other(backend, double):
    backend("native")
    system = get_system("LJ-7")
    compute = walk(system)
    where = starts(system, 21)
    half = where.copy()
    half[::2] = np.nan

    def compute_all():
        together, _ = compute(where, 30)
        spoiled, _ = compute(half, 30)
        alone, _ = compute(where[1:2], 30)
        return together, spoiled, alone

    for together, spoiled, alone in by_instruction_sets(compute_all).values():
        np.testing.assert_array_equal(together[1::2], spoiled[1::2])
        np.testing.assert_array_equal(together[1:2], alone)


@needs_kernels
def test_hyper_parameters_may_differ_between_replicas(backend):
    system = get_system("LJ-5")
    where = jnp.asarray(starts(system, 1)[0])
    environment = Environment(system)
    energy, gradient = system.energy_and_gradient(where)

    @jax.jit
    def moved(first):
        optimizer = LBFGS(first=first, max_step=10.0)
        opt_state = optimizer.init(
            where, key=jax.random.key(0), context=environment.context
        )
        more = {"value": energy, "context": environment.context}
        return optimizer.update(gradient, opt_state, where, **more)[0]

    backend("native")
    small = moved(1e-4)
    np.testing.assert_allclose(small, -1e-4 * gradient, rtol=1e-5)
    np.testing.assert_allclose(moved(2e-4), 2 * small, rtol=1e-5)


REPLICAS = 19  # more than a block of replicas in lanes


def descend(atoms, optimizer):
    """A function of shifts of the energy: displacements and states on a quadratic.

    `shifts` has a row for each step and a column for each replica.
    """
    one = jnp.ones(())
    context = Context(jnp.zeros(atoms, int), None, one, one)
    stiffness = 1 + jnp.arange(3.0 * atoms).reshape(atoms, 3) / atoms

    def run(key, shifts):
        positions = jax.random.normal(key, (atoms, 3))
        state = optimizer.init(positions, key=key, context=context)

        def step(carry, shift):
            positions, state = carry
            gradient = stiffness * positions + jnp.where(jnp.isnan(shift), shift, 0)
            value = jnp.sum(stiffness * positions**2) / 2 + shift
            displacement, state = optimizer.update(
                gradient, state, positions, value=value, context=context
            )
            moved = jnp.where(jnp.isfinite(displacement), displacement, 0)
            return (positions + moved, state), (displacement, state)

        return jax.lax.scan(step, (positions, state), shifts)[1]

    keys = jax.random.split(jax.random.key(atoms), REPLICAS)
    return jax.jit(lambda shifts: jax.vmap(run, (0, 1))(keys, shifts))


@needs_kernels
@pytest.mark.sanitize
@pytest.mark.parametrize(
    "atoms, memory", [(1, 1), (2, 3), (5, 2), (6, 10), (11, 6), (13, 6)]
)
def test_all_fields(backend, double, atoms, memory):
    optimizer = LBFGS(memory=memory, max_step=0.2, force=0.3, patience=3)
    shifts = np.zeros((12, REPLICAS))
    shifts[4:6, 1] = 10.0  # refused twice
    shifts[3:, 2] = 1e3 * np.arange(9)  # refused until below rounding
    shifts[5:7, 3] = np.nan
    shifts[2:, 4] = -1e16  # does not change any more: flat
    compute = descend(atoms, optimizer)
    mine, (expected, state) = by_both(backend, lambda: compute(jnp.asarray(shifts)))
    assert state.shortened.max() > 1 and state.flat.max() >= 3
    assert state.finished.any() and np.isnan(expected).any()
    assert (state.inverse > 0).all(-1).any() or memory > 8
    tolerance = 1e-9 if double else 2e-3
    for displacement, found in mine.values():
        fields, reference = map(jax.tree.leaves, (found, state))
        for a, b in zip([displacement, *fields], [expected, *reference], strict=True):
            if a.dtype.kind != "f":
                np.testing.assert_array_equal(a, b)
                continue
            size = np.nanmax(np.abs(np.where(np.isfinite(b), b, 0)), initial=1)
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * size)


@needs_kernels
def test_derivatives(backend):
    system = get_system("LJ-5")
    where = jnp.asarray(starts(system, 1)[0])
    context, optimizer = Environment(system).context, LBFGS()
    energy, gradient = system.energy_and_gradient(where)
    state = optimizer.init(where, key=jax.random.key(0), context=context)

    def move(gradient):
        more = {"value": energy, "context": context}
        return optimizer.update(gradient, state, where, **more)[0]

    compute = jax.jit(lambda: jax.jvp(move, (gradient,), (jnp.ones_like(gradient),))[1])
    mine, expected = by_both(backend, compute)
    for found in mine.values():
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
