"""A space that can be sampled within compiled functions."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32, PRNGKeyArray


@dataclasses.dataclass(frozen=True, eq=False)
class Box:
    """Space of arrays within bounds, like gymnax's `Box`.

    **Arguments:**

    - `low`, `high`: the bounds, arrays of the space's shape.
    """

    low: Float32[np.ndarray, "..."]
    high: Float32[np.ndarray, "..."]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of an element."""
        return self.high.shape

    @property
    def dtype(self) -> np.dtype:
        """Type of an element's components."""
        return self.high.dtype

    def sample(self, key: PRNGKeyArray) -> Float32[Array, "..."]:
        """Draw a uniformly distributed element."""
        return jax.random.uniform(key, self.shape, self.dtype, self.low, self.high)

    def contains(self, x: Float32[Array, "..."]) -> Bool[Array, ""]:
        """Whether `x` lies within the bounds."""
        return jnp.all((x >= self.low) & (x <= self.high))
