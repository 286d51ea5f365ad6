"""A search with the interface of a gymnax environment."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Key, PRNGKeyArray

from hopgym._batching import batched_cond, choose_tree
from hopgym._checks import check_integer
from hopgym._fork import refuse_fork
from hopgym.environment import Environment, State
from hopgym.rl._checks import MAX_SEED, check_batch_size, resolve_system
from hopgym.rl.mdp import MDP, check_options
from hopgym.rl.observations import AbstractObservation
from hopgym.rl.spaces import Box
from hopgym.systems import System


class Parameters(eqx.Module):
    """Parameters of a [`hopgym.rl.GymnaxEnvironment`][].

    **Attributes:**

    - `mdp`: the [`hopgym.rl.MDP`][].
    - `starts`: first states of episodes, with a leading axis, or `None`.
    """

    mdp: MDP
    starts: State | None

    @property
    def max_steps_in_episode(self) -> Int[Array, ""]:
        """The step at which an episode is truncated."""
        return self.mdp.step_limit


class GymnaxEnvironment:
    """A search as a pair of pure functions, for agents that are trained in JAX.

    `reset` and `step` have the interface of gymnax, which rejax, purejaxrl and others
    call under `jit`, `vmap` and `scan`; gymnax itself is not needed. As in gymnax, the
    step that ends an episode returns the first observation of the next one.

    A random start costs a thousand steps of relaxation, plus a quench for hops. Under
    `vmap`, where both branches of a condition are computed, every replica would pay
    for it in every step. Therefore a pool of `starts` first states is made in advance,
    and each episode starts from a random one. An agent can overfit a small pool, so
    evaluate it with another `seed`. With `starts=0` every start is new, and computed
    only for the replicas that need it.

    ```python
    environment = GymnaxEnvironment("LJ-13", action="hop", horizon=20)
    parameters = environment.default_params
    observation, state = environment.reset(jax.random.key(0), parameters)
    ```

    **Arguments:**

    - `system`: name of a system, or a [`hopgym.System`][].
    - `outputs`: number of outputs of `step`: 5, `(observation, state, reward, done,
      info)`, or 6 as in gymnax 1.0, with `terminated, truncated` in place of `done`.
    - `starts`, `seed`: number of first states in the pool, and their random seed.
    - `observation`: as in [`hopgym.rl.MDP`][], but not `"dict"`.
    - `options`: other options of [`hopgym.rl.MDP`][].

    **Raises:** `TypeError` for an unknown option, `ValueError` for invalid values;
    `RuntimeError` in a process that was forked after JAX had started.
    """

    def __init__(
        self,
        system: str | System,
        *,
        outputs: int = 5,
        starts: int = 512,
        seed: int = 0,
        observation: str | AbstractObservation = "flat",
        **options: Any,
    ):
        refuse_fork()
        check_options(GymnaxEnvironment, options)
        outputs = check_integer("outputs (5 or 6)", outputs, 5, 6)
        seed = check_integer("seed", seed, -MAX_SEED - 1, MAX_SEED)
        system = resolve_system(system)
        starts = check_batch_size("starts", starts, 0, 3 * system.atoms)
        mdp = MDP(Environment(system), observation=observation, **options)
        if mdp.observation.is_dict:
            raise ValueError(
                f"observation must be 'flat' or 'neighbours', got {observation!r}"
            )
        self.name = f"hopgym/{system.name}"
        self.outputs = outputs
        self.default_params = Parameters(
            mdp=mdp,
            starts=_make_starts(mdp, jax.random.split(jax.random.key(seed), starts))
            if starts
            else None,
        )

    def reset(
        self, key: PRNGKeyArray, params: Parameters | None = None
    ) -> tuple[Float32[Array, " features"], State]:
        """First observation and state of an episode.

        **Arguments:**

        - `key`: random key of the start.
        - `params`: by default `default_params`.
        """
        params = self.default_params if params is None else params
        if params.starts is None:
            state = params.mdp.reset(key)
        else:
            params.mdp.check_precision()
            state = _draw_start(key, params.starts)
        return params.mdp.observe_vector(state), state

    def step(
        self,
        key: PRNGKeyArray,
        state: State,
        action: Float[Array, "..."],
        params: Parameters | None = None,
    ) -> tuple[Any, ...]:
        """Do one step; for what is returned see `outputs`.

        At the end of an episode, observation and state are those of the next start.
        `info` holds the entries of [`hopgym.rl.MDP.info`][] after the step itself, not
        those of the next start, and `terminated`, `truncated`, `discount` (0 where
        terminated) and `final_observation`.

        **Arguments:**

        - `key`: random key of the next start, if the episode ends.
        - `state`, `params`: as for `reset`.
        - `action`: components in [-1, 1].
        """
        params = self.default_params if params is None else params
        mdp = params.mdp
        after = mdp.step(state, action)
        terminated, truncated = mdp.is_terminated(after), mdp.is_truncated(after)
        done = terminated | truncated
        last = mdp.observe_vector(after)
        if params.starts is None:
            first = _restart(mdp, key, done, after)
        else:
            first = _draw_start(key, params.starts)
        now = choose_tree(done, first, after)
        info = mdp.info(after) | {
            "terminated": terminated,
            "truncated": truncated,
            "discount": 1.0 - terminated,
            "final_observation": last,
        }
        reward = mdp.compute_reward(state, after).astype(jnp.float32)
        ends = (done,) if self.outputs == 5 else (terminated, truncated)
        return mdp.observe_vector(now), now, reward, *ends, info

    def action_space(self, params: Parameters | None = None) -> Box:
        """Space of the actions: `3 * atoms` components in [-1, 1]."""
        mdp = (self.default_params if params is None else params).mdp
        bound = np.ones(3 * mdp.environment.system.atoms, np.float32)
        return Box(-bound, bound)

    def observation_space(self, params: Parameters | None = None) -> Box:
        """Space of the observations: one vector."""
        mdp = (self.default_params if params is None else params).mdp
        bound = mdp.bound_vector()
        return Box(-bound, bound)


@eqx.filter_jit
def _make_starts(mdp: MDP, keys: Key[Array, " starts"]) -> State:
    return jax.vmap(mdp.reset)(keys)


def _draw_start(key: PRNGKeyArray, starts: State) -> State:
    number = jax.random.randint(key, (), 0, starts.energy.shape[0])
    return jax.tree.map(lambda leaf: leaf[number], starts)


def _restart(mdp: MDP, key: PRNGKeyArray, done: Array, otherwise: State) -> State:
    """New start where `done`, computed only for those replicas."""
    arrays, rest = eqx.partition(mdp, eqx.is_array)

    def start(_, arrays, key):
        return eqx.combine(arrays, rest).reset(key)

    return batched_cond(done, start, otherwise, arrays, key)
