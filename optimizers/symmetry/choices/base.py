"""The interface of choices of the next epoch."""

from __future__ import annotations

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from hopgym.optimizers.symmetry.evidence import Evidence
from hopgym.optimizers.symmetry.rules import Rules


class Situation(eqx.Module):
    """What is known at the start of an epoch.

    **Attributes:**

    - `logits`: logarithms of the prior probabilities of the groups.
    - `evidence`: what epochs have found.
    - `energy_unit`: the system's unit of energy.
    - `evaluations`, `epochs`: numbers so far.
    """

    logits: Float[Array, " groups"]
    evidence: Evidence
    energy_unit: Float[Array, ""]
    evaluations: Int[Array, ""]
    epochs: Int[Array, ""]


class Decision(eqx.Module):
    """The next epoch.

    **Attributes:**

    - `group`: index of its group.
    - `patience`, `loose`, `give_up`: factors of these constants of
      [`hopgym.optimizers.symmetry.rules.Rules`][].
    - `compressed`: factor of the odds of a compressed start.
    """

    group: Int[Array, ""]
    patience: Float[Array, ""]
    loose: Float[Array, ""]
    give_up: Float[Array, ""]
    compressed: Float[Array, ""]


def decide(group: Int[Array, ""], dtype: jnp.dtype) -> Decision:
    """An epoch in a group by the usual rules."""
    one = jnp.ones((), dtype)
    return Decision(group.astype(jnp.int32), one, one, one, one)


class AbstractChoice(eqx.Module):
    """Chooses the group of the next epoch, and how it is searched."""

    def check(self, groups: int) -> None:
        """Raise `ValueError` if it cannot choose among so many groups."""

    @abc.abstractmethod
    def choose(self, key: PRNGKeyArray, rules: Rules, situation: Situation) -> Decision:
        """Choose the next epoch."""


class AbstractScoredChoice(AbstractChoice):
    """Chooses the group with the highest score, by the usual rules."""

    @abc.abstractmethod
    def score(
        self, key: PRNGKeyArray, rules: Rules, situation: Situation
    ) -> Float[Array, " groups"]:
        """Score the groups, with random numbers if the choice is random."""

    def choose(self, key: PRNGKeyArray, rules: Rules, situation: Situation) -> Decision:
        scores = self.score(key, rules, situation)
        return decide(jnp.argmax(scores), scores.dtype)
