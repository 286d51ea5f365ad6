"""Steps of the learned optimizer by the kernel against the formulas in JAX."""

import functools

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

from hopgym import Environment, get_system, native
from hopgym.environment import take_step
from hopgym.optimizers import Learn2Hop
from hopgym.optimizers.learned.radial import radial_functions


def trained(**options):
    """A network whose outputs are not zero."""
    model = Learn2Hop(jax.random.key(0), **options)
    before = model.network.output
    output = np.random.default_rng(1).normal(scale=0.05, size=before.shape)
    output = jnp.asarray(output.astype(before.dtype))
    return jax.tree.map(lambda x: output if x is before else x, model)


def walk(system, model, steps=20):
    """A function of starts: positions and opt_state after some steps."""
    environment = Environment(system)
    key = jax.random.key(0)

    def begin(positions):
        opt_state = model.init(positions, key=key, context=environment.context)
        return environment.reset(key, positions), opt_state

    def step(_, carry):
        return jax.vmap(lambda c: take_step(environment, model, *c))(carry)

    @jax.jit
    def run(where):
        state, opt_state = jax.lax.fori_loop(0, steps, step, jax.vmap(begin)(where))
        return state.positions, opt_state

    return run


def sanitized(*values):
    return pytest.param(*values, marks=pytest.mark.sanitize)


@needs_kernels
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("LJ-13", {"kinds": 1}),
        sanitized("LJ-13", {"depth": 3, "hidden": 30}),
        ("Gupta-Ag2Au36", {}),
        sanitized("SW-Si8", {}),
        sanitized("LJ-4", {"features": ("gradients", "decays", "step"), "hidden": 5}),
        sanitized("LJ-4", {"features": ("adam", "radial", "singular")}),
        sanitized("LJ-4", {"features": ("positions",)}),
    ],
)
def test_learned_trajectories(backend, double, name, options):
    system = get_system(name)
    where = starts(system, 3)
    compute = walk(system, trained(**options))
    mine, (expected, others) = by_both(backend, lambda: compute(where))
    assert np.abs(expected - where).max() > 1e-3 * float(system.length)
    limit = (1e-10 if double else 1e-5) * float(system.length)
    for last, opt_state in mine.values():
        assert np.abs(last - expected).max() < limit
        np.testing.assert_array_equal(opt_state.step, others.step)
        for found, other in (
            (opt_state.first, others.first),
            (opt_state.second, others.second),
        ):
            np.testing.assert_allclose(
                found, other, atol=(1e-9 if double else 1e-4) * np.abs(other).max()
            )


@needs_kernels
@pytest.mark.sanitize
def test_small_gradients_and_averages_are_inputs_as_by_the_formulas(backend, double):
    system = get_system("LJ-4")
    context = Environment(system).context
    model = trained()
    where = jnp.asarray(starts(system, 1)[0])
    opt_state = model.init(where, key=jax.random.key(0), context=context)
    sizes = jnp.array([0.0, 1e-30, 1e-9, 1e-5, 1e-4, 1e-2, 1.0, 1e6])

    @jax.jit
    @jax.vmap
    def one(size):
        gradient = size * jnp.sin(jnp.arange(12.0)).reshape(4, 3)
        value = jnp.zeros(())
        return model.update(gradient, opt_state, where, value=value, context=context)[0]

    mine, formulas = by_both(backend, lambda: one(sizes))
    for found in mine.values():
        np.testing.assert_allclose(found, formulas, atol=1e-13 if double else 1e-7)


@needs_kernels
def test_steps_do_not_depend_on_batch_threads_or_who_shares_weights(backend):
    backend("native")
    system = get_system("LJ-13")
    model = trained(kinds=1)
    where = starts(system, 67)
    compute = walk(system, model, 5)
    together, _ = compute(where)
    alone, _ = compute(where[66:])
    np.testing.assert_array_equal(together[66:], alone)
    with native.threads(1):
        single, _ = compute(where)
    np.testing.assert_array_equal(together, single)

    context = Environment(system).context
    opt_state = model.init(
        jnp.asarray(where[0]), key=jax.random.key(0), context=context
    )

    def moved(model, positions):
        _, gradient = system.energy_and_gradient(positions)
        value = jnp.zeros(())
        return model.update(
            gradient, opt_state, positions, value=value, context=context
        )

    own = jax.tree.map(lambda x: jnp.stack([x, 2 * x]), model)
    of_starts = jax.vmap(moved, (None, 0))
    table = jax.jit(jax.vmap(of_starts, (0, None)))(own, where[:3])[0]
    for k, weights in enumerate((model, jax.tree.map(lambda x: 2 * x, model))):
        expected = jax.jit(of_starts)(weights, where[:3])[0]
        np.testing.assert_array_equal(table[k], expected)


@needs_kernels
def test_instruction_sets_agree(backend):
    backend("native")
    system = get_system("LJ-13")
    where = starts(system, 5)
    best = native.instruction_set()
    compute = walk(system, trained())
    found = by_instruction_sets(lambda: compute(where)[0])
    assert set(found) > {"baseline"} or best == "baseline"
    assert native.instruction_set() == best and best in found
    for positions in found.values():
        assert np.abs(positions - found[best]).max() < 1e-5


@needs_kernels
def test_derivatives_of_steps(backend):
    with jax.enable_x64(True):
        system = get_system("LJ-4")
        context = Environment(system).context
        model = trained()
        where = jnp.asarray(starts(system, 1)[0])
        opt_state = model.init(where, key=jax.random.key(0), context=context)

        def size(beta):
            steeper = jax.tree.map(lambda x: beta if x is model.beta else x, model)
            moved, _ = steeper.update(
                jnp.ones((4, 3)), opt_state, where, value=jnp.zeros(()), context=context
            )
            return jnp.sum(moved**2)

        slope = jax.jit(jax.grad(size))
        mine, formulas = by_both(backend, lambda: slope(jnp.asarray(1.5)))
        for found in mine.values():
            np.testing.assert_allclose(found, formulas, rtol=1e-9)
        assert abs(formulas) > 1e-12


@needs_kernels
@pytest.mark.sanitize
@pytest.mark.parametrize("name", ["LJ-19", "Gupta-Ag9Au10", "SW-Si64"])
def test_radial_functions(backend, double, name):
    system = get_system(name)
    context = Environment(system).context
    where = starts(system, 3) / np.asarray(system.length)
    one = functools.partial(radial_functions, unlike=True)
    compute = jax.jit(jax.vmap(one, in_axes=(0, None)))

    mine, formulas = by_both(backend, lambda: compute(where, context))
    tolerance = 1e-12 if double else 5e-6
    for found in mine.values():
        np.testing.assert_allclose(found, formulas, rtol=tolerance, atol=tolerance)
    backend("native")
    single = jnp.asarray(where[1])
    alone = by_instruction_sets(lambda: one(single, context))
    for name, found in mine.items():
        np.testing.assert_array_equal(alone[name], found[1])
