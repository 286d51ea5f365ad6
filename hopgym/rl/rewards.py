"""Scales of the energy on which rewards are differences."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

REWARDS = ("best", "energy", "log", "final")

# Energy above the lowest known one at which a height is 1/2, by the energy scale. A
# random start lies about 10 of these above (height 0.9), a first quench of 13 to 75
# atoms a half to one (height 0.3 to 0.5): descent and search are worth about the same.
HALF_HEIGHT = 0.1

# Relative gap below which a logarithm is linear: three decades below a start's.
RESOLUTION = 1e-3
GAP_LIMIT = 1e8  # relative gap to which logarithms are limited


def height(
    energy: Float[Array, "*batch"], scale: Float[Array, ""]
) -> Float[Array, "*batch"]:
    """h(E) = g / (c + |g|) of the gap g = E + scale, with c = 0.1 scale; 1 for NaN."""
    gap = energy + scale
    bounded = gap / (HALF_HEIGHT * scale + jnp.abs(gap))
    return jnp.where(jnp.isfinite(gap), bounded, 1)


def decades(
    energy: Float[Array, "*batch"], scale: Float[Array, ""]
) -> Float[Array, "*batch"]:
    """l(E) = sign(g) log(1 + |g| / d) / log(1 + scale / d) with d = 0.001 scale.

    The gap g = E + scale is limited to 1e8 of the scale, which NaN counts as.
    """
    gap = jnp.nan_to_num((energy + scale) / scale, nan=GAP_LIMIT)
    gap = jnp.clip(gap, -GAP_LIMIT, GAP_LIMIT)
    return jnp.sign(gap) * jnp.log1p(jnp.abs(gap) / RESOLUTION) / _WHOLE


_WHOLE = float(np.log1p(1 / RESOLUTION))
