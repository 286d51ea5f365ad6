"""The Gymnasium shells against Gymnasium's own rules."""

import dataclasses
import subprocess
import sys

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import RecordEpisodeStatistics
from gymnasium.wrappers.vector import DictInfoToList
from gymnasium.wrappers.vector import RecordEpisodeStatistics as RecordVectorStatistics

import hopgym
from hopgym.gymnasium import ClusterEnv, ClusterVectorEnv
from hopgym.rl.mdp import ENTRIES
from hopgym.systems.start import AbstractStart

TRIANGLE = np.array([[0, 0, 0], [1, 0, 0], [0.5, 0.75**0.5, 0]], np.float32)
WIDE = 1.1 * TRIANGLE
INFO = {"energy", "best_energy", "success", "first_hit", "step", "evaluations"}
INFO |= {"faults"}
MODES = list(AutoresetMode)


class Uniform(AbstractStart):
    """Starts that compile in no time."""

    def sample(self, key, atoms, length, box):
        return 3 * length * jax.random.uniform(key, (atoms, 3))


LJ3 = dataclasses.replace(hopgym.get_system("LJ-3"), start=Uniform())


def vector(mode=AutoresetMode.NEXT_STEP, num_envs=3, **arguments):
    return gymnasium.make_vec(
        "hopgym/System", system=LJ3, num_envs=num_envs, autoreset_mode=mode, **arguments
    )


def single(**arguments):
    return gymnasium.make("hopgym/System", system=LJ3, **arguments)


def actions_towards(positions, states):
    """Actions that lead to `positions` if they are near enough."""
    return np.clip(np.asarray(positions - states) / 0.1, -1, 1)


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


def test_every_system_has_an_id():
    for name in hopgym.system_names():
        spec = gymnasium.spec(f"hopgym/{name}")
        assert spec.max_episode_steps == 50_000
        assert spec.kwargs == {"system": name}
        assert spec.entry_point == "hopgym.gymnasium:ClusterEnv"
        assert spec.vector_entry_point == "hopgym.gymnasium:ClusterVectorEnv"


def test_ids_in_a_fresh_process():
    script = (
        "import gymnasium\n"
        "env = gymnasium.make('hopgym:hopgym/LJ-75')\n"
        "import hopgym, sys\n"
        "gymnasium.register_envs(hopgym)\n"
        "assert env.spec.id == 'hopgym/LJ-75', env.spec\n"
        "assert env.action_space.shape == (225,)\n"
        "assert 'matplotlib' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)


def test_systems_of_ones_own():
    system = hopgym.get_system("Gupta-Ag2Au1")
    env = gymnasium.make("hopgym/System", system=system)
    assert env.unwrapped.system.name == "Gupta-Ag2Au1"
    many = gymnasium.make_vec("hopgym/System", num_envs=2, system=system)
    assert many.action_space.shape == (2, 9)
    with pytest.raises(KeyError, match="LJ-38"):
        gymnasium.make("hopgym/System", system="LJ38")


def test_spaces_are_flat_and_bounded():
    env = gymnasium.make("hopgym/LJ-13")
    assert env.action_space == gymnasium.spaces.Box(-1, 1, (39,), np.float32)
    assert env.observation_space.shape == (7 * 13 + 2,)
    assert env.observation_space.dtype == np.float32
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
    heights = env.unwrapped.task.height(
        jax.numpy.array([info["energy"], after["energy"]])
    )
    np.testing.assert_allclose(reward, heights[0] - heights[1], atol=1e-6)
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


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_actions_that_are_not_finite(bad, backend):
    env = ClusterEnv(LJ3, array_backend=backend)
    _, before = env.reset(seed=0)
    action = np.zeros(9, np.float32)
    action[4] = bad
    with pytest.raises(ValueError, match="nan_to_num"):
        env.step(action)
    assert env.state.step == 0 and env.state.energy == before["energy"]
    many = ClusterVectorEnv(LJ3, 3, array_backend=backend)
    many.reset(seed=0)
    with pytest.raises(ValueError, match="nan_to_num"):
        many.step(np.stack([np.zeros(9, np.float32), action, 0 * WIDE.ravel()]))
    assert np.all(np.asarray(many.state.step) == 0)


def test_huge_actions_are_clipped():
    env = ClusterEnv(LJ3)
    env.reset(options={"positions": TRIANGLE})
    env.step(np.full(9, 3e38, np.float32))
    np.testing.assert_allclose(env.state.positions, TRIANGLE + 0.1, atol=1e-6)
    observation, *_ = env.step(np.linspace(-1e30, 1e30, 9))
    assert observation in env.observation_space


@pytest.mark.parametrize("shape", [(8,), (3,), (1, 9), (9, 1), ()])
def test_wrong_shapes_of_actions(shape):
    env = ClusterEnv(LJ3)
    env.reset()
    with pytest.raises(ValueError, match=r"LJ-3: actions must have shape \(9,\)"):
        env.step(np.zeros(shape, np.float32))
    many = ClusterVectorEnv(LJ3, 3)
    many.reset()
    with pytest.raises(ValueError, match=r"actions must have shape \(3, 9\)"):
        many.step(np.zeros(shape, np.float32))


@pytest.mark.parametrize("make", [ClusterEnv, ClusterVectorEnv])
def test_options(make):
    env = make(LJ3)
    with pytest.raises(ValueError, match="did you mean 'positions'"):
        env.reset(options={"position": TRIANGLE})
    with pytest.raises(ValueError, match="must have shape"):
        env.reset(options={"positions": TRIANGLE[:2]})
    with pytest.raises(ValueError, match="must be finite"):
        env.reset(options={"positions": TRIANGLE * np.nan})
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(env.action_space.sample())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"observation": "image"}, "observation"),
        ({"array_backend": "torch"}, "array_backend"),
        ({"render_mode": "human"}, "render_mode"),
        ({"max_displacement": -0.1}, "max_displacement"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*human:UserWarning")
def test_bad_arguments(arguments, message):
    for make in (ClusterEnv, ClusterVectorEnv):
        with pytest.raises(Exception, match=rf"{message}"):
            make(LJ3, **arguments)


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


def test_step_limits():
    env = single(max_episode_steps=2, horizon=4)
    many = vector("Disabled", max_episode_steps=2, horizon=4)
    env.reset(seed=0)
    many.reset(seed=0)
    for last in (False, True):
        observation, *_, truncated, _ = env.step(np.zeros(9, np.float32))
        observations, *_, truncations, _ = many.step(np.zeros((3, 9), np.float32))
        assert truncated == last and (truncations == last).all()
    assert observation[-4] == 0.5 and (observations[:, -4] == 0.5).all()
    own = ClusterEnv(LJ3, horizon=1)
    own.reset()
    observation, *_, truncated, _ = own.step(np.zeros(9, np.float32))
    assert truncated and observation[-4] == 1
    assert int(vector().task.step_limit) == 50_000


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_episode_statistics(mode):
    many = RecordVectorStatistics(vector(mode, max_episode_steps=3))
    many.reset(seed=0)
    returns = np.zeros(3)
    for _ in range(3):
        _, rewards, _, truncated, info = many.step(many.action_space.sample())
        returns += rewards
    assert truncated.all() and info["episode"]["l"].tolist() == [3, 3, 3]
    np.testing.assert_allclose(info["episode"]["r"], returns, atol=1e-6)


def test_episode_statistics_of_one():
    env = RecordEpisodeStatistics(single(max_episode_steps=2))
    env.reset(seed=0)
    rewards = [env.step(env.action_space.sample())[1]]
    _, reward, _, truncated, info = env.step(env.action_space.sample())
    assert truncated and info["episode"]["l"] == 2
    np.testing.assert_allclose(info["episode"]["r"], sum(rewards) + reward, atol=1e-6)


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


def test_jax_arrays():
    env = gymnasium.make(
        "hopgym/System", system=LJ3, array_backend="jax", disable_env_checker=True
    )
    assert env.metadata["jax"] and not ClusterEnv(LJ3).metadata["jax"]
    many = vector(array_backend="jax")
    for one in (env, many):
        observation, _ = one.reset(seed=0)
        results = one.step(jax.numpy.zeros(one.action_space.shape))
        for leaf in jax.tree.leaves((observation, results[:4])):
            assert isinstance(leaf, jax.Array)
    plain, _ = vector().reset(seed=0)
    np.testing.assert_array_equal(many.reset(seed=0)[0], plain)


def test_dict_observations():
    many = vector(observation="dict")
    observations, _ = many.reset(seed=0)
    assert observations in many.observation_space
    flat, _ = vector().reset(seed=0)
    entries = [observations[name].reshape(3, -1) for name in ENTRIES]
    np.testing.assert_allclose(np.concatenate(entries, axis=1), flat, atol=1e-5)


def test_gymnasiums_own_vector():
    many = gymnasium.make_vec(
        "hopgym/System", system=LJ3, num_envs=3, vectorization_mode="sync"
    )
    observations, _ = many.reset(seed=0)
    ours, _ = vector().reset(seed=0)
    np.testing.assert_allclose(observations, ours, atol=2e-2)
    many.close()


def test_compiled_once():
    first, second = ClusterEnv("Gupta-Ag2Au1"), ClusterEnv("Gupta-Ag1Au2")
    first.reset(seed=0)
    compiled = first._begin._cache_size()
    second.reset(seed=0)
    assert second._begin is first._begin
    assert second._begin._cache_size() == compiled
    assert first.state.energy != second.state.energy


def test_ansi():
    env = ClusterEnv(LJ3, render_mode="ansi")
    env.reset(options={"positions": TRIANGLE})
    text = env.render()
    assert text == ("LJ-3  step 0  energy -3.000  best -3.000  reference -3.000")
    many = vector(render_mode="ansi")
    many.reset(options={"positions": TRIANGLE})
    assert many.render() == (text,) * 3


def test_pictures():
    env = gymnasium.make("hopgym/SW-Si8", render_mode="rgb_array")
    env.reset(seed=0)
    frame = env.render()
    assert frame.shape == (480, 480, 3) and frame.dtype == np.uint8
    many = vector(render_mode="rgb_array")
    many.reset(seed=0)
    frames = many.render()
    assert len(frames) == 3 and not np.array_equal(frames[0], frames[1])


def test_no_render_mode():
    env = ClusterEnv(LJ3)
    env.reset()
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.render() is None
