"""Observations, actions and rewards as pure functions."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hopgym
from hopgym.rl.mdp import Task, flat

NAMES = ("LJ-7", "Gupta-Ag4Au3", "SW-Si8")
TRIANGLE = np.array([[0, 0, 0], [1, 0, 0], [0.5, 0.75**0.5, 0]], np.float32)

sample = eqx.filter_jit(lambda system, key: system.sample(key))
begin = eqx.filter_jit(lambda task, key, positions: task.reset(key, positions))
step = eqx.filter_jit(lambda task, state, action: task.step(state, action))
observe = eqx.filter_jit(lambda task, state: task.observe(state))


def make(name, **arguments):
    return Task(hopgym.Environment(hopgym.get_system(name)), **arguments)


def reset(task, key, positions=None):
    """One compiled reset for random and for given starts."""
    if positions is None:
        positions = sample(task.environment.system, key)
    return begin(task, key, positions)


@pytest.fixture(scope="module", params=NAMES)
def task(request):
    return make(request.param)


def test_action_is_a_displacement(task):
    system = task.environment.system
    state = reset(task, jax.random.key(0))
    action = jnp.zeros((system.atoms, 3)).at[0, 0].set(0.5).at[1, 1].set(-7.0)
    moved = (step(task, state, action).positions - state.positions) / system.length
    expected = np.zeros((system.atoms, 3))
    expected[0, 0], expected[1, 1] = 0.05, -0.1
    np.testing.assert_allclose(moved, expected, atol=1e-6)


def test_actions_may_be_flat():
    task = make("LJ-3")
    state = reset(task, jax.random.key(0), TRIANGLE)
    action = jnp.linspace(-1.5, 1, 9)
    shaped = step(task, state, action.reshape(3, 3))
    same = step(task, state, action)
    np.testing.assert_array_equal(same.positions, shaped.positions)


def test_faults_are_counted(task):
    state = reset(task, jax.random.key(0))
    action = np.zeros((task.environment.system.atoms, 3), np.float32)
    action[0, :2] = np.nan, np.inf
    after = step(task, state, jnp.asarray(action))
    np.testing.assert_array_equal(after.positions, state.positions)
    assert after.faults == 2


def test_observation(task):
    system = task.environment.system
    state = reset(task, jax.random.key(0))
    seen = observe(task, state)
    bounds = task.bounds()
    assert seen.keys() == bounds.keys()
    for name, values in seen.items():
        assert values.dtype == jnp.float32 and values.shape == bounds[name].shape
    assert flat(seen).shape == (7 * system.atoms + 2,)
    reduced = state.gradient * system.length / system.energy_unit
    np.testing.assert_allclose(np.sinh(seen["gradient"]), reduced, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(seen["energy"], [task.height(state.energy)])
    if system.box is None:
        np.testing.assert_allclose(seen["positions"].mean(axis=0), 0, atol=1e-5)
    apart = (state.positions[0] - state.positions[1]) / system.length
    apart -= seen["positions"][0] - seen["positions"][1]
    if system.box is not None:
        apart -= jnp.round(apart * system.length / system.box) * (
            system.box / system.length
        )
    np.testing.assert_allclose(apart, 0, atol=1e-4)


def test_species(task):
    alloy = task.environment.system.name == "Gupta-Ag4Au3"
    seen = observe(task, reset(task, jax.random.key(0)))["species"]
    np.testing.assert_array_equal(seen, [-1] * 4 + [1] * 3 if alloy else 0)


@pytest.mark.parametrize("factor", [0.0, 1e-20, 1e3, 1e15, 3e38])
def test_observation_is_bounded(task, factor):
    start = reset(task, jax.random.key(0))
    positions = jnp.clip(start.positions * factor, -1e30, 1e30)
    positions = positions.at[0, 0].add(1.0)
    state = reset(task, jax.random.key(0), positions)
    for name, bound in task.bounds().items():
        seen = np.asarray(observe(task, state)[name])
        assert np.all(np.isfinite(seen)) and np.all(np.abs(seen) <= bound)


def test_height_is_monotone_and_bounded(task):
    scale = float(task.environment.system.energy_scale)
    gaps = np.array([-10, -1, -0.01, 0, 1e-3, 0.1, 0.2, 1, 10, 1e3, 1e6], np.float32)
    height = np.asarray(task.height(jnp.asarray(scale * (gaps - 1))))
    assert np.all(np.diff(height) > 0) and np.all(np.abs(height) <= 1)
    np.testing.assert_allclose(height[[3, 5]], [0, 0.5], atol=2e-5)
    huge = task.height(jnp.array([1e12, 3e38, jnp.inf, jnp.nan]))
    np.testing.assert_allclose(huge, 1, atol=1e-4)


def test_rewards_add_up(task):
    state = start = reset(task, jax.random.key(0))
    total = 0.0
    for i in range(20):
        sign = 1 if i < 15 else -1
        before, state = state, step(task, state, -sign * jnp.sign(state.gradient) / 20)
        reward = float(task.reward(before, state))
        assert reward >= 0
        total += reward
    expected = task.height(start.energy) - task.height(state.best_energy)
    np.testing.assert_allclose(total, expected, atol=1e-5)
    assert total > 0


def test_reward_of_the_present_energy():
    near = reset(make("LJ-3"), jax.random.key(0), TRIANGLE)
    away = step(make("LJ-3"), near, jnp.ones((3, 3)).at[0].set(-1))
    task = make("LJ-3", reward="energy")
    assert task.reward(near, away) < 0
    np.testing.assert_allclose(task.reward(near, away), -task.reward(away, near))


@pytest.mark.parametrize("reward", ["best", "energy"])
def test_an_overlap_is_never_rewarded(task, reward):
    system = task.environment.system
    state = reset(task, jax.random.key(0))
    action = jnp.zeros((system.atoms, 3))
    action = action.at[0].set(state.positions[1] - state.positions[0])
    far = Task(task.environment, max_displacement=10.0)
    after = step(far, state, action / (10 * system.length))
    assert after.energy > state.energy
    assert Task(task.environment, reward=reward).reward(state, after) <= 0


def test_ends():
    task = make("LJ-3", terminate_on_success=True, horizon=4, step_limit=2)
    state = reset(task, jax.random.key(0), 1.2 * TRIANGLE)
    assert not task.terminated(state) and not task.success(state)
    inwards = -2 * jnp.asarray(TRIANGLE)
    state = step(task, state, jnp.clip(inwards, -1, 1))
    np.testing.assert_allclose(observe(task, state)["step"], [0.25])
    assert not task.truncated(state)
    assert task.truncated(step(task, state, inwards))
    there = reset(task, jax.random.key(0), TRIANGLE)
    assert task.success(there) and task.terminated(there)
    assert not make("LJ-3").terminated(there)


@pytest.mark.parametrize("task", ("LJ-7", "SW-Si8"), indirect=True)
def test_compiled_batches(task):
    @jax.jit
    def run(keys):
        states = jax.vmap(task.reset)(keys)
        actions = -jnp.sign(states.gradient)
        after = jax.vmap(task.step)(states, actions)
        rewards = jax.vmap(task.reward)(states, after)
        return jax.vmap(lambda state: flat(task.observe(state)))(after), rewards

    seen, rewards = run(jax.random.split(jax.random.key(0), 4))
    assert seen.shape == (4, 7 * task.environment.system.atoms + 2)
    assert rewards.shape == (4,)


def test_compositions_in_one_batch():
    systems = [hopgym.get_system(name) for name in ("Gupta-Ag2Au1", "Gupta-Ag1Au2")]

    @eqx.filter_jit
    @eqx.filter_vmap
    def see(system):
        task = Task(hopgym.Environment(system))
        return task.observe(task.reset(jax.random.key(0), jnp.asarray(2.8 * TRIANGLE)))

    seen = see(hopgym.stack(systems))
    np.testing.assert_array_equal(seen["species"], [[-1, -1, 1], [-1, 1, 1]])
    assert seen["energy"][0] != seen["energy"][1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_displacement": 0.0}, "max_displacement"),
        ({"max_displacement": float("inf")}, "max_displacement"),
        ({"horizon": 0}, "at least one step"),
        ({"reward": "energies"}, "reward must be"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make("LJ-3", **arguments)


def test_no_end_at_an_unknown_minimum():
    with pytest.raises(ValueError, match="no reference minimum"):
        make("Gupta-Ag2Au1", terminate_on_success=True)
