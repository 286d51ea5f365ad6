"""The Gymnasium environment of many searches in one compiled call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import jax
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from hopgym.environment import Environment, State
from hopgym.gymnasium.checks import (
    check_modes,
    flat_actions,
    given_positions,
    known_options,
    raise_for,
    started,
)
from hopgym.gymnasium.compiled import advance_all, begin_all, jitted, new_stream
from hopgym.gymnasium.layout import split, unpacked
from hopgym.gymnasium.render import RENDER_MODES, render
from hopgym.gymnasium.spaces import action_space, observation_space
from hopgym.rl.mdp import STEP_LIMIT, Task
from hopgym.systems import System, get_system


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
        max_displacement: float | None = None,
        terminate_on_success: bool = False,
        reward: str = "best",
        horizon: int = STEP_LIMIT,
        action: Literal["step", "hop"] = "step",
        quench_steps: int = 500,
        observation: Literal["flat", "dict", "neighbours"] = "flat",
        neighbours: int = 12,
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
            action=action,
            quench_steps=quench_steps,
            observation=observation,
            neighbours=neighbours,
            step_limit=min(max_episode_steps or horizon, horizon),
        )
        check_modes(render_mode, array_backend)
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = self.metadata | {
            "jax": array_backend == "jax",
            "autoreset_mode": self.autoreset_mode,
        }
        self.single_observation_space = observation_space(self.task)
        self.single_action_space = action_space(self.system)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._numpy = array_backend == "numpy"
        self._arrays, layout = split(self.task, self._numpy)
        self._begin = jitted(begin_all, layout)
        self._advance = jitted(advance_all, layout, self.autoreset_mode)
        self._streams = None
        self._states = None
        self._ended = None

    @property
    def state(self) -> State:
        """The [`hopgym.State`][] of all replicas, with a leading axis."""
        return started(self._states)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        given = known_options(options, ("positions", "reset_mask"))
        mask = self._mask(given.get("reset_mask"))
        positions = given_positions(self.system, given.get("positions"), self.num_envs)
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
            flat_actions(self.system, actions, (self.num_envs,)),
        )
        raise_for(code, self.system)
        self._streams, self._states, self._ended = streams, states, ended
        observation, reward, terminated, truncated, info = self._outputs(outputs)
        if self.autoreset_mode == AutoresetMode.SAME_STEP:
            ended = np.asarray(terminated) | np.asarray(truncated)
            if ended.any():
                info |= self._final(final, ended)
        return observation, reward, terminated, truncated, info

    def _outputs(self, outputs, mask=None):
        if self._numpy:
            outputs = unpacked(outputs)
        observation, reward, terminated, truncated, info = outputs
        return observation, reward, terminated, truncated, self._masked(info, mask)

    def _masked(self, info: dict[str, Any], mask) -> dict[str, Any]:
        """Gymnasium's masks that tell which replicas an entry is about."""
        present = np.ones(self.num_envs, bool) if mask is None else mask
        return info | {f"_{name}": present.copy() for name in info}

    def _final(self, final, ended) -> dict[str, Any]:
        observation, _, _, _, info = unpacked(final) if self._numpy else final
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
            streams = np.stack([new_stream(self.np_random) for _ in range(n)])
        else:
            streams = np.array(self._streams)
        for i, one in enumerate(seeds):
            if one is not None and mask[i]:
                streams[i] = new_stream(seeding.np_random(one)[0])
        return streams

    def render(self) -> tuple[Any, ...] | None:
        """One picture or text for each replica."""
        state = jax.device_get(self.state)
        if self.render_mode is None:
            return render(None, self.system, state)
        return tuple(
            render(
                self.render_mode,
                self.system,
                jax.tree.map(lambda leaf, i=i: leaf[i], state),
            )
            for i in range(self.num_envs)
        )
