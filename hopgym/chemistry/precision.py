"""Double precision, which users of ASE count on, whatever that of the process is."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree


def in_double(tree: PyTree) -> PyTree:
    """The tree with its real numbers in double precision.

    Numbers that were rounded to single precision stay what they are.
    """
    with jax.enable_x64(True):
        return jax.tree.map(
            lambda leaf: (
                leaf.astype(jnp.float64) if eqx.is_inexact_array(leaf) else leaf
            ),
            tree,
        )
