"""Options for agents: hops, neighbours, rewards; and the functions of gymnax."""

import copy
import dataclasses
from typing import Any

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import hopgym
from hopgym.gymnasium import ClusterEnv, ClusterVectorEnv
from hopgym.rl import MDP, GymnaxEnvironment
from hopgym.rl.observations import NeighbourObservation
from hopgym.rl.rewards import LogReward, squash_energy
from hopgym.structures import diamond
from hopgym.systems.start import AbstractStart

TRIANGLE = np.array([[0, 0, 0], [1, 0, 0], [0.5, 0.75**0.5, 0]], np.float32)


class Uniform(AbstractStart):
    """Starts that compile in no time."""

    def sample(self, key, atoms, length, box):
        return 2 * length * jax.random.uniform(key, (atoms, 3))


def system(name):
    return dataclasses.replace(hopgym.get_system(name), start=Uniform())


LJ3, LJ7 = system("LJ-3"), system("LJ-7")
VARIANTS = (
    {"observation": "neighbours"},
    {"action": "hop", "quench_steps": 50, "reward": "final", "horizon": 5},
    {"action": "hop", "quench_steps": 50, "observation": "neighbours"},
    {"reward": "log", "observation": "dict"},
)

begin = eqx.filter_jit(lambda mdp, positions: mdp.reset(jax.random.key(0), positions))
step = eqx.filter_jit(lambda mdp, state, action: mdp.step(state, action))
observe = eqx.filter_jit(lambda mdp, state: mdp.observe_entries(state))


def make(system, **arguments):
    return MDP(hopgym.Environment(system), **arguments)


def scattered(system, seed=0):
    return 2 * jax.random.uniform(jax.random.key(seed), (system.atoms, 3))


@pytest.mark.parametrize("arguments", VARIANTS)
def test_check_env(arguments):
    env = gymnasium.make("hopgym/System", system=LJ3, **arguments)
    check_env(env.unwrapped, skip_render_check=True)


@pytest.mark.parametrize("name", ["Gupta-Ag2Au1", "SW-Si8"])
def test_check_env_of_other_systems(name):
    env = gymnasium.make(
        "hopgym/System", system=system(name), observation="neighbours", neighbours=5
    )
    check_env(env.unwrapped, skip_render_check=True)


@pytest.mark.parametrize("arguments", VARIANTS[2:])
def test_vectors(arguments):
    many = gymnasium.make_vec("hopgym/System", num_envs=3, system=LJ3, **arguments)
    observations, _ = many.reset(seed=0)
    assert observations in many.observation_space
    observations, rewards, *_ = many.step(many.action_space.sample())
    assert observations in many.observation_space and np.all(np.isfinite(rewards))


def test_shapes_of_neighbours():
    env = gymnasium.make("hopgym/LJ-13", observation="neighbours", neighbours=4)
    assert env.observation_space.shape == (13 * (4 * 3 + 3 + 1) + 2,)
    env = gymnasium.make("hopgym/LJ-2", observation="neighbours")
    assert env.observation_space.shape == (2 * (3 + 3 + 1) + 2,)
    mdp = make(system("Gupta-Ag2Au1"), observation="neighbours")
    assert mdp.bounds()["kinds"].shape == (3, 2)


def test_neighbours_by_hand():
    mdp = make(LJ3, observation="neighbours")
    line = np.array([[0, 0, 0], [1, 0, 0], [1, 2, 0]], np.float32)
    seen = observe(mdp, begin(mdp, line))["neighbours"]
    expected = [
        [[1, 0, 0], [1, 2, 0]],
        [[-1, 0, 0], [0, 2, 0]],
        [[0, -2, 0], [-1, -2, 0]],
    ]
    np.testing.assert_allclose(seen, expected, atol=1e-6)


def test_neighbours_in_a_periodic_box():
    mdp = make(system("SW-Si8"), observation="neighbours", neighbours=4)
    box, length = mdp.environment.system.box, mdp.environment.system.length
    assert box is not None
    positions = diamond(1, float(box[0]))
    seen = observe(mdp, begin(mdp, positions))["neighbours"]
    bond = 3**0.5 / 4 * box[0] / length
    np.testing.assert_allclose(jnp.linalg.norm(seen, axis=-1), bond, rtol=1e-5)


def test_neighbours_turn_with_the_cluster_and_nothing_else_changes_them():
    mdp = make(LJ7, observation="neighbours", neighbours=4)
    positions = scattered(LJ7)
    seen = observe(mdp, begin(mdp, positions))
    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    turned = observe(mdp, begin(mdp, positions @ rotation + 3.0))
    order = np.array([0, 3, 1, 6, 5, 2, 4])
    permuted = observe(mdp, begin(mdp, positions[order]))
    for name in ("neighbours", "gradient"):
        np.testing.assert_allclose(turned[name], seen[name] @ rotation, atol=2e-4)
        np.testing.assert_allclose(permuted[name], seen[name][order], atol=1e-4)


@pytest.mark.parametrize("factor", [0.0, 1e-20, 1e3, 1e15, 3e38])
def test_observations_and_rewards_are_bounded(factor):
    for name in ("LJ-7", "Gupta-Ag2Au1", "SW-Si8"):
        mdp = make(system(name), observation="neighbours", reward="log")
        start = begin(mdp, scattered(mdp.environment.system))
        positions = jnp.clip(start.positions * factor, -1e30, 1e30).at[0, 0].add(1.0)
        state = begin(mdp, positions)
        for entry, bound in mdp.bounds().items():
            seen = np.asarray(observe(mdp, state)[entry])
            assert np.all(np.isfinite(seen)) and np.all(np.abs(seen) <= bound)
        assert np.isfinite(mdp.compute_reward(state, start))


def test_a_hop_counts_the_evaluations_of_its_quench():
    mdp = make(LJ7, action="hop")
    positions = scattered(LJ7)
    quenched = hopgym.quench(LJ7, positions, steps=500)
    state = begin(mdp, positions)
    np.testing.assert_array_equal(state.positions, quenched.positions)
    assert state.evaluations == quenched.evaluations and state.step == 0

    action = jax.random.uniform(jax.random.key(1), (7, 3), minval=-1)
    moved = hopgym.quench(LJ7, state.positions + jnp.float32(0.4) * action, steps=500)
    after = step(mdp, state, action)
    assert after.evaluations - state.evaluations == moved.evaluations
    assert after.step == 1 and moved.converged
    assert jnp.max(jnp.linalg.norm(after.gradient, axis=1)) < 1e-3
    np.testing.assert_allclose(after.energy, moved.energy, atol=1e-4)
    assert after.best_energy <= min(state.energy, after.energy)


def test_hops_are_capped():
    mdp = make(LJ7, action="hop", quench_steps=3)
    state = begin(mdp, scattered(LJ7))
    after = step(mdp, state, jnp.ones((7, 3)).at[0].set(-1))
    assert state.evaluations == 3 and after.evaluations == 6


@pytest.mark.parametrize("factor", [0.0, 1e-3, 1e3, 1e15])
def test_hops_from_anywhere_are_finite(factor):
    mdp = make(LJ3, action="hop", quench_steps=50)
    state = begin(mdp, factor * jnp.asarray(TRIANGLE))
    after = step(mdp, state, jnp.linspace(-1, 1, 9))
    for leaf in jax.tree.leaves((state, after)):
        assert np.all(np.isfinite(leaf))
    assert np.isfinite(mdp.compute_reward(state, after)) and after.evaluations <= 100


def test_hops_in_batches_are_those_of_one():
    mdp = make(LJ3, action="hop")
    starts = 1.3 * jnp.asarray(TRIANGLE) + jnp.stack(
        [0.1 * scattered(LJ3, seed) for seed in range(4)]
    )
    many = jax.jit(jax.vmap(lambda p: mdp.reset(jax.random.key(0), p)))(starts)
    for i, start in enumerate(starts):
        assert abs(int(many.evaluations[i]) - int(begin(mdp, start).evaluations)) <= 2
    np.testing.assert_allclose(many.energy, -3, atol=1e-4)


def test_the_logarithm_counts_decades():
    mdp = make(LJ3, reward="log")
    high = begin(mdp, TRIANGLE)
    scale = LJ3.energy_scale

    def reward(before, after):
        states = [
            eqx.tree_at(lambda s: s.best_energy, high, gap * scale - scale)
            for gap in (before, after)
        ]
        return float(mdp.compute_reward(*states))

    np.testing.assert_allclose(reward(1.0, 0.0), 1, atol=1e-5)
    np.testing.assert_allclose(reward(1.0, 0.1), reward(10.0, 1.0), rtol=0.01)
    assert reward(jnp.nan, 0.0) == reward(jnp.inf, 0.0) > 3


def test_the_final_reward_comes_at_the_end():
    mdp = make(LJ3, reward="final", horizon=2)
    state = begin(mdp, 1.1 * TRIANGLE)
    rewards = []
    for _ in range(2):
        before, state = state, step(mdp, state, jnp.zeros((3, 3)))
        rewards.append(float(mdp.compute_reward(before, state)))
    assert rewards[0] == 0
    np.testing.assert_allclose(
        rewards[1], 1 - squash_energy(state.best_energy, LJ3.energy_scale)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"action": "jump"}, "action must be one of .*'hop'"),
        ({"observation": "neighbors"}, "observation must be one of .*'neighbours'"),
        ({"reward": "end"}, "reward must be one of .*'final'"),
        ({"neighbours": 0}, "neighbours"),
        ({"quench_steps": 0}, "quench_steps"),
    ],
)
def test_bad_arguments(arguments, message):
    for function in (make, GymnaxEnvironment):
        with pytest.raises(ValueError, match=message):
            function(LJ3, **arguments)
    for function in (gymnasium.make, gymnasium.make_vec):
        with pytest.raises(Exception, match=next(iter(arguments))):
            function("hopgym/System", system=LJ3, **arguments)


def test_unknown_options():
    for shell in (ClusterEnv, ClusterVectorEnv, GymnaxEnvironment):
        for option, near in (("rewards", "reward"), ("quench_step", "quench_steps")):
            message = f"{shell.__name__}: unknown option '{option}'.*'{near}'"
            options: dict[str, Any] = {option: "log"}
            with pytest.raises(TypeError, match=message):
                shell(LJ3, **options)
    with pytest.raises(TypeError, match="did you mean 'render_mode'"):
        gymnasium.make("hopgym/LJ-3", rendermode="ansi")
    with pytest.raises(TypeError, match="did you mean 'num_envs'"):
        gymnasium.make_vec("hopgym/LJ-3", num_env=3)
    with pytest.raises(TypeError, match="did you mean 'starts'"):
        GymnaxEnvironment(LJ3, start=3)


def test_instances_as_options():
    options = {"reward": LogReward(), "observation": NeighbourObservation(1)}
    env = gymnasium.make("hopgym/System", system=LJ3, **options)
    many = gymnasium.make_vec("hopgym/System", num_envs=2, system=LJ3, **options)
    environment = GymnaxEnvironment(LJ3, starts=2, **options)
    size = 3 * (3 + 3 + 1) + 2
    assert env.observation_space.shape == (size,)
    assert many.observation_space.shape == (2, size)
    assert environment.observation_space().shape == (size,)
    check_env(env.unwrapped, skip_render_check=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"outputs": 4}, "5 or 6"),
        ({"starts": -1}, "starts"),
        ({"observation": "dict"}, "'flat' or 'neighbours'"),
    ],
)
def test_bad_arguments_of_functions(arguments, message):
    with pytest.raises(ValueError, match=message):
        GymnaxEnvironment(LJ3, **arguments)


def episodes(environment, steps=7, replicas=5):
    """Random actions in a scan of a batch: what `step` gave."""
    params = environment.default_params
    space = environment.action_space(params)

    def once(carry, key):
        keys = jax.random.split(key, replicas)
        _, states = carry
        actions = jax.vmap(space.sample)(keys)
        outputs = jax.vmap(environment.step, in_axes=(0, 0, 0, None))(
            keys, states, actions, params
        )
        return outputs[:2], (states, outputs)

    keys = jax.random.split(jax.random.key(0), replicas)
    first = jax.vmap(environment.reset, in_axes=(0, None))(keys, params)
    return jax.lax.scan(once, first, jax.random.split(jax.random.key(1), steps))[1]


@pytest.mark.parametrize(("starts", "action"), [(0, "step"), (4, "step"), (4, "hop")])
def test_functions_of_gymnax(starts, action):
    environment = copy.deepcopy(
        GymnaxEnvironment(LJ3, starts=starts, action=action, horizon=3)
    )
    before, (observations, states, rewards, done, info) = jax.jit(
        lambda: episodes(environment)
    )()
    ends = np.array([2, 5])
    assert np.flatnonzero(done.any(axis=1)).tolist() == ends.tolist()
    assert done[ends].all() and rewards.dtype == jnp.float32
    np.testing.assert_array_equal(states.step[:, 0], [1, 2, 0, 1, 2, 0, 1])
    np.testing.assert_array_equal(info["step"][:, 0], [1, 2, 3, 1, 2, 3, 1])
    assert np.all(info["truncated"] == done) and not np.any(info["terminated"])
    assert np.all(info["evaluations"] > before.evaluations)
    assert np.all(rewards >= 0)

    space = environment.observation_space()
    assert observations.shape == (7, 5, *space.shape)
    assert jax.vmap(jax.vmap(space.contains))(observations).all()
    last = info["final_observation"]
    np.testing.assert_array_equal(last[0], observations[0])
    assert not np.allclose(last[2], observations[2])
    firsts = states.positions[ends].reshape(-1, 9)
    assert len(np.unique(np.round(firsts, 4), axis=0)) == (10 if starts == 0 else 4)


def test_six_outputs():
    environment = GymnaxEnvironment(
        LJ3, outputs=6, starts=2, terminate_on_success=True, action="hop", horizon=9
    )
    _, outputs = jax.jit(lambda: episodes(environment))()
    assert len(outputs) == 6
    _, _, _, terminated, truncated, info = outputs
    assert np.any(terminated) and not np.any(truncated)
    np.testing.assert_array_equal(info["discount"], 1.0 - terminated)


def test_one_step_of_one_environment():
    environment = GymnaxEnvironment(LJ3, starts=2)
    observation, state = environment.reset(jax.random.key(0))
    action = environment.action_space().sample(jax.random.key(1))
    assert environment.action_space().contains(action)
    outputs = environment.step(jax.random.key(2), state, action)
    assert outputs[0].shape == observation.shape and not outputs[3]
    assert environment.default_params.max_steps_in_episode == 50_000
    assert environment.name == "hopgym/LJ-3"
