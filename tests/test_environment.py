"""The pure core: what a reset and a step do, and that nothing breaks it."""

import equinox as eqx
import hypothesis
import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hopgym
from hopgym.environment import ENCOUNTER_MARGIN

pytestmark = pytest.mark.optimised

NAMES = ("LJ-7", "Morse14-6", "Gupta-Ag4Au3", "SW-Si8")
TRIANGLE = np.array([[0, 0, 0], [1, 0, 0], [0.5, 0.75**0.5, 0]], np.float32)

step = eqx.filter_jit(
    lambda environment, state, update: environment.step(state, update)
)
sample = eqx.filter_jit(lambda system, key: system.sample(key))
begin = eqx.filter_jit(
    lambda environment, key, positions: environment.reset(key, positions)
)
evaluate = eqx.filter_jit(
    lambda system, positions: system.energy_and_gradient(positions)
)


@pytest.fixture(scope="module", params=NAMES)
def environment(request):
    return hopgym.Environment(hopgym.get_system(request.param))


def reset(environment, key, positions=None):
    """One compiled reset for random and for given starts."""
    if positions is None:
        positions = sample(environment.system, key)
    return begin(environment, key, positions)


def only(*names):
    """For laws that do not depend on the potential."""
    return pytest.mark.parametrize("environment", names, indirect=True)


@pytest.fixture(scope="module")
def triangle():
    return hopgym.Environment(hopgym.get_system("LJ-3"))


def descent(environment, state):
    gradient = state.gradient * environment.system.length
    unit = environment.system.length / environment.system.energy_unit
    return -1e-3 * unit * jnp.clip(gradient, -100, 100)


@only("LJ-7", "SW-Si8")
def test_reset(environment):
    state = reset(environment, jax.random.key(0))
    energy, gradient = evaluate(environment.system, state.positions)
    np.testing.assert_allclose(state.energy, energy, rtol=1e-4)
    np.testing.assert_allclose(
        state.gradient, gradient, atol=1e-4 * float(jnp.abs(gradient).max())
    )
    np.testing.assert_array_equal(state.positions, state.best_positions)
    assert state.energy == state.best_energy
    counters = (state.step, state.evaluations, state.faults, state.first_hit)
    assert tuple(map(int, counters)) == (0, 1, 0, -1)


def test_reset_depends_on_the_key_only(environment):
    one, same, other = (reset(environment, jax.random.key(k)) for k in (1, 1, 2))
    np.testing.assert_array_equal(one.positions, same.positions)
    assert not np.allclose(one.positions, other.positions)


def test_step_adds_the_update_exactly(environment):
    state = reset(environment, jax.random.key(0))
    update = jnp.full_like(state.positions, 123.456).at[0, 0].set(-1e-3)
    after = step(environment, state, update)
    np.testing.assert_array_equal(after.positions, state.positions + update)
    assert (int(after.step), int(after.evaluations)) == (1, 2)


def test_best_is_kept(environment):
    state = reset(environment, jax.random.key(3))
    lowest = state
    for i in range(30):
        sign = 1 if i < 20 else -3
        state = step(environment, state, sign * descent(environment, state))
        if state.energy < lowest.energy:
            lowest = state
    assert lowest.energy < state.energy
    assert state.best_energy == lowest.energy
    np.testing.assert_array_equal(state.best_positions, lowest.positions)


def test_first_hit(triangle):
    far = reset(triangle, jax.random.key(0), 2 * TRIANGLE)
    assert far.first_hit == -1
    there = step(triangle, far, jnp.asarray(-TRIANGLE))
    np.testing.assert_allclose(there.energy, -3, atol=1e-6)
    assert there.first_hit == 2
    again = step(triangle, there, jnp.zeros((3, 3)))
    assert again.first_hit == 2
    assert reset(triangle, jax.random.key(0), TRIANGLE).first_hit == 1


@pytest.mark.parametrize(("above", "met"), [(0.5, True), (2.0, False)])
def test_encounter_margin(triangle, above, met):
    # One bond of energy (1/r)^12 - 2 (1/r)^6 = -1 + margin, two of -1.
    bond = (1 - np.sqrt(above * ENCOUNTER_MARGIN)) ** (-1 / 6)
    apex = np.array([bond / 2, np.sqrt(1 - bond**2 / 4), 0])
    positions = np.array([[0, 0, 0], [bond, 0, 0], apex], np.float32)
    state = reset(triangle, jax.random.key(0), positions)
    np.testing.assert_allclose(state.energy, -3 + above * ENCOUNTER_MARGIN, atol=1e-5)
    assert (state.first_hit == 1) == met


@only("Gupta-Ag4Au3")
def test_no_reference_is_never_hit(environment):
    state = reset(environment, jax.random.key(0))
    assert jnp.isnan(environment.system.reference)
    still = jnp.zeros_like(state.positions)
    assert step(environment, state, still).first_hit == -1


def test_given_start(environment):
    positions = reset(environment, jax.random.key(0)).positions + 0.25
    state = reset(environment, jax.random.key(1), positions)
    np.testing.assert_array_equal(state.positions, positions)


@only("LJ-7", "SW-Si8")
def test_vmap_equals_one_by_one(environment):
    @jax.jit
    @jax.vmap
    def both(key, update):
        return environment.step(environment.reset(key), update)

    keys = jax.random.split(jax.random.key(0), 3)
    shape = (3, environment.system.atoms, 3)
    updates = 1e-3 * np.random.default_rng(1).normal(size=shape).astype(np.float32)
    batch = both(keys, updates)
    assert batch.positions.shape == shape
    for i in range(3):
        state = step(environment, reset(environment, keys[i]), updates[i])
        np.testing.assert_allclose(batch.positions[i], state.positions, atol=1e-3)
        np.testing.assert_allclose(batch.energy[i], state.energy, rtol=1e-2)


@only("LJ-7")
def test_scan_equals_loop(environment):
    @eqx.filter_jit
    def scanned(environment, state):
        def body(state, _):
            state = environment.step(state, descent(environment, state))
            return state, state.energy

        return jax.lax.scan(body, state, length=5)

    start = reset(environment, jax.random.key(0))
    last, energies = scanned(environment, start)
    state = start
    for energy in energies:
        state = step(environment, state, descent(environment, state))
        np.testing.assert_allclose(state.energy, energy, rtol=1e-3)
    assert (int(last.step), int(last.evaluations)) == (5, 6)


def test_compositions_in_one_batch():
    systems = [hopgym.get_system(name) for name in ("Gupta-Ag2Au1", "Gupta-Ag1Au2")]
    stacked = hopgym.stack(systems)
    positions = 2.8 * TRIANGLE
    batch = eqx.filter_jit(
        eqx.filter_vmap(
            lambda system: hopgym.Environment(system).reset(
                jax.random.key(0), jnp.asarray(positions)
            )
        )
    )(stacked)
    alone = jax.jit(
        lambda positions: [system.energy_and_gradient(positions) for system in systems]
    )(positions)
    for energy, (expected, _) in zip(batch.energy, alone, strict=True):
        np.testing.assert_allclose(energy, expected, rtol=1e-5)


def test_wrong_shapes(environment):
    key = jax.random.key(0)
    atoms = environment.system.atoms
    with pytest.raises(Exception, match=r"(?i)shape|type-check"):
        reset(environment, key, jnp.zeros((atoms + 1, 3)))
    state = reset(environment, key)
    for shape in ((atoms + 1, 3), (3 * atoms,), (atoms, 2)):
        with pytest.raises(Exception, match=r"(?i)shape|type-check"):
            environment.step(state, jnp.zeros(shape))


EXTREME = st.sampled_from(
    [0.0, 1.0, -0.3, 1e-30, 1e15, -1e20, 3e38, -3e38, np.inf, -np.inf, np.nan]
)


@hypothesis.settings(max_examples=30, deadline=None, derandomize=True)
@hypothesis.given(
    name=st.sampled_from(NAMES),
    updates=st.data(),
)
def test_finite_whatever_the_update(name, updates):
    environment = hopgym.Environment(hopgym.get_system(name))
    state = START.setdefault(name, reset(environment, jax.random.key(0)))
    faults = 0
    for _ in range(3):
        shape = (environment.system.atoms, 3)
        update = updates.draw(arrays.arrays(np.float32, shape, elements=EXTREME))
        faults += np.sum(~np.isfinite(update))
        after = step(environment, state, jnp.asarray(update))
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(after))
        assert after.best_energy <= state.best_energy
        assert after.faults == faults
        state = after


START = {}


@pytest.mark.parametrize("distance", [0.0, 1e-6, 1e-3, 0.1])
def test_an_overlap_is_never_the_best(environment, distance):
    state = reset(environment, jax.random.key(0))
    positions = state.positions.at[0].set(state.positions[1])
    update = (
        (positions - state.positions).at[0, 0].add(distance * environment.system.length)
    )
    after = step(environment, state, update)
    assert after.energy > state.energy
    assert after.best_energy == state.best_energy
    collapsed = step(environment, state, -state.positions * (1 - distance))
    assert collapsed.best_energy == state.best_energy


def test_components_that_are_not_finite_count_as_zero(triangle):
    state = reset(triangle, jax.random.key(0), TRIANGLE)
    update = jnp.zeros((3, 3)).at[0].set(jnp.array([jnp.nan, jnp.inf, 0.5]))
    after = step(triangle, state, update)
    np.testing.assert_array_equal(after.positions[0], TRIANGLE[0] + [0, 0, 0.5])
    assert after.faults == 2
