"""Relaxations after a search: the quench and the paper's polish. All are counted."""

from __future__ import annotations

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Bool, Float, Int

from hopgym._batching import batched_while_loop
from hopgym.environment import Environment, State, take_step
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
    """`relax` of one structure, or of a batch that is spread over all devices."""
    positions = jnp.asarray(positions, float)
    shape = (system.atoms, 3)
    if positions.shape[-2:] != shape or positions.ndim not in (2, 3):
        raise ValueError(
            f"{system.name}: positions must have shape {shape} or (batch, "
            f"{system.atoms}, 3), got {positions.shape}"
        )
    steps = jnp.asarray(steps, jnp.int32)
    if positions.ndim == 2:
        return _one(relax, system, optimizer, positions, steps)
    count = len(positions)
    devices = jax.devices()[:count]
    if len(devices) > 1 and not isinstance(positions, Tracer):
        padded = -(-count // len(devices)) * len(devices)
        mesh = Mesh(np.asarray(devices), ("structures",))
        positions = jax.device_put(
            positions[jnp.arange(padded) % count], NamedSharding(mesh, P("structures"))
        )
    else:
        mesh = None
    relaxed = _all(relax, system, optimizer, positions, steps, mesh)
    return jax.tree.map(lambda x: x[:count], relaxed)


@eqx.filter_jit
def _one(relax, system, optimizer, positions, steps):
    return relax(system, optimizer, positions, steps)


@eqx.filter_jit
def _all(relax, system, optimizer, positions, steps, mesh):
    """Of a batch, which is spread over the devices of the mesh."""
    arrays, rest = eqx.partition((system, optimizer), eqx.is_array)

    def run(arrays, positions, steps):
        one = partial(relax, *eqx.combine(arrays, rest))
        return jax.vmap(one, in_axes=(0, None))(positions, steps)

    if mesh is not None:
        split = P("structures")
        run = jax.shard_map(
            run, mesh=mesh, in_specs=(P(), split, P()), out_specs=split, check_vma=False
        )
    return run(arrays, positions, steps)


def _ended(state: State, converged: Bool[Array, ""]) -> Quenched:
    return Quenched(
        positions=state.positions,
        energy=state.energy,
        force=jnp.sqrt(jnp.max(jnp.sum(state.gradient**2, axis=1))),
        converged=converged,
        evaluations=state.evaluations,
    )


def descend(
    environment: Environment,
    optimizer: AbstractLocalOptimizer,
    state: State,
    evaluations: int | Int[Array, ""],
) -> tuple[State, Bool[Array, ""]]:
    """The state after a quench, and whether the optimizer finished; not jitted.

    **Arguments:**

    - `environment`, `state`: where the quench begins.
    - `optimizer`: quenches.
    - `evaluations`: at this number in the ledger it ends, finished or not.
    """

    def begin(state, limit, environment, optimizer):
        return state, _init_opt_state(environment, optimizer, state)

    def goes_on(carry, start, limit, environment, optimizer):
        state, opt_state = carry
        return ~optimizer.finished(opt_state) & (state.evaluations < limit)

    def body(carry, start, limit, environment, optimizer):
        state, _ = carry
        after, opt_state = take_step(environment, optimizer, *carry)
        # The last update only finds that the structure is at rest: no evaluation.
        rest = optimizer.finished(opt_state)
        state = jax.tree.map(lambda old, new: jnp.where(rest, old, new), state, after)
        return state, opt_state

    def end(carry, start, limit, environment, optimizer):
        state, opt_state = carry
        return state, optimizer.finished(opt_state)

    limit = jnp.asarray(evaluations, jnp.int32)
    return batched_while_loop(
        begin, goes_on, body, end, state, limit, environment, optimizer
    )


def _init_opt_state(environment, optimizer, state):
    """Of an optimizer that begins where the state is."""
    return optimizer.init(
        state.positions, key=jax.random.key(0), context=environment.context
    )


def _quench(system, optimizer, positions, steps) -> Quenched:
    environment = Environment(system)
    state = environment.reset(jax.random.key(0), positions)
    return _ended(*descend(environment, optimizer, state, steps))


def _polish(system, optimizer, positions, steps) -> Quenched:
    environment = Environment(system)
    state = environment.reset(jax.random.key(0), positions)
    state, _ = jax.lax.fori_loop(
        0,
        steps,
        lambda _, carry: take_step(environment, optimizer, *carry),
        (state, _init_opt_state(environment, optimizer, state)),
    )
    return _ended(state, jnp.asarray(False))
