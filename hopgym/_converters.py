"""Converters of fields to arrays, for `equinox.field(converter=...)`."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def to_float(value: Any) -> Float[Array, "..."]:
    """Convert to an array of the default floating-point precision."""
    return jnp.asarray(value, float)


def to_int(value: Any) -> Int[Array, "..."]:
    """Convert to an array of `int32`."""
    return jnp.asarray(value, jnp.int32)
