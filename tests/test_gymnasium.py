"""What both Gymnasium environments share: ids, checks of input, rendering."""

import subprocess
import sys
from typing import Any

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium_cases import LJ3, TRIANGLE, WIDE, single, vector

import hopgym
from hopgym.gymnasium import ClusterEnv, ClusterVectorEnv


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
    assert isinstance(env.unwrapped, ClusterEnv)
    assert env.unwrapped.system.name == "Gupta-Ag2Au1"
    many = gymnasium.make_vec("hopgym/System", num_envs=2, system=system)
    assert many.action_space.shape == (2, 9)
    with pytest.raises(KeyError, match="LJ-38"):
        gymnasium.make("hopgym/System", system="LJ38")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Gupta-Ag2Au2", r"gymnasium.make\(\"hopgym/System\", system='Gupta-Ag2Au2'\)"),
        ("Gupta-Cu3", "no parameter set for Cu"),
        ("LJ-151", "LJ-2 to LJ-150"),
        ("LJ75", "did you mean 'LJ-75'"),
        ("lj-75", "did you mean 'LJ-75'"),
        ("Morse", "did you mean 'Morse6-9'"),
        ("SW-Si16", "SW-Si8, SW-Si64, SW-Si216"),
        ("Systems", "did you mean 'System'"),
        ("nonsense", r"hopgym/System.*any system"),
    ],
)
@pytest.mark.parametrize("make", [gymnasium.make, gymnasium.make_vec, gymnasium.spec])
def test_unknown_ids(make, name, message):
    with pytest.raises(gymnasium.error.NameNotFound, match=message):
        make(f"hopgym/{name}")


def test_unknown_ids_of_others():
    with pytest.raises(gymnasium.error.NameNotFound, match="Did you mean: `CartPole`"):
        gymnasium.make("CartPol")


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
@pytest.mark.parametrize(
    "bad", ["north", None, np.zeros(9, complex), np.zeros(9, bool), ["0"] * 9, {}]
)
@pytest.mark.usefixtures("unchecked")
def test_wrong_types_of_actions(make, bad):
    env = make(LJ3)
    env.reset()
    with pytest.raises(ValueError, match="LJ-3: actions must be an array of real"):
        env.step(bad)


@pytest.mark.usefixtures("unchecked")
def test_whole_actions():
    env = ClusterEnv(LJ3)
    env.reset(options={"positions": TRIANGLE})
    for action in (np.ones(9, int), [1] * 9, jax.numpy.ones(9, int)):
        before = np.asarray(env.state.positions)
        env.step(action)
        np.testing.assert_allclose(env.state.positions, before + 0.1, atol=1e-6)


@pytest.mark.parametrize("make", [ClusterEnv, ClusterVectorEnv])
@pytest.mark.parametrize("seed", [-1, 1.5, "1", True, [[1, 2]], [1, -1, 2], [1, 0.5]])
@pytest.mark.usefixtures("unchecked")
def test_bad_seeds(make, seed):
    env = make(LJ3)
    with pytest.raises(ValueError, match="seed"):
        env.reset(seed=seed)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.zeros(9))


@pytest.mark.parametrize("make", [ClusterEnv, ClusterVectorEnv])
@pytest.mark.usefixtures("unchecked")
def test_seeds_of_other_types(make):
    env = make(LJ3)
    np.testing.assert_array_equal(env.reset(seed=3)[0], env.reset(seed=np.int64(3))[0])
    assert np.all(np.isfinite(env.reset(seed=2**70)[0]))
    many = vector()
    seeds: Any = np.array([3, 4, 5])
    seen, _ = many.reset(seed=[3, 4, 5])
    np.testing.assert_array_equal(seen, many.reset(seed=seeds)[0])


@pytest.mark.parametrize("make", [ClusterEnv, ClusterVectorEnv])
@pytest.mark.usefixtures("unchecked")
def test_options(make):
    env = make(LJ3)
    with pytest.raises(ValueError, match="options must be a dictionary"):
        env.reset(options=5)
    with pytest.raises(ValueError, match="must be an array of real numbers"):
        env.reset(options={"positions": "here"})
    with pytest.raises(ValueError, match="must be finite"):
        env.reset(options={"positions": TRIANGLE.astype(float) * 1e39})
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
        ({"render_mode": 5}, "render_mode"),
        ({"max_displacement": -0.1}, "max_displacement"),
        ({"horizon": 2**40}, "horizon"),
        ({"step_limit": 1.5}, "step_limit"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*human:UserWarning")
@pytest.mark.usefixtures("unchecked")
def test_bad_arguments(arguments, message):
    for make in (ClusterEnv, ClusterVectorEnv):
        with pytest.raises(ValueError, match=rf"{message} must be"):
            make(LJ3, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *(({"num_envs": n}, "num_envs") for n in (0, -1, 1.5, 2**40, "3", None)),
        *(({"max_episode_steps": n}, "max_episode_steps") for n in (0, -2, 1.5, "9")),
        ({"autoreset_mode": "never"}, "autoreset_mode must be one of .*'SameStep'"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_arguments_of_vectors(arguments, message):
    with pytest.raises(ValueError, match=message):
        ClusterVectorEnv(LJ3, **arguments)


@pytest.mark.parametrize("make", [ClusterEnv, ClusterVectorEnv])
@pytest.mark.usefixtures("unchecked")
def test_something_else_than_a_system(make):
    for system in (5, None, ["LJ-3"]):
        with pytest.raises(
            ValueError, match=r"the name of a system or a hopgym\.System"
        ):
            make(system)
    with pytest.raises(ValueError, match="stacked"):
        make(hopgym.stack([LJ3, LJ3]))


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
    assert int(vector().mdp.step_limit) == 50_000
    assert int(vector(max_episode_steps=-1).mdp.step_limit) == 50_000
    assert int(vector(max_episode_steps=2**40, horizon=3).mdp.step_limit) == 3
    assert int(vector(step_limit=7).mdp.step_limit) == 7
    assert int(vector(step_limit=7, max_episode_steps=3).mdp.step_limit) == 3
    assert int(ClusterEnv(LJ3, step_limit=2).mdp.step_limit) == 2


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
    assert isinstance(frame, np.ndarray)
    assert frame.shape == (480, 480, 3) and frame.dtype == np.uint8
    many = vector(render_mode="rgb_array")
    many.reset(seed=0)
    frames = many.render()
    assert frames is not None
    assert len(frames) == 3 and not np.array_equal(frames[0], frames[1])
