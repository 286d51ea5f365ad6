"""A control that knows more than a search may know: always the same group."""

from __future__ import annotations

import equinox as eqx
from jaxtyping import Array, Int, PRNGKeyArray

from hopgym._checks import check_integer, is_known
from hopgym._converters import to_int
from hopgym.optimizers.symmetry.choices.base import (
    AbstractChoice,
    Decision,
    Situation,
    decide,
)
from hopgym.optimizers.symmetry.rules import Rules


class Single(AbstractChoice):
    """Always choose one group.

    **Arguments:**

    - `group`: its index; `names` of the subspaces has the names.
    """

    group: Int[Array, ""] = eqx.field(converter=to_int)

    def check(self, groups: int) -> None:
        if is_known(self.group):
            check_integer("Single: group", int(self.group), 0, groups - 1)

    def choose(self, key: PRNGKeyArray, rules: Rules, situation: Situation) -> Decision:
        return decide(self.group, situation.logits.dtype)
