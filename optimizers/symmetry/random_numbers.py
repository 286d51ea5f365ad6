"""Random numbers by seed, round and index: any of them can be drawn on its own."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Float, Int, UInt32


def draw(
    seed: UInt32[Array, "2"],
    round: Int[ArrayLike, "..."],
    index: Int[ArrayLike, "..."],
    dtype: DTypeLike,
) -> Float[Array, "..."]:
    """Uniform numbers in [0, 1), multiples of 2^-24.

    The hash is `lowbias32` of C. Wellons, "Prospecting for hash functions" (2018).

    **Arguments:**

    - `seed`: two words.
    - `round`: what the numbers are for; a move uses every round once.
    - `index`: which numbers of the round. Both broadcast against each other.
    """
    first, second = seed
    row = _mix(
        first ^ _mix(jnp.asarray(round).astype(jnp.uint32) + np.uint32(0x9E3779B9))
    )
    column = _mix(jnp.asarray(index).astype(jnp.uint32) + np.uint32(0x85EBCA6B))
    bits = _mix((row + second) ^ column) >> 8
    return bits.astype(dtype) * jnp.asarray(2.0**-24, dtype)


def _mix(x: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    """Spread every bit over all bits, reversibly."""
    x = (x ^ x >> 16) * np.uint32(0x7FEB352D)
    x = (x ^ x >> 15) * np.uint32(0x846CA68B)
    return x ^ x >> 16
