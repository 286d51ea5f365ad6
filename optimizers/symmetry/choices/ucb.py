"""A bandit: the best confidence bound.

P. Auer, N. Cesa-Bianchi and P. Fischer, Machine Learning 47, 235 (2002).
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from hopgym._checks import NOT_NEGATIVE, check_fields
from hopgym._converters import to_float
from hopgym.optimizers.symmetry.choices.base import AbstractScoredChoice, Situation
from hopgym.optimizers.symmetry.choices.beliefs import Beliefs
from hopgym.optimizers.symmetry.rules import Rules


class UCB(AbstractScoredChoice):
    """Choose the group with the lowest bound, mean - width spread sqrt(ln t / n).

    t and n are the numbers of all epochs and of those of the group, with those that the
    beliefs are worth.

    **Arguments:**

    - `beliefs`: about the epochs of each group.
    - `width`: of the bound.
    """

    beliefs: Beliefs = eqx.field(default_factory=Beliefs)
    width: Float[Array, ""] = eqx.field(converter=to_float, default=1.0)

    def __check_init__(self):
        check_fields(self, width=NOT_NEGATIVE)

    def score(
        self, key: PRNGKeyArray, rules: Rules, situation: Situation
    ) -> Float[Array, " groups"]:
        """The bounds, in units of energy below zero."""
        means, spreads, count = self.beliefs.update(situation)
        doubt = jnp.sqrt(jnp.log(jnp.sum(count)) / count)
        return (self.width * spreads * doubt - means) / situation.energy_unit
