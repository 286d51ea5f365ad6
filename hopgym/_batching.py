"""Control flow for batches whose replicas are at different stages.

Under `jax.vmap` a condition computes both branches for every replica, and a loop runs
every replica until the longest one ends. The functions here do the work only where it
is needed; results are the same.
"""

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

LOOPS_PER_CORE = 32  # run in lockstep: few enough for their state to stay in cache


def batched_cond(
    needed: Bool[Array, ""],
    compute: Callable[..., Any],
    otherwise: Any,
    *operands: Any,
    parts: int = 8,
) -> Any:
    """`compute(otherwise, *operands)` where `needed`, else `otherwise`.

    A `jax.lax.cond` that stays conditional under `jax.vmap`: only the replicas that
    need the result are computed, a fraction of the batch at a time, and change in
    place.

    **Arguments:**

    - `needed`: whether to compute.
    - `compute`: a function that closes over no arrays.
    - `otherwise`: a pytree of arrays and random keys, with the structure, shapes and
      dtypes of the result.
    - `operands`: further pytrees of arrays and random keys.
    - `parts`: number of parts into which a batch is divided; choose more if few
      replicas need the result at the same time.
    """
    plain_operands, wrap_operands = unwrap_keys(operands)
    plain_otherwise, wrap_result = unwrap_keys(otherwise)

    def plain_compute(otherwise, operands):
        return unwrap_keys(compute(wrap_result(otherwise), *wrap_operands(operands)))[0]

    @custom_vmap
    def choose(needed, otherwise, operands):
        return jax.lax.cond(
            needed, lambda: plain_compute(otherwise, operands), lambda: otherwise
        )

    @choose.def_vmap
    def choose_for_all(axis_size, in_batched, needed, otherwise, operands):
        needed, otherwise = jax.tree.map(
            lambda x, flag: x if flag else jnp.broadcast_to(x, (axis_size, *x.shape)),
            (needed, otherwise),
            tuple(in_batched[:2]),
        )
        batched, shared = eqx.partition(operands, in_batched[2])

        def compute_lane(otherwise, batched):
            return plain_compute(otherwise, eqx.combine(batched, shared))

        result = masked_map(needed, compute_lane, otherwise, batched, parts=parts)
        return result, jax.tree.map(lambda _: True, otherwise)

    return wrap_result(choose(needed, plain_otherwise, plain_operands))


def batched_while_loop(
    init: Callable[..., Any],
    cond: Callable[..., Bool[Array, ""]],
    body: Callable[..., Any],
    finish: Callable[..., Any],
    *operands: Any,
) -> Any:
    """A `jax.lax.while_loop` that is efficient when batched.

    Under `jax.vmap` on CPUs a few replicas run at a time, and when the loop of one ends
    the next replica takes its place. On GPUs, where a step of many replicas takes as
    long as a step of a few, all run together until the longest loop ends.

    The functions must not close over arrays.

    **Arguments:**

    - `init(*operands)`: returns the initial carry.
    - `cond(carry, *operands)`, `body(carry, *operands)`: condition and body of the
      loop.
    - `finish(carry, *operands)`: returns the result, from the last carry.
    - `operands`: pytrees of arrays and other objects.
    """
    arrays, rest = eqx.partition(operands, eqx.is_array)

    def combine(function):
        """Make `function` take the arrays among the operands only."""
        return lambda *carry_and_arrays: function(
            *carry_and_arrays[: -len(rest)],
            *eqx.combine(carry_and_arrays[-len(rest) :], rest),
        )

    init, cond, body, finish = map(combine, (init, cond, body, finish))

    def run(*operands):
        last = jax.lax.while_loop(
            lambda carry: cond(carry, *operands),
            lambda carry: body(carry, *operands),
            init(*operands),
        )
        return finish(last, *operands)

    looped = custom_vmap(run)

    @looped.def_vmap
    def run_in_turns(count, batched, *operands):
        axes = tuple(jax.tree.map(lambda flag: 0 if flag else None, batched))

        def select(replicas):
            """The operands of one or several replicas."""
            return jax.tree.map(
                lambda x, flag: x.at[replicas].get(mode="clip") if flag else x,
                operands,
                tuple(batched),
            )

        def apply(function, carries, replicas):
            return jax.vmap(function, in_axes=(0, *axes))(carries, *select(replicas))

        def has_ended(carries, replicas):
            return (replicas < count) & ~apply(cond, carries, replicas)

        def is_unfinished(work):
            return jnp.any(work[1] < count)

        def advance(work):
            *work, _ = jax.lax.while_loop(
                lambda work: jnp.any(work[-1]), replace, (*work, has_ended(*work[:2]))
            )
            carries, replicas, following, results = work
            return apply(body, carries, replicas), replicas, following, results

        def replace(work):
            """Store the result of a finished lane and start the next replica there."""
            carries, replicas, following, results, over = work
            lane = jnp.argmax(over)
            carry = jax.tree.map(lambda x: x[lane], carries)
            result = finish(carry, *select(replicas[lane]))
            results = _replace_row(results, replicas[lane], result)
            first = init(*select(following))
            over = over.at[lane].set(
                (following < count) & jnp.logical_not(cond(first, *select(following)))
            )
            replicas = replicas.at[lane].set(following)
            following = jnp.minimum(following + 1, count)
            return (
                _replace_row(carries, lane, first),
                replicas,
                following,
                results,
                over,
            )

        all_at_once = jax.vmap(run, in_axes=axes)
        kinds = jax.eval_shape(all_at_once, *operands)
        all_batched = jax.tree.map(lambda _: True, kinds)
        if count == 0 or jax.default_backend() != "cpu":
            return all_at_once(*operands), all_batched
        results = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), kinds)
        replicas = jnp.arange(min(count, LOOPS_PER_CORE * native.cores()))
        carries = jax.vmap(init, in_axes=axes)(*select(replicas))
        work = (carries, replicas, jnp.asarray(len(replicas)), results)
        *_, results = jax.lax.while_loop(is_unfinished, advance, work)
        return results, all_batched

    return looped(*arrays)


def choose_tree(condition: Bool[Array, ""], new: Any, old: Any) -> Any:
    """The tree `new` where the condition holds, else `old`."""
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), new, old)


def _replace_row(rows: Any, place: Int[Array, ""], row: Any) -> Any:
    return jax.tree.map(lambda x, y: x.at[place].set(y), rows, row)


def masked_map(
    needed: Bool[Array, " batch"],
    compute: Callable[..., Any],
    otherwise: Any,
    *operands: Any,
    parts: int = 8,
) -> Any:
    """`jax.vmap(compute)(otherwise, *operands)` where needed, else `otherwise`.

    Only the lanes that need the result are computed, a fraction of the batch at a time.

    **Arguments:** as for `batched_cond`, with a leading axis and without random keys;
    `compute` takes one lane and may close over arrays that all lanes share.
    """
    size = needed.shape[0]
    width = max(1, size // parts)
    counts = jnp.cumsum(needed)
    count = counts[-1]

    def compute_some(carry):
        done, result = carry
        # The lanes at which the count increases, then indices out of range.
        next_counts = done + 1 + jnp.arange(width)
        lanes = jnp.searchsorted(counts, next_counts, method="compare_all")
        new = jax.vmap(compute)(
            *jax.tree.map(lambda x: x.at[lanes].get(mode="clip"), (result, *operands))
        )
        result = jax.tree.map(
            lambda all, some: all.at[lanes].set(some, mode="drop"), result, new
        )
        return done + width, result

    _, result = jax.lax.while_loop(
        lambda carry: carry[0] < count, compute_some, (jnp.zeros_like(count), otherwise)
    )
    return result
