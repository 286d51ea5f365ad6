"""The choice of the zoo: from the prior, or also from the lowest energies so far."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from hopgym.optimizers.symmetry.choices.base import AbstractScoredChoice, Situation
from hopgym.optimizers.symmetry.rules import Rules


class ByMerit(AbstractScoredChoice):
    """Draw a group with a probability that falls with its lowest energy.

    See `exploration` of [`hopgym.optimizers.symmetry.rules.Rules`][].
    """

    def score(
        self, key: PRNGKeyArray, rules: Rules, situation: Situation
    ) -> Float[Array, " groups"]:
        """Logarithms of the probabilities, with Gumbel noise."""
        explore_key, key = jax.random.split(key)
        logits = situation.logits + weigh(explore_key, rules, situation)
        return logits + jax.random.gumbel(key, logits.shape, logits.dtype)


def weigh(
    key: PRNGKeyArray, rules: Rules, situation: Situation
) -> Float[Array, " groups"]:
    """What is added to the logits: zero, or how far the groups are from the best."""
    lowest, tried = situation.evidence.lowest, situation.evidence.is_tried
    above = jnp.where(tried, lowest - jnp.min(lowest), 0)
    merit = jnp.where(tried, -above / (rules.spread * situation.energy_unit), -1)
    guided = jax.random.uniform(key) >= rules.exploration
    return jnp.where(guided & jnp.any(tried), merit, 0)
