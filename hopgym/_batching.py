"""Work that most updates, or most replicas, do not need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Bool, Int

from hopgym import native
from hopgym._keys import unwrap_keys

LANES = 32  # loops at a time, for each core: they should stay in its cache


def batched_cond(
    needed: Bool[Array, ""],
    compute: Callable[..., Any],
    otherwise: Any,
    *operands: Any,
    parts: int = 8,
) -> Any:
    """`compute(*operands)` where `needed`, else `otherwise`.

    Like `jax.lax.cond`, but under `jax.vmap`, where a condition becomes a selection
    and both sides are computed for all, the work is done for those replicas that need
    it, a part of the batch at a time, and skipped if none does.

    **Arguments:**

    - `needed`: whether to compute.
    - `compute`: a function of arrays that closes over none.
    - `otherwise`: a pytree of the structure, shapes and dtypes of its result.
    - `operands`: pytrees of arrays and random keys.
    - `parts`: how many there are: more for work that few replicas need at once.
    """
    plain_operands, wrap_operands = unwrap_keys(operands)
    plain_otherwise, wrap_result = unwrap_keys(otherwise)

    def plain_compute(*operands):
        return unwrap_keys(compute(*wrap_operands(operands)))[0]

    @custom_vmap
    def choose(needed, otherwise, operands):
        return jax.lax.cond(needed, lambda: plain_compute(*operands), lambda: otherwise)

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

        result = masked_map(needed, plain_compute, otherwise, *operands, parts=parts)
        return result, jax.tree.map(lambda _: True, otherwise)

    return wrap_result(choose(needed, plain_otherwise, plain_operands))


def batched_while_loop(
    begin: Callable[..., Any],
    goes_on: Callable[..., Bool[Array, ""]],
    body: Callable[..., Any],
    end: Callable[..., Any],
    *operands: Any,
) -> Any:
    """The result of a `jax.lax.while_loop`.

    Under `jax.vmap`, where all replicas would go on until the longest loop ends, a few
    are in work at a time, and where one ends the next takes its place. Not so on GPUs,
    which do many steps at once in the time of a few.

    **Arguments:**

    - `begin(*operands)`: the first carry.
    - `goes_on(carry, *operands)`, `body(carry, *operands)`: as of a `while_loop`.
    - `end(carry, *operands)`: the result, of the last carry.
    - `operands`: pytrees, of arrays or not; the functions close over no arrays.
    """
    arrays, rest = eqx.partition(operands, eqx.is_array)

    def whole(function):
        """A function of a carry and the operands, as one of a carry and arrays."""
        return lambda *carry_and_arrays: function(
            *carry_and_arrays[: -len(rest)],
            *eqx.combine(carry_and_arrays[-len(rest) :], rest),
        )

    begin, goes_on, body, end = map(whole, (begin, goes_on, body, end))

    def run(*operands):
        last = jax.lax.while_loop(
            lambda carry: goes_on(carry, *operands),
            lambda carry: body(carry, *operands),
            begin(*operands),
        )
        return end(last, *operands)

    looped = custom_vmap(run)

    @looped.def_vmap
    def in_turn(count, batched, *operands):
        axes = tuple(jax.tree.map(lambda flag: 0 if flag else None, batched))

        def of(replicas):
            """The operands of one or more."""
            return jax.tree.map(
                lambda x, flag: x.at[replicas].get(mode="clip") if flag else x,
                operands,
                tuple(batched),
            )

        def each(function, carries, replicas):
            return jax.vmap(function, in_axes=(0, *axes))(carries, *of(replicas))

        def ended(carries, replicas):
            return (replicas < count) & ~each(goes_on, carries, replicas)

        def searching(work):
            return jnp.any(work[1] < count)

        def go_on(work):
            *work, _ = jax.lax.while_loop(
                lambda work: jnp.any(work[-1]), replace, (*work, ended(*work[:2]))
            )
            carries, replicas, following, results = work
            return each(body, carries, replicas), replicas, following, results

        def replace(work):
            """Keep the result in a lane that ended, and begin the next there."""
            carries, replicas, following, results, over = work
            lane = jnp.argmax(over)
            carry = jax.tree.map(lambda x: x[lane], carries)
            result = end(carry, *of(replicas[lane]))
            results = _with(results, replicas[lane], result)
            first = begin(*of(following))
            over = over.at[lane].set(
                (following < count) & jnp.logical_not(goes_on(first, *of(following)))
            )
            replicas = replicas.at[lane].set(following)
            following = jnp.minimum(following + 1, count)
            return _with(carries, lane, first), replicas, following, results, over

        all_at_once = jax.vmap(run, in_axes=axes)
        kinds = jax.eval_shape(all_at_once, *operands)
        given = jax.tree.map(lambda _: True, kinds)
        if count == 0 or jax.default_backend() != "cpu":
            return all_at_once(*operands), given
        results = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), kinds)
        replicas = jnp.arange(min(count, LANES * native.cores()))
        carries = jax.vmap(begin, in_axes=axes)(*of(replicas))
        work = (carries, replicas, jnp.asarray(len(replicas)), results)
        *_, results = jax.lax.while_loop(searching, go_on, work)
        return results, given

    return looped(*arrays)


def _with(all: Any, place: Int[Array, ""], one: Any) -> Any:
    return jax.tree.map(lambda x, y: x.at[place].set(y), all, one)


def masked_map(
    needed: Bool[Array, " batch"],
    compute: Callable[..., Any],
    otherwise: Any,
    *operands: Any,
    parts: int = 8,
) -> Any:
    """`jax.vmap(compute)(*operands)` in the lanes that need it, `otherwise` elsewhere.

    A part of the batch is computed at a time, and nothing if no lane needs it, so that
    a single one does not cost as much as all.

    **Arguments:** as for `batched_cond`, with a leading axis;
    `compute` is for one lane and may close over arrays that all lanes share.
    """
    size = needed.shape[0]
    width = max(1, size // parts)
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
