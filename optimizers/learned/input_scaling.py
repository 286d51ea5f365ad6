"""Scaling of network inputs of any magnitude: logarithm of the magnitude, and sign."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

P = 10.0  # Learn2Hop, section 3.1
SMALLEST = math.exp(-P)


def log_magnitude(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """log|x| / p, at least -1."""
    return fast_log(jnp.maximum(jnp.abs(x), SMALLEST)) * (1 / P)


def soft_sign(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Sign of x, or x e^p where |x| < e^-p."""
    return jnp.clip(x * (1 / SMALLEST), -1, 1)


# log2(1 + x) on [-1/4, 1/2], with an error below 6e-8.
LOG2 = np.polynomial.Chebyshev.interpolate(
    lambda x: np.log2(1 + x), 8, domain=[-0.25, 0.5]
).convert(kind=np.polynomial.Polynomial)
_MIDDLE = np.float32(0.75).view(np.int32)


@jax.custom_jvp
def fast_log(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """log(x) of positive normal numbers; in float32 faster than XLA's on CPUs."""
    if x.dtype != jnp.float32:
        return jnp.log(x)
    bits = jax.lax.bitcast_convert_type(x, jnp.int32)
    exponent = (bits - _MIDDLE) >> 23
    mantissa = jax.lax.bitcast_convert_type(bits - (exponent << 23), jnp.float32) - 1
    value = jnp.full_like(x, np.float32(LOG2.coef[-1]))
    for coefficient in LOG2.coef[-2::-1]:
        value = value * mantissa + np.float32(coefficient)
    return (exponent.astype(jnp.float32) + value) * np.float32(math.log(2))


@fast_log.defjvp
def _fast_log_jvp(primals, tangents):
    return fast_log(primals[0]), tangents[0] / primals[0]
