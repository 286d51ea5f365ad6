"""The starts of a suite."""

from __future__ import annotations

import jax
import numpy as np

from hopgym.environment import Environment
from hopgym.optimizers import GradientDescent
from hopgym.rollout import Rollout
from hopgym.suites.suite import Suite
from hopgym.systems import System


def compute_start_energies(system: System, suite: Suite) -> np.ndarray:
    """Energies of the initial structures of a system in a suite, `(starts,)`."""
    key = jax.random.key(suite.derive_seed(system.name))
    run = Rollout(Environment(system), GradientDescent(), key, suite.starts)
    return np.asarray(run.state.energy, float)
