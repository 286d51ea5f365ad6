"""Steps of the learned optimizer by the kernel against the formulas in JAX."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernel_cases import by_both, library, needs_kernels, starts

from hopgym import Environment, get_system, native
from hopgym.environment import take_step
from hopgym.optimizers import Learn2Hop
from hopgym.optimizers.learned.radial import radial_functions


def trained(**options):
    """A network whose outputs are not zero."""
    key = jax.random.key(0)
    model = Learn2Hop(key, **options)
    shape = model.network.output.shape
    output = 0.05 * jax.random.normal(jax.random.key(1), shape)
    return jax.tree.map(lambda x: output if x is model.network.output else x, model)


def walked(system, model, where, steps=20):
    """Positions and opt_state after some steps from each start."""
    environment = Environment(system)
    key = jax.random.key(0)

    def begin(positions):
        opt_state = model.init(positions, key=key, context=environment.context)
        return environment.reset(key, positions), opt_state

    def step(_, carry):
        return jax.vmap(lambda c: take_step(environment, model, *c))(carry)

    @jax.jit
    def run(where):
        return jax.lax.fori_loop(0, steps, step, jax.vmap(begin)(where))

    state, opt_state = run(where)
    return state.positions, opt_state


@needs_kernels
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("LJ-13", {"kinds": 1}),
        ("LJ-13", {"depth": 3, "hidden": 30}),
        ("Gupta-Ag2Au36", {}),
        ("SW-Si8", {}),
        ("LJ-4", {"features": ("gradients", "decays", "step"), "hidden": 5}),
        ("LJ-4", {"features": ("adam", "radial", "singular")}),
        ("LJ-4", {"features": ("positions",)}),
    ],
)
def test_learned_trajectories(backend, double, name, options):
    system = get_system(name)
    model = trained(**options)
    where = starts(system, 3)
    (last, opt_state), (expected, others) = by_both(
        backend, lambda: walked(system, model, where)
    )
    assert np.abs(expected - where).max() > 1e-3 * float(system.length)
    limit = (1e-10 if double else 1e-5) * float(system.length)
    assert np.abs(last - expected).max() < limit
    np.testing.assert_array_equal(opt_state.step, others.step)
    for mine, other in (
        (opt_state.first, others.first),
        (opt_state.second, others.second),
    ):
        np.testing.assert_allclose(
            mine, other, atol=(1e-9 if double else 1e-4) * np.abs(other).max()
        )


@needs_kernels
def test_small_gradients_and_averages_are_inputs_as_by_the_formulas(backend, double):
    system = get_system("LJ-4")
    context = Environment(system).context
    model = trained()
    where = starts(system, 1)[0]
    opt_state = model.init(where, key=jax.random.key(0), context=context)
    sizes = jnp.array([0.0, 1e-30, 1e-9, 1e-5, 1e-4, 1e-2, 1.0, 1e6])

    def compute():
        def one(size):
            gradient = size * jnp.sin(jnp.arange(12.0)).reshape(4, 3)
            value = jnp.zeros(())
            return model.update(
                gradient, opt_state, where, value=value, context=context
            )

        return jax.jit(jax.vmap(one))(sizes)[0]

    mine, formulas = by_both(backend, compute)
    np.testing.assert_allclose(mine, formulas, atol=1e-13 if double else 1e-7)


@needs_kernels
def test_steps_do_not_depend_on_batch_threads_or_who_shares_weights(backend):
    backend("native")
    system = get_system("LJ-13")
    model = trained(kinds=1)
    where = starts(system, 67)
    together, _ = walked(system, model, where, 5)
    alone, _ = walked(system, model, where[66:], 5)
    np.testing.assert_array_equal(together[66:], alone)
    with native.threads(1):
        single, _ = walked(system, model, where, 5)
    np.testing.assert_array_equal(together, single)

    context = Environment(system).context
    opt_state = model.init(where[0], key=jax.random.key(0), context=context)

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
    model = trained()
    where = starts(system, 5)
    best = native.instruction_set()
    expected, _ = walked(system, model, where)
    for name in (b"baseline", b"avx2"):
        library.hopgym_isa(name)
        found, _ = walked(system, model, where)
        assert np.abs(found - expected).max() < 1e-5
    library.hopgym_isa(best.encode())
    assert native.instruction_set() == best


@needs_kernels
def test_derivatives_of_steps(backend):
    with jax.enable_x64(True):
        system = get_system("LJ-4")
        context = Environment(system).context
        model = trained()
        where = starts(system, 1)[0]
        opt_state = model.init(where, key=jax.random.key(0), context=context)

        def size(beta):
            steeper = jax.tree.map(lambda x: beta if x is model.beta else x, model)
            moved, _ = steeper.update(
                jnp.ones((4, 3)), opt_state, where, value=jnp.zeros(()), context=context
            )
            return jnp.sum(moved**2)

        def slope():
            return jax.jit(jax.grad(size))(jnp.asarray(1.5))

        mine, formulas = by_both(backend, slope)
        np.testing.assert_allclose(mine, formulas, rtol=1e-9)
        assert abs(formulas) > 1e-12


@needs_kernels
@pytest.mark.parametrize("name", ["LJ-19", "Gupta-Ag9Au10", "SW-Si64"])
def test_radial_functions(backend, double, instruction_set, name):
    system = get_system(name)
    context = Environment(system).context
    where = starts(system, 3) / system.length

    def compute():
        one = functools.partial(radial_functions, unlike=True)
        return jax.jit(jax.vmap(one, in_axes=(0, None)))(where, context)

    mine, formulas = by_both(backend, compute)
    tolerance = 1e-12 if double else 5e-6
    np.testing.assert_allclose(mine, formulas, rtol=tolerance, atol=tolerance)
    backend("native")
    alone = radial_functions(where[1], context, unlike=True)
    np.testing.assert_array_equal(alone, mine[1])
