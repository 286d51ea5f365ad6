"""Random keys: as users pass them, and as plain arrays for code without keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray, PyTree

from hopgym._checks import describe


def as_key(key: Any) -> PRNGKeyArray:
    """Convert a random key to a typed one; every function that takes a key does so.

    Both kinds of keys give the same random numbers.

    **Arguments:**

    - `key`: a key by `jax.random.key`, or the array of one by `jax.random.PRNGKey`.

    **Raises:** `ValueError` for anything else, such as a number or a batch of keys.
    """
    if _is_key(key):
        if key.ndim == 0:
            return key
        found = f"keys of shape {key.shape}: use jax.vmap"
    else:
        found = describe(key)
        is_raw = getattr(key, "dtype", None) == jnp.uint32
        kind = jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0)))
        if is_raw and jnp.shape(key) == kind.shape:
            return jax.random.wrap_key_data(jnp.asarray(key))
    raise ValueError(f"key must be one random key, jax.random.key(seed), got {found}")


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
