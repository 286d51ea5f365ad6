"""Gradient descent with clipped gradient components."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from hopgym._checks import LIMIT, NOT_NEGATIVE, check_fields
from hopgym._converters import to_float
from hopgym.context import Context
from hopgym.optimizers.base import AbstractOptimizer


class GradientDescent(AbstractOptimizer[None]):
    """x <- x - rate * clip(gradient, -limit, limit), as in the paper's polish.

    **Arguments:**

    - `rate`: learning rate, length^2 / energy in the system's own units.
    - `limit`: limit of the components of the gradient, energy / length.
    """

    rate: Float[Array, ""] = eqx.field(converter=to_float, default=1e-3)
    limit: Float[Array, ""] = eqx.field(converter=to_float, default=100.0)

    def __check_init__(self):
        check_fields(self, rate=NOT_NEGATIVE, limit=LIMIT)

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
