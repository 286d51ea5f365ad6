"""What the tests of the Gymnasium environments share."""

import dataclasses

import gymnasium
import jax
import numpy as np
from gymnasium.vector import AutoresetMode

import hopgym
from hopgym.gymnasium import ClusterVectorEnv
from hopgym.systems.start import AbstractStart

TRIANGLE = np.array([[0, 0, 0], [1, 0, 0], [0.5, 0.75**0.5, 0]], np.float32)
WIDE = 1.1 * TRIANGLE
INFO = {"energy", "best_energy", "success", "first_hit", "step", "evaluations"}
INFO |= {"faults"}


class Uniform(AbstractStart):
    """Starts that compile in no time."""

    def sample(self, key, atoms, length, box):
        return 3 * length * jax.random.uniform(key, (atoms, 3))


LJ3 = dataclasses.replace(hopgym.get_system("LJ-3"), start=Uniform())


def vector(
    mode: AutoresetMode | str = AutoresetMode.NEXT_STEP, num_envs=3, **arguments
) -> ClusterVectorEnv:
    made = gymnasium.make_vec(
        "hopgym/System", system=LJ3, num_envs=num_envs, autoreset_mode=mode, **arguments
    )
    assert isinstance(made, ClusterVectorEnv)
    return made


def single(**arguments):
    return gymnasium.make("hopgym/System", system=LJ3, **arguments)


def actions_towards(positions, states):
    """Actions that lead to `positions` if they are near enough."""
    return np.clip(np.asarray(positions - states) / 0.1, -1, 1)
