"""Gymnasium environments: one search, and many in one compiled call."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any, Literal

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Array

from hopgym.environment import Environment, State
from hopgym.names import unknown
from hopgym.systems import System, get_system
from hopgym.task import ENTRIES, STEP_LIMIT, Task, flat

RENDER_MODES = ["rgb_array", "ansi"]
# Starts are drawn for this fraction of the replicas at a time when some of them begin
# anew: a single one must not cost as much as all.
REFRESH_FRACTION = 1 / 8

REALS = ("energy", "best_energy")
INTEGERS = ("success", "first_hit", "step", "evaluations", "faults")

FINE, NOT_FINITE, FINISHED = 0, 1, 2  # what a compiled step found of the actions


class ClusterEnv(gymnasium.Env[Any, Any]):
    """A search for the lowest energy of a system, one displacement a step.

    `gymnasium.make("hopgym/LJ-75")`. Observation, action and reward are described at
    [`hopgym.task.Task`][]. `info` holds `energy`, `best_energy` (in the potential's
    unit), `success`, `first_hit`, `step`, `evaluations` and `faults`.

    `reset(seed=...)` begins a stream of starts that depends on the seed only;
    `reset()` takes the next one. `reset(options={"positions": array})` begins at
    given positions `(atoms, 3)`.

    **Arguments:**

    - `system`: name of a system, or a [`hopgym.System`][].
    - `render_mode`: `"rgb_array"` (a picture of 480 x 480), `"ansi"` (a line of
      text), or `None`.
    - `max_displacement`, `terminate_on_success`, `reward`: see
      [`hopgym.task.Task`][].
    - `horizon`: length of an episode; the observed step fraction refers to it. The
      `max_episode_steps` of `gymnasium.make` (50,000 unless given) is the limit of
      its `TimeLimit` wrapper, which can end an episode earlier but is not seen here:
      for longer episodes give both.
    - `observation`: `"flat"` or `"dict"`.
    - `array_backend`: `"numpy"`, or `"jax"` to get JAX arrays (then also pass
      `disable_env_checker=True` to `gymnasium.make`, whose checker wants NumPy).

    **Raises:** `ValueError` for actions that are not finite or of another shape than
    `(3 * atoms,)` or `(atoms, 3)`, and for unknown options.
    """

    metadata: dict[str, Any] = {"render_modes": RENDER_MODES, "render_fps": 20}  # noqa: RUF012

    def __init__(
        self,
        system: str | System,
        *,
        render_mode: str | None = None,
        max_displacement: float = 0.1,
        terminate_on_success: bool = False,
        reward: str = "best",
        horizon: int = STEP_LIMIT,
        observation: Literal["flat", "dict"] = "flat",
        array_backend: Literal["numpy", "jax"] = "numpy",
    ):
        self.system = get_system(system) if isinstance(system, str) else system
        self.task = Task(
            Environment(self.system),
            max_displacement=max_displacement,
            terminate_on_success=terminate_on_success,
            reward=reward,
            horizon=horizon,
        )
        _check_modes(render_mode, observation, array_backend)
        self.render_mode = render_mode
        self.metadata = self.metadata | {"jax": array_backend == "jax"}
        self.observation_space = _observation_space(self.task, observation)
        self.action_space = _action_space(self.system)
        self._numpy = array_backend == "numpy"
        self._arrays, layout = _layout(self.task, observation, self._numpy)
        self._begin = _compiled(_begin, layout)
        self._advance = _compiled(_advance, layout)
        self._stream = None
        self._state = None

    @property
    def state(self) -> State:
        """The [`hopgym.State`][] of the search."""
        return _started(self._state)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        given = _options(options, ("positions",))
        positions = _positions(self.system, given.get("positions"))
        if seed is not None or self._stream is None:
            self._stream = _words(self.np_random)
        self._stream, self._state, outputs = self._begin(
            self._arrays, self._stream, positions
        )
        observation, _, _, _, info = self._outputs(outputs)
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        state, outputs, code = self._advance(
            self._arrays, self.state, _actions(self.system, action, ())
        )
        _check(code, self.system)
        self._state = state
        return self._outputs(outputs)

    def _outputs(self, outputs) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        if not self._numpy:
            return outputs
        observation, reward, terminated, truncated, info = _unpacked(outputs)
        info = {name: value.item() for name, value in info.items()}
        return observation, float(reward), bool(terminated), bool(truncated), info

    def render(self) -> Any:
        return _render(self.render_mode, self.system, self.state)


class ClusterVectorEnv(VectorEnv[Any, Any, Any]):
    """Many searches of one system; a step is one compiled call, resets included.

    `gymnasium.make_vec("hopgym/LJ-75", num_envs=150)`. Replica i of
    `reset(seed=s)` sees the starts of `ClusterEnv` with the seed s + i, after every
    autoreset as well; a list of seeds has one for each replica, with `None` to go on.

    `reset(options=...)` takes `"positions"` of shape `(num_envs, atoms, 3)` or, for
    the same start everywhere, `(atoms, 3)`; and `"reset_mask"`, a boolean array that
    says which replicas begin anew.

    The three autoreset modes are Gymnasium's. `NEXT_STEP`: the step after the end of
    an episode ignores the action and returns the first observation of the next one.
    `SAME_STEP`: that observation is returned at once, and `info["final_obs"]` and
    `info["final_info"]` hold the last of the ended episode. `DISABLED`: a replica
    whose episode has ended must be reset by mask before the next step.

    With `array_backend="jax"`, everything is a JAX array with a leading axis, and
    `info["final_obs"]` an array of all replicas, valid where `info["_final_obs"]`.

    **Arguments:** those of [`hopgym.gymnasium.ClusterEnv`][], and

    - `num_envs`: number of replicas.
    - `max_episode_steps`: episodes are truncated at this step, or at the horizon if
      that comes earlier.
    - `autoreset_mode`: `gymnasium.vector.AutoresetMode` or its value.

    **Raises:** as [`hopgym.gymnasium.ClusterEnv`][]; also `ValueError` for a step of
    an ended replica if the mode is `DISABLED`.
    """

    metadata: dict[str, Any] = {"render_modes": RENDER_MODES, "render_fps": 20}  # noqa: RUF012

    def __init__(
        self,
        system: str | System,
        num_envs: int = 1,
        *,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        max_displacement: float = 0.1,
        terminate_on_success: bool = False,
        reward: str = "best",
        horizon: int = STEP_LIMIT,
        observation: Literal["flat", "dict"] = "flat",
        array_backend: Literal["numpy", "jax"] = "numpy",
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    ):
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, got {num_envs}")
        self.system = get_system(system) if isinstance(system, str) else system
        self.task = Task(
            Environment(self.system),
            max_displacement=max_displacement,
            terminate_on_success=terminate_on_success,
            reward=reward,
            horizon=horizon,
            step_limit=min(max_episode_steps or horizon, horizon),
        )
        _check_modes(render_mode, observation, array_backend)
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = self.metadata | {
            "jax": array_backend == "jax",
            "autoreset_mode": self.autoreset_mode,
        }
        self.single_observation_space = _observation_space(self.task, observation)
        self.single_action_space = _action_space(self.system)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._numpy = array_backend == "numpy"
        self._arrays, layout = _layout(self.task, observation, self._numpy)
        self._begin = _compiled(_begin_all, layout)
        self._advance = _compiled(_advance_all, layout, self.autoreset_mode)
        self._streams = None
        self._states = None
        self._ended = None

    @property
    def state(self) -> State:
        """The [`hopgym.State`][] of all replicas, with a leading axis."""
        return _started(self._states)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        given = _options(options, ("positions", "reset_mask"))
        mask = self._mask(given.get("reset_mask"))
        positions = _positions(self.system, given.get("positions"), self.num_envs)
        self._streams, self._states, outputs = self._begin(
            self._arrays,
            self._seeded(seed, mask),
            None if mask.all() else self._states,
            mask,
            positions,
        )
        ended = np.zeros(self.num_envs, bool)
        self._ended = ended if self._ended is None else self._ended & ~mask
        observation, _, _, _, info = self._outputs(outputs, mask)
        return observation, info

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        streams, states, ended, outputs, final, code = self._advance(
            self._arrays,
            self._streams,
            self.state,
            self._ended,
            _actions(self.system, actions, (self.num_envs,)),
        )
        _check(code, self.system)
        self._streams, self._states, self._ended = streams, states, ended
        observation, reward, terminated, truncated, info = self._outputs(outputs)
        if self.autoreset_mode == AutoresetMode.SAME_STEP:
            ended = np.asarray(terminated) | np.asarray(truncated)
            if ended.any():
                info |= self._final(final, ended)
        return observation, reward, terminated, truncated, info

    def _outputs(self, outputs, mask=None):
        if self._numpy:
            outputs = _unpacked(outputs)
        observation, reward, terminated, truncated, info = outputs
        return observation, reward, terminated, truncated, self._masked(info, mask)

    def _masked(self, info: dict[str, Any], mask) -> dict[str, Any]:
        """Gymnasium's masks that tell which replicas an entry is about."""
        present = np.ones(self.num_envs, bool) if mask is None else mask
        return info | {f"_{name}": present.copy() for name in info}

    def _final(self, final, ended) -> dict[str, Any]:
        observation, _, _, _, info = _unpacked(final) if self._numpy else final
        if self._numpy:
            last = np.full(self.num_envs, None, object)
            for i in np.flatnonzero(ended):
                last[i] = jax.tree.map(lambda entry, i=i: entry[i].copy(), observation)
            observation = last
        return {
            "final_obs": observation,
            "_final_obs": ended.copy(),
            "final_info": self._masked(info, ended),
            "_final_info": ended.copy(),
        }

    def _mask(self, mask) -> np.ndarray:
        if mask is None:
            return np.ones(self.num_envs, bool)
        mask = np.asarray(mask)
        if mask.shape != (self.num_envs,) or mask.dtype != bool or not mask.any():
            raise ValueError(
                "options['reset_mask'] must be a boolean array of shape "
                f"({self.num_envs},) with at least one True, got {mask!r}"
            )
        if self._states is None and not mask.all():
            raise ValueError("the first reset must be one of all replicas")
        return mask

    def _seeded(self, seed, mask) -> np.ndarray:
        """The streams of starts, begun anew where there is a seed."""
        n = self.num_envs
        if seed is None:
            seeds = [None] * n
        elif isinstance(seed, (int, np.integer)):
            super().reset(seed=int(seed))
            seeds = [int(seed) + i for i in range(n)]
        else:
            seeds = list(seed)
            if len(seeds) != n:
                raise ValueError(f"expected {n} seeds, got {len(seeds)}")
        if self._streams is None:
            streams = np.stack([_words(self.np_random) for _ in range(n)])
        else:
            streams = np.array(self._streams)
        for i, one in enumerate(seeds):
            if one is not None and mask[i]:
                streams[i] = _words(seeding.np_random(one)[0])
        return streams

    def render(self) -> tuple[Any, ...] | None:
        """One picture or text for each replica."""
        state = jax.device_get(self.state)
        if self.render_mode is None:
            return _render(None, self.system, state)
        return tuple(
            _render(
                self.render_mode,
                self.system,
                jax.tree.map(lambda leaf, i=i: leaf[i], state),
            )
            for i in range(self.num_envs)
        )


@dataclasses.dataclass(frozen=True)
class _Layout:
    """All of a task but its arrays: what a compiled function depends on."""

    structure: Any
    others: tuple[Any, ...]
    dictionary: bool
    packed: bool

    def task(self, arrays) -> Task:
        leaves = [
            other if array is None else array
            for array, other in zip(arrays, self.others, strict=True)
        ]
        return jax.tree.unflatten(self.structure, leaves)

    def outputs(self, task: Task, state: State, reward, terminated, truncated) -> Any:
        """What a step returns, of one replica; packed for the host if asked for."""
        observation = task.observe(state)
        if not self.dictionary:
            observation = flat(observation)
        info = task.info(state)
        if not self.packed:
            return observation, reward, terminated, truncated, info
        reals = [reward, *(info[name] for name in REALS)]
        integers = [terminated, truncated, *(info[name] for name in INTEGERS)]
        return (
            observation,
            jnp.stack(reals),
            jnp.stack([number.astype(jnp.int32) for number in integers]),
        )


def _layout(task: Task, observation: str, packed: bool) -> tuple[list, _Layout]:
    """The arrays of a task, and the rest, without names: systems that differ in
    nothing else share their compiled functions."""
    system = task.environment.system
    nameless = dataclasses.replace(
        system, name="", elements=("",) * len(system.elements), reference_source=""
    )
    task = eqx.tree_at(lambda task: task.environment.system, task, nameless)
    leaves, structure = jax.tree.flatten(task)
    arrays = [leaf if eqx.is_array(leaf) else None for leaf in leaves]
    others = tuple(None if eqx.is_array(leaf) else leaf for leaf in leaves)
    return arrays, _Layout(structure, others, observation == "dict", packed)


@functools.cache
def _compiled(function, *static):
    return jax.jit(functools.partial(function, *static))


def _start(task: Task, words: Array, positions: Array | None) -> tuple[Array, State]:
    """The next start of the stream that begins at `words`, and where it goes on."""
    key = jax.random.fold_in(jax.random.key(words[0]), words[1])
    onward, now = jax.random.split(key)
    return jax.random.bits(onward, (2,), jnp.uint32), task.reset(now, positions)


def _begin(layout: _Layout, arrays, words, positions):
    task = layout.task(arrays)
    words, state = _start(task, words, positions)
    false = jnp.zeros((), bool)
    zero = jnp.zeros_like(state.energy)
    return words, state, layout.outputs(task, state, zero, false, false)


def _advance(layout: _Layout, arrays, state: State, action):
    task = layout.task(arrays)
    after = task.step(state, action)
    outputs = layout.outputs(
        task,
        after,
        task.reward(state, after),
        task.terminated(after),
        task.truncated(after),
    )
    return after, outputs, jnp.where(jnp.all(jnp.isfinite(action)), FINE, NOT_FINITE)


def _begin_all(layout: _Layout, arrays, words, states: State | None, mask, positions):
    """Begin all replicas anew, or those of the mask if `states` are given."""
    task = layout.task(arrays)
    if states is not None and positions is None:
        words, now = _refresh(task, words, states, mask)
    else:
        after, now = jax.vmap(functools.partial(_start, task))(words, positions)
        if states is not None:
            now = jax.tree.map(functools.partial(_select, mask), now, states)
            after = _select(mask, after, words)
        words = after
    ended = jnp.zeros_like(mask)
    zero = jnp.zeros_like(now.energy)
    outputs = jax.vmap(functools.partial(layout.outputs, task))
    return words, now, outputs(now, zero, ended, ended)


def _advance_all(
    layout: _Layout, mode: AutoresetMode, arrays, words, states: State, ended, actions
):
    """One step of all replicas, with the resets that the mode wants.

    `ended` tells whose episode ended in the step before. Returns the next `words`,
    `states` and `ended`, the outputs, those of the ended episodes, and a code.
    """
    task = layout.task(arrays)
    after = jax.vmap(task.step)(states, actions)
    reward = jax.vmap(task.reward)(states, after)
    terminated = jax.vmap(task.terminated)(after)
    truncated = jax.vmap(task.truncated)(after)
    finite = jnp.all(jnp.isfinite(actions), axis=-1)
    outputs = jax.vmap(functools.partial(layout.outputs, task))
    final = None
    if mode == AutoresetMode.NEXT_STEP:
        words, now = _refresh(task, words, after, ended)
        reward = jnp.where(ended, 0, reward)
        terminated, truncated = terminated & ~ended, truncated & ~ended
        code = jnp.where(jnp.all(finite | ended), FINE, NOT_FINITE)
    else:
        now = after
        code = jnp.where(jnp.all(finite), FINE, NOT_FINITE)
        if mode == AutoresetMode.SAME_STEP:
            words, now = _refresh(task, words, after, terminated | truncated)
            final = outputs(after, reward, terminated, truncated)
        else:
            code = jnp.where(jnp.any(ended), FINISHED, code)
    results = outputs(now, reward, terminated, truncated)
    return words, now, terminated | truncated, results, final, code


def _refresh(task: Task, words, states: State, due) -> tuple[Array, State]:
    """Begin the replicas that are due anew, some at a time; nothing if none is."""
    count = due.shape[0]
    width = math.ceil(count * REFRESH_FRACTION)
    number = jnp.sum(due)
    order = jnp.where(jnp.arange(count) < number, jnp.argsort(~due), count)
    order = jnp.pad(order, (0, -count % width), constant_values=count)

    def some(carry):
        done, words, states = carry
        index = jax.lax.dynamic_slice(order, (done,), (width,))
        starts = jax.vmap(lambda words: _start(task, words, None))(
            words.at[index].get(mode="clip")
        )
        words, states = jax.tree.map(
            lambda all, new: all.at[index].set(new, mode="drop"),
            (words, states),
            starts,
        )
        return done + width, words, states

    _, words, states = jax.lax.while_loop(
        lambda carry: carry[0] < number, some, (jnp.zeros_like(number), words, states)
    )
    return words, states


def _select(mask, new, old):
    return jnp.where(mask.reshape((-1,) + (1,) * (new.ndim - 1)), new, old)


def _unpacked(outputs) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
    """Outputs as NumPy arrays of their own, which may be written to."""
    observation, reals, integers = jax.tree.map(np.array, outputs)
    info = {name: reals[..., i + 1] for i, name in enumerate(REALS)}
    info |= {name: integers[..., i + 2] for i, name in enumerate(INTEGERS)}
    info["success"] = info["success"].astype(bool)
    terminated, truncated = integers[..., 0].astype(bool), integers[..., 1].astype(bool)
    return observation, reals[..., 0].astype(float), terminated, truncated, info


def _observation_space(task: Task, observation: str) -> spaces.Space:
    boxes: dict[str, spaces.Space] = {
        name: spaces.Box(-bound, bound, dtype=np.float32)
        for name, bound in task.bounds().items()
    }
    if observation == "dict":
        return spaces.Dict(boxes)
    bound = np.concatenate([task.bounds()[name].ravel() for name in ENTRIES])
    return spaces.Box(-bound, bound, dtype=np.float32)


def _action_space(system: System) -> spaces.Box:
    return spaces.Box(-1.0, 1.0, (3 * system.atoms,), np.float32)


def _words(generator: np.random.Generator) -> np.ndarray:
    """Where a stream of starts begins."""
    return generator.integers(2**32, size=2, dtype=np.uint32)


def _actions(system: System, actions, lead: tuple[int, ...]):
    """Actions of the shape that is compiled for, `lead + (3 * atoms,)`."""
    if not isinstance(actions, jax.Array):
        with np.errstate(over="ignore"):
            actions = np.asarray(actions, np.float32)
    wanted = (*lead, 3 * system.atoms)
    if actions.shape == wanted:
        return actions
    if actions.shape == (*lead, system.atoms, 3):
        return actions.reshape(wanted)
    raise ValueError(
        f"{system.name}: actions must have shape {wanted} or "
        f"{(*lead, system.atoms, 3)}, got {actions.shape}"
    )


def _check(code, system: System) -> None:
    """Raise for what a compiled step has found of its actions."""
    code = int(code)
    if code == NOT_FINITE:
        raise ValueError(
            f"{system.name}: an action has components that are not finite (NaN or "
            "infinity), and the step was not taken; look for the cause in the policy "
            "(a diverged update, an overflow) or pass the action through "
            "numpy.nan_to_num"
        )
    if code == FINISHED:
        raise ValueError(
            f"{system.name}: the episodes of some replicas have ended; reset these "
            "first with reset(options={'reset_mask': terminated | truncated}), or use "
            "another autoreset_mode"
        )


def _positions(system: System, positions, count: int | None = None):
    """Given starts of the right shape, or `None`."""
    if positions is None:
        return None
    positions = np.asarray(positions, float)
    one = (system.atoms, 3)
    wanted = one if count is None else (count, *one)
    if positions.shape not in (one, wanted):
        raise ValueError(
            f"{system.name}: options['positions'] must have shape {wanted}"
            + ("" if count is None else f" or {one}")
            + f", got {positions.shape}"
        )
    if not np.all(np.isfinite(positions)):
        raise ValueError(f"{system.name}: options['positions'] must be finite")
    return np.broadcast_to(positions, wanted)


def _options(options: dict[str, Any] | None, known: tuple[str, ...]) -> dict[str, Any]:
    for name in options or {}:
        if name not in known:
            raise ValueError(
                f"{unknown('reset option', str(name), list(known))} (there is "
                f"{' and '.join(map(repr, known))})"
            )
    return options or {}


def _check_modes(render_mode, observation, array_backend) -> None:
    for what, value, known in (
        ("render_mode", render_mode, (None, *RENDER_MODES)),
        ("observation", observation, ("flat", "dict")),
        ("array_backend", array_backend, ("numpy", "jax")),
    ):
        if value not in known:
            raise ValueError(f"{what} must be one of {known}, got {value!r}")


def _started(state):
    if state is None:
        raise gymnasium.error.ResetNeeded("call reset() first")
    return state


def _render(mode: str | None, system: System, state: State) -> Any:
    """Picture or text of one replica."""
    if mode is None:
        gymnasium.logger.warn(
            "render() without a render_mode shows nothing; make the environment with "
            "render_mode='rgb_array' or 'ansi'"
        )
        return None
    energy, best = _number(state.energy), _number(state.best_energy)
    if mode == "ansi":
        reference = _number(system.reference) if system.has_reference else "unknown"
        return (
            f"{system.name}  step {int(state.step)}  energy {energy}  best {best}  "
            f"reference {reference}"
        )
    from hopgym.rendering import draw

    return draw(
        np.asarray(state.positions),
        system.symbols,
        None if system.box is None else np.asarray(system.box),
        length=float(system.length),
        caption=f"{system.name}   E = {energy}   best {best}   step {int(state.step)}",
    )


def _number(energy) -> str:
    energy = float(energy)
    return f"{energy:.3f}" if abs(energy) < 1e6 else f"{energy:.2e}"
