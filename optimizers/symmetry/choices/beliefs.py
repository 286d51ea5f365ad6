"""What bandits believe about the epochs of each group: a normal distribution."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hopgym._checks import NOT_NEGATIVE, POSITIVE, check_fields
from hopgym._converters import to_float
from hopgym.optimizers.symmetry.choices.base import Situation


class Beliefs(eqx.Module):
    """Means and spreads of the lowest energies of epochs, with few or none of a group.

    A group counts as `worth` more epochs with the mean and the spread of the epochs of
    all groups. Its mean is lower by `trust` for each unit by which the logarithm of its
    prior probability is above the mean of these.

    **Arguments:**

    - `worth`: in epochs.
    - `trust`, `spread`: in units of energy; `spread` is that of the first epochs.
    """

    worth: Float[Array, ""] = eqx.field(converter=to_float, default=2.0)
    trust: Float[Array, ""] = eqx.field(converter=to_float, default=1.0)
    spread: Float[Array, ""] = eqx.field(converter=to_float, default=5.0)

    def __check_init__(self):
        check_fields(self, worth=POSITIVE, trust=NOT_NEGATIVE, spread=POSITIVE)

    def update(
        self, situation: Situation
    ) -> tuple[
        Float[Array, " groups"], Float[Array, " groups"], Float[Array, " groups"]
    ]:
        """Means, spreads of single epochs, and how many epochs both are worth."""
        evidence, unit = situation.evidence, situation.energy_unit
        found = evidence.found.astype(evidence.mean.dtype)
        total = jnp.sum(found)
        share = found / jnp.maximum(total, 1)
        mean = jnp.sum(share * evidence.mean)
        # Within groups and between them.
        squares = jnp.sum(evidence.squares + found * (evidence.mean - mean) ** 2)
        first = self.worth * (self.spread * unit) ** 2
        pooled = (squares + first) / (total + self.worth)
        relative = jax.nn.log_softmax(situation.logits)
        before = mean - self.trust * unit * (relative - jnp.mean(relative))
        known = found + self.worth
        means = (found * evidence.mean + self.worth * before) / known
        spreads = jnp.sqrt((evidence.squares + self.worth * pooled) / known)
        return means, spreads, evidence.visits + self.worth
