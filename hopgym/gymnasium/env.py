"""The Gymnasium environment of one search."""

from __future__ import annotations

from typing import Any, Literal

import equinox as eqx
import gymnasium
import jax.numpy as jnp

from hopgym._fork import refuse_fork
from hopgym.environment import Environment, State
from hopgym.gymnasium._callers import find_time_limit, refuse_forks
from hopgym.gymnasium._checks import (
    check_modes,
    check_positions,
    check_reset_options,
    check_seed,
    convert_actions,
    raise_for_status,
    require_reset,
)
from hopgym.gymnasium._compiled import compile_shared, draw_seed, reset_one, step_one
from hopgym.gymnasium._partition import drop_compiled, partition, unpack_outputs
from hopgym.gymnasium._render import RENDER_MODES, render
from hopgym.gymnasium._spaces import make_action_space, make_observation_space
from hopgym.rl._checks import resolve_system
from hopgym.rl.mdp import MDP, check_options
from hopgym.rl.observations import AbstractObservation
from hopgym.systems import System


class ClusterEnv(gymnasium.Env[Any, Any]):
    """A search for the lowest energy of a system, one displacement per step.

    Made by `gymnasium.make("hopgym/LJ-75")`. [`hopgym.rl.MDP`][] describes
    observation, action and reward. `info` holds `energy`, `best_energy` (in the
    potential's unit), `success`, `first_hit`, `step`, `evaluations` and `faults`.

    `reset(seed=...)` starts a sequence of starts that depends on the seed only;
    `reset()` takes the next one. `reset(options={"positions": array})` starts at given
    positions `(atoms, 3)`.

    **Arguments:**

    - `system`: name of a system, or a [`hopgym.System`][].
    - `render_mode`: `"rgb_array"` (a picture of 480 x 480), `"ansi"` (a line of
      text), or `None`.
    - `array_backend`: `"numpy"`, or `"jax"` to get JAX arrays (then also pass
      `disable_env_checker=True` to `gymnasium.make`, whose checker expects NumPy).
    - `observation`: as in [`hopgym.rl.MDP`][].
    - `options`: other options of [`hopgym.rl.MDP`][].

    An episode ends at `step_limit` (by default `horizon`), or at the
    `max_episode_steps` of `gymnasium.make` (default 50,000) and of other `TimeLimit`
    wrappers if that comes earlier; for longer episodes set both. Where another wrapper
    ends episodes, `reward="final"` is not paid: set `horizon` instead.

    Environments can be pickled and copied. `gymnasium.vector.AsyncVectorEnv` must
    start its processes with `context="spawn"`, since JAX does not work in forked ones.

    **Raises:** `ValueError` for actions that are not finite real numbers or not of
    shape `(3 * atoms,)` or `(atoms, 3)`, for unknown options of `reset` or invalid
    values, if the precision of JAX was changed after the system or the environment was
    made, and where `AsyncVectorEnv` would fork; `TypeError` for an unknown option of
    [`hopgym.rl.MDP`][]; `RuntimeError` in a process that was forked after JAX had
    started.
    """

    metadata: dict[str, Any] = {"render_modes": RENDER_MODES, "render_fps": 20}  # noqa: RUF012

    def __init__(
        self,
        system: str | System,
        *,
        render_mode: str | None = None,
        array_backend: Literal["numpy", "jax"] = "numpy",
        observation: str | AbstractObservation = "flat",
        **options: Any,
    ):
        refuse_forks()
        check_options(ClusterEnv, options)
        self.system = resolve_system(system)
        self.mdp = MDP(Environment(self.system), observation=observation, **options)
        check_modes(render_mode, array_backend)
        self.render_mode = render_mode
        self.metadata = self.metadata | {"jax": array_backend == "jax"}
        self.observation_space = make_observation_space(self.mdp)
        self.action_space = make_action_space(self.system)
        self._numpy = array_backend == "numpy"
        self._own_limit = int(self.mdp.step_limit)
        self._limit = self._own_limit
        self._start_seed = None
        self._state = None
        self._compile()

    def _compile(self) -> None:
        self._arrays, static = partition(self.mdp, self._numpy)
        self._reset = compile_shared(reset_one, static)
        self._step = compile_shared(step_one, static)

    def __getstate__(self) -> dict[str, Any]:
        return drop_compiled(self.__dict__)

    def __setstate__(self, attributes: dict[str, Any]) -> None:
        self.__dict__.update(attributes)
        self._compile()

    @property
    def state(self) -> State:
        """The current [`hopgym.State`][]."""
        return require_reset(self._state)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        refuse_fork()
        given = check_reset_options(options, ("positions",))
        positions = check_positions(self.system, given.get("positions"))
        seed = check_seed(seed)
        self.mdp.check_precision()
        self._set_limit(find_time_limit(self))
        super().reset(seed=seed)
        if seed is not None or self._start_seed is None:
            self._start_seed = draw_seed(self.np_random)
        self._start_seed, self._state, outputs = self._reset(
            self._arrays, self._start_seed, positions
        )
        observation, _, _, _, info = self._unpack(outputs)
        return observation, info

    def _set_limit(self, time_limit: int | None) -> None:
        """Truncate episodes at the limit of wrappers, if it is less than our own."""
        limit = min(self._own_limit, time_limit or self._own_limit)
        if limit != self._limit:
            self._limit = limit
            self.mdp = eqx.tree_at(
                lambda mdp: mdp.step_limit, self.mdp, jnp.asarray(limit, jnp.int32)
            )
            self._compile()

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        refuse_fork()
        state, outputs, status = self._step(
            self._arrays, self.state, convert_actions(self.system, action, ())
        )
        raise_for_status(status, self.system)
        self._state = state
        return self._unpack(outputs)

    def _unpack(self, outputs) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        if not self._numpy:
            return outputs
        observation, reward, terminated, truncated, info = unpack_outputs(outputs)
        info = {name: value.item() for name, value in info.items()}
        return observation, float(reward), bool(terminated), bool(truncated), info

    def render(self) -> Any:
        return render(self.render_mode, self.system, self.state)
