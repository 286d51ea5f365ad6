"""A search as a Markov decision process: observations, actions and rewards."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hopgym
from hopgym.rl import MDP
from hopgym.rl.actions import AbstractAction, HopAction
from hopgym.rl.observations import AbstractObservation, NeighbourObservation, flatten
from hopgym.rl.rewards import AbstractReward, LogReward, squash_energy

NAMES = ("LJ-7", "Gupta-Ag4Au3", "SW-Si8")
TRIANGLE = np.array([[0, 0, 0], [1, 0, 0], [0.5, 0.75**0.5, 0]], np.float32)

sample = eqx.filter_jit(lambda system, key: system.sample(key))
begin = eqx.filter_jit(lambda mdp, key, positions: mdp.reset(key, positions))
step = eqx.filter_jit(lambda mdp, state, action: mdp.step(state, action))
observe = eqx.filter_jit(lambda mdp, state: mdp.observe_entries(state))


def make(name, **arguments):
    return MDP(hopgym.Environment(hopgym.get_system(name)), **arguments)


def reset(mdp, key, positions=None):
    """One compiled reset for random and for given starts."""
    if positions is None:
        positions = sample(mdp.environment.system, key)
    return begin(mdp, key, positions)


def squash(mdp, energy):
    return squash_energy(energy, mdp.environment.system.energy_scale)


@pytest.fixture(scope="module", params=NAMES)
def mdp(request):
    return make(request.param)


def test_action_is_a_displacement(mdp):
    system = mdp.environment.system
    state = reset(mdp, jax.random.key(0))
    action = jnp.zeros((system.atoms, 3)).at[0, 0].set(0.5).at[1, 1].set(-7.0)
    moved = (step(mdp, state, action).positions - state.positions) / system.length
    expected = np.zeros((system.atoms, 3))
    expected[0, 0], expected[1, 1] = 0.05, -0.1
    np.testing.assert_allclose(moved, expected, atol=1e-6)


def test_actions_may_be_flat():
    mdp = make("LJ-3")
    state = reset(mdp, jax.random.key(0), TRIANGLE)
    action = jnp.linspace(-1.5, 1, 9)
    shaped = step(mdp, state, action.reshape(3, 3))
    same = step(mdp, state, action)
    np.testing.assert_array_equal(same.positions, shaped.positions)


def test_faults_are_counted(mdp):
    state = reset(mdp, jax.random.key(0))
    action = np.zeros((mdp.environment.system.atoms, 3), np.float32)
    action[0, :2] = np.nan, np.inf
    after = step(mdp, state, jnp.asarray(action))
    np.testing.assert_array_equal(after.positions, state.positions)
    assert after.faults == 2


def test_observation(mdp):
    system = mdp.environment.system
    state = reset(mdp, jax.random.key(0))
    seen = observe(mdp, state)
    bounds = mdp.bounds()
    assert seen.keys() == bounds.keys()
    for name, values in seen.items():
        assert values.dtype == jnp.float32 and values.shape == bounds[name].shape
    assert flatten(seen).shape == (7 * system.atoms + 2,)
    reduced = state.gradient * system.length / system.energy_unit
    np.testing.assert_allclose(np.sinh(seen["gradient"]), reduced, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(seen["energy"], [squash(mdp, state.energy)])
    if system.box is None:
        np.testing.assert_allclose(seen["positions"].mean(axis=0), 0, atol=1e-5)
    apart = (state.positions[0] - state.positions[1]) / system.length
    apart -= seen["positions"][0] - seen["positions"][1]
    if system.box is not None:
        apart -= jnp.round(apart * system.length / system.box) * (
            system.box / system.length
        )
    np.testing.assert_allclose(apart, 0, atol=1e-4)


def test_species(mdp):
    alloy = mdp.environment.system.name == "Gupta-Ag4Au3"
    seen = observe(mdp, reset(mdp, jax.random.key(0)))["species"]
    np.testing.assert_array_equal(seen, [-1] * 4 + [1] * 3 if alloy else 0)


@pytest.mark.parametrize("factor", [0.0, 1e-20, 1e3, 1e15, 3e38])
def test_observation_is_bounded(mdp, factor):
    start = reset(mdp, jax.random.key(0))
    positions = jnp.clip(start.positions * factor, -1e30, 1e30)
    positions = positions.at[0, 0].add(1.0)
    state = reset(mdp, jax.random.key(0), positions)
    for name, bound in mdp.bounds().items():
        seen = np.asarray(observe(mdp, state)[name])
        assert np.all(np.isfinite(seen)) and np.all(np.abs(seen) <= bound)


def test_squashed_energy_is_monotone_and_bounded(mdp):
    scale = float(mdp.environment.system.energy_scale)
    gaps = np.array([-10, -1, -0.01, 0, 1e-3, 0.1, 0.2, 1, 10, 1e3, 1e6], np.float32)
    squashed = np.asarray(squash(mdp, jnp.asarray(scale * (gaps - 1))))
    assert np.all(np.diff(squashed) > 0) and np.all(np.abs(squashed) <= 1)
    np.testing.assert_allclose(squashed[[3, 5]], [0, 0.5], atol=2e-5)
    huge = squash(mdp, jnp.array([1e12, 3e38, jnp.inf, jnp.nan]))
    np.testing.assert_allclose(huge, 1, atol=1e-4)


def test_rewards_add_up(mdp):
    state = start = reset(mdp, jax.random.key(0))
    total = 0.0
    for i in range(20):
        sign = 1 if i < 15 else -1
        before, state = state, step(mdp, state, -sign * jnp.sign(state.gradient) / 20)
        reward = float(mdp.compute_reward(before, state))
        assert reward >= 0
        total += reward
    expected = squash(mdp, start.energy) - squash(mdp, state.best_energy)
    np.testing.assert_allclose(total, expected, atol=1e-5)
    assert total > 0


def test_reward_of_the_present_energy():
    near = reset(make("LJ-3"), jax.random.key(0), TRIANGLE)
    away = step(make("LJ-3"), near, jnp.ones((3, 3)).at[0].set(-1))
    mdp = make("LJ-3", reward="energy")
    assert mdp.compute_reward(near, away) < 0
    np.testing.assert_allclose(
        mdp.compute_reward(near, away), -mdp.compute_reward(away, near)
    )


@pytest.mark.parametrize("reward", ["best", "energy"])
def test_an_overlap_is_never_rewarded(mdp, reward):
    system = mdp.environment.system
    state = reset(mdp, jax.random.key(0))
    action = jnp.zeros((system.atoms, 3))
    action = action.at[0].set(state.positions[1] - state.positions[0])
    far = MDP(mdp.environment, max_displacement=10.0)
    after = step(far, state, action / (10 * system.length))
    assert after.energy > state.energy
    assert MDP(mdp.environment, reward=reward).compute_reward(state, after) <= 0


def test_ends():
    mdp = make("LJ-3", terminate_on_success=True, horizon=4, step_limit=2)
    state = reset(mdp, jax.random.key(0), 1.2 * TRIANGLE)
    assert not mdp.is_terminated(state) and not mdp.is_success(state)
    inwards = -2 * jnp.asarray(TRIANGLE)
    state = step(mdp, state, jnp.clip(inwards, -1, 1))
    np.testing.assert_allclose(observe(mdp, state)["step"], [0.25])
    assert not mdp.is_truncated(state)
    assert mdp.is_truncated(step(mdp, state, inwards))
    there = reset(mdp, jax.random.key(0), TRIANGLE)
    assert mdp.is_success(there) and mdp.is_terminated(there)
    assert not make("LJ-3").is_terminated(there)


@pytest.mark.parametrize("mdp", ("LJ-7", "SW-Si8"), indirect=True)
def test_compiled_batches(mdp):
    @jax.jit
    def run(keys):
        states = jax.vmap(mdp.reset)(keys)
        actions = -jnp.sign(states.gradient)
        after = jax.vmap(mdp.step)(states, actions)
        rewards = jax.vmap(mdp.compute_reward)(states, after)
        return jax.vmap(mdp.observe_vector)(after), rewards

    seen, rewards = run(jax.random.split(jax.random.key(0), 4))
    assert seen.shape == (4, 7 * mdp.environment.system.atoms + 2)
    assert rewards.shape == (4,)


def test_compositions_in_one_batch():
    systems = [hopgym.get_system(name) for name in ("Gupta-Ag2Au1", "Gupta-Ag1Au2")]

    @eqx.filter_jit
    @eqx.filter_vmap
    def see(system):
        mdp = MDP(hopgym.Environment(system))
        return mdp.observe_entries(
            mdp.reset(jax.random.key(0), jnp.asarray(2.8 * TRIANGLE))
        )

    seen = see(hopgym.stack(systems))
    np.testing.assert_array_equal(seen["species"], [[-1, -1, 1], [-1, 1, 1]])
    assert seen["energy"][0] != seen["energy"][1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reward": "energies"}, "reward must be"),
        ({"terminate_on_success": None}, "must be True or False"),
        ({"terminate_on_success": "yes"}, "must be True or False"),
        *(
            ({name: value}, f"{name} must be an integer")
            for name in ("horizon", "step_limit", "neighbours", "quench_steps")
            for value in (0, -1, 1.5, 2**40, np.nan, "5", True)
        ),
        *(
            ({"max_displacement": value}, "max_displacement must be positive and")
            for value in (0.0, -1, np.inf, np.nan, 1e39, 1e-50, "0.1", True, [0.1, 0.2])
        ),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make("LJ-3", **arguments)


@pytest.mark.usefixtures("unchecked")
def test_whole_numbers():
    """Numbers of other types than Python's integers."""
    for number in (7, 7.0, np.int64(7), np.float32(7), np.array(7), jnp.asarray(7)):
        mdp = make("LJ-3", horizon=number, neighbours=number, quench_steps=number)
        assert mdp.horizon == mdp.step_limit == 7
        assert mdp.horizon.dtype == jnp.int32


@pytest.mark.parametrize("environment", ["LJ-3", hopgym.get_system("LJ-3"), None])
@pytest.mark.usefixtures("unchecked")
def test_something_else_than_an_environment(environment):
    with pytest.raises(ValueError, match=r"hopgym\.Environment"):
        MDP(environment)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.zeros(8), "have shape"),
        (np.zeros((4, 3)), "have shape"),
        (np.zeros((9, 1)), "have shape"),
        (0.0, "have shape"),
        (np.zeros(9, complex), "real numbers"),
        (np.zeros(9, bool), "real numbers"),
        ("north", "real numbers"),
        (None, "real numbers"),
        ([0.0, [1.0, 2.0]], "real numbers"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_actions(action, message):
    mdp = make("LJ-3")
    with pytest.raises(ValueError, match=f"LJ-3: actions must .*{message}"):
        mdp.step(reset(mdp, jax.random.key(0), TRIANGLE), action)


@pytest.mark.usefixtures("unchecked")
def test_change_of_precision():
    before = make("LJ-3")
    state = reset(before, jax.random.key(0), TRIANGLE)
    with jax.enable_x64(True):
        after = make("LJ-3")
        for act in (
            lambda: before.reset(jax.random.key(0)),
            lambda: before.step(state, jnp.zeros(9)),
            lambda: after.step(state, jnp.zeros(9)),
            lambda: MDP(before.environment).reset(jax.random.key(0)),
        ):
            with pytest.raises(ValueError, match="set jax_enable_x64 first"):
                act()
        double = after.reset(jax.random.key(0), jnp.asarray(TRIANGLE))
        assert after.step(double, jnp.zeros(9)).energy.dtype == jnp.float64
    with pytest.raises(ValueError, match="made in float64, but JAX now"):
        after.reset(jax.random.key(0))


def test_plain_random_keys(mdp):
    plain = jax.random.PRNGKey(0)
    positions = begin(mdp, plain, None).positions
    np.testing.assert_array_equal(
        positions, begin(mdp, jax.random.key(0), None).positions
    )


def test_no_end_at_an_unknown_minimum():
    with pytest.raises(ValueError, match="no reference minimum"):
        make("Gupta-Ag2Au1", terminate_on_success=True)


class Constant(AbstractReward):
    """One per step, and ten at the end."""

    def compute(self, before, after, ended, system):
        return jnp.where(ended, 10.0, 1.0)


class EnergyOnly(AbstractObservation):
    """The energy in reduced units, clipped."""

    @property
    def is_dict(self):
        return False

    def observe(self, state, system, horizon):
        reduced = state.energy / system.energy_unit
        return {"energy": jnp.clip(reduced, -9, 9)[None].astype(jnp.float32)}

    def bounds(self, system):
        return {"energy": np.full(1, 9, np.float32)}


class DoubleStep(AbstractAction):
    """The same displacement twice."""

    @property
    def default_displacement(self):
        return 0.05

    def start(self, environment, state):
        return state

    def apply(self, environment, state, update):
        return environment.step(environment.step(state, update), update)


def test_own_classes():
    mdp = make(
        "LJ-3",
        reward=Constant(),
        observation=EnergyOnly(),
        action=DoubleStep(),
        step_limit=4,
    )
    state = reset(mdp, jax.random.key(0), TRIANGLE)
    middle = step(mdp, state, jnp.ones(9))
    np.testing.assert_allclose(middle.positions, TRIANGLE + 0.1, atol=1e-6)
    assert middle.evaluations == 3 and mdp.compute_reward(state, middle) == 1
    assert mdp.compute_reward(middle, step(mdp, middle, jnp.ones(9))) == 10
    seen = mdp.observe(state)
    assert isinstance(seen, jax.Array)
    np.testing.assert_allclose(seen, [-3], atol=1e-5)
    np.testing.assert_array_equal(mdp.bound_vector(), [9])


def test_instances_are_what_names_make():
    names = {"reward": "log", "action": "hop", "observation": "neighbours"}
    named = make("LJ-3", **names, neighbours=2, quench_steps=7)
    given = make(
        "LJ-3",
        reward=LogReward(),
        action=HopAction(7),
        observation=NeighbourObservation(2),
    )
    assert eqx.tree_equal(named, given)
    for kind in (HopAction, NeighbourObservation):
        with pytest.raises(ValueError, match="must be an integer"):
            kind(0)


@pytest.mark.parametrize("observation", ["flat", "dict", "neighbours"])
def test_entries_are_in_the_order_of_their_bounds(observation):
    mdp = make("Gupta-Ag2Au1", observation=observation)
    state = reset(mdp, jax.random.key(0), 2.8 * TRIANGLE)
    seen = mdp.observe_entries(state)
    assert list(seen) == list(mdp.bounds())
    assert mdp.observe_vector(state).shape == mdp.bound_vector().shape
    assert isinstance(mdp.observe(state), dict) == (observation == "dict")
