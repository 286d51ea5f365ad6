"""Agents of other projects, where these are installed, and the examples with them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hopgym
from hopgym.rl import GymnaxEnvironment, play

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run(name, *arguments):
    """What an example prints; it must succeed."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"MPLBACKEND": "agg"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_play_is_an_episode_from_each_start():
    environment = GymnaxEnvironment("LJ-3", starts=3, horizon=4)
    params = environment.default_params
    downhill = jax.jit(
        lambda: play(params, lambda seen, key: -seen[9:18] / 20, jax.random.key(0))
    )()
    assert downhill.step.tolist() == [4] * 3
    assert downhill.evaluations.tolist() == [5] * 3
    assert params.starts is not None
    assert np.all(downhill.best_energy < params.starts.best_energy)
    none = GymnaxEnvironment("LJ-3", starts=0).default_params
    with pytest.raises(ValueError, match="starts > 0"):
        play(none, lambda seen, key: seen[:9], jax.random.key(0))


def test_play_stops_where_the_minimum_is_found():
    environment = GymnaxEnvironment(
        "LJ-3", starts=2, horizon=3, action="hop", terminate_on_success=True
    )
    params = environment.default_params
    ended = play(params, lambda seen, key: jnp.zeros(9), jax.random.key(0))
    assert ended.step.tolist() == [0, 0]
    assert params.starts is not None
    np.testing.assert_array_equal(ended.evaluations, params.starts.evaluations)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_rejax():
    rejax = pytest.importorskip("rejax")
    environment = GymnaxEnvironment("LJ-3", starts=4, horizon=5, reward="energy")
    ppo = rejax.get_algo("ppo").create(
        env=environment,
        total_timesteps=80,
        eval_freq=40,
        num_envs=4,
        num_steps=5,
        num_minibatches=2,
        normalize_observations=True,
    )
    state, (lengths, returns) = jax.jit(ppo.train)(jax.random.PRNGKey(0))
    assert lengths.shape == (3, 128) and np.all(lengths == 5)
    assert np.all(np.isfinite(returns))
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(state.actor_ts.params))


def test_wrappers_of_cleanrl():
    printed = run("rl_cleanrl.py", "--system", "LJ-3", "--steps", 25, "--horizon", 10)
    assert printed.count("return") == 2


def test_example_of_rejax(tmp_path):
    pytest.importorskip("rejax")
    size = ["--steps", 400, "--envs", 4, "--horizon", 8, "--episodes", 4]
    run("rl_rejax.py", "--system", "LJ-3", *size, "--out", tmp_path)
    record = json.loads((tmp_path / "LJ-3-step.json").read_text())
    assert len(record["PPO"]["mean"]) == len(record["PPO"]["steps"]) == 21
    assert len(record["rivals"]) == 6 and record["evaluations"] == 9
    assert record["host"]["versions"]["hopgym"] == hopgym.__version__
    assert (tmp_path / "LJ-3-step.png").stat().st_size > 1000


def test_example_of_stable_baselines():
    pytest.importorskip("stable_baselines3")
    size = ["--steps", 64, "--envs", 2, "--horizon", 16, "--episodes", 2]
    assert "best energy" in run("rl_sb3.py", "--system", "LJ-3", *size)
