"""Relaxations after a search: the quench and the paper's polish. All are counted."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from hopgym.environment import Environment, State, follow
from hopgym.optimizers.base import AbstractLocalOptimizer
from hopgym.optimizers.gradient_descent import GradientDescent
from hopgym.optimizers.lbfgs import LBFGS
from hopgym.systems import System


class Quenched(eqx.Module):
    """Local minima.

    **Attributes:**

    - `positions`, `energy`: the structure (the lowest evaluated) and its energy.
    - `force`: largest force on an atom.
    - `converged`: whether the optimizer finished within the steps allowed.
    - `evaluations`: energy+gradient evaluations spent.
    """

    positions: Float[Array, "*batch atoms 3"]
    energy: Float[Array, "*batch"]
    force: Float[Array, "*batch"]
    converged: Bool[Array, "*batch"]
    evaluations: Int[Array, "*batch"]


def quench(
    system: System,
    positions: Float[Array, "..."],
    *,
    optimizer: AbstractLocalOptimizer | None = None,
    steps: int = 5000,
) -> Quenched:
    """The local minimum below each structure.

    **Arguments:**

    - `system`: what the atoms are.
    - `positions`: `Float[Array, "atoms 3"]`, or a batch of them.
    - `optimizer`: by default [`hopgym.optimizers.LBFGS`][] as it comes.
    - `steps`: after how many evaluations a structure is given up.

    **Raises:** `ValueError` for positions of a wrong shape.
    """
    return _relaxed(_quench, system, optimizer or LBFGS(), positions, steps)


def polish(
    system: System,
    positions: Float[Array, "..."],
    *,
    optimizer: GradientDescent | None = None,
    steps: int = 1000,
) -> Quenched:
    """The paper's end of every search: 1,000 steps of gradient descent.

    Learn2Hop, section 3.3: rate 1e-3, here with the gradient's components clipped to
    +-100. It is not a full quench.

    Arguments and errors as for [`hopgym.quench`][]; `converged` is false throughout.
    """
    return _relaxed(_polish, system, optimizer or GradientDescent(), positions, steps)


def _relaxed(relax, system, optimizer, positions, steps) -> Quenched:
    """`relax` of one structure or a batch of them, compiled."""
    positions = jnp.asarray(positions, float)
    shape = (system.atoms, 3)
    if positions.shape[-2:] != shape or positions.ndim not in (2, 3):
        raise ValueError(
            f"{system.name}: positions must have shape {shape} or (batch, "
            f"{system.atoms}, 3), got {positions.shape}"
        )
    if positions.ndim == 3:
        relax = eqx.filter_vmap(relax, in_axes=(None, None, 0, None))
    return _jitted(relax, system, optimizer, positions, jnp.asarray(steps, jnp.int32))


@eqx.filter_jit
def _jitted(relax, system, optimizer, positions, steps):
    return relax(system, optimizer, positions, steps)


def _begun(system, optimizer, positions) -> tuple[Environment, State, Any]:
    environment = Environment(system)
    key = jax.random.key(0)
    state = environment.reset(key, positions)
    context = environment.context
    return environment, state, optimizer.init(positions, key=key, context=context)


def _ended(state: State, converged: Bool[Array, ""]) -> Quenched:
    return Quenched(
        positions=state.positions,
        energy=state.energy,
        force=jnp.sqrt(jnp.max(jnp.sum(state.gradient**2, axis=1))),
        converged=converged,
        evaluations=state.evaluations,
    )


def descended(
    environment: Environment,
    optimizer: AbstractLocalOptimizer,
    state: State,
    memory: Any,
    evaluations: int | Int[Array, ""],
) -> tuple[State, Any]:
    """State and memory after a quench; not jitted.

    **Arguments:**

    - `environment`, `state`: where the quench goes on.
    - `optimizer`, `memory`: quenches; its own state.
    - `evaluations`: at this number in the ledger it ends, finished or not.
    """

    def searching(carry):
        state, memory = carry
        return ~optimizer.finished(memory) & (state.evaluations < evaluations)

    def body(carry):
        state, _ = carry
        after, memory = follow(environment, optimizer, *carry)
        # The last update only finds that the structure is at rest: no evaluation.
        rest = optimizer.finished(memory)
        state = jax.tree.map(lambda old, new: jnp.where(rest, old, new), state, after)
        return state, memory

    return jax.lax.while_loop(searching, body, (state, memory))


def _quench(system, optimizer, positions, steps) -> Quenched:
    environment, state, memory = _begun(system, optimizer, positions)
    state, memory = descended(environment, optimizer, state, memory, steps)
    return _ended(state, optimizer.finished(memory))


def _polish(system, optimizer, positions, steps) -> Quenched:
    environment, state, memory = _begun(system, optimizer, positions)
    state, _ = jax.lax.fori_loop(
        0,
        steps,
        lambda _, carry: follow(environment, optimizer, *carry),
        (state, memory),
    )
    return _ended(state, jnp.asarray(False))
