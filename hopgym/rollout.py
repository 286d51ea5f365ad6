"""Run a policy on many starts at once, in compiled chunks."""

from __future__ import annotations

import bisect
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, Int, PRNGKeyArray

from hopgym.environment import Environment, State, take_step

STARTS, POLICY = 0, 1  # streams of randomness drawn from a rollout's key


class Frames(eqx.Module):
    """Snapshots of a rollout, in host memory.

    **Attributes:** `step` `(frames,)`; `energy`, `best_energy` `(frames, starts)`;
    `positions` `(frames, starts, atoms, 3)`.
    """

    step: Int[np.ndarray, " frames"]
    energy: Float[np.ndarray, "frames starts"]
    best_energy: Float[np.ndarray, "frames starts"]
    positions: Float[np.ndarray, "frames starts atoms 3"]


class Result(eqx.Module):
    """What a rollout leaves.

    **Attributes:**

    - `state`: the last [`hopgym.State`][] of every start, with its ledger.
    - `frames`: the snapshots asked for, or `None`.
    - `steps`: steps done, less than asked for if a time limit ended it.
    - `seconds`: wall-clock time of the search, without compilation.
    - `compile_seconds`: time of the compilation.
    """

    state: State
    frames: Frames | None
    steps: int
    seconds: float
    compile_seconds: float


def rollout(
    environment: Environment,
    optimizer: Any,
    key: PRNGKeyArray,
    starts: int | Float[Array, "..."],
    steps: int,
    *,
    frames: int = 0,
    chunk: int = 1000,
    progress: Callable[[int, State], None] | None = None,
    time_limit: float | None = None,
) -> Result:
    """Run `optimizer` for `steps` evaluations from each start.

    The starts are spread over all devices. Start number i depends on `key` and i
    only, so optimizers that are given the same key begin with the same structures.

    **Arguments:**

    - `environment`: what to minimise.
    - `optimizer`: the policy; any object with the `init` and `update` of
      [`hopgym.optimizers.AbstractOptimizer`][].
    - `key`: randomness of starts and policy.
    - `starts`: number of random starts, or their positions.
    - `steps`: updates for each start.
    - `frames`: snapshots to record, evenly spaced, the last one at the end. Memory
      grows with this and not with `steps`.
    - `chunk`: steps in one compiled call; between calls `progress` is called,
      Ctrl-C is heard and the time limit is looked at.
    - `progress`: called with the number of steps done and the state.
    - `time_limit`: seconds after which no further chunk is begun.

    **Returns:** a [`hopgym.Result`][].

    **Raises:** `ValueError` for no starts or steps, starts of a wrong shape, or an
    optimizer whose update has not the shape of the positions or whose state changes
    its structure.
    """
    if steps < 1 or chunk < 1 or not 0 <= frames <= steps:
        raise ValueError(
            "a rollout needs steps >= 1, chunk >= 1 and 0 <= frames <= steps, got "
            f"steps={steps}, chunk={chunk}, frames={frames}"
        )
    given, count = _starts(environment, starts)
    check_optimizer(environment, optimizer)

    devices = jax.devices()[:count]
    padded = -(-count // len(devices)) * len(devices)
    if given is not None:
        given = given[jnp.arange(padded) % count]
    model, static = eqx.partition((environment, optimizer), eqx.is_array)
    begin, advance = programs(static, devices)

    timer = time.perf_counter()
    index = jnp.arange(padded, dtype=jnp.int32)
    carry = jax.block_until_ready(begin(model, key, index, given))
    advance = advance.lower(model, carry, jnp.int32(0)).compile()
    compile_seconds = time.perf_counter() - timer

    snapshots = []
    recorded = [-(-steps * (i + 1) // frames) for i in range(frames)] + [steps]
    timer = time.perf_counter()
    done = 0
    while done < steps:
        if time_limit is not None and time.perf_counter() - timer > time_limit:
            break
        # To the end of the chunk, or to the next snapshot if that comes first.
        snapshot = recorded[bisect.bisect_right(recorded, done)]
        stop = min((done // chunk + 1) * chunk, snapshot)
        carry = jax.block_until_ready(advance(model, carry, jnp.int32(stop - done)))
        done = stop
        if frames and stop == snapshot:
            snapshots.append(_snapshot(stop, carry[0], count))
        if progress is not None:
            progress(done, _cropped(carry[0], count))
    return Result(
        state=_cropped(carry[0], count),
        frames=jax.tree.map(lambda *leaves: np.concatenate(leaves), *snapshots)
        if snapshots
        else None,
        steps=done,
        seconds=time.perf_counter() - timer,
        compile_seconds=compile_seconds,
    )


def check_optimizer(environment: Environment, optimizer: Any) -> None:
    """Raise `ValueError` if `optimizer` cannot be a policy of `environment`.

    Traces it once, without computing anything.
    """
    name = type(optimizer).__name__
    for method in ("init", "update"):
        if not callable(getattr(optimizer, method, None)):
            raise ValueError(
                f"{name} has no method {method!r}: an optimizer has init(positions, "
                "*, key, context) and update(gradient, state, positions, *, value, "
                "context)"
            )

    def once(optimizer, environment):
        state = environment.reset(jax.random.key(0))
        before = optimizer.init(
            state.positions, key=jax.random.key(0), context=environment.context
        )
        update, after = optimizer.update(
            state.gradient,
            before,
            state.positions,
            value=state.energy,
            context=environment.context,
        )
        return before, after, update

    before, after, update = eqx.filter_eval_shape(once, optimizer, environment)
    expected = (environment.system.atoms, 3)
    if getattr(update, "shape", None) != expected:
        raise ValueError(
            f"{name}.update must return a displacement of shape {expected}, got "
            f"{getattr(update, 'shape', update)}"
        )
    layouts = [
        (
            jax.tree.structure(state),
            [(x.shape, x.dtype) for x in jax.tree.leaves(state)],
        )
        for state in (
            eqx.filter(before, lambda x: hasattr(x, "shape")),
            eqx.filter(after, lambda x: hasattr(x, "shape")),
        )
    ]
    if layouts[0] != layouts[1]:
        raise ValueError(
            f"{name}.update must return a state of the structure, shapes and dtypes "
            f"that init returns; init: {layouts[0]}, update: {layouts[1]}"
        )


def _starts(environment: Environment, starts) -> tuple[Array | None, int]:
    """Given positions (or `None`) and number of starts."""
    if isinstance(starts, (int, np.integer)):
        if starts < 1:
            raise ValueError(f"a rollout needs at least one start, got {starts}")
        return None, int(starts)
    positions = jnp.asarray(starts, float)
    atoms = environment.system.atoms
    if positions.ndim != 3 or positions.shape[1:] != (atoms, 3) or not len(positions):
        raise ValueError(
            f"{environment.system.name}: starts must be a number or positions of "
            f"shape (starts, {atoms}, 3), got {positions.shape}"
        )
    return positions, len(positions)


def programs(static, devices):
    """Compiled functions that begin a rollout and carry it on.

    **Arguments:**

    - `static`: of environment and optimizer, what is no array.
    - `devices`: on which the starts are spread evenly.
    """

    def begin(model, key, index, given):
        environment, optimizer = eqx.combine(model, static)

        def one(i, positions):
            state = environment.reset(
                jax.random.fold_in(jax.random.fold_in(key, STARTS), i), positions
            )
            opt_state = optimizer.init(
                state.positions,
                key=jax.random.fold_in(jax.random.fold_in(key, POLICY), i),
                context=environment.context,
            )
            return state, opt_state

        return jax.vmap(one)(index, given)

    def advance(model, carry, steps):
        environment, optimizer = eqx.combine(model, static)

        def one(carry):
            return take_step(environment, optimizer, *carry)

        return jax.lax.fori_loop(0, steps, lambda _, c: jax.vmap(one)(c), carry)

    if len(devices) > 1:
        mesh = Mesh(np.asarray(devices), ("starts",))
        split = P("starts")
        begin = jax.shard_map(
            begin,
            mesh=mesh,
            in_specs=(P(), P(), split, split),
            out_specs=split,
            check_vma=False,
        )
        advance = jax.shard_map(
            advance,
            mesh=mesh,
            in_specs=(P(), split, P()),
            out_specs=split,
            check_vma=False,
        )
    return jax.jit(begin), jax.jit(advance, donate_argnums=1)


def _cropped(state: State, count: int) -> State:
    # A copy: the carry's own buffers are given up to the next chunk.
    return jax.tree.map(lambda leaf: jnp.array(leaf[:count], copy=True), state)


def _snapshot(step: int, state: State, count: int) -> Frames:
    return Frames(
        step=np.asarray([step]),
        energy=np.asarray(state.energy[None, :count]),
        best_energy=np.asarray(state.best_energy[None, :count]),
        positions=np.asarray(state.positions[None, :count]),
    )
