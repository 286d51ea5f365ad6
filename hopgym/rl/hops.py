"""A hop: a displacement, and the quench that follows it."""

from __future__ import annotations

import equinox as eqx
from jaxtyping import Array, Float, Int

from hopgym.environment import Environment, State
from hopgym.optimizers.base import AbstractLocalOptimizer
from hopgym.relax import descend


def settle(
    environment: Environment,
    optimizer: AbstractLocalOptimizer,
    state: State,
    evaluations: Int[Array, ""],
) -> State:
    """The state after a quench, every evaluation of which is in its ledger.

    **Arguments:**

    - `environment`, `state`: where the quench begins.
    - `optimizer`: quenches.
    - `evaluations`: at this number in the ledger the quench ends, finished or not.
    """
    settled, _ = descend(environment, optimizer, state, evaluations)
    return eqx.tree_at(lambda state: state.step, settled, state.step)


def hop(
    environment: Environment,
    optimizer: AbstractLocalOptimizer,
    state: State,
    update: Float[Array, "atoms 3"],
    longest: Int[Array, ""],
) -> State:
    """The state after `update` and a quench: one step, at most `longest` evaluations.

    **Arguments:** as for [`hopgym.rl.hops.settle`][] and
    [`hopgym.Environment.step`][].
    """
    moved = environment.step(state, update)
    return settle(environment, optimizer, moved, state.evaluations + longest)
