"""A quench of fixed length, by any optimizer."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from hopgym.context import Context
from hopgym.optimizers.base import AbstractLocalOptimizer, AbstractOptimizer


class FixedLengthState(eqx.Module):
    """The optimizer's state now and at the beginning, and evaluations so far."""

    inner: Any
    beginning: Any
    used: Int[Array, ""]


class FixedLength(AbstractLocalOptimizer[FixedLengthState]):
    """`optimizer` for a fixed number of evaluations (Learn2Hop, C.2: 5,000 of Adam).

    **Arguments:**

    - `optimizer`: what descends; its first state must not depend on the positions.
    - `evaluations`: length of the quench.
    """

    optimizer: AbstractOptimizer
    evaluations: Int[Array, ""]

    def __init__(self, optimizer: AbstractOptimizer, evaluations: int = 5000):
        self.optimizer = optimizer
        self.evaluations = jnp.asarray(evaluations, jnp.int32)

    def init(
        self, positions: Float[Array, "atoms 3"], *, key: PRNGKeyArray, context: Context
    ) -> FixedLengthState:
        inner = self.optimizer.init(positions, key=key, context=context)
        return FixedLengthState(inner, inner, jnp.zeros((), jnp.int32))

    def finished(self, state: FixedLengthState) -> Bool[Array, ""]:
        return state.used >= self.evaluations

    def restart(
        self, state: FixedLengthState, when: Bool[Array, ""]
    ) -> FixedLengthState:
        inner = jax.tree.map(
            lambda begun, now: jnp.where(when, begun, now), state.beginning, state.inner
        )
        return FixedLengthState(inner, state.beginning, jnp.where(when, 0, state.used))

    def update(
        self,
        gradient: Float[Array, "atoms 3"],
        state: FixedLengthState,
        positions: Float[Array, "atoms 3"],
        *,
        value: Float[Array, ""],
        context: Context,
    ) -> tuple[Float[Array, "atoms 3"], FixedLengthState]:
        displacement, inner = self.optimizer.update(
            gradient, state.inner, positions, value=value, context=context
        )
        return displacement, FixedLengthState(inner, state.beginning, state.used + 1)
