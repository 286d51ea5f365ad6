"""Run a policy on many starts at once, in compiled chunks."""

from __future__ import annotations

import bisect
import functools
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from hopgym import _sharding
from hopgym._checks import check_integer
from hopgym._converters import to_float
from hopgym._keys import as_key
from hopgym.environment import Environment, State, take_step
from hopgym.optimizers.base import adapt

MAX_STARTS = 1_000_000
START_STREAM, POLICY_STREAM = 0, 1  # of random numbers, folded into a rollout's key


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
    """The result of a rollout.

    **Attributes:**

    - `state`: the last [`hopgym.State`][] of every start.
    - `frames`: the requested snapshots, or `None`.
    - `steps`: completed steps, fewer than requested if a time limit was reached.
    - `seconds`: wall-clock time of the search, without compilation.
    - `compile_seconds`: time of the compilation.
    """

    state: State
    frames: Frames | None
    steps: int
    seconds: float
    compile_seconds: float


class Rollout:
    """A rollout that can be advanced, saved and restored piece by piece.

    The starts are spread over all devices. Start number i depends on `key` and i
    only, so optimizers with the same key start from the same structures. Without
    kernels a single start takes another course than the same start among several: XLA
    compiles it to a program that rounds differently (by 4e-7 after 60 steps of Adam on
    LJ-13, by 3e-3 with L-BFGS, which amplifies rounding).

    ```python
    rollout = hopgym.Rollout(environment, optimizer, jax.random.key(0), 100)
    rollout.advance(1000)
    print(rollout.state.best_energy)
    saved = rollout.arrays()
    rollout.restore(saved)
    ```

    **Arguments:**

    - `environment`: the environment to act in.
    - `optimizer`: the policy; any object with the `init` and `update` of
      [`hopgym.optimizers.AbstractOptimizer`][].
    - `key`: random key of starts and policy.
    - `starts`: number of random starts, or positions `(starts, atoms, 3)`.

    **Attributes:** `starts`, the number of starts.

    **Raises:** `ValueError` for anything but an [`hopgym.Environment`][] and one random
    key, no or more than a million starts, positions of a wrong shape, or an optimizer
    whose update does not have the shape of the positions or whose state changes its
    structure.
    """

    def __init__(
        self,
        environment: Environment,
        optimizer: Any,
        key: PRNGKeyArray,
        starts: int | Float[Array, "..."],
    ):
        if not isinstance(environment, Environment):
            raise ValueError(
                "a rollout needs an environment, hopgym.Environment(system), got "
                f"{type(environment).__name__}"
            )
        key = as_key(key)
        positions, self.starts = _check_starts(environment, starts)
        optimizer = adapt(optimizer, environment.system)
        check_optimizer(environment, optimizer)
        self._mesh = _sharding.make_mesh(self.starts)
        self._model, static = eqx.partition((environment, optimizer), eqx.is_array)
        init, self._program = _make_programs(static, self._mesh)
        self._advance: Callable[..., Any] | None = None  # compiled
        index = _sharding.spread(np.arange(self.starts, dtype=np.int32), self._mesh)
        if positions is None:
            system, rest = eqx.partition(environment.system, eqx.is_array)
            positions = _draw_starts(rest, self._mesh, system, key, index)
        else:
            positions = _sharding.spread(positions, self._mesh)
        self._carry = jax.block_until_ready(init(self._model, key, index, positions))

    @property
    def state(self) -> State:
        """A copy of the current state of all starts."""
        return _sharding.crop(self._carry[0], self.starts)

    def compile(self) -> None:
        """Compile the program of `advance`, unless this has been done."""
        if self._advance is None:
            lowered = self._program.lower(self._model, self._carry, jnp.int32(0))
            self._advance = lowered.compile()

    def advance(self, steps: int) -> None:
        """Do `steps` more updates of every start.

        **Raises:** `ValueError` for `steps` that are negative or no integer.
        """
        steps = check_integer("steps", steps, 0)
        self.compile()
        assert self._advance is not None
        carry = self._advance(self._model, self._carry, jnp.int32(steps))
        self._carry = jax.block_until_ready(carry)

    def forget_best(self) -> None:
        """Track the best structure of each start anew, from the next step on."""
        state, opt_state = self._carry
        # Adding infinity keeps the array where it is.
        state = eqx.tree_at(lambda s: s.best_energy, state, state.best_energy + jnp.inf)
        self._carry = state, opt_state

    def arrays(self) -> PyTree:
        """Everything needed to continue the rollout, on any number of devices."""
        return _sharding.crop(self._carry, self.starts)

    def restore(self, arrays: PyTree) -> None:
        """Continue from what `arrays` returned."""
        self._carry = _sharding.spread(arrays, self._mesh)


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

    **Arguments:**

    - `environment`, `optimizer`, `key`, `starts`: see [`hopgym.Rollout`][].
    - `steps`: updates for each start.
    - `frames`: number of snapshots to record, evenly spaced, the last one at the end.
      Memory grows with this number, not with `steps`.
    - `chunk`: number of steps per compiled call; between calls `progress` is called,
      Ctrl-C takes effect and the time limit is checked.
    - `progress`: called with the number of completed steps and the state.
    - `time_limit`: seconds after which no further chunk is started.

    **Returns:** a [`hopgym.Result`][].

    **Raises:** `ValueError` as [`hopgym.Rollout`][], and for `steps` or `chunk` below 1
    or more frames than steps.
    """
    needs = "a rollout needs steps >= 1, chunk >= 1 and 0 <= frames <= steps"
    steps = check_integer(f"{needs}: steps", steps, 1)
    chunk = check_integer(f"{needs}: chunk", chunk, 1)
    frames = check_integer(f"{needs}: frames", frames, 0, steps)
    if time_limit is not None and not time_limit >= 0:
        raise ValueError(f"time_limit must be a number of seconds, got {time_limit}")
    timer = time.perf_counter()
    run = Rollout(environment, optimizer, key, starts)
    run.compile()
    compile_seconds = time.perf_counter() - timer

    snapshots = []
    recorded = [-(-steps * (i + 1) // frames) for i in range(frames)] + [steps]
    timer = time.perf_counter()
    done = 0
    while done < steps:
        if time_limit is not None and time.perf_counter() - timer > time_limit:
            break
        # Advance to the end of the chunk or to the next snapshot.
        snapshot = recorded[bisect.bisect_right(recorded, done)]
        stop = min((done // chunk + 1) * chunk, snapshot)
        run.advance(stop - done)
        done = stop
        if frames and stop == snapshot:
            snapshots.append(_take_snapshot(stop, run.state))
        if progress is not None:
            progress(done, run.state)
    return Result(
        state=run.state,
        frames=jax.tree.map(lambda *leaves: np.concatenate(leaves), *snapshots)
        if snapshots
        else None,
        steps=done,
        seconds=time.perf_counter() - timer,
        compile_seconds=compile_seconds,
    )


def check_optimizer(environment: Environment, optimizer: Any) -> None:
    """Raise `ValueError` if `optimizer` cannot be a policy of `environment`.

    Traces one update, without computing anything.
    """
    name = type(optimizer).__name__
    for method in ("init", "update"):
        if not callable(getattr(optimizer, method, None)):
            raise ValueError(
                f"{name} has no method {method!r}: an optimizer needs init(positions, "
                "*, key, context) and update(gradient, state, positions, *, value, "
                "context)"
            )

    def update_once(optimizer, environment):
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

    before, after, update = eqx.filter_eval_shape(update_once, optimizer, environment)
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
            f"{name}.update must return a state with the structure, shapes and dtypes "
            f"of the one that init returns; init: {layouts[0]}, update: {layouts[1]}"
        )


def _check_starts(environment: Environment, starts) -> tuple[Array | None, int]:
    """The given positions, or `None` for random ones, and the number of starts."""
    if isinstance(starts, (int, np.integer)):
        what = "a rollout needs at least one start: starts"
        return None, check_integer(what, starts, 1, MAX_STARTS)
    positions = to_float(starts)
    atoms = environment.system.atoms
    if positions.ndim != 3 or positions.shape[1:] != (atoms, 3) or not len(positions):
        raise ValueError(
            f"{environment.system.name}: starts must be a number or positions of "
            f"shape (starts, {atoms}, 3), got {positions.shape}"
        )
    return positions, len(positions)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _draw_starts(static, mesh, system, key, index):
    """Random starts, by a program that all optimizers of a system share.

    **Arguments:**

    - `static`: the system without its arrays.
    - `mesh`: the devices over which the starts are spread.
    - `system`: the arrays of the system.
    - `key`: random key of the rollout.
    - `index`: numbers of the starts.
    """

    def draw(system, key, index):
        stream = jax.random.fold_in(key, START_STREAM)
        sample = eqx.combine(system, static).sample
        return jax.vmap(lambda i: sample(jax.random.fold_in(stream, i)))(index)

    return _sharding.shard(draw, mesh, (False, False, True))(system, key, index)


def _make_programs(static, mesh):
    """Jitted functions that initialise and advance a rollout.

    **Arguments:**

    - `static`: environment and optimizer without their arrays.
    - `mesh`: the devices over which the starts are spread.
    """

    def init(model, key, index, starts):
        environment, optimizer = eqx.combine(model, static)

        def one(i, positions):
            state = environment.reset(key, positions)
            opt_state = optimizer.init(
                state.positions,
                key=jax.random.fold_in(jax.random.fold_in(key, POLICY_STREAM), i),
                context=environment.context,
            )
            return state, opt_state

        return jax.vmap(one)(index, starts)

    def advance(model, carry, steps):
        environment, optimizer = eqx.combine(model, static)

        def one(carry):
            return take_step(environment, optimizer, *carry)

        return jax.lax.fori_loop(0, steps, lambda _, c: jax.vmap(one)(c), carry)

    init = _sharding.shard(init, mesh, (False, False, True, True))
    advance = _sharding.shard(advance, mesh, (False, True, False))
    return jax.jit(init), jax.jit(advance, donate_argnums=1)


def _take_snapshot(step: int, state: State) -> Frames:
    return Frames(
        step=np.asarray([step]),
        energy=np.asarray(state.energy[None]),
        best_energy=np.asarray(state.best_energy[None]),
        positions=np.asarray(state.positions[None]),
    )
