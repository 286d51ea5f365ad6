"""Relaxation of structures: the quench, and the paper's polish."""

from __future__ import annotations

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from hopgym import _sharding
from hopgym._batching import batched_while_loop, choose_tree
from hopgym._checks import check_integer, describe, is_known
from hopgym._converters import to_float
from hopgym.connectivity import has_overlap, is_connected
from hopgym.environment import Environment, State, take_step
from hopgym.optimizers.base import AbstractLocalOptimizer
from hopgym.optimizers.gradient_descent import GradientDescent
from hopgym.optimizers.lbfgs import LBFGS, get_force_tolerance
from hopgym.systems import System

# Two programs round the same force differently; this much is granted to it.
ROUNDING = 1e-5
GRID = 8.0  # lengths: structures are relaxed at most half of it from the origin
JUDGED_PAIRS = 2**20  # pairs of atoms that are judged at a time: a few MB


class Quenched(eqx.Module):
    """Relaxed structures.

    A minimum of a cluster is `converged & connected`.

    **Attributes:**

    - `positions`, `energy`: the structure and its energy.
    - `force`: largest norm of the force on an atom.
    - `converged`: whether the structure is a stationary point: the initial positions
      were finite, the optimizer finished within the allowed steps, every force is below
      its tolerance, and no two atoms are within the core of the potential
      ([`hopgym.connectivity.has_overlap`][]).
    - `connected`: whether all atoms are connected, that is, the structure is in one
      piece ([`hopgym.connectivity.is_connected`][]).
    - `evaluations`: number of energy+gradient evaluations.
    """

    positions: Float[Array, "*batch atoms 3"]
    energy: Float[Array, "*batch"]
    force: Float[Array, "*batch"]
    converged: Bool[Array, "*batch"]
    connected: Bool[Array, "*batch"]
    evaluations: Int[Array, "*batch"]


def quench(
    system: System,
    positions: Float[Array, "..."],
    *,
    optimizer: AbstractLocalOptimizer | None = None,
    steps: int = 5000,
) -> Quenched:
    """Relax each structure to a local minimum.

    Far from the origin positions are rounded coarsely, and forces with them. A
    structure whose centroid is more than four lengths away is therefore relaxed near
    the origin, and moved back.

    **Arguments:**

    - `system`: the system.
    - `positions`: `Float[Array, "atoms 3"]`, or `Float[Array, "batch atoms 3"]`, which
      is spread over all devices.
    - `optimizer`: by default [`hopgym.optimizers.LBFGS`][] with its default settings,
      whose force tolerance also judges optimizers that state none
      ([`hopgym.optimizers.HasForceTolerance`][]).
    - `steps`: maximum number of evaluations per structure.

    **Raises:** `ValueError` for positions of a wrong shape, or that are not finite (the
    values of traced positions are not known: these are not `converged` instead), for
    an optimizer that is not local, and for steps that are negative or no integer.
    """
    optimizer = LBFGS() if optimizer is None else optimizer
    return _relax(_quench, system, optimizer, AbstractLocalOptimizer, positions, steps)


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
    optimizer = GradientDescent() if optimizer is None else optimizer
    return _relax(_polish, system, optimizer, GradientDescent, positions, steps)


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
        return choose_tree(done, state, after), opt_state

    def finish(carry, start, limit, environment, optimizer):
        state, opt_state = carry
        return state, optimizer.finished(opt_state)

    limit = jnp.asarray(evaluations, jnp.int32)
    operands = (state, limit, environment, optimizer)
    return batched_while_loop(init, cond, body, finish, *operands)


def _relax(method, system, optimizer, kind, positions, steps) -> Quenched:
    """Apply `method` to a structure, or to a batch spread over all devices."""
    if not isinstance(system, System):
        raise ValueError(f"a quench needs a hopgym.System, got {describe(system)}")
    if not isinstance(optimizer, kind):
        raise ValueError(
            f"a quench needs an optimizer of the kind {kind.__name__}, got "
            f"{describe(optimizer)}"
        )
    if is_known(steps):
        steps = check_integer("steps", steps, 0)
    positions = to_float(positions)
    shape = (system.atoms, 3)
    if positions.shape[-2:] != shape or positions.ndim not in (2, 3):
        raise ValueError(
            f"{system.name}: positions must have shape {shape} or (batch, "
            f"{system.atoms}, 3), got {positions.shape}"
        )
    _check_finite(system, positions)
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


def _check_finite(system, positions) -> None:
    """Check that all positions are finite, unless they are traced.

    **Raises:** `ValueError` that names the first atom that is not.
    """
    if isinstance(positions, Tracer):
        return
    wrong = np.argwhere(~np.isfinite(np.asarray(positions)).all(axis=-1))
    if len(wrong):
        *structure, atom = wrong[0].tolist()
        place = np.asarray(positions)[(*structure, atom)].tolist()
        where = f" of structure {structure[0]}" if structure else ""
        raise ValueError(
            f"{system.name}: positions must be finite {positions.dtype} numbers, but "
            f"atom {atom}{where} is at {place} (counted from 0)"
        )


@eqx.filter_jit
def _relax_one(method, system, optimizer, positions, steps):
    shift = _get_shift(system, positions)
    state, finished = method(system, optimizer, positions - shift, steps)
    return _summarise(system, optimizer, positions, shift, state, finished)


@eqx.filter_jit
def _relax_all(method, system, optimizer, positions, steps, mesh):
    arrays, rest = eqx.partition((system, optimizer), eqx.is_array)

    def run(arrays, positions, steps):
        system, optimizer = eqx.combine(arrays, rest)
        shifts = jax.vmap(partial(_get_shift, system))(positions)
        relax = partial(method, system, optimizer)
        state, finished = jax.vmap(relax, in_axes=(0, None))(positions - shifts, steps)
        return jax.lax.map(
            lambda one: _summarise(system, optimizer, *one),
            (positions, shifts, state, finished),
            batch_size=max(1, JUDGED_PAIRS // system.atoms**2),
        )

    return _sharding.shard(run, mesh, (False, True, False))(arrays, positions, steps)


def _get_shift(system, positions) -> Float[Array, "1 3"]:
    """Centroid in multiples of `GRID`; none for a structure about the origin."""
    spacing = GRID * system.length
    return spacing * jnp.round(jnp.mean(positions, axis=0, keepdims=True) / spacing)


def _quench(system, optimizer, positions, steps) -> tuple[State, Bool[Array, ""]]:
    environment = Environment(system)
    state = environment.reset(jax.random.key(0), positions)
    return descend(environment, optimizer, state, steps)


def _polish(system, optimizer, positions, steps) -> tuple[State, Bool[Array, ""]]:
    environment = Environment(system)
    state = environment.reset(jax.random.key(0), positions)
    state, _ = jax.lax.fori_loop(
        0,
        steps,
        lambda _, carry: take_step(environment, optimizer, *carry),
        (state, _init_optimizer(environment, optimizer, state)),
    )
    return state, jnp.asarray(False)


def _init_optimizer(environment, optimizer, state):
    """Initial state of an optimizer at `state.positions`."""
    return optimizer.init(
        state.positions, key=jax.random.key(0), context=environment.context
    )


def _summarise(system, optimizer, initial, shift, state, finished) -> Quenched:
    """Judge the last state of a relaxation that started at `initial - shift`."""
    tolerance = get_force_tolerance(optimizer) * system.energy_unit / system.length
    force = jnp.sqrt(jnp.max(jnp.sum(state.gradient**2, axis=1)))
    sound = jnp.all(jnp.isfinite(initial)) & ~has_overlap(system, state.positions)
    return Quenched(
        positions=state.positions + shift,
        energy=state.energy,
        force=force,
        converged=finished & (force < (1 + ROUNDING) * tolerance) & sound,
        connected=is_connected(system, state.positions),
        evaluations=state.evaluations,
    )
