"""Random keys as plain arrays, for code that handles arrays only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree


def unwrap_keys(tree: PyTree) -> tuple[PyTree, Callable[[PyTree], PyTree]]:
    """Replace the typed random keys of a pytree by their data.

    **Returns:** the pytree of plain arrays, and a function that restores the keys in a
    pytree of the same structure.
    """
    leaves, structure = jax.tree.flatten(tree)
    kinds = [jax.random.key_impl(leaf) if _is_key(leaf) else None for leaf in leaves]

    def wrap(plain: PyTree) -> PyTree:
        wrapped = [
            leaf if kind is None else jax.random.wrap_key_data(leaf, impl=kind)
            for leaf, kind in zip(jax.tree.leaves(plain), kinds, strict=True)
        ]
        return jax.tree.unflatten(structure, wrapped)

    data = [
        leaf if kind is None else jax.random.key_data(leaf)
        for leaf, kind in zip(leaves, kinds, strict=True)
    ]
    return jax.tree.unflatten(structure, data), wrap


def _is_key(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
