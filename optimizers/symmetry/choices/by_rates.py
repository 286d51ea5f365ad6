"""A control that knows more than a search may know: how often groups meet minima."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from hopgym._checks import describe, is_known
from hopgym._converters import to_float
from hopgym.optimizers.symmetry.choices.base import (
    AbstractChoice,
    Decision,
    Situation,
    decide,
)
from hopgym.optimizers.symmetry.rules import Rules


class ByRates(AbstractChoice):
    """Draw groups in proportion to known rates, whatever the search has found.

    **Arguments:**

    - `rates`: of each group, not negative: such as hits per evaluation.

    **Raises:** `ValueError` if no rate is positive, or one is negative or not finite.
    """

    rates: Float[Array, " groups"] = eqx.field(converter=to_float)

    def __check_init__(self):
        rates = self.rates
        if is_known(rates) and not (
            jnp.isfinite(rates).all() and (rates >= 0).all() and (rates > 0).any()
        ):
            raise ValueError(
                f"ByRates: rates must be positive or 0, and not all 0, got "
                f"{describe(rates)}"
            )

    def check(self, groups: int) -> None:
        if len(self.rates) != groups:
            raise ValueError(
                f"ByRates: there must be a rate for each of {groups} groups, got "
                f"{len(self.rates)}"
            )

    def choose(self, key: PRNGKeyArray, rules: Rules, situation: Situation) -> Decision:
        group = jax.random.categorical(key, jnp.log(self.rates))
        return decide(group, situation.logits.dtype)
