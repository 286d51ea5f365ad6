"""Converters of fields to arrays, for `equinox.field(converter=...)`."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def real(value: Any) -> Float[Array, "..."]:
    """`value` as an array of the default floating-point precision."""
    return jnp.asarray(value, float)


def integer(value: Any) -> Int[Array, "..."]:
    """`value` as an array of `int32`."""
    return jnp.asarray(value, jnp.int32)
