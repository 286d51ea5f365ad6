"""The Gymnasium environment of one search."""

from __future__ import annotations

from typing import Any, Literal

import gymnasium

from hopgym.environment import Environment, State
from hopgym.gymnasium._checks import (
    check_modes,
    check_positions,
    check_reset_options,
    flatten_actions,
    raise_for_status,
    require_reset,
)
from hopgym.gymnasium._compiled import compile_shared, draw_seed, reset_one, step_one
from hopgym.gymnasium._partition import partition, unpack_outputs
from hopgym.gymnasium._render import RENDER_MODES, render
from hopgym.gymnasium._spaces import make_action_space, make_observation_space
from hopgym.rl.mdp import MDP, check_options
from hopgym.rl.observations import AbstractObservation
from hopgym.systems import System, get_system


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

    The `max_episode_steps` of `gymnasium.make` (default 50,000) is the limit of its
    `TimeLimit` wrapper, which can end an episode before `horizon` without the
    environment knowing. For longer episodes set both; for shorter ones set `horizon`,
    in particular with `reward="final"`, which is paid at that step.

    **Raises:** `ValueError` for actions that are not finite or not of shape
    `(3 * atoms,)` or `(atoms, 3)`, and for unknown options of `reset` or invalid
    values; `TypeError` for an unknown option of [`hopgym.rl.MDP`][].
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
        check_options(ClusterEnv, options)
        self.system = get_system(system) if isinstance(system, str) else system
        self.mdp = MDP(Environment(self.system), observation=observation, **options)
        check_modes(render_mode, array_backend)
        self.render_mode = render_mode
        self.metadata = self.metadata | {"jax": array_backend == "jax"}
        self.observation_space = make_observation_space(self.mdp)
        self.action_space = make_action_space(self.system)
        self._numpy = array_backend == "numpy"
        self._arrays, static = partition(self.mdp, self._numpy)
        self._reset = compile_shared(reset_one, static)
        self._step = compile_shared(step_one, static)
        self._start_seed = None
        self._state = None

    @property
    def state(self) -> State:
        """The current [`hopgym.State`][]."""
        return require_reset(self._state)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        given = check_reset_options(options, ("positions",))
        positions = check_positions(self.system, given.get("positions"))
        if seed is not None or self._start_seed is None:
            self._start_seed = draw_seed(self.np_random)
        self._start_seed, self._state, outputs = self._reset(
            self._arrays, self._start_seed, positions
        )
        observation, _, _, _, info = self._unpack(outputs)
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        state, outputs, status = self._step(
            self._arrays, self.state, flatten_actions(self.system, action, ())
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
