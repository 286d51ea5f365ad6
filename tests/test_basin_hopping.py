"""Basin hopping: its bookkeeping, its moves, and that it finds minima."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from optimizer_runs import start

import hopgym
from hopgym.environment import take_step
from hopgym.optimizers import (
    LBFGS,
    BasinHopping,
    Exchange,
    FixedLength,
    GaussianShake,
    GradientDescent,
    Mixture,
    Redraw,
    Shake,
    SurfaceMove,
    TwoPhase,
    bh_lbfgs,
)

ONE = jnp.ones(())


@pytest.fixture(scope="module")
def lj7():
    return hopgym.Environment(hopgym.get_system("LJ-7"))


@pytest.fixture(scope="module")
def alloy():
    return hopgym.Environment(hopgym.get_system("Gupta-Ag4Au3"))


def positions_of(environment):
    return start(environment.system.name)


def propose(move, environment, positions, scale=ONE, keys=1):
    """What a move makes of positions, compiled; with many keys a batch of it."""
    one = jax.jit(lambda key: move.propose(key, positions, scale, environment.context))
    if keys == 1:
        return one(jax.random.key(0))
    return jax.vmap(one)(jax.random.split(jax.random.key(0), keys))


def trajectory(environment, optimizer, steps, seed=0):
    """What each update of one replica was given, and the optimizer's state after it."""

    @jax.jit
    def run(key):
        state = environment.reset(key)
        opt_state = optimizer.init(
            state.positions, key=key, context=environment.context
        )

        def body(carry, _):
            evaluated, _ = carry
            state, opt_state = take_step(environment, optimizer, *carry)
            return (state, opt_state), (evaluated, opt_state)

        return jax.lax.scan(body, (state, opt_state), length=steps)[1]

    return run(jax.random.key(seed))


def test_hops_of_fixed_length_and_improvements_only(lj7):
    """Each quench takes its length; at T = 0 the energy of the walk only falls."""
    quench = FixedLength(GradientDescent(1e-3), 10)
    optimizer = BasinHopping(
        quench, GaussianShake(0.2), temperature=0.0, adaptation_rate=0.0
    )
    states, opt_states = trajectory(lj7, optimizer, 60)
    assert np.flatnonzero(np.diff(opt_states.hops, prepend=0)).tolist() == [
        9, 19, 29, 39, 49, 59,
    ]  # fmt: skip
    energies = np.asarray(opt_states.energy)[9::10]
    assert (np.diff(energies) <= 0).all()
    # What was quenched is what was compared: the energy at the tenth evaluation.
    assert energies[0] == states.energy[9]
    assert set(energies.tolist()) <= set(np.asarray(states.energy)[9::10].tolist())
    np.testing.assert_array_equal(opt_states.scale, 1)


def test_at_infinite_temperature_every_hop_is_accepted(lj7):
    quench = FixedLength(GradientDescent(1e-3), 5)
    optimizer = BasinHopping(
        quench, Shake(0.4), temperature=math.inf, adaptation_rate=0.1
    )
    states, opt_states = trajectory(lj7, optimizer, 50)
    np.testing.assert_array_equal(opt_states.energy[4::5], states.energy[4::5])
    np.testing.assert_allclose(
        opt_states.scale[-1], math.exp(0.1 * 0.5 * 10), rtol=1e-5
    )


def test_metropolis_probability(lj7):
    """A rise of one temperature is accepted in a fraction 1/e of hops."""
    quench = FixedLength(GradientDescent(0.0), 1)
    optimizer = BasinHopping(quench, Shake(0.0), temperature=0.5, adaptation_rate=0.0)
    x = positions_of(lj7)

    def accepted(key):
        state = optimizer.init(x, key=key, context=lj7.context)
        _, state = optimizer.update(
            jnp.zeros_like(x), state, x, value=jnp.asarray(1.0), context=lj7.context
        )
        _, state = optimizer.update(
            jnp.zeros_like(x), state, x, value=jnp.asarray(1.5), context=lj7.context
        )
        return state.energy == 1.5

    rate = jax.jit(jax.vmap(accepted))(jax.random.split(jax.random.key(0), 4000)).mean()
    assert abs(float(rate) - math.exp(-1)) < 4 * math.sqrt(0.37 * 0.63 / 4000)


def test_basin_hopping_finds_the_minimum_of_lj7(lj7):
    optimizer = bh_lbfgs(lj7.system)
    result = hopgym.rollout(lj7, optimizer, jax.random.key(0), 8, 4000)
    quenched = hopgym.quench(lj7.system, result.state.best_positions)
    assert bool(lj7.system.is_hit(quenched.energy).all())
    assert bool((result.state.first_hit > 0).all())
    assert bool((result.state.evaluations == 4001).all())


def test_two_phases_end_in_a_minimum_of_the_energy_itself(lj7):
    optimizer = TwoPhase(LBFGS(), pressure=5.0)
    quenched = hopgym.quench(lj7.system, positions_of(lj7), optimizer=optimizer)
    again = hopgym.quench(lj7.system, quenched.positions)
    assert bool(quenched.converged)
    np.testing.assert_allclose(quenched.energy, again.energy, atol=2e-5)


def test_compression_is_the_gradient_of_its_energy(lj7):
    """What the inner optimizer sees in the first phase, by automatic derivative."""

    class Spy(type(LBFGS()).__mro__[1]):
        def init(self, positions, *, key, context):
            return (jnp.zeros_like(positions), jnp.zeros(()))

        def update(self, gradient, state, positions, *, value, context):
            return jnp.zeros_like(positions), (gradient, value)

        def finished(self, state):
            return jnp.asarray(False)

        def restart(self, state, when):
            return state

    optimizer = TwoPhase(Spy(), pressure=3.0)
    x = positions_of(lj7)
    energy, gradient = lj7.system.energy_and_gradient(x)
    state = optimizer.init(x, key=jax.random.key(0), context=lj7.context)
    _, state = jax.jit(
        lambda: optimizer.update(gradient, state, x, value=energy, context=lj7.context)
    )()

    def compressed(x):
        about = x - x.mean(0)
        return lj7.system.energy_and_gradient(x)[0] + 3.0 * (about**2).sum()

    value, derivative = jax.jit(jax.value_and_grad(compressed))(x)
    np.testing.assert_allclose(state.local[1], value, rtol=1e-5)
    np.testing.assert_allclose(state.local[0], derivative, atol=1e-4)


def test_shake_stays_within_its_step(alloy):
    x = positions_of(alloy)
    moved = propose(Shake(0.3), alloy, x, 2 * ONE)
    reach = 0.6 * float(alloy.system.length)
    assert 0.5 * reach < float(jnp.abs(moved - x).max()) <= reach


def test_gaussian_shake_is_in_the_systems_own_unit(alloy):
    x = jnp.zeros((7, 3))
    moved = propose(GaussianShake(0.4), alloy, x, keys=2000)
    np.testing.assert_allclose(moved.std(), 0.4, rtol=0.02)


def test_exchange_swaps_one_unlike_pair(alloy):
    x = positions_of(alloy)
    for moved in propose(Exchange(), alloy, x, keys=5):
        changed = np.flatnonzero(np.asarray(moved != x).any(axis=1))
        assert len(changed) == 2
        i, j = changed
        assert alloy.system.species[i] != alloy.system.species[j]
        np.testing.assert_array_equal(moved[i], x[j])
        np.testing.assert_array_equal(moved[j], x[i])


def test_exchange_leaves_pure_clusters_alone(lj7):
    x = positions_of(lj7)
    moved = propose(Exchange(), lj7, x)
    np.testing.assert_array_equal(moved, x)


def test_surface_move_takes_the_loosest_atom(lj7):
    bottom = hopgym.quench(lj7.system, positions_of(lj7)).positions
    adatom = bottom.at[2].set(bottom[2] / jnp.linalg.norm(bottom[2]) * 3)
    moved = propose(SurfaceMove(), lj7, adatom)
    changed = np.flatnonzero(np.asarray(moved != adatom).any(axis=1))
    assert changed.tolist() == [2]


def test_redraw_fills_sphere_and_box():
    for name in ("LJ-38", "SW-Si8"):
        environment = hopgym.Environment(hopgym.get_system(name))
        atoms = environment.system.atoms
        x = jnp.zeros((atoms, 3))
        moved = propose(Redraw(), environment, x)
        if environment.system.box is not None:
            assert bool(((moved >= 0) & (moved <= environment.system.box)).all())
        else:
            radius = (3 * 2 * atoms / 2**0.5 / (4 * np.pi)) ** (1 / 3)
            largest = float(jnp.linalg.norm(moved, axis=1).max())
            assert 0.7 * radius < largest <= radius


def test_mixture_keeps_its_frequencies(lj7):
    x = jnp.zeros((7, 3))
    mixture = Mixture((Shake(0.0), Shake(0.5)), (1.0, 3.0))
    moved = np.asarray(propose(mixture, lj7, x, keys=2000))
    rate = float((moved != 0).any(axis=(1, 2)).mean())
    assert abs(rate - 0.75) < 4 * math.sqrt(0.75 * 0.25 / 2000)


@pytest.mark.parametrize("weights", [(1.0,), (1.0, -1.0)])
def test_mixture_refuses_wrong_weights(weights):
    with pytest.raises(ValueError, match="one weight >= 0 for each of its 2 moves"):
        Mixture((Shake(), Exchange()), weights)
