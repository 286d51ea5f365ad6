"""Quenches with a fixed number of evaluations, by any optimizer."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from hopgym._checks import POSITIVE, check_fields
from hopgym._converters import to_int
from hopgym.context import Context
from hopgym.optimizers.base import AbstractLocalOptimizer, AbstractOptimizer


class FixedLengthState(eqx.Module):
    """Current and initial state of the optimizer, and evaluations of this quench."""

    opt_state: Any
    initial: Any
    evaluations: Int[Array, ""]


class FixedLength(AbstractLocalOptimizer[FixedLengthState]):
    """A quench with a fixed number of updates (Learn2Hop, C.2: 5,000 of Adam).

    **Arguments:**

    - `optimizer`: the optimizer; its initial state must not depend on the positions.
    - `evaluations`: length of the quench.
    """

    optimizer: AbstractOptimizer
    evaluations: Int[Array, ""] = eqx.field(converter=to_int, default=5000)

    def __check_init__(self):
        check_fields(self, evaluations=POSITIVE)

    def init(
        self, positions: Float[Array, "atoms 3"], *, key: PRNGKeyArray, context: Context
    ) -> FixedLengthState:
        opt_state = self.optimizer.init(positions, key=key, context=context)
        return FixedLengthState(opt_state, opt_state, jnp.zeros((), jnp.int32))

    def finished(self, state: FixedLengthState) -> Bool[Array, ""]:
        return state.evaluations >= self.evaluations

    def restart(
        self, state: FixedLengthState, when: Bool[Array, ""]
    ) -> FixedLengthState:
        opt_state = jax.tree.map(
            lambda initial, now: jnp.where(when, initial, now),
            state.initial,
            state.opt_state,
        )
        evaluations = jnp.where(when, 0, state.evaluations)
        return FixedLengthState(opt_state, state.initial, evaluations)

    def update(
        self,
        gradient: Float[Array, "atoms 3"],
        state: FixedLengthState,
        positions: Float[Array, "atoms 3"],
        *,
        value: Float[Array, ""],
        context: Context,
    ) -> tuple[Float[Array, "atoms 3"], FixedLengthState]:
        displacement, opt_state = self.optimizer.update(
            gradient, state.opt_state, positions, value=value, context=context
        )
        return displacement, FixedLengthState(
            opt_state, state.initial, state.evaluations + 1
        )
