"""Work that most updates do not need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Bool


def lazily(
    needed: Bool[Array, ""], compute: Callable[..., Any], otherwise: Any, *operands: Any
) -> Any:
    """`compute(*operands)` where `needed`, else `otherwise`.

    Like `jax.lax.cond`, but under `jax.vmap`, where a condition becomes a selection
    and both sides are computed, the work is still skipped if no replica needs it.

    **Arguments:**

    - `needed`: whether to compute.
    - `compute`: a function of arrays that closes over none.
    - `otherwise`: a pytree of the structure, shapes and dtypes of its result.
    - `operands`: pytrees of arrays.
    """

    @custom_vmap
    def choose(needed, otherwise, operands):
        return jax.lax.cond(needed, lambda: compute(*operands), lambda: otherwise)

    @choose.def_vmap
    def choose_for_all(axis_size, in_batched, needed, otherwise, operands):
        def batched(tree, flags):
            return jax.tree.map(
                lambda x, flag: (
                    x if flag else jnp.broadcast_to(x, (axis_size, *x.shape))
                ),
                tree,
                flags,
            )

        needed, otherwise, operands = (
            batched(tree, flags)
            for tree, flags in zip(
                (needed, otherwise, operands), in_batched, strict=True
            )
        )

        def select(keep, new):
            mask = needed.reshape(needed.shape + (1,) * (new.ndim - needed.ndim))
            return jnp.where(mask, new, keep)

        result = jax.lax.cond(
            jnp.any(needed),
            lambda: jax.tree.map(select, otherwise, jax.vmap(compute)(*operands)),
            lambda: otherwise,
        )
        return result, jax.tree.map(lambda _: True, otherwise)

    return choose(needed, otherwise, operands)
