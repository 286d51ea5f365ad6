"""A choice that knows how often groups have met the minima of other systems.

Of the theory of optimal search: the place with the highest probability of detection is
searched next, and those that were searched in vain become less probable. B. O. Koopman,
Operations Research 5, 613 (1957).
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from hopgym._checks import NOT_NEGATIVE, check_fields, is_known
from hopgym._converters import to_float
from hopgym.optimizers.symmetry.choices.base import AbstractScoredChoice, Situation
from hopgym.optimizers.symmetry.rules import Rules


class ByExperience(AbstractScoredChoice):
    """Choose the group that most probably meets the minimum next.

    The system is believed to be like one of those that are known. Had it the rates of
    one of them, the minimum would not have been met so far with the probability
    exp(-sum of rate times evaluations); Bayes' rule makes weights of these.

    **Arguments:**

    - `rates`: hits per evaluation of each group on each known system.
    - `weights`: of the known systems before anything was searched.

    Groups that met no minimum of a known system are never chosen.

    **Raises:** `ValueError` if rates or weights are negative or not finite, there are
    not as many weights as systems, or none is positive.
    """

    rates: Float[Array, "systems groups"] = eqx.field(converter=to_float)
    weights: Float[Array, " systems"] = eqx.field(converter=to_float)

    def __check_init__(self):
        check_fields(self, rates=NOT_NEGATIVE, weights=NOT_NEGATIVE)
        if self.rates.shape[:-1] != self.weights.shape:
            raise ValueError(
                f"ByExperience: there must be a weight for each of {len(self.rates)} "
                f"systems, got {len(self.weights)}"
            )
        if is_known(self.weights) and not np.any(self.weights):
            raise ValueError("ByExperience: a weight must be positive")

    def check(self, groups: int) -> None:
        if self.rates.shape[1] != groups:
            raise ValueError(
                f"ByExperience: there must be a rate for each of {groups} groups, got "
                f"{self.rates.shape[1]}"
            )

    def score(
        self, key: PRNGKeyArray, rules: Rules, situation: Situation
    ) -> Float[Array, " groups"]:
        """Logarithms of the expected hits per evaluation."""
        spent = to_float(situation.evidence.evaluations)
        weights = jax.nn.log_softmax(jnp.log(self.weights) - self.rates @ spent)
        return jax.nn.logsumexp(weights[:, None], axis=0, b=self.rates)
