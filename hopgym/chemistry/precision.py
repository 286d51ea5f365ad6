"""Double precision, which users of ASE count on, whatever that of the process is."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree


def to_float64(tree: PyTree) -> PyTree:
    """The tree with its real numbers in double precision.

    One in single precision becomes the shortest decimal that rounds to it: a parameter
    of at most six digits, such as 10.229, is what was written.
    """
    with jax.enable_x64(True):
        return jax.tree.map(_in_double, tree)


def _in_double(leaf: Any) -> Any:
    if not eqx.is_inexact_array(leaf) or leaf.dtype == jnp.float64:
        return leaf
    return jnp.asarray(np.asarray(leaf).astype(str).astype(np.float64))
