"""A bandit: what the best of the next epochs of each group may reach, drawn at random.

W. R. Thompson, Biometrika 25, 285 (1933).
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from hopgym._checks import NOT_NEGATIVE, check_fields
from hopgym._converters import to_float
from hopgym.optimizers.symmetry.choices.base import AbstractScoredChoice, Situation
from hopgym.optimizers.symmetry.choices.beliefs import Beliefs
from hopgym.optimizers.symmetry.rules import Rules


class Thompson(AbstractScoredChoice):
    """Draw the mean of each group from the beliefs; choose the lowest tail.

    The tail is `tail` spreads below the mean: a minimum is found by good epochs, not by
    the mean one.

    **Arguments:**

    - `beliefs`: about the epochs of each group.
    - `tail`: in spreads of single epochs.
    """

    beliefs: Beliefs = eqx.field(default_factory=Beliefs)
    tail: Float[Array, ""] = eqx.field(converter=to_float, default=1.0)

    def __check_init__(self):
        check_fields(self, tail=NOT_NEGATIVE)

    def score(
        self, key: PRNGKeyArray, rules: Rules, situation: Situation
    ) -> Float[Array, " groups"]:
        """Energies that the groups may reach, in units below zero."""
        means, spreads, count = self.beliefs.update(situation)
        noise = jax.random.normal(key, means.shape, means.dtype) / jnp.sqrt(count)
        reached = means + spreads * (noise - self.tail)
        return -reached / situation.energy_unit
