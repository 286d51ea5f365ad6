"""Files from which work goes on: trees of arrays and random keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from hopgym.optimizers.learned import files


def write(path: str | Path, header: dict[str, Any], tree: PyTree) -> None:
    """Write a file so that it is there whole or not at all.

    **Raises:** `OSError` if it cannot be written.
    """
    files.write(path, header, jax.tree.map(_plain, tree))


def read(path: str | Path, like: PyTree) -> PyTree:
    """The tree of a file, which has the structure, shapes and dtypes of `like`.

    **Raises:** `ValueError` for a file that is damaged, or holds other arrays.
    """
    found = files.read(path, jax.tree.map(_plain, like))

    def as_in(model, leaf):
        if not _is_key(model):
            return leaf
        return jax.random.wrap_key_data(leaf, impl=jax.random.key_impl(model))

    return jax.tree.map(as_in, like, found)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _plain(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf
