"""A hop: a displacement, and the quench that follows it."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from hopgym.environment import Environment, State, follow
from hopgym.optimizers.base import AbstractLocalOptimizer


def settle(
    environment: Environment,
    optimizer: AbstractLocalOptimizer,
    state: State,
    evaluations: Int[Array, ""],
) -> State:
    """The state after a quench, every evaluation of which is in its ledger.

    Under `jax.vmap` all wait for the longest quench.

    **Arguments:**

    - `environment`, `state`: where the quench begins.
    - `optimizer`: quenches.
    - `evaluations`: at this number in the ledger the quench ends, finished or not.
    """
    memory = optimizer.init(
        state.positions, key=jax.random.key(0), context=environment.context
    )

    def searching(carry):
        state, memory = carry
        return ~optimizer.finished(memory) & (state.evaluations < evaluations)

    def body(carry):
        state, _ = carry
        after, memory = follow(environment, optimizer, *carry)
        # The last update only finds that the structure is at rest: no evaluation.
        rest = optimizer.finished(memory)
        after = jax.tree.map(lambda old, new: jnp.where(rest, old, new), state, after)
        return after, memory

    settled, _ = jax.lax.while_loop(searching, body, (state, memory))
    return eqx.tree_at(lambda state: state.step, settled, state.step)


def hop(
    environment: Environment,
    optimizer: AbstractLocalOptimizer,
    state: State,
    update: Float[Array, "atoms 3"],
    longest: Int[Array, ""],
) -> State:
    """The state after `update` and a quench: one step, at most `longest` evaluations.

    **Arguments:** as for [`hopgym.hops.settle`][] and
    [`hopgym.Environment.step`][].
    """
    moved = environment.step(state, update)
    return settle(environment, optimizer, moved, state.evaluations + longest)
