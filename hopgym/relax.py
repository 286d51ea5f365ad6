"""Relaxation of structures: the quench, and the paper's polish."""

from __future__ import annotations

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from hopgym import _sharding
from hopgym._batching import batched_while_loop
from hopgym.environment import Environment, State, take_step
from hopgym.optimizers.base import AbstractLocalOptimizer
from hopgym.optimizers.gradient_descent import GradientDescent
from hopgym.optimizers.lbfgs import LBFGS
from hopgym.systems import System


class Quenched(eqx.Module):
    """Relaxed structures.

    **Attributes:**

    - `positions`, `energy`: the structure and its energy.
    - `force`: largest norm of the force on an atom.
    - `converged`: whether the optimizer converged within the allowed steps.
    - `evaluations`: number of energy+gradient evaluations.
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
    """Relax each structure to a local minimum.

    **Arguments:**

    - `system`: the system.
    - `positions`: `Float[Array, "atoms 3"]`, or `Float[Array, "batch atoms 3"]`, which
      is spread over all devices.
    - `optimizer`: by default [`hopgym.optimizers.LBFGS`][] with its default settings.
    - `steps`: maximum number of evaluations per structure.

    **Raises:** `ValueError` for positions of a wrong shape.
    """
    return _relax(_quench, system, optimizer or LBFGS(), positions, steps)


def polish(
    system: System,
    positions: Float[Array, "..."],
    *,
    optimizer: GradientDescent | None = None,
    steps: int = 1000,
) -> Quenched:
    """Relax each structure as the paper does at the end of a search.

    1,000 steps of gradient descent (Learn2Hop, section 3.3) with rate 1e-3, here with
    the components of the gradient clipped to +-100. It does not reach a minimum.

    Arguments and errors are those of [`hopgym.quench`][]; `converged` is always false.
    """
    return _relax(_polish, system, optimizer or GradientDescent(), positions, steps)


def descend(
    environment: Environment,
    optimizer: AbstractLocalOptimizer,
    state: State,
    evaluations: int | Int[Array, ""],
) -> tuple[State, Bool[Array, ""]]:
    """Quench from a state of the environment; not jitted.

    **Arguments:**

    - `environment`, `state`: the environment and its initial state.
    - `optimizer`: the local optimizer.
    - `evaluations`: the quench ends at the latest when `state.evaluations` reaches this
      number.

    **Returns:** the last state, and whether the optimizer finished.
    """

    def init(state, limit, environment, optimizer):
        return state, _init_optimizer(environment, optimizer, state)

    def cond(carry, start, limit, environment, optimizer):
        state, opt_state = carry
        return ~optimizer.finished(opt_state) & (state.evaluations < limit)

    def body(carry, start, limit, environment, optimizer):
        state, _ = carry
        after, opt_state = take_step(environment, optimizer, *carry)
        # The last update only detects convergence: its evaluation is not counted.
        done = optimizer.finished(opt_state)
        state = jax.tree.map(lambda old, new: jnp.where(done, old, new), state, after)
        return state, opt_state

    def finish(carry, start, limit, environment, optimizer):
        state, opt_state = carry
        return state, optimizer.finished(opt_state)

    limit = jnp.asarray(evaluations, jnp.int32)
    operands = (state, limit, environment, optimizer)
    return batched_while_loop(init, cond, body, finish, *operands)


def _relax(method, system, optimizer, positions, steps) -> Quenched:
    """Apply `method` to a structure, or to a batch spread over all devices."""
    positions = jnp.asarray(positions, float)
    shape = (system.atoms, 3)
    if positions.shape[-2:] != shape or positions.ndim not in (2, 3):
        raise ValueError(
            f"{system.name}: positions must have shape {shape} or (batch, "
            f"{system.atoms}, 3), got {positions.shape}"
        )
    steps = jnp.asarray(steps, jnp.int32)
    if positions.ndim == 2:
        return _relax_one(method, system, optimizer, positions, steps)
    count = len(positions)
    # Within a traced function the batch stays on its device.
    traced = isinstance(positions, Tracer) or count == 0
    mesh = None if traced else _sharding.make_mesh(count)
    if mesh is not None:
        positions = _sharding.spread(positions, mesh)
    relaxed = _relax_all(method, system, optimizer, positions, steps, mesh)
    return jax.tree.map(lambda x: x[:count], relaxed)


@eqx.filter_jit
def _relax_one(method, system, optimizer, positions, steps):
    return method(system, optimizer, positions, steps)


@eqx.filter_jit
def _relax_all(method, system, optimizer, positions, steps, mesh):
    arrays, rest = eqx.partition((system, optimizer), eqx.is_array)

    def run(arrays, positions, steps):
        one = partial(method, *eqx.combine(arrays, rest))
        return jax.vmap(one, in_axes=(0, None))(positions, steps)

    return _sharding.shard(run, mesh, (False, True, False))(arrays, positions, steps)


def _quench(system, optimizer, positions, steps) -> Quenched:
    environment = Environment(system)
    state = environment.reset(jax.random.key(0), positions)
    return _summarise(*descend(environment, optimizer, state, steps))


def _polish(system, optimizer, positions, steps) -> Quenched:
    environment = Environment(system)
    state = environment.reset(jax.random.key(0), positions)
    state, _ = jax.lax.fori_loop(
        0,
        steps,
        lambda _, carry: take_step(environment, optimizer, *carry),
        (state, _init_optimizer(environment, optimizer, state)),
    )
    return _summarise(state, jnp.asarray(False))


def _init_optimizer(environment, optimizer, state):
    """Initial state of an optimizer at `state.positions`."""
    return optimizer.init(
        state.positions, key=jax.random.key(0), context=environment.context
    )


def _summarise(state: State, converged: Bool[Array, ""]) -> Quenched:
    return Quenched(
        positions=state.positions,
        energy=state.energy,
        force=jnp.sqrt(jnp.max(jnp.sum(state.gradient**2, axis=1))),
        converged=converged,
        evaluations=state.evaluations,
    )
