"""The spaces of observations and actions."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from hopgym.rl.mdp import Task
from hopgym.rl.observations import in_order
from hopgym.systems import System


def observation_space(task: Task) -> spaces.Space:
    bounds = task.bounds()
    if task.observation_kind == "dict":
        return spaces.Dict(
            {
                name: spaces.Box(-bound, bound, dtype=np.float32)
                for name, bound in bounds.items()
            }
        )
    bound = np.concatenate([bound.ravel() for bound in in_order(bounds)])
    return spaces.Box(-bound, bound, dtype=np.float32)


def action_space(system: System) -> spaces.Box:
    return spaces.Box(-1.0, 1.0, (3 * system.atoms,), np.float32)
