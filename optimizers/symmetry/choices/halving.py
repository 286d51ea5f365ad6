"""A bandit: every halving of the number of groups doubles the epochs of each.

Z. Karnin, T. Koren and O. Somekh, Proceedings of the 30th International Conference on
Machine Learning, PMLR 28, 1238 (2013).
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from hopgym.optimizers.symmetry.choices.base import (
    AbstractChoice,
    Decision,
    Situation,
    decide,
)
from hopgym.optimizers.symmetry.rules import Rules


class SuccessiveHalving(AbstractChoice):
    """Share epochs out so that the best groups get twice as many as the best half.

    Without an end of the search there are no rounds: the group of rank r by its lowest
    energy is entitled to epochs in proportion to 1 / 2^floor(log2 r), and the one that
    lacks most of them is next. First is each group once, in the order of the prior.
    """

    def choose(self, key: PRNGKeyArray, rules: Rules, situation: Situation) -> Decision:
        evidence, logits = situation.evidence, situation.logits
        # Untried groups are ranked behind the others, by the prior.
        order = jnp.lexsort((-logits, evidence.lowest))
        rank = jnp.zeros_like(order).at[order].set(jnp.arange(1, len(order) + 1))
        share = 1 / 2 ** jnp.floor(jnp.log2(rank.astype(logits.dtype)))
        visits = evidence.visits
        lack = (jnp.sum(visits) + 1) * share / jnp.sum(share) - visits
        # In the first round, one epoch for each.
        is_new = visits == 0
        lack = jnp.where(jnp.any(is_new), jnp.where(is_new, -rank, -jnp.inf), lack)
        return decide(jnp.argmax(lack), logits.dtype)
