"""Work that most updates do not need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Bool

SMALLEST = 4  # replicas at a time, in small batches


def lazily(
    needed: Bool[Array, ""], compute: Callable[..., Any], otherwise: Any, *operands: Any
) -> Any:
    """`compute(*operands)` where `needed`, else `otherwise`.

    Like `jax.lax.cond`, but under `jax.vmap`, where a condition becomes a selection
    and both sides are computed for all, the work is done for those replicas that need
    it, an eighth of the batch at a time, and skipped if none does.

    **Arguments:**

    - `needed`: whether to compute.
    - `compute`: a function of arrays that closes over none.
    - `otherwise`: a pytree of the structure, shapes and dtypes of its result.
    - `operands`: pytrees of arrays (random keys as their data).
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

        result = for_those(needed, compute, otherwise, *operands)
        return result, jax.tree.map(lambda _: True, otherwise)

    return choose(needed, otherwise, operands)


def for_those(
    needed: Bool[Array, " batch"],
    compute: Callable[..., Any],
    otherwise: Any,
    *operands: Any,
) -> Any:
    """`jax.vmap(compute)(*operands)` in the lanes that need it, `otherwise` elsewhere.

    An eighth of the batch is computed at a time, and nothing if no lane needs it, so
    that a single one does not cost as much as all.

    **Arguments:** as for [`lazily`][hopgym.lazily.lazily], with a leading axis;
    `compute` is for one lane and may close over arrays that all lanes share.
    """
    size = needed.shape[0]
    width = min(size, max(SMALLEST, size // 8))
    counts = jnp.cumsum(needed)
    count = counts[-1]

    def some(carry):
        done, result = carry
        # The lanes at which the count goes up; after the last, places out of range.
        next_counts = done + 1 + jnp.arange(width)
        lanes = jnp.searchsorted(counts, next_counts, method="compare_all")
        new = jax.vmap(compute)(
            *jax.tree.map(lambda x: x.at[lanes].get(mode="clip"), operands)
        )
        result = jax.tree.map(
            lambda all, some: all.at[lanes].set(some, mode="drop"), result, new
        )
        return done + width, result

    _, result = jax.lax.while_loop(
        lambda carry: carry[0] < count, some, (jnp.zeros_like(count), otherwise)
    )
    return result
