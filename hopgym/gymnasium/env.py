"""The Gymnasium environment of one search."""

from __future__ import annotations

from typing import Any, Literal

import gymnasium

from hopgym.environment import Environment, State
from hopgym.gymnasium.checks import (
    check_modes,
    flat_actions,
    given_positions,
    known_options,
    raise_for,
    started,
)
from hopgym.gymnasium.compiled import advance, begin, jitted, new_stream
from hopgym.gymnasium.layout import split, unpacked
from hopgym.gymnasium.render import RENDER_MODES, render
from hopgym.gymnasium.spaces import action_space, observation_space
from hopgym.rl.mdp import STEP_LIMIT, Task
from hopgym.systems import System, get_system


class ClusterEnv(gymnasium.Env[Any, Any]):
    """A search for the lowest energy of a system, one displacement a step.

    `gymnasium.make("hopgym/LJ-75")`. Observation, action and reward are described at
    [`hopgym.rl.mdp.Task`][]. `info` holds `energy`, `best_energy` (in the potential's
    unit), `success`, `first_hit`, `step`, `evaluations` and `faults`.

    `reset(seed=...)` begins a stream of starts that depends on the seed only;
    `reset()` takes the next one. `reset(options={"positions": array})` begins at
    given positions `(atoms, 3)`.

    **Arguments:**

    - `system`: name of a system, or a [`hopgym.System`][].
    - `render_mode`: `"rgb_array"` (a picture of 480 x 480), `"ansi"` (a line of
      text), or `None`.
    - `max_displacement`, `terminate_on_success`, `reward`, `action`, `quench_steps`,
      `observation`, `neighbours`: see [`hopgym.rl.mdp.Task`][].
    - `horizon`: length of an episode; the observed step fraction refers to it. The
      `max_episode_steps` of `gymnasium.make` (50,000 unless given) is the limit of
      its `TimeLimit` wrapper, which can end an episode earlier but is not seen here:
      for longer episodes give both, for shorter ones `horizon`, above all if
      `reward="final"`, which is paid at that step.
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
        max_displacement: float | None = None,
        terminate_on_success: bool = False,
        reward: str = "best",
        horizon: int = STEP_LIMIT,
        action: Literal["step", "hop"] = "step",
        quench_steps: int = 500,
        observation: Literal["flat", "dict", "neighbours"] = "flat",
        neighbours: int = 12,
        array_backend: Literal["numpy", "jax"] = "numpy",
    ):
        self.system = get_system(system) if isinstance(system, str) else system
        self.task = Task(
            Environment(self.system),
            max_displacement=max_displacement,
            terminate_on_success=terminate_on_success,
            reward=reward,
            horizon=horizon,
            action=action,
            quench_steps=quench_steps,
            observation=observation,
            neighbours=neighbours,
        )
        check_modes(render_mode, array_backend)
        self.render_mode = render_mode
        self.metadata = self.metadata | {"jax": array_backend == "jax"}
        self.observation_space = observation_space(self.task)
        self.action_space = action_space(self.system)
        self._numpy = array_backend == "numpy"
        self._arrays, layout = split(self.task, self._numpy)
        self._begin = jitted(begin, layout)
        self._advance = jitted(advance, layout)
        self._stream = None
        self._state = None

    @property
    def state(self) -> State:
        """The [`hopgym.State`][] of the search."""
        return started(self._state)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        given = known_options(options, ("positions",))
        positions = given_positions(self.system, given.get("positions"))
        if seed is not None or self._stream is None:
            self._stream = new_stream(self.np_random)
        self._stream, self._state, outputs = self._begin(
            self._arrays, self._stream, positions
        )
        observation, _, _, _, info = self._outputs(outputs)
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        state, outputs, code = self._advance(
            self._arrays, self.state, flat_actions(self.system, action, ())
        )
        raise_for(code, self.system)
        self._state = state
        return self._outputs(outputs)

    def _outputs(self, outputs) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        if not self._numpy:
            return outputs
        observation, reward, terminated, truncated, info = unpacked(outputs)
        info = {name: value.item() for name, value in info.items()}
        return observation, float(reward), bool(terminated), bool(truncated), info

    def render(self) -> Any:
        return render(self.render_mode, self.system, self.state)
