"""Rewards: functions of the states before and after a step."""

from __future__ import annotations

import abc
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from hopgym.environment import State
from hopgym.systems import System

# Energy gap, in energy scales, at which the squashed energy is 1/2. Random starts have
# a gap of about 10 times this (squashed energy 0.9), their quenched structures, for 13
# to 75 atoms, 0.5 to 1 times this (0.3 to 0.5): so the first descent and the search
# after it are worth about the same.
HALF_GAP = 0.1

# Energy gap, in energy scales, below which `log_gap` becomes linear: three decades
# below that of a random start.
LOG_RESOLUTION = 1e-3
GAP_LIMIT = 1e8  # energy gaps are clipped to this before the logarithm, in scales
_LOG_RANGE = float(np.log1p(1 / LOG_RESOLUTION))


def squash_energy(
    energy: Float[Array, "*batch"], scale: Float[Array, ""]
) -> Float[Array, "*batch"]:
    """Monotone, bounded transform h(E) of an energy, 0 at the lowest known energy.

        h(E) = g / (c + |g|),   g = E + scale,   c = 0.1 scale

    It is 1/2 at a gap g of c, and tends to 1 for random starts and overlapping atoms,
    however large their energy. Its slope increases towards the minimum, where small
    energy differences separate very different structures. NaN gives 1.

    **Arguments:**

    - `energy`: energy in the potential's unit.
    - `scale`: `energy_scale` of the system, that is, minus its lowest known energy.
    """
    gap = energy + scale
    bounded = gap / (HALF_GAP * scale + jnp.abs(gap))
    return jnp.where(jnp.isfinite(gap), bounded, 1)


def log_gap(
    energy: Float[Array, "*batch"], scale: Float[Array, ""]
) -> Float[Array, "*batch"]:
    """Logarithm l(E) of the gap to the lowest known energy, 0 at that energy.

        l(E) = sign(g) log(1 + |g| / d) / log(1 + scale / d),
        g = E + scale,   d = 0.001 scale

    The gap is clipped to 1e8 scales; NaN counts as this limit.

    **Arguments:** as for [`hopgym.rl.rewards.squash_energy`][].
    """
    gap = jnp.nan_to_num((energy + scale) / scale, nan=GAP_LIMIT)
    gap = jnp.clip(gap, -GAP_LIMIT, GAP_LIMIT)
    return jnp.sign(gap) * jnp.log1p(jnp.abs(gap) / LOG_RESOLUTION) / _LOG_RANGE


class AbstractReward(eqx.Module):
    """The reward of a step.

    To add one, write a final class and add it to `REWARDS`.
    """

    @abc.abstractmethod
    def compute(
        self, before: State, after: State, ended: Bool[Array, ""], system: System
    ) -> Float[Array, ""]:
        """Reward of one step.

        **Arguments:**

        - `before`, `after`: the states before and after the step.
        - `ended`: whether the step ends the episode.
        - `system`: a [`hopgym.System`][].
        """


class BestReward(AbstractReward):
    """Decrease of h(E), [`hopgym.rl.rewards.squash_energy`][], of the best energy.

    The rewards of an episode that starts high and ends at the lowest known minimum add
    up to about 1. Only steps to a new lowest energy are rewarded, so overlapping atoms
    never are; such steps are rare until an agent has learned to descend.
    """

    def compute(
        self, before: State, after: State, ended: Bool[Array, ""], system: System
    ) -> Float[Array, ""]:
        scale = system.energy_scale
        return squash_energy(before.best_energy, scale) - squash_energy(
            after.best_energy, scale
        )


class EnergyReward(AbstractReward):
    """Decrease of h(E), [`hopgym.rl.rewards.squash_energy`][], of the current energy.

    Every step is rewarded or punished, which makes the first stages of learning easier.
    The rewards of an episode that starts high and ends at the lowest known minimum add
    up to about 1.
    """

    def compute(
        self, before: State, after: State, ended: Bool[Array, ""], system: System
    ) -> Float[Array, ""]:
        scale = system.energy_scale
        return squash_energy(before.energy, scale) - squash_energy(after.energy, scale)


class LogReward(AbstractReward):
    """Decrease of l(E), [`hopgym.rl.rewards.log_gap`][], of the best energy.

    Every decade of the gap is worth the same, so the last one is not lost in the
    variation between descents.
    """

    def compute(
        self, before: State, after: State, ended: Bool[Array, ""], system: System
    ) -> Float[Array, ""]:
        scale = system.energy_scale
        return log_gap(before.best_energy, scale) - log_gap(after.best_energy, scale)


class FinalReward(AbstractReward):
    """1 - h(best energy) at the last step of the episode, and 0 before.

    h is [`hopgym.rl.rewards.squash_energy`][]. Only the outcome of the search is
    rewarded; the agent must find out which steps led to it.
    """

    def compute(
        self, before: State, after: State, ended: Bool[Array, ""], system: System
    ) -> Float[Array, ""]:
        outcome = 1 - squash_energy(after.best_energy, system.energy_scale)
        return jnp.where(ended, outcome, 0)


REWARDS: dict[str, Callable[[], AbstractReward]] = {
    "best": BestReward,
    "energy": EnergyReward,
    "log": LogReward,
    "final": FinalReward,
}
"""The rewards by name."""
