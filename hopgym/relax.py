"""Relaxations after a search: the quench and the paper's polish. All are counted."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from hopgym.environment import Environment
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
    positions = jnp.asarray(positions, float)
    _check_shape(system, positions)
    local = LBFGS() if optimizer is None else optimizer
    run = (
        _quench
        if positions.ndim == 2
        else eqx.filter_vmap(_quench, in_axes=(None, None, 0, None))
    )
    return _jitted(run, system, local, positions, jnp.asarray(steps, jnp.int32))


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
    positions = jnp.asarray(positions, float)
    _check_shape(system, positions)
    descent = GradientDescent() if optimizer is None else optimizer
    run = (
        _polish
        if positions.ndim == 2
        else eqx.filter_vmap(_polish, in_axes=(None, None, 0, None))
    )
    return _jitted(run, system, descent, positions, jnp.asarray(steps, jnp.int32))


def _check_shape(system: System, positions: Array) -> None:
    shape = (system.atoms, 3)
    if positions.shape[-2:] != shape or positions.ndim not in (2, 3):
        raise ValueError(
            f"{system.name}: positions must have shape {shape} or (batch, "
            f"{system.atoms}, 3), got {positions.shape}"
        )


@eqx.filter_jit
def _jitted(run, system, optimizer, positions, steps):
    return run(system, optimizer, positions, steps)


def _quench(system, optimizer, positions, steps) -> Quenched:
    environment = Environment(system)
    key = jax.random.key(0)
    context = environment.context
    state = environment.reset(key, positions)
    memory = optimizer.init(state.positions, key=key, context=context)

    def searching(carry):
        _, memory, evaluations = carry
        return ~optimizer.finished(memory) & (evaluations < steps)

    def body(carry):
        state, memory, _ = carry
        update, memory = optimizer.update(
            state.gradient,
            memory,
            state.positions,
            value=state.energy,
            context=context,
        )
        # The last update only finds that the structure is at rest: no evaluation.
        after = environment.step(state, update)
        rest = optimizer.finished(memory)
        state = jax.tree.map(lambda old, new: jnp.where(rest, old, new), state, after)
        return state, memory, state.evaluations

    state, memory, _ = jax.lax.while_loop(
        searching, body, (state, memory, state.evaluations)
    )
    return Quenched(
        positions=state.positions,
        energy=state.energy,
        force=_largest_force(state.gradient),
        converged=optimizer.finished(memory),
        evaluations=state.evaluations,
    )


def _polish(system, optimizer, positions, steps) -> Quenched:
    environment = Environment(system)
    key = jax.random.key(0)
    context = environment.context
    state = environment.reset(key, positions)
    memory = optimizer.init(state.positions, key=key, context=context)

    def body(_, carry):
        state, memory = carry
        update, memory = optimizer.update(
            state.gradient,
            memory,
            state.positions,
            value=state.energy,
            context=context,
        )
        return environment.step(state, update), memory

    state, _ = jax.lax.fori_loop(0, steps, body, (state, memory))
    return Quenched(
        positions=state.positions,
        energy=state.energy,
        force=_largest_force(state.gradient),
        converged=jnp.asarray(False),
        evaluations=state.evaluations,
    )


def _largest_force(gradient: Float[Array, "atoms 3"]) -> Float[Array, ""]:
    return jnp.sqrt(jnp.max(jnp.sum(gradient**2, axis=1)))
