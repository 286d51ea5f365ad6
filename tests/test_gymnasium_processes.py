"""Environments that are copied, pickled, and sent to other processes."""

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
from typing import Any

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv
from gymnasium_cases import LJ3, single, vector

import hopgym
from hopgym.gymnasium import ClusterEnv, ClusterVectorEnv
from hopgym.optimizers import ZOO, make_optimizer
from hopgym.rl import MDP, GymnaxEnvironment

COPIES = {
    "pickle": lambda thing: pickle.loads(pickle.dumps(thing)),
    "deepcopy": copy.deepcopy,
}
VARIANTS: tuple[dict[str, Any], ...] = (
    {},
    {"observation": "dict", "reward": "log"},
    {"action": "hop", "observation": "neighbours", "quench_steps": 20},
    {"array_backend": "jax", "reward": "final", "horizon": 3},
)
forks = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="no fork"
)


@pytest.fixture(params=COPIES)
def copied(request):
    return COPIES[request.param]


def episode(env, steps=4):
    """What is seen in the steps to come, resets included."""
    rng = np.random.default_rng(0)
    shape = env.action_space.shape
    seen = [
        env.step(rng.uniform(-1, 1, shape).astype(np.float32)) for _ in range(steps)
    ]
    return jax.tree.leaves((seen, env.reset(), env.reset(seed=5)))


def assert_same(env, other):
    for one, same in zip(episode(env), episode(other), strict=True):
        np.testing.assert_array_equal(one, same)


@pytest.mark.parametrize("arguments", VARIANTS)
def test_copies_of_environments(copied, arguments):
    env = ClusterEnv(LJ3, **arguments)
    fresh = copied(env)
    env.reset(seed=1)
    fresh.reset(seed=1)
    assert_same(env, fresh)
    env.step(np.ones(9, np.float32))
    assert_same(copied(env), env)


@pytest.mark.parametrize("arguments", [VARIANTS[1], VARIANTS[3]])
def test_copies_of_vectors(copied, arguments):
    many = ClusterVectorEnv(LJ3, 2, autoreset_mode="SameStep", **arguments)
    many.reset(seed=1)
    many.step(np.ones((2, 9), np.float32))
    assert_same(copied(many), many)


def test_copies_of_wrapped_environments(copied):
    env = single(max_episode_steps=3, reward="final")
    env.reset(seed=2)
    env.step(np.ones(9, np.float32))
    other = copied(env)
    for _ in range(2):
        action = np.ones(9, np.float32)
        for one, same in zip(env.step(action), other.step(action), strict=True):
            np.testing.assert_equal(one, same)
    assert other.spec is not None and other.spec.max_episode_steps == 3


@pytest.mark.parametrize("name", ["LJ-3", "Gupta-Ag2Au1", "SW-Si8", "Morse14-5"])
def test_copies_of_systems(copied, name):
    system = hopgym.get_system(name)
    other = copied(system)
    positions = system.length * np.random.default_rng(0).normal(size=(system.atoms, 3))
    assert other.name == name and other.elements == system.elements
    for one, same in zip(
        system.energy_and_gradient(positions.astype(np.float32)),
        other.energy_and_gradient(positions.astype(np.float32)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, same)


@pytest.mark.parametrize("name", ZOO)
def test_copies_of_optimizers(copied, name):
    optimizer = make_optimizer(name, system=LJ3, steps=100)
    other = copied(optimizer)
    assert type(other) is type(optimizer)
    leaves = zip(jax.tree.leaves(other), jax.tree.leaves(optimizer), strict=True)
    for one, same in leaves:
        np.testing.assert_array_equal(one, same)


def test_copies_of_pure_functions(copied):
    mdp = MDP(hopgym.Environment(LJ3), action="hop", observation="neighbours")
    other = copied(mdp)
    assert jax.tree.structure(other) == jax.tree.structure(mdp)
    environment = GymnaxEnvironment(LJ3, starts=2, horizon=2)
    same = copied(environment)
    for key in jax.random.split(jax.random.key(0)):
        observation, state = environment.reset(key)
        np.testing.assert_array_equal(same.reset(key)[0], observation)
        outputs = environment.step(key, state, jax.numpy.ones(9))
        again = same.step(key, state, jax.numpy.ones(9))
        jax.tree.map(np.testing.assert_array_equal, again, outputs)


def make_limited():
    return gymnasium.make("hopgym/LJ-3", reward="final", max_episode_steps=1)


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
def test_gymnasiums_vector_in_spawned_processes():
    many = AsyncVectorEnv([make_limited] * 2, context="spawn")
    try:
        observations, _ = many.reset(seed=0)
        plain = gymnasium.make_vec("hopgym/LJ-3", num_envs=2)
        np.testing.assert_allclose(observations, plain.reset(seed=0)[0], atol=2e-2)
        rewards = many.step(np.zeros((2, 9), np.float32))[1]
        assert np.all(rewards > 0)
    finally:
        many.close()


@forks
@pytest.mark.parametrize("context", ["fork", None])
def test_gymnasiums_vector_in_forked_processes(context, monkeypatch):
    default = multiprocessing.get_context("fork")
    get_context = multiprocessing.get_context
    monkeypatch.setattr(
        multiprocessing,
        "get_context",
        lambda method=None: default if method is None else get_context(method),
    )
    with pytest.raises(ValueError, match=r"'context': 'spawn'"):
        gymnasium.make_vec(
            "hopgym/System",
            system=LJ3,
            vectorization_mode="async",
            vector_kwargs={"context": context},
        )
    with pytest.raises(ValueError, match=r"'context': 'spawn'"):
        AsyncVectorEnv([single], context=context)


FORK = """
import os, sys, warnings
import jax, numpy as np
import hopgym
from hopgym.gymnasium import ClusterEnv, ClusterVectorEnv
from hopgym.rl import GymnaxEnvironment

warnings.simplefilter("ignore")
if sys.argv[1] == "started":
    env, many = ClusterEnv("LJ-3"), ClusterVectorEnv("LJ-3", 2)
    env.reset(seed=0), many.reset(seed=0)
    attempts = [
        lambda: env.reset(),
        lambda: env.step(np.zeros(9)),
        lambda: many.reset(),
        lambda: many.step(np.zeros((2, 9))),
        lambda: ClusterEnv("LJ-3"),
        lambda: ClusterVectorEnv("LJ-3", 2),
        lambda: GymnaxEnvironment("LJ-3", starts=1),
    ]
else:
    attempts = [lambda: ClusterEnv("LJ-3").reset(seed=0)]
process = os.fork()
if process:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
refused = 0
for attempt in attempts:
    try:
        attempt()
    except RuntimeError as error:
        refused += "spawn" in str(error)
os._exit(refused)
"""


@forks
@pytest.mark.parametrize(("when", "refused"), [("started", 7), ("not started", 0)])
def test_forked_processes(when, refused):
    done = subprocess.run(
        [sys.executable, "-c", FORK, when], timeout=120, env=os.environ
    )
    assert done.returncode == refused


def test_vectors_of_a_spawned_process():
    many = vector()
    many.reset(seed=3)
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        observations = pool.apply(step_in_another_process, (many,))
    expected = many.step(np.ones((3, 9), np.float32))[0]
    np.testing.assert_allclose(observations, expected, atol=2e-2)


def step_in_another_process(many):
    return many.step(np.ones((3, 9), np.float32))[0]
