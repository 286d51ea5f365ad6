"""Step limits of wrappers: rewards at the end of an episode are paid at these."""

from typing import Any

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv
from gymnasium.wrappers import Autoreset, RecordEpisodeStatistics, TimeLimit
from gymnasium_cases import LJ3, single, vector

from hopgym.gymnasium import ClusterEnv
from hopgym.rl.rewards import squash_energy

FINAL: dict[str, Any] = {"reward": "final"}
STILL = np.zeros(9, np.float32)


def play(env, steps):
    """Rewards of an episode without movement, and what the last one should be."""
    env.reset(seed=0)
    rewards, truncated, info = [], False, {}
    for _ in range(steps):
        assert not truncated
        _, reward, _, truncated, info = env.step(STILL)
        rewards.append(reward)
    assert truncated
    best = jax.numpy.asarray(info["best_energy"])
    outcome = 1 - squash_energy(best, LJ3.energy_scale)
    return rewards, outcome


@pytest.mark.parametrize(
    "make",
    [
        lambda: single(horizon=2, **FINAL),
        lambda: single(max_episode_steps=2, **FINAL),
        lambda: single(max_episode_steps=2, horizon=9, **FINAL),
        lambda: single(max_episode_steps=9, step_limit=2, **FINAL),
        lambda: TimeLimit(ClusterEnv(LJ3, **FINAL), 2),
        lambda: TimeLimit(TimeLimit(ClusterEnv(LJ3, **FINAL), 9), 2),
        lambda: TimeLimit(TimeLimit(ClusterEnv(LJ3, **FINAL), 2), 9),
        lambda: RecordEpisodeStatistics(single(max_episode_steps=2, **FINAL)),
        lambda: Autoreset(single(max_episode_steps=2, **FINAL)),
    ],
)
def test_the_final_reward(make):
    rewards, outcome = play(make(), 2)
    assert rewards[0] == 0 and outcome > 0
    np.testing.assert_allclose(rewards[1], outcome, rtol=1e-5)


def test_the_limit_is_that_of_the_wrappers_in_use():
    env = ClusterEnv(LJ3, horizon=3, **FINAL)
    assert play(TimeLimit(env, 1), 1)[0][-1] > 0
    assert play(env, 3)[0][-1] > 0
    assert play(TimeLimit(env, 2), 2)[0][-1] > 0


def test_the_limit_holds_after_an_autoreset():
    env = Autoreset(TimeLimit(ClusterEnv(LJ3, **FINAL), 2))
    env.reset(seed=0)
    rewards = [env.step(STILL)[1] for _ in range(6)]
    assert (np.array(rewards) > 0).tolist() == [False, True, False, False, True, False]


@pytest.mark.parametrize("mode", ["sync", "vector_entry_point"])
def test_the_final_reward_of_vectors(mode):
    many = gymnasium.make_vec(
        "hopgym/System",
        system=LJ3,
        num_envs=2,
        vectorization_mode=mode,
        max_episode_steps=2,
        **FINAL,
    )
    many.reset(seed=0)
    for last in (False, True):
        _, rewards, _, truncated, _ = many.step(np.zeros((2, 9), np.float32))
        assert np.all(truncated == last) and np.all((rewards > 0) == last)


def test_the_final_reward_of_gymnasiums_vector():
    many = SyncVectorEnv([lambda: TimeLimit(ClusterEnv(LJ3, **FINAL), 1)] * 2)
    many.reset(seed=0)
    assert np.all(many.step(np.zeros((2, 9), np.float32))[1] > 0)


def test_other_rewards_do_not_depend_on_the_limit():
    seen = []
    for limit in (2, 9):
        env = single(max_episode_steps=limit)
        env.reset(seed=1)
        seen += [[env.step(np.full(9, 0.1, np.float32))[:2] for _ in range(2)]]
    for (one, reward), (other, same) in zip(*seen, strict=True):
        np.testing.assert_array_equal(one, other)
        assert reward == same
    assert vector(max_episode_steps=2).mdp.horizon == 50_000
