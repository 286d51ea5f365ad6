"""The Gymnasium environment of one search against Gymnasium's own rules."""

from typing import Any

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import RecordEpisodeStatistics
from gymnasium_cases import INFO, LJ3, TRIANGLE, WIDE, actions_towards, single

from hopgym.gymnasium import ClusterEnv
from hopgym.rl.rewards import squash_energy


@pytest.mark.parametrize(
    ("name", "observation"),
    [
        ("LJ-3", "flat"),
        ("LJ-3", "dict"),
        ("Gupta-Ag2Au1", "flat"),
        ("SW-Si8", "flat"),
    ],
)
def test_check_env(name, observation):
    system = LJ3 if name == "LJ-3" else name
    env = gymnasium.make("hopgym/System", system=system, observation=observation)
    check_env(env.unwrapped, skip_render_check=name != "LJ-3")


def test_spaces_are_flat_and_bounded():
    env = gymnasium.make("hopgym/LJ-13")
    assert env.action_space == gymnasium.spaces.Box(-1, 1, (39,), np.float32)
    assert env.observation_space.shape == (7 * 13 + 2,)
    assert env.observation_space.dtype == np.float32
    assert isinstance(env.observation_space, gymnasium.spaces.Box)
    high = env.observation_space.high
    np.testing.assert_array_equal(env.observation_space.low, -high)
    assert np.all(np.isfinite(high))


def test_step():
    env = single()
    observation, info = env.reset(seed=0, options={"positions": WIDE})
    assert set(info) == INFO
    assert (info["evaluations"], info["step"], info["faults"]) == (1, 0, 0)
    action = actions_towards(TRIANGLE, WIDE)
    results = env.step(action.ravel().astype(np.float32))
    observation, reward, terminated, truncated, after = results
    assert observation in env.observation_space and set(after) == INFO
    assert type(reward) is float and type(after["energy"]) is float
    assert terminated is False and truncated is False and after["success"] is True
    np.testing.assert_allclose(after["energy"], -3, atol=1e-5)
    assert (after["evaluations"], after["first_hit"]) == (2, 2)
    energies = jax.numpy.array([info["energy"], after["energy"]])
    squashed = squash_energy(energies, LJ3.energy_scale)
    np.testing.assert_allclose(reward, squashed[0] - squashed[1], atol=1e-6)
    _, reward, *_ = env.step(-action)
    assert reward == 0


def test_both_shapes_of_actions():
    env = ClusterEnv(LJ3)
    action = env.action_space.sample()
    env.reset(seed=0)
    flat = env.step(action)
    env.reset(seed=0)
    shaped = env.step(action.reshape(3, 3).astype(float))
    np.testing.assert_array_equal(flat[0], shaped[0])


def test_huge_actions_are_clipped():
    env = ClusterEnv(LJ3)
    env.reset(options={"positions": TRIANGLE})
    env.step(np.full(9, 3e38, np.float32))
    np.testing.assert_allclose(env.state.positions, TRIANGLE + 0.1, atol=1e-6)
    observation, *_ = env.step(np.linspace(-1e30, 1e30, 9))
    assert observation in env.observation_space


def test_seeds():
    env = ClusterEnv(LJ3)
    one, _ = env.reset(seed=1)
    next_one, _ = env.reset()
    other, _ = env.reset(seed=2)
    again, _ = env.reset(seed=1)
    next_again, _ = env.reset()
    np.testing.assert_array_equal(one, again)
    np.testing.assert_array_equal(next_one, next_again)
    assert not np.allclose(one, other) and not np.allclose(one, next_one)


def test_episode_statistics_of_one():
    env = RecordEpisodeStatistics(single(max_episode_steps=2))
    env.reset(seed=0)
    _, first, *_ = env.step(env.action_space.sample())
    _, second, _, truncated, info = env.step(env.action_space.sample())
    assert truncated and info["episode"]["l"] == 2
    total = float(first) + float(second)
    np.testing.assert_allclose(info["episode"]["r"], total, atol=1e-6)


def test_compiled_once():
    first, second = ClusterEnv("Gupta-Ag2Au1"), ClusterEnv("Gupta-Ag1Au2")
    first.reset(seed=0)
    reset: Any = first._reset
    compiled = reset._cache_size()
    second.reset(seed=0)
    assert second._reset is reset
    assert reset._cache_size() == compiled
    assert first.state.energy != second.state.energy


def test_no_render_mode():
    env = ClusterEnv(LJ3)
    env.reset()
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.render() is None
