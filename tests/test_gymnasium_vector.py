"""The Gymnasium vector environment: seeds, resets and autoreset modes."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import DictInfoToList
from gymnasium.wrappers.vector import RecordEpisodeStatistics as RecordVectorStatistics
from gymnasium_cases import INFO, LJ3, TRIANGLE, WIDE, actions_towards, vector

from hopgym.gymnasium import ClusterEnv

MODES = list(AutoresetMode)


@pytest.mark.parametrize("mode", MODES)
def test_replicas_see_the_starts_of_single_environments(mode):
    env = ClusterEnv(LJ3, horizon=2)
    many = vector(mode, horizon=2)
    seen = [many.reset(seed=5)[0]]
    while len(seen) < 3:
        observations, _, _, truncated, _ = many.step(np.zeros((3, 9), np.float32))
        if mode == AutoresetMode.DISABLED and truncated.all():
            observations, _ = many.reset(options={"reset_mask": truncated})
        if np.all(observations[:, -4] == 0):
            seen.append(observations)
    for i in range(3):
        env.reset(seed=5 + i)
        for k, observations in enumerate(seen):
            observation, _ = env.reset(seed=5 + i) if k == 0 else env.reset()
            np.testing.assert_allclose(observations[i], observation, atol=2e-2)


def test_seeds_of_a_vector():
    many = vector()
    first, _ = many.reset(seed=3)
    np.testing.assert_array_equal(many.reset(seed=[3, 4, 5])[0], first)
    mixed, _ = many.reset(seed=[None, 4, None])
    np.testing.assert_array_equal(mixed[1], first[1])
    assert not np.allclose(mixed[0], first[0])
    with pytest.raises(ValueError, match="expected 3 seeds"):
        many.reset(seed=[1, 2])
    assert len({tuple(row) for row in vector().reset()[0].tolist()}) == 3


def test_positions_of_a_vector():
    many = vector()
    starts = np.stack([TRIANGLE, WIDE, 1.2 * TRIANGLE])
    _, info = many.reset(options={"positions": starts})
    np.testing.assert_allclose(np.asarray(many.state.positions), starts)
    assert info["energy"][0] < info["energy"][1] < info["energy"][2]
    _, info = many.reset(options={"positions": TRIANGLE})
    np.testing.assert_allclose(info["energy"], -3, atol=1e-5)
    mask = np.array([False, True, False])
    many.reset(options={"positions": WIDE, "reset_mask": mask})
    kept = np.stack([TRIANGLE, WIDE, TRIANGLE])
    np.testing.assert_allclose(np.asarray(many.state.positions), kept)


def success_of_one(mode, **arguments):
    """A vector in which replica 1 has just found the minimum."""
    many = vector(mode, terminate_on_success=True, **arguments)
    starts = np.stack([1.5 * TRIANGLE, WIDE, 1.5 * TRIANGLE])
    many.reset(seed=0, options={"positions": starts})
    actions = actions_towards(TRIANGLE, starts).reshape(3, 9)
    actions[[0, 2]] = 0
    return many, many.step(actions)


def test_next_step():
    many, (_, rewards, terminated, truncated, info) = success_of_one("NextStep")
    assert terminated.tolist() == [False, True, False] and not truncated.any()
    np.testing.assert_allclose(info["energy"][1], -3, atol=1e-5)
    assert rewards[1] > 0 and info["success"].tolist() == terminated.tolist()
    actions = np.zeros((3, 9), np.float32)
    actions[1] = np.nan  # ignored, as this replica is reset
    observations, rewards, terminated, truncated, info = many.step(actions)
    assert not terminated.any() and not truncated.any() and rewards[1] == 0
    assert info["step"].tolist() == [2, 0, 2]
    assert info["evaluations"].tolist() == [3, 1, 3]
    assert observations in many.observation_space
    _, _, _, _, info = many.step(np.zeros((3, 9), np.float32))
    assert info["step"].tolist() == [3, 1, 3]


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_same_step(backend):
    many, (observations, rewards, terminated, _, info) = success_of_one(
        "SameStep", array_backend=backend
    )
    ended = [False, True, False]
    assert terminated.tolist() == ended and rewards[1] > 0
    assert info["step"].tolist() == [1, 0, 1]
    assert info["energy"][1] > -2.999
    assert info["_final_obs"].tolist() == info["_final_info"].tolist() == ended
    final = info["final_info"]
    np.testing.assert_allclose(final["energy"][1], -3, atol=1e-5)
    assert final["_energy"].tolist() == ended and final["step"][1] == 1
    last = info["final_obs"][1]
    assert np.asarray(last) in many.single_observation_space
    assert not np.allclose(last, observations[1])
    if backend == "numpy":
        assert info["final_obs"].dtype == object and info["final_obs"][0] is None
    _, _, _, _, info = many.step(np.zeros((3, 9), np.float32))
    assert "final_obs" not in info and info["step"].tolist() == [2, 1, 2]


def test_disabled():
    many, (_, _, terminated, truncated, _) = success_of_one("Disabled")
    still = np.zeros((3, 9), np.float32)
    with pytest.raises(ValueError, match="reset_mask"):
        many.step(still)
    options = {"reset_mask": terminated | truncated}
    observations, info = many.reset(options=options)
    assert set(options) == {"reset_mask"}
    assert info["step"].tolist() == [1, 0, 1]
    assert info["_energy"].tolist() == [False, True, False]
    assert observations in many.observation_space
    assert many.step(still)[4]["step"].tolist() == [2, 1, 2]


@pytest.mark.parametrize(
    "mask", [np.zeros(3, bool), np.ones(2, bool), np.ones(3), [[True] * 3]]
)
def test_bad_masks(mask):
    many = vector("Disabled")
    many.reset()
    with pytest.raises(ValueError, match="boolean array of shape"):
        many.reset(options={"reset_mask": mask})


def test_first_reset_is_of_all():
    with pytest.raises(ValueError, match="first reset"):
        vector().reset(options={"reset_mask": np.array([True, False, False])})


def test_many_ends_at_once():
    many = vector("SameStep", num_envs=20, horizon=1)
    first, _ = many.reset(seed=0)
    second, *_, info = many.step(np.zeros((20, 9), np.float32))
    assert info["_final_obs"].all()
    assert len(np.unique(np.round(np.vstack([first, second]), 3), axis=0)) == 40


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_episode_statistics(mode):
    many = RecordVectorStatistics(vector(mode, max_episode_steps=3))
    many.reset(seed=0)
    returns, truncated, info = np.zeros(3), np.zeros(3, bool), {}
    for _ in range(3):
        _, rewards, _, truncated, info = many.step(many.action_space.sample())
        returns += rewards
    assert truncated.all() and info["episode"]["l"].tolist() == [3, 3, 3]
    np.testing.assert_allclose(info["episode"]["r"], returns, atol=1e-6)


def test_info_as_lists():
    many = DictInfoToList(vector("SameStep", max_episode_steps=1))
    many.reset(seed=0)
    *_, infos = many.step(many.action_space.sample())
    assert all(set(info) >= INFO | {"final_obs", "final_info"} for info in infos)


def test_outputs_may_be_written_to():
    many = vector()
    observations, _ = many.reset(seed=0)
    kept = observations.copy()
    results = many.step(np.zeros((3, 9), np.float32))
    for values in (observations, *results[:4], *results[4].values()):
        assert isinstance(values, np.ndarray) and values.flags.writeable
        values[:] = 0
    np.testing.assert_array_equal(many.reset(seed=0)[0], kept)


def test_dict_observations():
    many = vector(observation="dict")
    observations, _ = many.reset(seed=0)
    assert observations in many.observation_space
    flat, _ = vector().reset(seed=0)
    names = many.unwrapped.mdp.bounds()
    entries = [observations[name].reshape(3, -1) for name in names]
    np.testing.assert_allclose(np.concatenate(entries, axis=1), flat, atol=1e-5)


def test_gymnasiums_own_vector():
    many = gymnasium.make_vec(
        "hopgym/System", system=LJ3, num_envs=3, vectorization_mode="sync"
    )
    observations, _ = many.reset(seed=0)
    ours, _ = vector().reset(seed=0)
    np.testing.assert_allclose(observations, ours, atol=2e-2)
    many.close()
