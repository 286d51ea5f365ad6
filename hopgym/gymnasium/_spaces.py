"""The Gymnasium spaces of observations and actions."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from hopgym.rl.mdp import MDP
from hopgym.systems import System


def make_observation_space(mdp: MDP) -> spaces.Space:
    """Space of the observations of one replica: a `Dict` of boxes, or a `Box`."""
    if mdp.observation.is_dict:
        return spaces.Dict(
            {
                name: spaces.Box(-bound, bound, dtype=np.float32)
                for name, bound in mdp.bounds().items()
            }
        )
    bound = mdp.bound_vector()
    return spaces.Box(-bound, bound, dtype=np.float32)


def make_action_space(system: System) -> spaces.Box:
    """Space of the actions of one replica: `3 * atoms` components in [-1, 1]."""
    return spaces.Box(-1.0, 1.0, (3 * system.atoms,), np.float32)
