"""A control: every group with the same probability."""

from __future__ import annotations

import jax
from jaxtyping import PRNGKeyArray

from hopgym.optimizers.symmetry.choices.base import (
    AbstractChoice,
    Decision,
    Situation,
    decide,
)
from hopgym.optimizers.symmetry.rules import Rules


class Uniform(AbstractChoice):
    """Draw groups uniformly, whatever is known."""

    def choose(self, key: PRNGKeyArray, rules: Rules, situation: Situation) -> Decision:
        logits = situation.logits
        return decide(jax.random.randint(key, (), 0, len(logits)), logits.dtype)
