"""Gradient descent, the paper's polish among others."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from hopgym.context import Context
from hopgym.optimizers.base import AbstractOptimizer, real


class GradientDescent(AbstractOptimizer[None]):
    """x <- x - rate * clip(gradient, -limit, limit).

    **Arguments:**

    - `rate`: learning rate, length^2 / energy in the system's own units.
    - `limit`: largest component of the gradient that is followed, energy / length.
    """

    rate: Float[Array, ""]
    limit: Float[Array, ""]

    def __init__(self, rate: float = 1e-3, limit: float = 100.0):
        self.rate = real(rate)
        self.limit = real(limit)

    def init(
        self, positions: Float[Array, "atoms 3"], *, key: PRNGKeyArray, context: Context
    ) -> None:
        return None

    def update(
        self,
        gradient: Float[Array, "atoms 3"],
        state: None,
        positions: Float[Array, "atoms 3"],
        *,
        value: Float[Array, ""],
        context: Context,
    ) -> tuple[Float[Array, "atoms 3"], None]:
        return -self.rate * jnp.clip(gradient, -self.limit, self.limit), None
