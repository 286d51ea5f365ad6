"""L-BFGS by the kernel against the formulas in JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernel_cases import by_both, by_instruction_sets, needs_kernels, starts

from hopgym import Environment, get_system
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
