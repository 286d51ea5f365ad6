"""The Gymnasium environment of many searches in one compiled call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import jax
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from hopgym._checks import check_integer
from hopgym._fork import refuse_fork
from hopgym.environment import Environment, State
from hopgym.gymnasium._checks import (
    check_modes,
    check_positions,
    check_reset_options,
    check_seed,
    convert_actions,
    raise_for_status,
    require_reset,
)
from hopgym.gymnasium._compiled import (
    compile_shared,
    draw_seed,
    reset_batch,
    step_batch,
)
from hopgym.gymnasium._partition import drop_compiled, partition, unpack_outputs
from hopgym.gymnasium._render import RENDER_MODES, render
from hopgym.gymnasium._spaces import make_action_space, make_observation_space
from hopgym.rl._checks import check_batch_size, resolve_system
from hopgym.rl.mdp import MDP, STEP_LIMIT, check_options
from hopgym.rl.observations import AbstractObservation
from hopgym.systems import System


class ClusterVectorEnv(VectorEnv[Any, Any, Any]):
    """Many searches of one system; a step is one compiled call, resets included.

    Made by `gymnasium.make_vec("hopgym/LJ-75", num_envs=150)`. After `reset(seed=s)`
    replica i has the starts of `ClusterEnv` with the seed s + i, in autoresets as well.
    A list of seeds has one entry per replica; replicas with `None` continue their
    sequence of starts.

    `reset(options=...)` takes `"positions"` of shape `(num_envs, atoms, 3)` or, for
    the same start everywhere, `(atoms, 3)`; and `"reset_mask"`, a boolean array that
    selects the replicas to reset.

    The three autoreset modes are Gymnasium's. `NEXT_STEP`: the step after the end of
    an episode ignores the action and returns the first observation of the next one.
    `SAME_STEP`: that observation is returned at once, and `info["final_obs"]` and
    `info["final_info"]` hold the last ones of the ended episode. `DISABLED`: a replica
    whose episode has ended must be reset by mask before the next step.

    With `array_backend="jax"`, everything is a JAX array with a leading axis, and
    `info["final_obs"]` is an array of all replicas, valid where `info["_final_obs"]`.

    **Arguments:** those of [`hopgym.gymnasium.ClusterEnv`][], and

    - `num_envs`: number of replicas.
    - `max_episode_steps`: episodes are truncated at this step, or at the horizon (or
      `step_limit`) if that comes earlier; `None` or -1 for no other limit.
    - `autoreset_mode`: `gymnasium.vector.AutoresetMode` or its value.

    **Raises:** as [`hopgym.gymnasium.ClusterEnv`][]; also `ValueError` for a step of
    a replica whose episode has ended if the mode is `DISABLED`.
    """

    metadata: dict[str, Any] = {"render_modes": RENDER_MODES, "render_fps": 20}  # noqa: RUF012

    def __init__(
        self,
        system: str | System,
        num_envs: int = 1,
        *,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        array_backend: Literal["numpy", "jax"] = "numpy",
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        observation: str | AbstractObservation = "flat",
        **options: Any,
    ):
        refuse_fork()
        check_options(ClusterVectorEnv, options)
        check_modes(render_mode, array_backend, autoreset_mode)
        self.system = resolve_system(system)
        limits = [check_integer("horizon", options.get("horizon", STEP_LIMIT), 1)]
        step_limit = options.pop("step_limit", None)
        if step_limit is not None:
            limits += [check_integer("step_limit", step_limit, 1)]
        if max_episode_steps not in (None, -1):
            limits += [check_integer("max_episode_steps", max_episode_steps, 1, None)]
        self.mdp = MDP(
            Environment(self.system),
            observation=observation,
            step_limit=min(limits),
            **options,
        )
        num_envs = check_batch_size(
            "num_envs", num_envs, 1, self.mdp.bound_vector().size
        )
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = self.metadata | {
            "jax": array_backend == "jax",
            "autoreset_mode": self.autoreset_mode,
        }
        self.single_observation_space = make_observation_space(self.mdp)
        self.single_action_space = make_action_space(self.system)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._numpy = array_backend == "numpy"
        self._start_seeds = None
        self._states = None
        self._ended = None
        self._compile()

    def _compile(self) -> None:
        self._arrays, static = partition(self.mdp, self._numpy)
        self._reset = compile_shared(reset_batch, static)
        self._step = compile_shared(step_batch, static, self.autoreset_mode)

    def __getstate__(self) -> dict[str, Any]:
        return drop_compiled(self.__dict__)

    def __setstate__(self, attributes: dict[str, Any]) -> None:
        self.__dict__.update(attributes)
        self._compile()

    @property
    def state(self) -> State:
        """The [`hopgym.State`][] of all replicas, with a leading axis."""
        return require_reset(self._states)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        refuse_fork()
        given = check_reset_options(options, ("positions", "reset_mask"))
        self.mdp.check_precision()
        mask = self._check_mask(given.get("reset_mask"))
        positions = check_positions(self.system, given.get("positions"), self.num_envs)
        self._start_seeds, self._states, outputs = self._reset(
            self._arrays,
            self._draw_seeds(seed, mask),
            None if mask.all() else self._states,
            mask,
            positions,
        )
        ended = np.zeros(self.num_envs, bool)
        self._ended = ended if self._ended is None else self._ended & ~mask
        observation, _, _, _, info = self._unpack(outputs, mask)
        return observation, info

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        refuse_fork()
        seeds, states, ended, outputs, final, status = self._step(
            self._arrays,
            self._start_seeds,
            self.state,
            self._ended,
            convert_actions(self.system, actions, (self.num_envs,)),
        )
        raise_for_status(status, self.system)
        self._start_seeds, self._states, self._ended = seeds, states, ended
        observation, reward, terminated, truncated, info = self._unpack(outputs)
        if self.autoreset_mode == AutoresetMode.SAME_STEP:
            ended = np.asarray(terminated) | np.asarray(truncated)
            if ended.any():
                info |= self._final_info(final, ended)
        return observation, reward, terminated, truncated, info

    def _unpack(self, outputs, mask=None):
        if self._numpy:
            outputs = unpack_outputs(outputs)
        observation, reward, terminated, truncated, info = outputs
        return observation, reward, terminated, truncated, self._add_masks(info, mask)

    def _add_masks(self, info: dict[str, Any], mask) -> dict[str, Any]:
        """Add Gymnasium's masks of the replicas for which the entries are valid."""
        present = np.ones(self.num_envs, bool) if mask is None else mask
        return info | {f"_{name}": present.copy() for name in info}

    def _final_info(self, final, ended) -> dict[str, Any]:
        observation, _, _, _, info = unpack_outputs(final) if self._numpy else final
        if self._numpy:
            last = np.full(self.num_envs, None, object)
            for i in np.flatnonzero(ended):
                last[i] = jax.tree.map(lambda entry, i=i: entry[i].copy(), observation)
            observation = last
        return {
            "final_obs": observation,
            "_final_obs": ended.copy(),
            "final_info": self._add_masks(info, ended),
            "_final_info": ended.copy(),
        }

    def _check_mask(self, mask) -> np.ndarray:
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

    def _draw_seeds(self, seed, mask) -> np.ndarray:
        """Seeds of the next starts, new ones for replicas with a given seed."""
        n = self.num_envs
        if seed is None:
            given = [None] * n
        elif np.ndim(seed) > 0:
            given = [check_seed(one) for one in seed]
            if len(given) != n:
                raise ValueError(f"expected {n} seeds, got {len(given)}")
        else:
            first = check_integer("seed", seed, 0, None)
            super().reset(seed=first)
            given = [first + i for i in range(n)]
        if self._start_seeds is None:
            seeds = np.stack([draw_seed(self.np_random) for _ in range(n)])
        else:
            seeds = np.array(self._start_seeds)
        for i, one in enumerate(given):
            if one is not None and mask[i]:
                seeds[i] = draw_seed(seeding.np_random(one)[0])
        return seeds

    def render(self) -> tuple[Any, ...] | None:
        """Render one picture or text per replica."""
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
