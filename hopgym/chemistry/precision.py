"""Double precision, as in ASE, independent of JAX's default precision."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree


def to_float64(tree: PyTree) -> PyTree:
    """Convert the floating-point arrays of a pytree to double precision.

    A single-precision value becomes the shortest decimal number that rounds to it, so
    that parameters of up to six digits, such as 10.229, are recovered exactly.
    """
    with jax.enable_x64(True):
        return jax.tree.map(_convert_leaf, tree)


def _convert_leaf(leaf: Any) -> Any:
    if not eqx.is_inexact_array(leaf) or leaf.dtype == jnp.float64:
        return leaf
    return jnp.asarray(np.asarray(leaf).astype(str).astype(np.float64))
