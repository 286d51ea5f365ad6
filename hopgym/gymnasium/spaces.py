"""The spaces of observations and actions."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from hopgym.systems import System
from hopgym.task import ENTRIES, Task


def observation_space(task: Task, observation: str) -> spaces.Space:
    boxes: dict[str, spaces.Space] = {
        name: spaces.Box(-bound, bound, dtype=np.float32)
        for name, bound in task.bounds().items()
    }
    if observation == "dict":
        return spaces.Dict(boxes)
    bound = np.concatenate([task.bounds()[name].ravel() for name in ENTRIES])
    return spaces.Box(-bound, bound, dtype=np.float32)


def action_space(system: System) -> spaces.Box:
    return spaces.Box(-1.0, 1.0, (3 * system.atoms,), np.float32)
